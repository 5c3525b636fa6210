// The network name.
import { type CaseTable, type MainCase, Mismatch, row, type Tag } from "../harness/case.ts";
import type { Codes, Trial } from "../harness/trial.ts";

const directories = (t: Trial) => t.sh("find /var/lib/cni /run/cni /etc/cni -mindepth 1 | sort");

const bad = (id: string, name: unknown, codes: Codes = [7], tag: Tag = "S"): MainCase =>
  row(
    id,
    tag,
    "C-021: first alphanumeric, then alphanumeric, _ . -",
    `${JSON.stringify(name) ?? "absent"}: E(${(codes as number[]).join("|")}), no file or directory`,
    (t) => {
      const before = directories(t);
      t.refused("ADD", t.l3({ name }), codes);
      const after = directories(t);
      if (after !== before) throw new Mismatch("no directory made", after);
    },
  );

const good = (id: string, name: string, level: "l2" | "l3", tag: Tag): MainCase =>
  row(id, tag, "C-021: no length limit", `${name.length > 30 ? `${name.length} characters` : name}: OK`, (t) => {
    const conf = t[level]({ name });
    const prevResult = t.add(conf);
    t.silent("DEL", { ...conf, prevResult });
    t.gone();
    t.leaseCount(0, name);
  });

export const name: CaseTable = {
  perMain: [
    bad("NAM-01a", undefined),
    bad("NAM-01b", ""),
    bad("NAM-01c", null),
    bad("NAM-02a", 5, [6, 7]),
    bad("NAM-02b", ["a"], [6, 7]),
    bad("NAM-02c", { a: 1 }, [6, 7]),
    bad("NAM-02d", true, [6, 7]),
    bad("NAM-03a", "a/b"),
    bad("NAM-03b", "../../etc/x"),
    bad("NAM-03c", "."),
    bad("NAM-03d", ".."),
    bad("NAM-04a", "-a"),
    bad("NAM-04b", "_a"),
    bad("NAM-04c", ".a"),
    bad("NAM-04d", "a b"),
    bad("NAM-04e", "a:b"),
    bad("NAM-04f", "é"),
    bad("NAM-05a", "a\n"),
    bad("NAM-05b", "a\0b"),
    good("NAM-06a", "a", "l3", "S"),
    good("NAM-06b", "A.b-c_9", "l3", "S"),
    good("NAM-07a", "n".repeat(255), "l2", "G"),
    good("NAM-07b", "n".repeat(256), "l2", "G"),
    good("NAM-07c", "n".repeat(5000), "l2", "G"),
    good("NAM-08", "n".repeat(255), "l3", "G"),
    row(
      "NAM-09",
      "H",
      "C-021: a name too long for a directory",
      "256 characters with host-local: E(7|999), nothing left",
      (t) => {
        t.refused("ADD", t.l3({ name: "n".repeat(256) }), [7, 999]);
      },
    ),
    good("NAM-10a", "lock", "l3", "H"),
    good("NAM-10b", "last_reserved_ip.0", "l3", "H"),
    ...["DEL", "CHECK", "GC", "STATUS"].map((command, n) =>
      row(
        `NAM-11${"abcd"[n]}`,
        "S",
        "C-021 on every command",
        `../x with ${command}: E(7)`,
        (t) => {
          const version = n < 2 ? {} : { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] };
          t.refused(command, t.l3({ name: "../x", ...version }), [7]);
        },
        n < 2 ? {} : { needs: ["spec:1.1.0"] },
      ),
    ),
  ],
  fixed: [],
};
