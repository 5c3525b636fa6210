// sriov: sriov-cni set up the pod, and its files are all that there is. The network has another name, or another type, by now.
import { type Card, vfPicture } from "../harness/card.ts";
import type { CaseTable } from "../harness/case.ts";
import type { Trial } from "../harness/trial.ts";
import { sriovConfig, withCard } from "./sriov.ts";
import { bySriovCni, found, needsPciAddress, stateFiles } from "./sriov-state.ts";

const WRONG_PATH = "a DEL that succeeds leaves nothing";
const RENAMED = "a network's name and type may change while pods run";

/** DEL of the network under its new name. `n`: the function that it names; undefined: none. */
function renamed(t: Trial, card: Card, deviceID: string | undefined): void {
  needsPciAddress();
  const before = found(t, card);
  bySriovCni(t, card);
  t.silent("DEL", { ...sriovConfig(card, 1, { vlan: 100 }), name: "net2", deviceID });
  t.equal(vfPicture(t, card, 1), before, "the function as sriov-cni found it:");
  t.equal(stateFiles(t), [], "state files");
}

/** ADD of a second network for the same interface fails, and the runtime's DEL follows: the first one's function stays. */
function second(t: Trial, card: Card): void {
  needsPciAddress();
  const before = found(t, card);
  bySriovCni(t, card);
  const net2 = { ...sriovConfig(card, 1, { vlan: 20 }), name: "net2" };
  t.error(t.call("ADD", net2));
  for (let i = 0; i < 2; i++) t.silent("DEL", net2);
  t.present("eth0");
  t.silent("DEL", sriovConfig(card, 1, { vlan: 100 }));
  t.equal(vfPicture(t, card, 1), before, "the function as sriov-cni found it:");
  t.equal(stateFiles(t), [], "state files");
}

function otherFunction(t: Trial, card: Card): void {
  needsPciAddress();
  bySriovCni(t, card);
  t.silent("DEL", { ...sriovConfig(card, 0, { vlan: 20 }), name: "net2" });
  t.present("eth0");
}

/** CNI_NETNS is wrong, and the pod's namespace lives. */
function otherPath(t: Trial, card: Card, path: string): void {
  needsPciAddress();
  const before = found(t, card);
  bySriovCni(t, card);
  t.sh("ip netns add later");
  const conf = sriovConfig(card, 1, { vlan: 100 });
  const { status } = t.call("DEL", conf, { set: { CNI_NETNS: path } });
  if (status !== 0) t.silent("DEL", conf);
  t.equal(vfPicture(t, card, 1), before, "the function as sriov-cni found it:");
  t.equal(stateFiles(t), [], "state files");
}

function otherType(t: Trial, card: Card, type = "host-device"): void {
  needsPciAddress();
  const before = found(t, card);
  bySriovCni(t, card);
  const device = type === "host-device" ? { pciBusID: card.vfs[1] } : { bridge: "br0" };
  t.silent("DEL", { cniVersion: "1.0.0", name: "net1", type, ...device }, { plugin: type });
  t.equal(vfPicture(t, card, 1), before, "the function as sriov-cni found it:");
  t.equal(stateFiles(t), [], "state files");
}

export const sriovUnrecorded: CaseTable = {
  perMain: [],
  fixed: [
    withCard("SRS-10a", "H", RENAMED, "the network has another name since sriov-cni's ADD: given back", (t, card) =>
      renamed(t, card, card.vfs[1]),
    ),
    withCard("SRS-10b", "H", RENAMED, "the same, and DEL names no function: given back", (t, card) =>
      renamed(t, card, undefined),
    ),
    withCard("SRS-10c", "H", RENAMED, "an ADD of a second network failed: DEL of it leaves sriov-cni's", second),
    withCard("SRS-10d", "H", RENAMED, "DEL of another network names another function: it stays", otherFunction),
    withCard(
      "SRS-11",
      "H",
      RENAMED,
      "the network is one of host-device by now: given back, as it was",
      (t, card) => otherType(t, card),
      ["plugin:host-device"],
    ),
    withCard(
      "SRS-11a",
      "H",
      RENAMED,
      "the network is one of bridge by now: given back, as it was",
      (t, card) => otherType(t, card, "bridge"),
      ["plugin:bridge"],
    ),
    withCard("SRS-12a", "H", WRONG_PATH, "CNI_NETNS leads to nothing: given back", (t, card) =>
      otherPath(t, card, "/run/netns/none"),
    ),
    withCard("SRS-12b", "H", WRONG_PATH, "CNI_NETNS leads to another namespace: E, or given back", (t, card) =>
      otherPath(t, card, "/run/netns/later"),
    ),
  ],
};
