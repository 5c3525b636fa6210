// Which container IDs are accepted.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";

const good = (id: string, value: string, tag: Tag = "S"): MainCase =>
  row(id, tag, "C-005: permitted characters, no length limit", `${label(value)}: OK and DEL releases`, (t) => {
    const conf = t.l3();
    const set = { CNI_CONTAINERID: value };
    const prevResult = t.add(conf, { set });
    t.leaseCount(1);
    t.silent("DEL", { ...conf, prevResult }, { set });
    t.leaseCount(0);
  });

const bad = (id: string, value: string, named = false): MainCase =>
  row(id, "S", named ? "C-005, C-065: named in the message" : "C-005", `${label(value)}: E(4)`, (t) => {
    const { msg, details } = t.refused("ADD", t.l3(), [4], { set: { CNI_CONTAINERID: value } });
    if (named) t.expect(`${msg} ${details ?? ""}`.includes("CNI_CONTAINERID"), "a message with CNI_CONTAINERID", msg);
  });

const label = (value: string) => (value.length > 40 ? `${value.length} characters` : JSON.stringify(value));

export const containerId: CaseTable = {
  perMain: [
    good("CID-01", "a"),
    good("CID-02", "0"),
    good("CID-03", "A-1_b.c"),
    good("CID-04", "f".repeat(64)),
    good("CID-05", "x".repeat(255)),
    good("CID-06", "x".repeat(5000), "G"),
    bad("CID-07", "-a", true),
    bad("CID-08", "_a", true),
    bad("CID-09", ".a", true),
    bad("CID-10", ".", true),
    bad("CID-11", "..", true),
    bad("CID-12", "a/b"),
    bad("CID-13", "../../etc"),
    bad("CID-14", "a b"),
    bad("CID-15", "a\tb"),
    bad("CID-16", "a:b"),
    bad("CID-17", "a;b"),
    bad("CID-18", "a\n"),
    bad("CID-19", "\na"),
    bad("CID-20", "é"),
    row("CID-21", "S", "C-005: bytes that are not UTF-8", "FF FE: E(4), stdout is valid UTF-8", (t) => {
      const wrap = `export CNI_CONTAINERID="$(printf '\\377\\376')"; exec "$@"`;
      const run = t.call("ADD", t.l3(), { wrap });
      t.error(run, [4]);
      t.expect(!run.stdout.includes("\ufffd"), "valid UTF-8 that does not echo the bytes", describeRun(run));
    }),
    bad("CID-22", "a*"),
    bad("CID-23", "a\\b"),
    ...["DEL", "CHECK"].map((command, n) =>
      row(`CID-24${"ab"[n]}`, "S", "C-005 on every command", `a/b with ${command}: E(4)`, (t) => {
        const conf = t.l3({ prevResult: { cniVersion: t.settings.spec } });
        t.refused(command, conf, [4], { set: { CNI_CONTAINERID: "a/b" } });
      }),
    ),
  ],
  fixed: [],
};
