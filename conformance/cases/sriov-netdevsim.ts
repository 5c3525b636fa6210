// sriov on netdevsim (conformance/vm/run --netdevsim), whose PF has every attribute of functions: what igb cannot, on a real kernel. With
// PODNIC_CARD=netdevsim the cases SRV, SRB and SRS run on it too.
import { type Card, vfInfo, vfPicture } from "../harness/card.ts";
import type { CaseTable } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { dress, sriovConfig, withCard } from "./sriov.ts";

const EVERY: Config = {
  cniVersion: "1.1.0",
  vlan: 100,
  vlanQoS: 3,
  vlanProto: "802.1ad",
  mac: "02:00:00:00:01:aa",
  spoofchk: "on",
  trust: "on",
  link_state: "disable",
  min_tx_rate: 100,
  max_tx_rate: 400,
};

/** Function 1 with another value than the first of each attribute. */
function dressWhole(t: Trial, card: Card): void {
  dress(t, card);
  t.sh(`ip link set ${card.pf} vf 1 vlan 7 qos 2 proto 802.1ad; ip link set ${card.pf} vf 1 min_tx_rate 20 max_tx_rate 80
    ip link set ${card.pf} vf 1 spoofchk off; ip link set ${card.pf} vf 1 state enable`);
}

function shown(t: Trial, card: Card): unknown[] {
  const { vlan_list, address, rate, spoofchk, trust, link_state } = vfInfo(t, card, 1) as Record<string, unknown>;
  const [tag] = vlan_list as Config[];
  const { min_tx, max_tx } = rate as Config;
  return [tag?.vlan, tag?.qos, tag?.protocol, address, spoofchk, trust, link_state, min_tx, max_tx];
}

function life(t: Trial, card: Card, prepare: (t: Trial, card: Card) => void): void {
  prepare(t, card);
  const before = vfPicture(t, card, 1);
  const conf = sriovConfig(card, 1, EVERY);
  const prevResult = t.add(conf);
  const wanted = [100, 3, "802.1ad", EVERY.mac, true, true, "disable", 100, 400];
  t.equal(shown(t, card), wanted, "function 1 on its PF");
  t.equal([t.link("eth0")?.mac, t.link("eth0")?.up], [EVERY.mac, true], "eth0 in the pod");
  t.silent("CHECK", { ...conf, prevResult });
  t.silent("DEL", { ...conf, prevResult });
  t.silent("DEL", conf);
  t.equal(vfPicture(t, card, 1), before, "the function as before ADD:");
}

function checkSees(t: Trial, card: Card): void {
  const conf = sriovConfig(card, 1, EVERY);
  const full = { ...conf, prevResult: t.add(conf) };
  const changes = [
    ["vlan 100 qos 3 proto 802.1q", "vlan 100 qos 3 proto 802.1ad"],
    ["min_tx_rate 90 max_tx_rate 400", "min_tx_rate 100 max_tx_rate 400"],
    ["state auto", "state disable"],
    ["spoofchk off", "spoofchk on"],
  ];
  for (const [change, back] of changes) {
    t.sh(`ip link set ${card.pf} vf 1 ${change}`);
    t.error(t.call("CHECK", full));
    t.sh(`ip link set ${card.pf} vf 1 ${back}`);
    t.silent("CHECK", full);
  }
  t.silent("DEL", full);
}

/** A rate that rules the other out switches that off; DEL has both back. */
function rates(t: Trial, card: Card): void {
  t.sh(`ip link set ${card.pf} vf 1 min_tx_rate 100 max_tx_rate 400`);
  const before = vfInfo(t, card, 1);
  const cases: [Config, Config][] = [
    [{ max_tx_rate: 50 }, { min_tx: 0, max_tx: 50 }],
    [{ max_tx_rate: 300 }, { min_tx: 100, max_tx: 300 }],
    [{ min_tx_rate: 500 }, { min_tx: 500, max_tx: 0 }],
    [{ max_tx_rate: 0 }, { min_tx: 100, max_tx: 0 }],
  ];
  for (const [keys, wanted] of cases) {
    t.add(sriovConfig(card, 1, keys));
    const { min_tx, max_tx } = vfInfo(t, card, 1).rate as Config;
    t.equal({ min_tx, max_tx }, wanted, JSON.stringify(keys));
    t.silent("DEL", sriovConfig(card, 1, keys));
    t.equal(vfInfo(t, card, 1), before, "the function as before ADD:");
  }
}

const eswitch = (t: Trial, card: Card, mode: string): void =>
  void t.sh(
    `devlink dev eswitch set netdevsim/$(ls -d /sys/bus/pci/devices/${card.pfPci}/netdevsim* | sed 's#.*/##') mode ${mode}`,
  );

/** In switchdev mode netdevsim refuses rates (EOPNOTSUPP): ADD is undone, DEL ends and leaves the rate to the next ADD. */
function refusesRates(t: Trial, card: Card): void {
  const before = vfPicture(t, card, 1);
  const conf = sriovConfig(card, 1, EVERY);
  t.add(conf);
  eswitch(t, card, "switchdev");
  t.expect(t.call("DEL", conf).status === 0, "DEL ends", "it failed");
  const { rate: left, tx_rate: _, ...others } = vfInfo(t, card, 1);
  const { rate, ...was } = before["on its PF"] as Config;
  t.equal(others, was, "the other attributes as before ADD:");
  t.equal((left as Config).max_tx, 400, "the maximum rate, which the driver does not take back");
  const { msg } = t.refused("ADD", { ...conf, vlan: 50, min_tx_rate: 10 });
  t.expect(msg.includes("rate"), "which attribute was refused", msg);
  eswitch(t, card, "legacy");
  const next = sriovConfig(card, 1, { vlan: 9 });
  t.add(next);
  t.equal(vfInfo(t, card, 1).rate, rate, "the rate as it was at first");
  t.silent("DEL", next);
  t.equal(vfPicture(t, card, 1), before, "the function as before the first ADD:");
}

export const sriovNetdevsim: CaseTable = {
  perMain: [],
  fixed: [
    withCard(
      "SVN-01",
      "G",
      "case 46, whole",
      "every attribute in force, and undone",
      (t, card) => life(t, card, () => {}),
      ["card:netdevsim"],
    ),
    withCard(
      "SVN-02",
      "G",
      "case 54, whole",
      "the same, when each was something else before",
      (t, card) => life(t, card, dressWhole),
      ["card:netdevsim"],
    ),
    withCard("SVN-03", "H", "F16", "CHECK fails for each change, and not otherwise", checkSees, ["card:netdevsim"]),
    withCard("SVN-04", "G", "A.2", "rates: one that rules the other out switches that off", rates, ["card:netdevsim"]),
    withCard(
      "SVN-05",
      "H",
      "F10",
      "a driver that takes rates no more: DEL ends, the next ADD has them back",
      refusesRates,
      ["card:netdevsim", "program:devlink"],
    ),
  ],
};
