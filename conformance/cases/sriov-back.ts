// sriov on real virtual functions: everything that goes wrong, and the function is what it was before ADD all the same.
import { bindUserspace, type Card, outliveNetns, vfInfo, vfPicture } from "../harness/card.ts";
import { type CaseTable, NotRunnable } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { isNetdevsim } from "../harness/netdevsim-card.ts";
import type { Trial } from "../harness/trial.ts";
import { advertise } from "./guides.ts";
import { dress, sriovConfig, withCard } from "./sriov.ts";

const ATTRIBUTES: Config = { vlan: 100, trust: "on", mac: "02:00:00:00:01:aa" };

function noState(t: Trial): void {
  const files = [...t.picture().files.keys()].filter((file) => file.startsWith("/var/lib/cni"));
  t.equal(files, [], "state files");
}

/** Runs `body` between two pictures of function 1, dressed; it must end as it began, without state. */
function restored(t: Trial, card: Card, body: () => void): void {
  dress(t, card);
  const before = vfPicture(t, card, 1);
  body();
  t.equal(vfPicture(t, card, 1), before, "the function as before ADD:");
  noState(t);
}

/** What is refused leaves the function as it was, its PF's view too. */
function refused(t: Trial, card: Card, keys: Config, said = ""): void {
  dress(t, card);
  const before = vfPicture(t, card, 1);
  const { msg } = t.refused("ADD", sriovConfig(card, 1, keys));
  t.expect(msg.includes(said), `a message with "${said}"`, msg);
  t.equal(vfPicture(t, card, 1), before, "the function as before ADD:");
}

const inPod = (pod: string) => ({ CNI_CONTAINERID: pod, CNI_NETNS: `/run/netns/${pod}` });

function nameTaken(t: Trial, card: Card): void {
  dress(t, card);
  t.sh(
    "ip -n c1 link add eth0 type veth peer name other; ip -n c1 link set eth0 up; ip -n c1 address add 10.0.0.1/24 dev eth0",
  );
  const before = vfPicture(t, card, 1);
  t.refused("ADD", sriovConfig(card, 1, ATTRIBUTES));
  t.equal(vfPicture(t, card, 1), before, "the function as before ADD:");
}

function renamedInPod(t: Trial, card: Card): void {
  restored(t, card, () => {
    t.add(sriovConfig(card, 1, ATTRIBUTES));
    t.sh(
      "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name mine; ip -n c1 link set mine address 02:00:00:00:0c:01 || true",
    );
    t.silent("DEL", sriovConfig(card, 1, ATTRIBUTES));
  });
}

/** All that a pod with NET_ADMIN may leave on its interface. */
function podsLeavings(t: Trial, card: Card): void {
  restored(t, card, () => {
    t.add(sriovConfig(card, 1, ATTRIBUTES));
    t.sh(`ip -n c1 link property add dev eth0 altname uplink-of-the-node
      ip -n c1 link set eth0 alias mine mtu 1280 txqueuelen 77 promisc off allmulticast on
      ip -n c1 link add link eth0 name eth0.5 type vlan id 5; ip -n c1 address add 10.1.1.1/24 dev eth0`);
    t.silent("DEL", sriovConfig(card, 1, ATTRIBUTES));
  });
}

function withoutNetns(t: Trial, card: Card): void {
  restored(t, card, () => {
    t.add(sriovConfig(card, 1, ATTRIBUTES));
    t.silent("DEL", sriovConfig(card, 1, ATTRIBUTES), { set: { CNI_NETNS: undefined } });
  });
}

function netnsDied(t: Trial, card: Card): void {
  restored(t, card, () => {
    t.add(sriovConfig(card, 1, ATTRIBUTES));
    outliveNetns(t, card, 1, "c1");
    t.silent("DEL", sriovConfig(card, 1, ATTRIBUTES));
  });
}

