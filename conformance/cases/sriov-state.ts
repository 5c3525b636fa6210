// sriov and sriov-cni on one node: the files that sriov-cni 2.10 and older leave are taken over, and ours are such as it reads.
import { bindUserspace, type Card, outliveNetns, vfInfo, vfPicture } from "../harness/card.ts";
import { type CaseTable, NotRunnable } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { isNetdevsim } from "../harness/netdevsim-card.ts";
import type { Trial } from "../harness/trial.ts";
import { sriovConfig, withCard } from "./sriov.ts";

const STATE = "/var/lib/cni/sriov";
const WANTED = "02:00:00:00:01:aa";

interface Taken {
  /** Address that the pod asked for. */
  readonly mac?: string;
  /** Changes to the state file as sriov-cni 2.10 writes it; undefined removes a key. */
  readonly state?: Config;
  readonly original?: Config;
}

/** sriov-cni's state of a function that was in VLAN 7. */
function stateOf(card: Card, admin: string, original: Config): Config {
  const unset = { LinkState: 0, MaxTxRate: 0, MinTxRate: 0, SpoofChk: true, Trust: false };
  const vlan = { Vlan: 7, VlanProto: 33024, VlanQoS: 2 };
  const device = { MAC: "", MTU: 1500, Master: card.pf, VFID: 1, deviceID: card.vfs[1] };
  const config = { cniVersion: "1.0.0", ipam: {}, name: "net1", runtimeConfig: {}, type: "sriov" };
  const asked = { max_tx_rate: 200, min_tx_rate: null, spoofchk: "off", trust: "on" };
  const tag = { vlan: 100, vlanProto: "802.1q", vlanQoS: 3 };
  const OrigVfState = { AdminMAC: admin, ...unset, ...vlan, ...original };
  return { ...device, OrigVfState, ...config, ...asked, ...tag };
}

/** Does to function 1 what sriov-cni does, by hand, and writes its files. */
export function bySriovCni(t: Trial, card: Card, { mac = "", state = {}, original = {} }: Taken = {}): void {
  const link = t.link("vf1", "")!;
  const admin = String(vfInfo(t, card, 1).address);
  t.sh(`ip link set vf1 down
    ${mac === "" ? "" : `ip link set vf1 address ${mac}; ip link set ${card.pf} vf 1 mac ${mac}`}
    ip link set ${card.pf} vf 1 vlan 100 qos 3; ip link set ${card.pf} vf 1 spoofchk off
    ip link set ${card.pf} vf 1 trust on; ip link set ${card.pf} vf 1 max_tx_rate 200
    ip link set vf1 netns c1; ip -n c1 link set vf1 name eth0; ip -n c1 link set eth0 up`);
  const kept = stateOf(card, admin, { EffectiveMAC: link.mac, HostIFName: "vf1", MTU: link.mtu, ...original });
  const written = { ...kept, MAC: mac, ...state };
  t.write(`${STATE}/ctr-1-eth0`, JSON.stringify(written), 0o600);
  t.write(`${STATE}/pci/${card.vfs[1]}`, "/run/netns/c1", 0o600);
}

/** Function 1 as sriov-cni found it: down, as it leaves functions, and in a VLAN. */
export function found(t: Trial, card: Card): Record<string, unknown> {
  t.sh(`ip link set vf1 mtu 1400; ip link set ${card.pf} vf 1 vlan 7 qos 2; ip link set vf1 down`);
  return vfPicture(t, card, 1);
}

/** The interface of netdevsim says that it is plugged into a netdevsim device. */
export function needsPciAddress(): void {
  if (isNetdevsim())
    throw new NotRunnable("sriov-cni's files identify a VF only by its PCI address, and netdevsim's VFs have none");
}

function takenOver(t: Trial, card: Card, taken: Taken, between: () => void = () => {}): void {
  needsPciAddress();
  const before = found(t, card);
  bySriovCni(t, card, taken);
  between();
  t.silent("DEL", sriovConfig(card, 1, { vlan: 100 }));
  t.equal(vfPicture(t, card, 1), before, "the function as sriov-cni found it:");
  t.equal(stateFiles(t), [], "state files");
}

export const stateFiles = (t: Trial): string[] =>
  [...t.picture().files.keys()].filter((file) => file.startsWith("/var/lib/cni"));

/** 2.5 and older: no MTU, no VLAN protocol, no name and version. */
const OLDER: Taken = {
  state: { MTU: undefined, vlanProto: undefined, cniVersion: undefined, name: undefined, runtimeConfig: undefined },
  original: { MTU: undefined, VlanProto: undefined, EffectiveMAC: undefined },
};

/** DPDK: sriov-cni does not save that; HostIFName is empty. */
function userspace(t: Trial, card: Card): void {
  t.sh(`ip link set ${card.pf} vf 1 vlan 7 qos 2`);
  const unbind = bindUserspace(t, card, 1);
  try {
    const before = vfInfo(t, card, 1);
    t.sh(`ip link set ${card.pf} vf 1 vlan 100 qos 3; ip link set ${card.pf} vf 1 trust on`);
    const state = stateOf(card, String(before.address), { HostIFName: "", EffectiveMAC: "", MTU: 0 });
    t.write(`${STATE}/ctr-1-eth0`, JSON.stringify({ ...state, spoofchk: undefined, max_tx_rate: null }), 0o600);
    t.write(`${STATE}/pci/${card.vfs[1]}`, "/run/netns/c1", 0o600);
    t.silent("DEL", sriovConfig(card, 1, { vlan: 100 }));
    t.equal(vfInfo(t, card, 1), before, "the function as sriov-cni found it:");
    t.equal(stateFiles(t), [], "state files");
  } finally {
    unbind();
  }
}

