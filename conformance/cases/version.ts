// cniVersion of the configuration, for every command.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { SPEC_VERSIONS } from "../harness/result.ts";
import type { Codes } from "../harness/trial.ts";

const WITH_CHECK = ["0.4.0", "1.0.0", "1.1.0"];

/** A version a plugin must refuse; the codes of CHECK, GC and STATUS may differ since they order versions first. */
const unsupported = (id: string, value: unknown, codes: Codes, later: Codes, details = false): MainCase[] => {
  const label = JSON.stringify(value).slice(0, 30);
  const one = (command: string, want: Codes): MainCase =>
    row(
      `${id}-${command}`,
      "S",
      command === "DEL" ? "C-023: refused, nothing changed" : "C-023",
      `${command} with ${label}: E(${(want as number[]).join("|")})`,
      (t) => {
        const conf = t.l3({ "cni.dev/valid-attachments": [] });
        const prevResult = command === "ADD" ? undefined : t.add(conf);
        const object = t.refused(command, { ...conf, cniVersion: value, ...(prevResult && { prevResult }) }, want);
        if (!details || (command !== "ADD" && command !== "DEL")) return;
        const said = `${object.msg} ${object.details ?? ""}`;
        t.expect(said.includes(String(value)), "the configuration's version in the message", said);
        t.expect(said.includes("0.4.0"), "the supported versions in the message", said);
      },
      command === "GC" || command === "STATUS" ? { needs: ["spec:1.1.0"] } : {},
    );
  return [one("ADD", codes), one("CHECK", later), one("DEL", codes), one("GC", later), one("STATUS", later)];
};

const supported = (version: string, n: number): MainCase =>
  row(
    `VER-0${n + 2}`,
    "S",
    "C-050, C-073: result in the configuration's version",
    `${version}: ADD and DEL OK, CHECK by version`,
    (t) => {
      const conf = t.l3({ cniVersion: version, "cni.dev/valid-attachments": [] });
      const prevResult = t.add(conf);
      const full = { ...conf, prevResult };
      if (WITH_CHECK.includes(version)) t.silent("CHECK", full);
      else t.error(t.call("CHECK", full), [1]);
      for (const command of ["STATUS", "GC"]) {
        if (version === "1.1.0") t.silent(command, conf);
        else if (t.settings.versions[t.main.name]?.includes("1.1.0")) t.error(t.call(command, conf), [1]);
      }
      t.silent("DEL", full);
      t.gone();
      t.leaseCount(0);
    },
    { needs: [`spec:${version}`] },
  );

const absent = (id: string, change: Config, tag: Tag = "S"): MainCase =>
  row(
    id,
    tag,
    "C-022: no version means 0.1.0",
    `${JSON.stringify(change)}: ADD and DEL OK in the shape of 0.1.0, CHECK E(1)`,
    (t) => {
      const conf: Config = { ...t.l3(), ...change };
      if (change.cniVersion === undefined) delete conf.cniVersion;
      const result = t.result(t.call("ADD", conf), "0.1.0");
      t.expect(result.ip4 !== undefined, "ip4", result);
      t.error(t.call("CHECK", { ...conf, prevResult: result }), [1]);
      if (t.settings.versions[t.main.name]?.includes("1.1.0")) {
        for (const command of ["STATUS", "GC"]) t.error(t.call(command, conf), [1]);
      }
      t.silent("DEL", conf);
      t.gone();
    },
  );

export const version: CaseTable = {
  perMain: [
    absent("VER-01a", {}),
    absent("VER-01b", { cniVersion: "" }),
    absent("VER-01c", { cniVersion: null }),
    ...SPEC_VERSIONS.map(supported),
    ...["1.2.0", "2.0.0", "9.9.9"].flatMap((v, n) => unsupported(`VER-09${"abc"[n]}`, v, [1], [1], n === 2)),
    ...["0.0.1", "0.4.1"].flatMap((v, n) => unsupported(`VER-10${"ab"[n]}`, v, [1], [1])),
    ...["1.0", "1"].flatMap((v, n) => unsupported(`VER-11${"ab"[n]}`, v, [1], [1])),
    ...["1.0.0.0", "v1.0.0", " 1.0.0", "1.0.0 ", "1.0.0-rc1", "1.0.0+b", "1.0.O", "1.0.0\0"].flatMap((v, n) =>
      unsupported(`VER-12${"abcdefgh"[n]}`, v, [1], [1, 6]),
    ),
    ...["01.0.0", "-1.0.0"].flatMap((v, n) => unsupported(`VER-13${"ab"[n]}`, v, [1], [1])),
    ...unsupported("VER-14", "x".repeat(1000), [1], [1, 6]),
    ...[1, 1.5, ["1.0.0"], {}, true].flatMap((v, n) => unsupported(`VER-15${"abcde"[n]}`, v, [6], [6])),
    row("VER-16", "S", "C-024: cniVersions is for the runtime", "0.4.0 with cniVersions: OK in 0.4.0", (t) => {
      t.add(t.l3({ cniVersion: "0.4.0", cniVersions: ["0.3.1", "1.1.0"] }));
    }),
    absent("VER-17", { cniVersions: ["0.3.1", "1.0.0"] }),
    row("VER-19", "S", "C-023: DEL with an unsupported version", "E(1), the attachment stays", (t) => {
      const conf = t.l3();
      t.add(conf);
      t.refused("DEL", { ...conf, cniVersion: "9.9.9" }, [1]);
      t.present("eth0");
      t.leaseCount(1);
    }),
  ],
  fixed: [
    row(
      "VER-18",
      "S",
      "C-023: supported by others but not by this plugin",
      "firewall with 0.3.1: E(1) with details",
      (t) => {
        const conf = { cniVersion: "0.3.1", name: "net1", type: "firewall", prevResult: { cniVersion: "0.3.1" } };
        const { details } = t.refused("ADD", conf, [1]);
        t.expect((details ?? "").includes("0.3.1"), "details with the version", details);
      },
      { needs: ["plugin:firewall"] },
    ),
  ],
};
