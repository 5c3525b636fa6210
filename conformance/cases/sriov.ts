// sriov on real virtual functions: what ADD makes of one, what CHECK and STATUS see, and configurations as platforms hand them out.
// The requirement names the case of sriov-cni's tests and study (docs/sriov-cases.md) that a case stands for. Run in conformance/vm.
import { readFileSync } from "node:fs";
import { borrowCard, type Card, giveAddress, vfInfo, vfPicture } from "../harness/card.ts";
import { type Case, type CaseTable, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Result } from "../harness/result.ts";
import type { Trial } from "../harness/trial.ts";

export const needs = ["plugin:sriov", "plugin:static", "plugin:host-local", "card"];

export function sriovConfig(card: Card, n: number, keys: Config = {}): Config {
  return { cniVersion: "1.0.0", name: "net1", type: "sriov", deviceID: card.vfs[n], ...keys };
}

/** A case with a card of its own. */
export function withCard(
  id: string,
  tag: Tag,
  requirement: string,
  expected: string,
  run: (t: Trial, card: Card) => void,
  more: readonly string[] = [],
): Case {
  return row(id, tag, requirement, expected, (t) => run(t, borrowCard(t)), { needs: [...needs, ...more] });
}

/** Function 1 with every property that could be lost, on its PF and on its interface. */
export function dress(t: Trial, card: Card): void {
  giveAddress(t, card, 1, "02:00:00:00:07:01");
  t.sh(`ip link set ${card.pf} vf 1 vlan 7 qos 2
    ip link property add dev vf1 altname uplink-of-rack-7
    ip link set vf1 alias "to switch 7" mtu 1400 txqueuelen 500 promisc on up`);
}

const ALL: Config = {
  vlan: 100,
  vlanQoS: 3,
  mac: "02:00:00:00:01:AA",
  spoofchk: "off",
  trust: "on",
  max_tx_rate: 200,
};

function shown(t: Trial, card: Card, n: number): Config {
  const info = vfInfo(t, card, n);
  const [vlan = {}] = (info.vlan_list ?? []) as Config[];
  const rate = info.rate as Config;
  return {
    vlan: vlan.vlan ?? 0,
    qos: vlan.qos ?? 0,
    mac: info.address,
    spoofchk: info.spoofchk,
    trust: info.trust,
    max: rate.max_tx,
  };
}

/** ADD of everything igb can do, seen from both sides; DEL makes it what it was, item by item. */
function life(t: Trial, card: Card): void {
  dress(t, card);
  const before = vfPicture(t, card, 1);
  const conf = sriovConfig(card, 1, { cniVersion: "1.1.0", ...ALL });
  const prevResult = t.add(conf);
  const mac = "02:00:00:00:01:aa";
  t.equal(
    shown(t, card, 1),
    { vlan: 100, qos: 3, mac, spoofchk: false, trust: true, max: 200 },
    "function 1 on its PF",
  );
  const link = t.link("eth0");
  t.equal([link?.mac, link?.up, link?.mtu], [mac, true, 1400], "eth0 in the pod");
  t.equal(
    prevResult.interfaces,
    [{ name: "eth0", mac, mtu: 1400, sandbox: "/run/netns/c1", pciID: card.vfs[1] }],
    "interfaces of the result",
  );
  t.gone("vf1", "");
  t.silent("CHECK", { ...conf, prevResult });
  t.silent("DEL", { ...conf, prevResult });
  t.equal(vfPicture(t, card, 1), before, "the function as before ADD:");
  t.equal(
    [...t.picture().files.keys()].filter((file) => !file.includes("/.")),
    [],
    "state files",
  );
}

const inPod = (pod: string) => ({ CNI_CONTAINERID: pod, CNI_NETNS: `/run/netns/${pod}` });

function answers(t: Trial, from: string, to: string): boolean {
  const script = `ip netns exec ${from} ping -n -c 4 -i 0.3 -W 2 ${to} 2>&1 || true`;
  return t.sh(script).includes("bytes from");
}