function inUse(t: Trial, card: Card): void {
  bySriovCni(t, card);
  t.netns("c2");
  const set = { CNI_CONTAINERID: "c2", CNI_NETNS: "/run/netns/c2" };
  const { msg } = t.refused("ADD", sriovConfig(card, 1, { vlan: 20 }), "any", { set });
  t.expect(msg.includes(`pci address ${card.vfs[1]} is already allocated`), "who has it", msg);
}

/** GC knows the pods that sriov-cni made as well, those of its network. */
function gc(t: Trial, card: Card): void {
  needsPciAddress();
  const before = found(t, card);
  bySriovCni(t, card);
  const conf = sriovConfig(card, 1, { cniVersion: "1.1.0", vlan: 100 });
  t.silent("GC", { ...conf, "cni.dev/valid-attachments": [{ containerID: "ctr-1", ifname: "eth0" }] });
  t.silent("GC", { ...conf, name: "other", "cni.dev/valid-attachments": [] });
  t.present("eth0");
  t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] });
  t.equal(vfPicture(t, card, 1), before, "the function as sriov-cni found it:");
}

/** sriov-cni's pod died without DEL: the next ADD restores the original first. */
function leftBehind(t: Trial, card: Card): void {
  needsPciAddress();
  const before = found(t, card);
  bySriovCni(t, card);
  outliveNetns(t, card, 1, "c1");
  t.netns("c2");
  const set = { CNI_CONTAINERID: "c2", CNI_NETNS: "/run/netns/c2" };
  const conf = sriovConfig(card, 1, { max_tx_rate: 300 });
  t.add(conf, { set, ns: "c2" });
  t.silent("DEL", conf, { set });
  t.equal(vfPicture(t, card, 1), before, "the function as sriov-cni found it:");
}

/** A pod of ours: what sriov-cni would read at its DEL. */
function written(t: Trial, card: Card): void {
  const { address, spoofchk } = vfInfo(t, card, 1);
  const admin = String(address);
  const { mac } = t.link("vf1", "")!;
  const conf = sriovConfig(card, 1, { vlan: 100, vlanQoS: 3, mac: WANTED.toUpperCase(), trust: "on" });
  t.add(conf);
  const state = JSON.parse(t.read(`${STATE}/ctr-1-eth0`)) as Config;
  const { OrigVfState, ...rest } = state;
  const original = {
    AdminMAC: admin,
    EffectiveMAC: mac,
    HostIFName: "vf1",
    MTU: 1500,
    Trust: false,
    SpoofChk: spoofchk,
  };
  const unset = { LinkState: 0, MaxTxRate: 0, MinTxRate: 0, Vlan: 0, VlanProto: 33024, VlanQoS: 0 };
  t.equal(OrigVfState, { ...original, ...unset }, "OrigVfState");
  const device = { Master: card.pf, VFID: 1, deviceID: card.vfs[1], MAC: WANTED, MTU: 1500 };
  const config = { name: "net1", type: "sriov", cniVersion: "1.0.0", ipam: {}, runtimeConfig: {}, trust: "on" };
  const numbers = { vlan: 100, vlanQoS: 3, vlanProto: "802.1q", min_tx_rate: null, max_tx_rate: null };
  t.equal(rest, { ...device, ...config, ...numbers }, "state");
  t.equal(t.read(`${STATE}/pci/${card.vfs[1]}`), "/run/netns/c1", "allocation");
  const modes = t.sh(`cd /var/lib/cni; stat -c '%a %n' sriov sriov/pci sriov/ctr-1-eth0 sriov/pci/${card.vfs[1]}`);
  t.equal(
    modes
      .trim()
      .split("\n")
      .map((line) => line.split(" ")[0]),
    ["700", "700", "600", "600"],
    "modes",
  );
  t.silent("DEL", conf);
}

export const sriovState: CaseTable = {
  perMain: [],
  fixed: [
    withCard("SRS-01", "G", "A.10: the example", "DEL gives the function back", (t, card) => takenOver(t, card, {})),
    withCard("SRS-02", "G", "A.10: with a MAC; case 50", "DEL gives the function back, with its addresses", (t, card) =>
      takenOver(t, card, { mac: WANTED }),
    ),
    withCard("SRS-03", "G", "A.10: older keys; case 49", "DEL gives the function back", (t, card) => {
      t.sh("ip link set vf1 mtu 1500");
      takenOver(t, card, OLDER, () => t.sh("ip -n c1 link set eth0 mtu 1400"));
    }),
    withCard("SRS-04", "G", "A.10: the namespace died", "DEL gives the function back", (t, card) =>
      takenOver(t, card, {}, () => outliveNetns(t, card, 1, "c1")),
    ),
    withCard("SRS-05", "G", "A.11; cases 15, 35", "a function of a running pod of sriov-cni: E, untouched", inUse),
    withCard("SRS-06", "H", "F6", "left behind by sriov-cni: the next ADD and DEL restore the original", leftBehind),
    withCard("SRS-08", "G", "A.10: DPDK, inferred from an empty HostIFName; case 71", "DEL, the first time", userspace),
    withCard("SRS-09", "H", "F22", "GC gives back what a dead pod of sriov-cni has", gc),
    withCard("SRS-07", "G", "A.10, F25; cases 32, 33", "our files are such as sriov-cni reads", written),
  ],
};
