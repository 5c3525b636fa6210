// Presence of CNI_COMMAND and of the parameters each command needs.
import type { CaseTable, MainCase } from "../harness/case.ts";
import { Mismatch } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import { SYSTEM_PATH } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

const about = (t: Trial, only: Record<string, string>, stdin: string | Config) => {
  const run = t.call("", stdin, { only });
  if (run.status === 0) {
    const good = run.stdout === "" && run.stderr.includes("0.4.0");
    if (!good) throw new Mismatch("stdout empty, versions on stderr", describeRun(run));
  } else t.error(run, [4]);
};

const v11 = { cniVersion: "1.1.0" };
const noAttachments = { "cni.dev/valid-attachments": [] };

const badCommands = ["FOO", "add", " ADD", "ADD ", "UPDATE", "GET"].map(
  (command, n): MainCase => ({
    id: `ENV-03${"abcdef"[n]}`,
    tag: "S",
    requirement: "C-002, C-065: CNI_COMMAND is exact",
    expected: `CNI_COMMAND=${JSON.stringify(command)}: E(4) naming CNI_COMMAND`,
    run: (t) => {
      const { msg, details } = t.refused(command, t.l2(), [4]);
      t.expect(`${msg} ${details ?? ""}`.includes("CNI_COMMAND"), "a message with CNI_COMMAND", msg);
    },
  }),
);

const missing = (id: string, command: string, names: readonly string[], more: Partial<MainCase> = {}): MainCase => ({
  id,
  tag: "S",
  requirement: "C-004, C-065: a missing variable is named",
  expected: `${command} without ${names.join(", ")}: E(4) naming it`,
  run: (t) => {
    const conf = command === "CHECK" ? t.l2({ prevResult: { cniVersion: t.settings.spec, interfaces: [] } }) : t.l2();
    const set = Object.fromEntries(names.map((name) => [name, undefined]));
    const { msg, details } = t.refused(command, conf, [4], { set });
    for (const name of names) t.expect(`${msg} ${details ?? ""}`.includes(name), `a message with ${name}`, msg);
  },
  ...more,
});