/** Within 20 s: a function that was just reset drops what comes before its switch knows it. */
function reaches(t: Trial, from: string, to: string): boolean {
  const script = `for i in $(seq 10); do ip netns exec ${from} ping -n -c 1 -W 2 ${to} && exit; done; true`;
  return t.sh(script).includes("bytes from");
}

/** The card's own switch keeps VLANs apart. */
function traffic(t: Trial, card: Card): void {
  const pod = (n: number, vlan: number): Config => ({
    ...sriovConfig(card, n, { vlan }),
    ipam: { type: "static", addresses: [{ address: `10.9.0.${n + 1}/24` }] },
  });
  t.netns("c2");
  t.add(pod(0, 100), { set: inPod("c1"), ns: "c1" });
  t.add(pod(1, 100), { set: inPod("c2"), ns: "c2" });
  for (const ns of ["c1", "c2"]) {
    const script = `for i in $(seq 80); do ip -n ${ns} link show eth0 | grep -q LOWER_UP && exit; sleep 0.1; done; exit 1`;
    t.sh(script);
  }
  t.expect(reaches(t, "c1", "10.9.0.2"), "10.9.0.2 answers in the same VLAN", "no answer");
  t.expect(reaches(t, "c2", "10.9.0.1"), "10.9.0.1 answers in the same VLAN", "no answer");
  t.silent("DEL", pod(1, 100), { set: inPod("c2") });
  t.add(pod(1, 200), { set: inPod("c2"), ns: "c2" });
  t.sh("for i in $(seq 80); do ip -n c2 link show eth0 | grep -q LOWER_UP && exit; sleep 0.1; done; exit 1");
  t.expect(!answers(t, "c1", "10.9.0.2"), "no answer from another VLAN", "an answer");
}

/** A platform's configuration, byte for byte, with what Multus adds in front: the device, and a name when there is none. */
function platform(t: Trial, card: Card, file: string, n: number): string {
  const text = readFileSync(`${t.settings.root}/plugins/sriov/examples/${file}`, "utf8");
  return text.replace("{", `{"deviceID":"${card.vfs[n]}",`);
}

function oke(t: Trial, card: Card): void {
  const before = vfPicture(t, card, 0);
  t.sh(`ip link set ${card.pf} vf 0 mac 02:00:00:00:09:01; ip link set ${card.pf} vf 0 spoofchk off`);
  const text = platform(t, card, "oke-baremetal-sriov.json", 0);
  const run = t.call("ADD", text, { plugin: "sriov" });
  const result = t.result(run, "0.3.1");
  t.equal(
    result.ips?.map(({ address, gateway }) => [address, gateway]),
    [["10.20.30.1/25", "10.20.10.1"]],
    "address and gateway",
  );
  const route = t.routes().find(({ dst }) => dst === "0.0.0.0/0");
  t.equal([route?.gateway, route?.dev], ["10.20.10.1", "eth0"], "default route");
  t.expect(run.stderr.includes("10.20.10.1"), "a warning in the log", run.stderr);
  t.silent("DEL", text, { plugin: "sriov" });
  t.leaseCount(0, "sriov-network");
  t.sh(`ip link set ${card.pf} vf 0 spoofchk on`);
  t.equal(vfPicture(t, card, 0).ifname, before.ifname, "name on the host");
}

function operator(t: Trial, card: Card, keys: Config): void {
  const before = vfPicture(t, card, 0);
  const golden = { cniVersion: "1.0.0", name: "test", type: "sriov", vlan: 0, vlanQoS: 0, ...keys, ipam: {} };
  const conf = { ...golden, deviceID: card.vfs[0], pciBusID: card.vfs[0] };
  const prevResult = t.add(conf);
  t.silent("CHECK", { ...conf, prevResult });
  t.silent("DEL", conf);
  t.equal(vfPicture(t, card, 0), before, "the function as before ADD:");
}