/** No DEL ever comes; the next pod must not take what it finds for the original. */
function nextPod(t: Trial, card: Card): void {
  restored(t, card, () => {
    t.add(sriovConfig(card, 1, ATTRIBUTES));
    outliveNetns(t, card, 1, "c1");
    t.netns("c2");
    const conf = sriovConfig(card, 1, { max_tx_rate: 300 });
    t.add(conf, { set: inPod("c2"), ns: "c2" });
    t.equal([vfInfo(t, card, 1).trust, t.link("eth0", "c2")?.mac], [false, "02:00:00:00:07:01"], "trust and address");
    t.silent("DEL", conf, { set: inPod("c2") });
  });
}

/** c1's DEL fails in its IPAM; the function goes to c2 when c1's namespace has gone; c1's DEL comes again. */
function lateDel(t: Trial, card: Card): void {
  const stub = t.stub({ ADD: `echo '{"cniVersion":"1.0.0","ips":[{"address":"192.0.2.1/24"}]}'`, DEL: "exit 1" });
  const set = { CNI_PATH: `${stub.bin}:${t.settings.bin}` };
  const first = sriovConfig(card, 1, { vlan: 10, ipam: { type: "stub" } });
  t.add(first, { set });
  t.error(t.call("DEL", first, { set }));
  const second = sriovConfig(card, 1, { vlan: 20 });
  t.netns("c2");
  t.add(second, { set: inPod("c2"), ns: "c2" });
  stub.behave({});
  const before = vfInfo(t, card, 1);
  t.silent("DEL", first, { set });
  t.equal(vfInfo(t, card, 1), before, "function 1 of c2");
  t.present("eth0", "c2");
  t.silent("DEL", second, { set: inPod("c2") });
  noState(t);
}

const LEFT = "nothing of a pod's is left for the next one, of whichever plugin";
const byHostDevice = (keys: Config): Config => ({ cniVersion: "1.0.0", name: "net2", type: "host-device", ...keys });

/** The namespace of sriov's pod died; host-device gives the function to c2; sriov's DEL comes late. `device`: what selects it. */
function thenHostDevice(t: Trial, card: Card, device: Config): void {
  restored(t, card, () => {
    const first = sriovConfig(card, 1, { ...ATTRIBUTES, spoofchk: "off" });
    const before = vfInfo(t, card, 1);
    t.add(first);
    outliveNetns(t, card, 1, "c1");
    t.netns("c2");
    const second = byHostDevice(device);
    t.add(second, { set: inPod("c2"), ns: "c2" });
    const has = () => [vfInfo(t, card, 1), t.link("eth0", "c2")?.mac];
    t.equal(has(), [before, "02:00:00:00:07:01"], "function 1 of c2");
    t.silent("DEL", first);
    t.equal(has(), [before, "02:00:00:00:07:01"], "function 1 of c2 after a late DEL of c1");
    t.silent("DEL", second, { set: inPod("c2") });
  });
}

/** The other way round: what host-device's pod set is not the next pod's. */
function thenSriov(t: Trial, card: Card): void {
  // Its pod may set the address.
  t.sh(`ip link set ${card.pf} vf 1 trust on`);
  restored(t, card, () => {
    const first = byHostDevice({ pciBusID: card.vfs[1] });
    t.add(first);
    t.sh("ip -n c1 link set eth0 down; ip -n c1 link set eth0 address 02:00:00:00:0c:01 mtu 1280 txqueuelen 77");
    outliveNetns(t, card, 1, "c1");
    t.netns("c2");
    const second = sriovConfig(card, 1, { vlan: 100 });
    t.add(second, { set: inPod("c2"), ns: "c2" });
    const { mac, mtu } = t.link("eth0", "c2")!;
    t.equal([mac, mtu], ["02:00:00:00:07:01", 1400], "address and MTU");
    t.silent("DEL", first);
    t.present("eth0", "c2");
    t.silent("DEL", second, { set: inPod("c2") });
  });
}