export const env: CaseTable = {
  perMain: [
    {
      id: "ENV-01",
      tag: "G",
      requirement: "skel: no CNI_COMMAND at all",
      expected: "exit 0 with name and versions on stderr, or E(4)",
      run: (t) => about(t, {}, ""),
    },
    {
      id: "ENV-02",
      tag: "G",
      requirement: "skel: CNI_COMMAND set but empty counts as missing",
      expected: "as ENV-01",
      run: (t) => about(t, t.environment(""), t.l2()),
    },
    ...badCommands,
    {
      id: "ENV-04",
      tag: "H",
      requirement: "C-002: an unknown command is judged before the attachment",
      expected: "CNI_COMMAND=FOO alone: E(4)",
      run: (t) => void t.refused("FOO", t.l2(), [4], { only: { CNI_COMMAND: "FOO" } }),
    },
    {
      id: "ENV-05",
      tag: "G",
      requirement: "C-002, C-020",
      expected: "CNI_COMMAND=FOO alone with empty stdin: E(4|6)",
      run: (t) => void t.refused("FOO", "", [4, 6], { only: { CNI_COMMAND: "FOO" } }),
    },
    missing("ENV-10", "ADD", ["CNI_CONTAINERID"]),
    missing("ENV-11", "ADD", ["CNI_NETNS"]),
    missing("ENV-12", "ADD", ["CNI_IFNAME"]),
    {
      id: "ENV-13",
      tag: "S",
      requirement: "C-010: CNI_PATH is needed only to find delegates",
      expected: "ADD without CNI_PATH and without delegate: OK (or E(4))",
      run: (t) => void t.okOrRefused(t.l2(), [4], { set: { CNI_PATH: undefined } }),
    },
    {
      id: "ENV-14",
      tag: "G",
      requirement: "C-065: all missing variables are named at once",
      expected: "ADD with CNI_COMMAND alone: E(4) naming CNI_CONTAINERID, CNI_NETNS, CNI_IFNAME",
      run: (t) => {
        const { msg, details } = t.refused("ADD", t.l2(), [4], { only: { CNI_COMMAND: "ADD" } });
        for (const name of ["CNI_CONTAINERID", "CNI_NETNS", "CNI_IFNAME"]) {
          t.expect(`${msg} ${details ?? ""}`.includes(name), `a message with ${name}`, msg);
        }
      },
    },
    missing("ENV-15a", "CHECK", ["CNI_CONTAINERID"]),
    missing("ENV-15b", "CHECK", ["CNI_NETNS"]),
    missing("ENV-15c", "CHECK", ["CNI_IFNAME"]),
    missing("ENV-16a", "DEL", ["CNI_CONTAINERID"]),
    missing("ENV-16b", "DEL", ["CNI_IFNAME"]),
    {
      id: "ENV-17",
      tag: "S",
      requirement: "C-083: DEL without CNI_NETNS",
      expected: "OK, no output",
      run: (t) => t.silent("DEL", t.l2(), { set: { CNI_NETNS: undefined } }),
    },
    {
      id: "ENV-18",
      tag: "S",
      requirement: "C-083: DEL with an empty CNI_NETNS",
      expected: "OK, no output",
      run: (t) => t.silent("DEL", t.l2(), { set: { CNI_NETNS: "" } }),
    },
    {
      id: "ENV-19",
      tag: "S",
      requirement: "C-010: DEL needs no CNI_PATH without a delegate",
      expected: "OK, no output (or E(4))",
      run: (t) => {
        const conf = t.l2();
        const run = t.call("DEL", conf, { set: { CNI_PATH: undefined } });
        if (run.status === 0) t.silentRun(run);
        else t.error(run, [4]);
      },
    },
    {
      id: "ENV-20",
      tag: "S",
      requirement: "GC requires CNI_PATH",
      expected: "E(4)",
      needs: ["spec:1.1.0"],
      run: (t) =>
        void t.refused("GC", t.l2({ ...v11, ...noAttachments }), [4], {
          only: { CNI_COMMAND: "GC", PATH: SYSTEM_PATH },
        }),
    },
    {
      id: "ENV-21",
      tag: "S",
      requirement: "C-114: GC needs CNI_COMMAND and CNI_PATH alone",
      expected: "OK, no output",
      needs: ["spec:1.1.0"],
      run: (t) => {
        const only = { CNI_COMMAND: "GC", CNI_PATH: t.settings.bin };
        t.silent("GC", t.l2({ ...v11, ...noAttachments }), { only });
      },
    },
    {
      id: "ENV-22",
      tag: "G",
      requirement: "C-114: GC ignores attachment variables",
      expected: "malformed CNI_CONTAINERID and CNI_IFNAME: OK, no output",
      needs: ["spec:1.1.0"],
      run: (t) =>
        t.silent("GC", t.l2({ ...v11, ...noAttachments }), { set: { CNI_CONTAINERID: "../x", CNI_IFNAME: "a/b" } }),
    },
    {
      id: "ENV-23",
      tag: "G",
      requirement: "libcni sends GC with empty attachment variables",
      expected: "OK, no output",
      needs: ["spec:1.1.0"],
      run: (t) => {
        const set = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "", CNI_ARGS: "" };
        t.silent("GC", t.l2({ ...v11, ...noAttachments }), { set });
      },
    },
    {
      id: "ENV-24",
      tag: "S",
      requirement: "C-105: STATUS has no attachment parameters",
      expected: "CNI_COMMAND and CNI_PATH alone: OK, no output",
      needs: ["spec:1.1.0"],
      run: (t) => t.silent("STATUS", t.l2(v11), { only: { CNI_COMMAND: "STATUS", CNI_PATH: t.settings.bin } }),
    },
    {
      id: "ENV-25",
      tag: "S",
      requirement: "C-105: CNI_PATH is optional for STATUS",
      expected: "CNI_COMMAND alone: OK without output (or E(4))",
      needs: ["spec:1.1.0"],
      run: (t) => {
        const run = t.call("STATUS", t.l2(v11), { only: { CNI_COMMAND: "STATUS" } });
        if (run.status === 0) t.silentRun(run);
        else t.error(run, [4]);
      },
    },
    {
      id: "ENV-26",
      tag: "S",
      requirement: "C-004: an empty CNI_CONTAINERID",
      expected: "E(4)",
      run: (t) => void t.refused("ADD", t.l2(), [4], { set: { CNI_CONTAINERID: "" } }),
    },
    {
      id: "ENV-27",
      tag: "S",
      requirement: "C-007: an empty CNI_IFNAME",
      expected: "E(4)",
      run: (t) => void t.refused("ADD", t.l2(), [4], { set: { CNI_IFNAME: "" } }),
    },
    {
      id: "ENV-28",
      tag: "H",
      requirement: "duplicate CNI_COMMAND entries get one consistent reading",
      expected: "VERSION first, ADD last: the answer of VERSION, or a full ADD; never half of each",
      needs: ["program:perl"],
      run: (t) => {
        const conf = t.l2();
        const before = t.picture();
        const env = ["CNI_COMMAND=VERSION", ...entries(t.environment("ADD")), "CNI_COMMAND=ADD"];
        const run = t.call("", conf, { wrap: execve(env) });
        if (run.stdout.includes("supportedVersions")) return t.unchangedSince(before);
        t.result(run, t.settings.spec);
      },
    },
    {
      id: "ENV-29",
      tag: "H",
      requirement: "odd environment entries do no harm",
      expected: "entries without =, with an empty name and not UTF-8: VERSION is OK",
      needs: ["program:perl"],
      run: (t) => {
        const run = t.call("", "", { wrap: execve(["CNI_COMMAND=VERSION", "lonely", "=x", "BYTES=\\xff\\xfe"]) });
        t.expect(run.status === 0 && run.stdout.includes("supportedVersions"), "VERSION's answer", describeRun(run));
      },
    },
    {
      id: "ENV-30",
      tag: "G",
      requirement: "foreign variables do no harm",
      expected: "TRACEPARENT, BAGGAGE, a Turkish locale, GODEBUG, empty LD_PRELOAD: OK",
      run: (t) => {
        const set = {
          TRACEPARENT: "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
          BAGGAGE: "a=b,c=d",
          LC_ALL: "tr_TR.UTF-8",
          GODEBUG: "gctrace=0",
          LD_PRELOAD: "",
        };
        t.add(t.l2(), { set });
      },
    },
  ],
  fixed: [],
};

const entries = (env: Record<string, string>) =>
  Object.entries(env)
    .filter(([key]) => key !== "CNI_COMMAND")
    .map(([key, value]) => `${key}=${value}`);

/** Shell code that executes "$@" with exactly these environment entries, duplicates included (perl's raw execve). */
function execve(env: readonly string[]): string {
  const list = env.map((entry) => `"${entry.replace(/["@$]/g, "\\$&")}"`).join(",");
  const code = `my @e=(${list}); my $p=$ARGV[0]; my $v=pack("p x![p] Q",$p,0); $v=pack("pQ",$p,0);
    my $n=pack("p"x@e."Q",@e,0); syscall(59,$p,$v,$n); die $!`;
  return `exec perl -e '${code.replaceAll("'", "'\\''")}' "$1"`;
}