const RENDERED: Config = {
  spoofchk: "on",
  trust: "off",
  vlanProto: "802.1Q",
  max_tx_rate: 0,
  capabilities: { mac: true, ips: true },
  logLevel: "info",
};

/** `mac` of a pod's choice, ADD and DEL again and again, whether the interface was up or down. */
function addresses(t: Trial, card: Card): void {
  for (const state of ["down", "up"]) {
    t.sh(`ip link set vf0 ${state}`);
    const before = vfPicture(t, card, 0);
    for (const mac of ["02:00:00:00:0a:01", "02-00-00-00-0A-02", "0200.0000.0a03"]) {
      const conf = sriovConfig(card, 0, { mac });
      const [own] = (t.add(conf) as Result).interfaces!;
      const plain = mac
        .replaceAll(/[-:.]/g, "")
        .toLowerCase()
        .replace(/(..)(?!$)/g, "$1:");
      t.equal([own?.mac, t.link("eth0")?.mac, vfInfo(t, card, 0).address], [plain, plain, plain], "address");
      t.silent("DEL", conf);
      t.equal(vfPicture(t, card, 0), before, `the function (${state}) as before ADD:`);
    }
  }
}

function whoSaysTheMac(t: Trial, card: Card): void {
  const [config, args, runtime] = ["02:00:00:00:0b:01", "02:00:00:00:0b:02", "02:00:00:00:0b:03"];
  const sources: [keys: Config, env: string | undefined, mac: string][] = [
    [{ mac: config }, undefined, config!],
    [{ mac: config }, `IgnoreUnknown=1;MAC=${args};MAC=${args}`, args!],
    [{ mac: config, capabilities: { mac: true }, runtimeConfig: { mac: runtime } }, `MAC=${args}`, runtime!],
  ];
  for (const [keys, env, mac] of sources) {
    const conf = sriovConfig(card, 0, keys);
    t.add(conf, { set: { CNI_ARGS: env } });
    t.equal(t.link("eth0")?.mac, mac, "address");
    // Pinned: the pod of an untrusted function cannot take another's.
    t.sh("ip -n c1 link set eth0 down; ip -n c1 link set eth0 address 02:00:00:00:0b:ff || true");
    t.equal(t.link("eth0")?.mac, mac, "address after the pod's attempt to change it");
    t.silent("DEL", conf);
  }
}

/** CHECK after a change by the pod or by the node's admin. */
function checkSees(t: Trial, card: Card): void {
  const conf = sriovConfig(card, 1, { ...ALL, ipam: { type: "static", addresses: [{ address: "10.9.0.2/24" }] } });
  const full = { ...conf, prevResult: t.add(conf) };
  const changes: [change: string, back: string][] = [
    [`ip link set ${card.pf} vf 1 vlan 101 qos 3`, `ip link set ${card.pf} vf 1 vlan 100 qos 3`],
    [`ip link set ${card.pf} vf 1 trust off`, `ip link set ${card.pf} vf 1 trust on`],
    [`ip link set ${card.pf} vf 1 spoofchk on`, `ip link set ${card.pf} vf 1 spoofchk off`],
    [`ip link set ${card.pf} vf 1 max_tx_rate 100`, `ip link set ${card.pf} vf 1 max_tx_rate 200`],
    ["ip -n c1 link set eth0 down", "ip -n c1 link set eth0 up"],
    ["ip -n c1 link set eth0 mtu 1300", "ip -n c1 link set eth0 mtu 1500"],
    ["ip -n c1 address del 10.9.0.2/24 dev eth0", "ip -n c1 address add 10.9.0.2/24 dev eth0"],
    ["ip -n c1 link set eth0 down; ip -n c1 link set eth0 name x", "ip -n c1 link set x name eth0 up"],
  ];
  t.silent("CHECK", full);
  for (const [change, back] of changes) {
    t.sh(change);
    t.expect(t.call("CHECK", full).status === 1, `CHECK fails after: ${change}`, "exit 0");
    t.sh(back);
    t.silent("CHECK", full);
  }
  t.error(t.call("CHECK", { ...full, deviceID: card.vfs[0] }));
}

