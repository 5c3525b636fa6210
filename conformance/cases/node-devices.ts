// Devices that the node needs, or that exist for others, stay where they are; all others go to the pod and come back.
import { borrowCard } from "../harness/card.ts";
import { type Case, type CaseTable, Mismatch, row } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { allow } from "./host-device.ts";
import { type Situation, situations, UPLINK } from "./node-situations.ts";

function configOf({ mode }: Situation, device = ""): Config {
  const base = { cniVersion: "1.0.0", name: "net1" };
  if (mode === undefined) return { ...base, type: "host-device", device };
  if (mode === "ipvlan") return { ...base, type: "ipvlan", master: device };
  const senders = mode === "source" ? { macaddr: ["02:00:00:00:00:01"] } : {};
  return { ...base, type: "macvlan", master: device, mode, ...senders };
}

function judge(t: Trial, situation: Situation): void {
  const { refused, policy, setup = "true", mode, never, immovable, card = false } = situation;
  t.freshDevice();
  const { device = card ? borrowCard(t).pf : "dev0" } = situation;
  t.sh(`${UPLINK}; ${setup}`);
  if (policy !== undefined) t.write("/etc/cni/podnic.json", JSON.stringify({ devices: policy }));
  const conf = configOf(situation, device);
  if (immovable === true) {
    const { details = "" } = t.refused("ADD", conf);
    t.expect(details.includes("cannot leave its namespace"), "what the kernel does not do", details);
    return;
  }
  if (refused === undefined) {
    t.add(conf);
    t.silent("DEL", conf);
    t.present(device, "");
    return;
  }
  const before = t.picture();
  const { code, msg } = t.error(t.call("ADD", conf));
  if (code !== 7 || !msg.includes(refused)) throw new Mismatch(`code 7, "… ${refused} …"`, `code ${code}, "${msg}"`);
  t.unchangedSince(before);
  if (never === true) return;
  // What the kernel cannot move (bridges, tunnels) it refuses by itself.
  allow(t, device);
  const allowed = t.call("ADD", conf);
  if (allowed.status !== 0) t.equal(t.error(allowed).code !== 7, true, "not refused when devices.allow names it");
  else if (mode === undefined) t.silent("DEL", conf);
}

const caseOf = (situation: Situation): Case =>
  row(
    situation.id,
    "H",
    "the node keeps what it needs, and what exists for others",
    `${situation.what}: ${situation.refused === undefined && situation.immovable !== true ? "handed over" : "refused"}`,
    (t) => judge(t, situation),
    { needs: [`plugin:${configOf(situation).type}`, ...(situation.needs ?? [])] },
  );

export const nodeDevices: CaseTable = { perMain: [], fixed: situations.map(caseOf) };
