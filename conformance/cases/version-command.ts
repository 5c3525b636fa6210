// The VERSION command.
import { type CaseTable, type MainCase, Mismatch, row, type Tag } from "../harness/case.ts";
import { describeRun, type Run } from "../harness/invoke.ts";
import { SYSTEM_PATH } from "../harness/sandbox.ts";

interface Answer {
  readonly cniVersion: string;
  readonly supportedVersions: readonly string[];
}

function answer(run: Run): Answer {
  try {
    if (run.status !== 0) throw new Error();
    const object = JSON.parse(run.stdout) as Answer;
    if (!Array.isArray(object.supportedVersions) || typeof object.cniVersion !== "string") throw new Error();
    return object;
  } catch {
    throw new Mismatch("exit 0, {cniVersion, supportedVersions}", describeRun(run));
  }
}

const answers = (id: string, tag: Tag, requirement: string, label: string, run: MainCase["run"]): MainCase =>
  row(id, tag, requirement, `${label}: exit 0 and the list`, run);

const only = { CNI_COMMAND: "VERSION", PATH: SYSTEM_PATH };
const order = (v: string) => v.split(".").reduce((sum, part) => sum * 1000 + Number(part), 0);

export const versionCommand: CaseTable = {
  perMain: [
    row("VRS-01", "S", "C-070: needs only CNI_COMMAND", "versions non-empty, unique, ascending; below 200 ms", (t) => {
      const run = t.call("VERSION", "", { only });
      const list = answer(run).supportedVersions;
      const sorted = [...new Set(list)].sort((a, b) => order(a) - order(b));
      t.expect(list.length > 0, "versions", list);
      t.equal(list, sorted, "versions");
      // The entry into the namespaces and a busy machine are inside the measure; the plugin itself takes milliseconds.
      t.expect(run.ms < 1000, "an answer at once", `${run.ms} ms`);
    }),
    row("VRS-02", "S", "C-071: cniVersion echoes the input's", '{"cniVersion":"0.4.0"}: "0.4.0"', (t) => {
      t.equal(answer(t.call("VERSION", '{"cniVersion":"0.4.0"}', { only })).cniVersion, "0.4.0", "cniVersion");
    }),
    row("VRS-03", "S", "C-070: an unknown version in the input", "9.9.9: exit 0, full list", (t) => {
      const full = answer(t.call("VERSION", "", { only })).supportedVersions;
      t.equal(answer(t.call("VERSION", '{"cniVersion":"9.9.9"}', { only })).supportedVersions, full, "versions");
    }),
    answers(
      "VRS-04a",
      "G",
      "C-072: stdin may be garbage",
      "garbage",
      (t) => void answer(t.call("VERSION", "{[}", { only })),
    ),
    answers("VRS-04b", "G", "C-072: stdin may be unreadable", "a directory", (t) => {
      answer(t.call("VERSION", "", { only, wrap: 'exec "$@" </' }));
    }),
    row("VRS-05", "G", "C-072: must not block on an open stdin", "answers within 1 s", (t) => {
      const wrap = 'mkfifo /run/case-f; exec 3<>/run/case-f; exec "$@" <&3';
      answer(t.call("VERSION", "", { only, wrap, timeoutMs: 2000 }));
    }),
    answers(
      "VRS-06",
      "G",
      "libcni's dummy environment",
      "CNI_NETNS, CNI_IFNAME and CNI_PATH are the word dummy",
      (t) => {
        const set = { CNI_CONTAINERID: "", CNI_NETNS: "dummy", CNI_IFNAME: "dummy", CNI_PATH: "dummy" };
        answer(t.call("VERSION", '{"cniVersion":"1.1.0"}', { set }));
      },
    ),
    answers(
      "VRS-07",
      "G",
      "C-070: other variables are irrelevant",
      "hostile CNI_CONTAINERID, CNI_IFNAME, CNI_ARGS",
      (t) => {
        answer(t.call("VERSION", "", { set: { CNI_CONTAINERID: "../x", CNI_IFNAME: "a/b", CNI_ARGS: "=;=" } }));
      },
    ),
    row(
      "VRS-08",
      "H",
      "VERSION needs no privilege",
      "uid nobody: exit 0 and the list",
      (t) => {
        answer(t.call("VERSION", "", { only, wrap: 'exec setpriv --reuid 65534 --clear-groups "$@"' }));
      },
      { needs: ["program:setpriv"] },
    ),
    row("VRS-09", "S", "C-073: a promise to answer in every version listed", "ADD accepts each", (t) => {
      for (const cniVersion of answer(t.call("VERSION", "", { only })).supportedVersions) {
        const conf = t.l3({ cniVersion });
        t.add(conf);
        t.silent("DEL", conf);
      }
    }),
    row("VRS-10", "H", "one line for people", "stdout ends with a newline, stderr is empty", (t) => {
      const run = t.call("VERSION", "", { only });
      t.expect(run.stdout.endsWith("\n") && run.stderr === "", "a final newline and no stderr", describeRun(run));
    }),
  ],
  fixed: [],
};