/** Multus has copied the device plugin's file there; the PF is what it lacks. */
function deviceInfo(t: Trial, card: Card): void {
  const path = "/var/run/k8s.cni.cncf.io/devinfo/cni/ns-net-ctr-1_net1";
  const copied = { type: "pci", version: "1.1.0", pci: { "pci-address": card.vfs[0], "rdma-device": "mlx5_2" } };
  t.sh(`mkdir -p /run/k8s.cni.cncf.io/devinfo/cni; echo '${JSON.stringify(copied)}' >/run${path.slice(8)}`);
  const keys = { capabilities: { CNIDeviceInfoFile: true }, runtimeConfig: { CNIDeviceInfoFile: path } };
  const conf = sriovConfig(card, 0, keys);
  t.add(conf);
  const wanted = { ...copied, pci: { ...copied.pci, "pf-pci-address": card.pfPci } };
  t.equal(JSON.parse(t.read(`/run${path.slice(8)}`)), wanted, "device-info");
  t.silent("DEL", conf);
  const elsewhere = sriovConfig(card, 0, { runtimeConfig: { CNIDeviceInfoFile: "/etc/cni/x" } });
  t.refused("ADD", elsewhere, [7]);
}

function mtu(t: Trial, card: Card): void {
  const before = vfPicture(t, card, 0);
  const conf = sriovConfig(card, 0, { mtu: 3000 });
  t.equal(t.add(conf).interfaces?.[0]?.mtu, 3000, "mtu");
  t.equal(t.link("eth0")?.mtu, 3000, "mtu in the pod");
  t.silent("DEL", conf);
  t.equal(vfPicture(t, card, 0), before, "the function as before ADD:");
  const [{ max_mtu }] = JSON.parse(t.sh("ip -d -j link show vf0"));
  t.refused("ADD", sriovConfig(card, 0, { mtu: max_mtu + 1 }), [7]);
}

function status(t: Trial, card: Card): void {
  const conf = sriovConfig(card, 0, { cniVersion: "1.1.0" });
  t.silent("STATUS", conf);
  t.silent("STATUS", { ...conf, deviceID: undefined });
  t.error(t.call("STATUS", { ...conf, deviceID: "0000:ff:1f.7" }), [50]);
}

export const sriov: CaseTable = {
  perMain: [],
  fixed: [
    withCard(
      "SRV-01",
      "G",
      "A.18; case 46",
      "VLAN, QoS, MAC, spoofchk, trust, rate on both sides; DEL undoes each",
      life,
    ),
    withCard("SRV-02", "G", "A.18", "two pods reach each other in one VLAN and not across two", traffic, [
      "program:ping",
      "card:igb",
    ]),
    withCard("SRV-03", "G", "Oracle OKE, bare metal", "as it stands: the gateway outside the subnet is on-link", oke),
    withCard("SRV-04a", "G", "C: operator's golden output; case 82", "ADD, CHECK, DEL; nothing changed", (t, card) =>
      operator(t, card, {}),
    ),
    withCard("SRV-04b", "G", "C: all that igb can do; case 14", "ADD, CHECK, DEL; nothing changed", (t, card) =>
      operator(t, card, RENDERED),
    ),
    withCard("SRV-05", "G", "F4; cases 62, 68, 69, 80", "any spelling, up or down, six times in a row", addresses),
    withCard("SRV-06", "G", "A.3", "runtimeConfig, then CNI_ARGS, then the configuration", whoSaysTheMac, ["card:igb"]),
    withCard("SRV-07", "H", "F16", "CHECK fails for each change, and not otherwise", checkSees),
    withCard("SRV-08", "H", "F20, B.5", "the PF's address joins what Multus copied", deviceInfo),
    withCard("SRV-09", "H", "F17; case 41", "set, reported, put back; too large is refused", mtu, ["kernel:max_mtu"]),
    withCard("SRV-10", "S", "STATUS", "OK, and 50 without the function", status),
  ],
};