/** The same without interface: host-device takes what a pod of sriov left that is gone, and sriov's files of it go. */
function userspaceThenHostDevice(t: Trial, card: Card): void {
  const unbind = bindUserspace(t, card, 1);
  try {
    const before = vfInfo(t, card, 1);
    const first = sriovConfig(card, 1, ATTRIBUTES);
    t.add(first, { noKernel: true });
    t.sh("ip netns del c1");
    t.netns("c2");
    const second = byHostDevice({ pciBusID: card.vfs[1] });
    t.add(second, { set: inPod("c2"), ns: "c2", noKernel: true });
    t.equal(vfInfo(t, card, 1), before, "function 1 on its PF");
    t.silent("DEL", first);
    t.silent("DEL", second, { set: inPod("c2") });
    noState(t);
  } finally {
    unbind();
  }
}

/** The runtime named c1 /proc/PID/ns/net, which Landlock hides from an ADD; then as sriov-cni has it, without a record of podnic. */
function heldByProcess(t: Trial, card: Card): void {
  const unbind = bindUserspace(t, card, 1);
  try {
    const first = sriovConfig(card, 1, ATTRIBUTES);
    t.add(first, { set: { CNI_NETNS: t.pathByProcess("c1") }, noKernel: true });
    t.netns("c2");
    const refuses = (conf: Config): void => {
      const { msg } = t.error(t.call("ADD", conf, { set: inPod("c2") }));
      t.expect(msg.includes(`pci address ${card.vfs[1]} is already allocated`), "who has it", msg);
    };
    refuses(sriovConfig(card, 1));
    refuses(byHostDevice({ pciBusID: card.vfs[1] }));
    t.sh("rm -r /var/lib/cni/podnic/sriov /var/lib/cni/sriov/ctr-1-eth0");
    refuses(sriovConfig(card, 1));
  } finally {
    unbind();
  }
}

function stdoutFull(t: Trial, card: Card): void {
  restored(t, card, () => {
    const run = t.call("ADD", sriovConfig(card, 1, ATTRIBUTES), { wrap: 'exec "$@" >/dev/full' });
    t.expect(run.status !== 0, "ADD fails", "exit 0");
  });
}

function ipamFails(t: Trial, card: Card): void {
  restored(t, card, () => {
    const stub = t.stub({ ADD: `echo '{"code":101,"msg":"no address"}'; exit 1` });
    const conf = sriovConfig(card, 1, { ...ATTRIBUTES, ipam: { type: "stub" } });
    t.error(t.call("ADD", conf, { set: { CNI_PATH: `${stub.bin}:${t.settings.bin}` } }));
  });
}

function twice(t: Trial, card: Card): void {
  const conf = sriovConfig(card, 1, ATTRIBUTES);
  t.add(conf);
  // The link-local address is tentative for a second or two.
  t.sh(
    "for i in $(seq 100); do ip -n c1 address show dev eth0 tentative | grep -q inet6 || exit 0; sleep 0.1; done; exit 1",
  );
  const [inside, info] = [t.link("eth0"), vfInfo(t, card, 1)];
  t.error(t.call("ADD", conf));
  t.netns("c2");
  const { msg } = t.error(t.call("ADD", { ...conf, vlan: 20 }, { set: inPod("c2") }));
  t.expect(msg.includes(`pci address ${card.vfs[1]} is already allocated`), "who has it", msg);
  t.equal([t.link("eth0"), vfInfo(t, card, 1)], [inside, info], "the first attachment");
  t.silent("DEL", conf);
}

/** Two ADDs at once for one function: one gets it. */
function race(t: Trial, card: Card): void {
  t.netns("c2");
  const stdin = sriovConfig(card, 1, { vlan: 5 });
  const runs = t.parallel(["c1", "c2"].map((pod) => ({ command: "ADD", stdin, set: inPod(pod) })));
  t.equal(runs.map(({ status }) => status).sort(), [0, 1], "exit statuses");
  for (const pod of ["c1", "c2"]) t.silent("DEL", stdin, { set: inPod(pod) });
  noState(t);
}

