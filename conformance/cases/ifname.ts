// Which interface names are accepted, and that a refused one leaves nothing.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Codes } from "../harness/trial.ts";

const good = (id: string, name: string, tag: Tag = "S"): MainCase =>
  row(id, tag, "C-007, C-008", `${JSON.stringify(name)}: OK, the name round-trips`, (t) => {
    const conf = t.l2();
    const set = { CNI_IFNAME: name };
    t.add(conf, { set });
    t.silent("DEL", conf, { set });
    t.gone(name);
  });

const bad = (id: string, name: string, tag: Tag = "S", codes: Codes = [4], requirement = "C-008"): MainCase =>
  row(id, tag, requirement, `${JSON.stringify(name)}: E(${Array.isArray(codes) ? codes.join("|") : "*"})`, (t) => {
    t.refused("ADD", t.l2(), codes, { set: { CNI_IFNAME: name } });
  });

/** Legal for the kernel but odd: either a correct result or a refusal. */
const odd = (id: string, name: string): MainCase =>
  row(id, "H", "C-008: correct JSON escaping", `${JSON.stringify(name)}: OK or E(4)`, (t) => {
    t.okOrRefused(t.l2(), [4], { set: { CNI_IFNAME: name } });
  });

export const ifname: CaseTable = {
  perMain: [
    good("IFN-01", "e"),
    good("IFN-02", "abcdefghijklmno"),
    bad("IFN-03", "abcdefghijklmnop"),
    bad("IFN-04", "x".repeat(300)),
    bad("IFN-05", "."),
    bad("IFN-06", ".."),
    bad("IFN-07", "a/b"),
    bad("IFN-08", "a:b"),
    bad("IFN-09", "a b"),
    bad("IFN-10", "a\tb"),
    bad("IFN-11", "a\nb"),
    bad("IFN-12", "a\vb"),
    bad("IFN-13", "a\u00a0b", "G"),
    bad("IFN-14", "a\u0085b", "G"),
    bad("IFN-15", "a\u2003b", "G"),
    good("IFN-16", "\u6f22".repeat(5), "G"),
    bad("IFN-17", "\u6f22".repeat(6), "S", [4], "C-008: the limit counts bytes"),
    row("IFN-18", "H", "C-008: bytes that are not UTF-8", "FF FE: E(4), or OK with a usable name", (t) => {
      const run = t.call("ADD", t.l2(), { wrap: `export CNI_IFNAME="$(printf '\\377\\376')"; exec "$@"` });
      if (run.status === 0)
        t.expect(!run.stdout.includes("\ufffd"), "a result with the name's bytes", describeRun(run));
      else t.error(run, [4]);
    }),
    row("IFN-19", "S", "C-041: lo exists in every container", "E(*), lo untouched", (t) => {
      t.refused("ADD", t.l2(), "any", { set: { CNI_IFNAME: "lo" } });
    }),
    bad("IFN-20", "all", "H", "any", "C-008: the kernel's sysctl names"),
    bad("IFN-21", "default", "H", "any", "C-008: the kernel's sysctl names"),
    bad("IFN-22", "eth%d", "H", "any", "C-008: the kernel expands %d"),
    bad("IFN-23", "%d", "H", "any", "C-008: the kernel expands %d"),
    odd("IFN-24", "-x"),
    odd("IFN-25", 'a"b'),
    odd("IFN-26", "*"),
    odd("IFN-27", "@x"),
    odd("IFN-28", "eth0@if1"),
    ...["abcdefghijklmnop", "a/b", ".."].map((name, n) =>
      row(`IFN-29${"abc"[n]}`, "S", "C-008 on DEL", `${name} with DEL: E(4)`, (t) => {
        t.refused("DEL", t.l2(), [4], { set: { CNI_IFNAME: name } });
      }),
    ),
    row(
      "IFN-30",
      "H",
      "C-041: the name is an altname of another link",
      "E(*), nothing left",
      (t) => {
        t.sh("ip -n c1 link add other type veth peer name otherp; ip -n c1 link property add dev other altname eth0");
        t.refused("ADD", t.l2());
      },
      { needs: ["kernel:altname"] },
    ),
  ],
  fixed: [],
};