/** After a reboot namespaces and settings are gone and the records are not. */
function reboot(t: Trial, card: Card): void {
  const conf = sriovConfig(card, 1, { vlan: 10 });
  t.add(conf);
  t.sh(`sed -i 's/"bootId":"[^"]*"/"bootId":"11111111-2222-3333-4444-555555555555"/' /var/lib/cni/podnic/sriov/*
    ip -n c1 link set eth0 netns $$ name vf1; ip link set ${card.pf} vf 1 vlan 30`);
  const before = vfPicture(t, card, 1);
  t.silent("DEL", conf);
  t.equal(vfPicture(t, card, 1), before, "the function after DEL:");
  noState(t);
}

function vanished(t: Trial, card: Card): void {
  if (isNetdevsim())
    throw new NotRunnable("the PCI directories of netdevsim's VFs are simulated, and remain when the VFs are removed");
  const conf = sriovConfig(card, 1, { ...ATTRIBUTES, ipam: { type: "host-local", subnet: "198.51.100.0/24" } });
  t.add(conf);
  t.sh(`echo 0 >/sys/bus/pci/devices/${card.pfPci}/sriov_numvfs`);
  t.silent("DEL", conf);
  t.leaseCount(0);
  t.equal(
    [...t.picture().files.keys()].filter(
      (file) => file.startsWith("/var/lib/cni/sriov") || file.includes("podnic/sriov"),
    ),
    [],
    "state files",
  );
}

function gc(t: Trial, card: Card): void {
  restored(t, card, () => {
    const conf = sriovConfig(card, 1, { cniVersion: "1.1.0", ...ATTRIBUTES });
    t.add(conf);
    const alive = [{ containerID: "ctr-1", ifname: "eth0" }];
    t.silent("GC", { ...conf, "cni.dev/valid-attachments": alive });
    t.present("eth0");
    t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] });
    t.gone("eth0");
  });
}

/** A function whose driver is one of userspace: attributes only, and DEL that works the first time. */
function userspace(t: Trial, card: Card): void {
  t.sh(`ip link set ${card.pf} vf 1 vlan 7 qos 2`);
  const unbind = bindUserspace(t, card, 1);
  try {
    const before = vfInfo(t, card, 1);
    const conf = sriovConfig(card, 1, {
      ...ATTRIBUTES,
      spoofchk: "off",
      ipam: { type: "static", addresses: [{ address: "10.9.0.2/24" }] },
    });
    const prevResult = t.add(conf, { noKernel: true });
    const own = { name: "eth0", mac: "02:00:00:00:01:aa", sandbox: "/run/netns/c1", pciID: card.vfs[1] };
    const { mtu: _, ...given } = prevResult.interfaces![0]!;
    t.equal(given, own, "interface of the result");
    t.equal(vfInfo(t, card, 1).trust, true, "trust");
    t.silent("CHECK", { ...conf, prevResult });
    t.silent("DEL", { ...conf, prevResult });
    t.equal(vfInfo(t, card, 1), before, "function 1 on its PF");
    noState(t);
    t.silent("DEL", conf);
  } finally {
    unbind();
  }
}

function ownNetns(t: Trial, card: Card): void {
  const before = vfPicture(t, card, 1);
  t.error(t.call("ADD", sriovConfig(card, 1, ATTRIBUTES), { set: { CNI_NETNS: "/proc/1/ns/net" } }));
  t.equal(vfPicture(t, card, 1), before, "the function as before ADD:");
}

/** Function 0 is a router, which function 1 hears; `routes`: default routes over it that the host has. */
function advertised(t: Trial, card: Card, setup: string, routes: number): void {
  t.sh(`ip netns add router; ip link set vf0 netns router; ip -n router link set vf0 up
    ip -n router address add fe80::1/64 dev vf0 nodad
    ip address add 192.0.2.9/24 dev up0; ip route add default via 192.0.2.1; ${setup}; ip link set vf1 up
    for i in $(seq 100); do ip link show vf1 | grep -q LOWER_UP && break; sleep 0.1; done`);
  const heard = (): number => {
    advertise(t, "router", "vf0");
    return t.routes("").filter(({ dst, dev }) => dst === "::/0" && dev === "vf1").length;
  };
  t.equal(heard(), routes, "default routes before");
  for (let round = 1; round <= 2; round++) {
    t.add(sriovConfig(card, 1));
    t.silent("DEL", sriovConfig(card, 1));
    t.equal(heard(), routes, `default routes after DEL ${round}`);
  }
  noState(t);
}

/** What the host had on the function: addresses of both families, a route, a sysctl. */
function hostsNetwork(t: Trial, card: Card): void {
  t.sh(`ip link set vf1 up; ip address add 10.77.0.5/24 dev vf1; ip -6 address add fd77::5/64 dev vf1 nodad
    ip route add 10.78.0.0/16 dev vf1; sysctl -qw net.ipv4.conf.vf1.rp_filter=2 net.ipv6.conf.vf1.accept_ra=0`);
  const show = (): string =>
    t.sh(`ip -o -4 address show dev vf1; ip -o -6 address show dev vf1 scope global; ip route show dev vf1
      cat /proc/sys/net/ipv4/conf/vf1/rp_filter /proc/sys/net/ipv6/conf/vf1/accept_ra`);
  const plain = (text: string): string =>
    text.replace(/^\d+: /gm, "").replace(/ (tentative|linkdown|dadfailed)\b/g, "");
  const before = plain(show());
  t.add(sriovConfig(card, 1));
  t.silent("DEL", sriovConfig(card, 1));
  t.equal(plain(show()), before, "addresses, routes and sysctls");
  noState(t);
}

export const sriovBack: CaseTable = {
  perMain: [],
  fixed: [
    withCard(
      "SRB-01a",
      "H",
      "F10; case 70",
      "link_state refused by igb: VLAN and trust are put back",
      (t, card) => refused(t, card, { ...ATTRIBUTES, link_state: "enable" }, "linkState"),
      ["card:igb"],
    ),
    withCard(
      "SRB-01b",
      "H",
      "F10",
      "802.1ad refused by igb: all is put back",
      (t, card) => refused(t, card, { ...ATTRIBUTES, vlanProto: "802.1ad" }, "vlan"),
      ["card:igb"],
    ),
    withCard(
      "SRB-01c",
      "H",
      "F10",
      "min_tx_rate refused by igb: all is put back",
      (t, card) => refused(t, card, { ...ATTRIBUTES, min_tx_rate: 50, max_tx_rate: 100 }, "rate"),
      ["card:igb"],
    ),
    withCard("SRB-02", "H", "A.9; case 72", "the pod has an eth0: refused, it and the function untouched", nameTaken),
    withCard("SRB-03", "H", "A.12; case 76", "renamed in the pod: DEL finds it", renamedInPod),
    withCard("SRB-04", "H", "F2, F18, A.18; cases 40, 48, 64", "what the pod left on it is gone", podsLeavings, [
      "kernel:altname",
    ]),
    withCard("SRB-05", "H", "F5; case 73", "DEL without CNI_NETNS", withoutNetns),
    withCard("SRB-06", "H", "F9; cases 66, 75", "a late DEL leaves the function to its new owner", lateDel),
    withCard("SRB-07", "H", "A.13", "the result cannot be written: undone", stdoutFull),
    withCard("SRB-08", "H", "A.13", "IPAM fails: undone", ipamFails),
    withCard("SRB-09", "H", "F8; case 15", "ADD again, and ADD by another pod: E, untouched", twice),
    withCard("SRB-10", "H", "A.11; case 65", "two ADDs at once: one gets it", race),
    withCard("SRB-11", "H", "F7", "a record of an earlier boot: dropped, the function untouched", reboot),
    withCard("SRB-12", "H", "F3", "the function is gone: DEL succeeds, the lease is free", vanished),
    withCard("SRB-13", "S", "F22, GC", "what is not in the list is given back", gc),
    withCard("SRB-14", "H", "A.12; case 71", "vfio-pci: ADD, CHECK, DEL the first time", userspace),
    withCard("SRB-18", "H", "F6; case 74", "the namespace died, then DEL: back under its name", netnsDied),
    withCard(
      "SRB-19",
      "H",
      "F5, F6",
      "the namespace died without DEL: the next ADD and DEL restore the original",
      nextPod,
    ),
    withCard(
      "SRB-24a",
      "H",
      LEFT,
      "sriov's pod died without DEL; host-device's ADD by PCI address: as it was",
      (t, card) => thenHostDevice(t, card, { pciBusID: card.vfs[1] }),
      ["plugin:host-device", "kernel:altname", "card:pci"],
    ),
    withCard(
      "SRB-24b",
      "H",
      LEFT,
      "sriov's pod died without DEL; host-device's ADD by the name that it had: as it was",
      (t, card) => thenHostDevice(t, card, { device: "vf1" }),
      ["plugin:host-device", "kernel:altname"],
    ),
    withCard("SRB-24c", "H", LEFT, "host-device's pod died without DEL; sriov's ADD: as it was", thenSriov, [
      "plugin:host-device",
      "kernel:altname",
      "card:pci",
    ]),
    withCard(
      "SRB-24d",
      "H",
      LEFT,
      "vfio-pci, sriov's pod died without DEL; host-device's ADD: OK, as it was",
      userspaceThenHostDevice,
      ["plugin:host-device"],
    ),
    withCard(
      "SRB-25",
      "H",
      "F8; case 15",
      "vfio-pci, held by a pod that the runtime named /proc/PID/ns/net: E that says who has it, by whichever plugin",
      heldByProcess,
      ["plugin:host-device"],
    ),
    withCard("SRB-15", "H", "A.1; case 78", "the plugin's own namespace: one document, untouched", ownNetns),
    withCard("SRB-16", "H", "A.13; case 77", "0.2.0 without address: refused before anything", (t, card) =>
      refused(t, card, { ...ATTRIBUTES, cniVersion: "0.2.0" }),
    ),
    withCard("SRB-17", "H", "A.2; case 79", "spoofchk ON is not off", (t, card) =>
      refused(t, card, { ...ATTRIBUTES, spoofchk: "ON" }),
    ),
    withCard(
      "SRB-23",
      "H",
      "the node keeps what exists for others",
      "a running pod's macvlan is on the function: ADD refuses it",
      (t, card) => {
        t.sh(
          "ip netns add c2; ip link set vf1 up; ip link add mv0 link vf1 netns c2 type macvlan mode bridge; ip -n c2 link set mv0 up",
        );
        const { msg } = t.refused("ADD", sriovConfig(card, 1), [7]);
        t.expect(msg.includes("would lose its connection"), "a message that says why", msg);
        t.equal(/UP/.test(t.sh("ip -n c2 -o link show mv0")), true, "the other pod's macvlan");
      },
    ),
    withCard(
      "SRB-20",
      "H",
      "a network whose router advertises itself",
      "the host listens: the route it took does not keep the function from pods, twice",
      (t, card) => advertised(t, card, "true", 1),
      ["program:perl"],
    ),
    withCard(
      "SRB-21",
      "H",
      "a network whose router advertises itself",
      "the host does not listen: nor does it after DEL, and a second pod gets the function",
      (t, card) => advertised(t, card, "sysctl -qw net.ipv6.conf.vf1.accept_ra=0", 0),
      ["program:perl"],
    ),
    withCard(
      "SRB-22",
      "H",
      "what the host had comes back",
      "addresses, route and sysctls of the function",
      hostsNetwork,
    ),
  ],
};
