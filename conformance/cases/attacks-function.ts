// Whose a function of a card is, and whose its address: one pod's. And nobody gets what others send to the node's router.
import { bindUserspace, borrowCard } from "../harness/card.ts";
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { config } from "./host-device.ts";
import { second } from "./host-device-shared.ts";
import { UPLINK } from "./node-situations.ts";
import { sriovConfig } from "./sriov.ts";

const one = rowsThatNeed(["plugin:host-device"]);
const ONES_OWN = "a function and its address are one pod's";

const belongsToOne = (id: string, driver: string): Case =>
  one(
    id,
    "H",
    ONES_OWN,
    `a virtual function on ${driver} that a pod has by host-device: neither host-device nor sriov gives it to another pod`,
    (t) => {
      const card = borrowCard(t);
      const giveBack = bindUserspace(t, card, 1, driver);
      try {
        const theirs = config("1.0.0", { pciBusID: card.vfs[1] });
        t.sh("ip netns add c2");
        t.add(theirs, { noKernel: true });
        const before = t.sh(`ip link show ${card.pf}`);
        t.error(t.call("ADD", theirs, { set: second }));
        t.error(t.call("ADD", sriovConfig(card, 1, { vlan: 77, mac: "02:00:00:00:00:ef" }), { set: second }));
        t.equal(t.sh(`ip link show ${card.pf}`), before, "the card");
        t.silent("DEL", theirs);
        t.add(theirs, { noKernel: true, set: second, ns: "c2" });
        t.silent("DEL", theirs, { set: second });
      } finally {
        giveBack();
      }
    },
    ["plugin:sriov", "card:igb"],
  );

/** ADD of `mine` is refused with what `says`, and changes nothing, while container second has `theirs`; inside second and after its DEL it is not. */
function ownersOnly(t: Trial, pf: string, theirs: Config, mine: Config, says: string): void {
  t.sh("ip netns add c2");
  t.add(theirs, { set: second, ns: "c2" });
  const [picture, before] = [t.picture(), t.sh(`ip link show ${pf}`)];
  const { code, msg } = t.error(t.call("ADD", mine));
  t.expect(code === 7 && msg.includes(says), `code 7 and ${says}`, `${code}: ${msg}`);
  t.equal(t.sh(`ip link show ${pf}`), before, "the card");
  t.unchangedSince(picture);
  const alike = { set: { ...second, CNI_IFNAME: "net2" } };
  t.equal(t.call("ADD", mine, alike).status, 0, "exit status in the same container");
  t.silent("DEL", mine, alike);
  t.silent("DEL", theirs, { set: second });
  t.equal(t.call("ADD", mine).status, 0, "exit status after DEL");
  t.silent("DEL", mine);
}

/** A bridge on the node, with the card's physical function, or what is on top of that, as its uplink. */
const bridgeOver = (t: Trial, uplink: string): void =>
  void t.sh(
    `ip link add br9 type bridge; ip link set br9 up; ip link set ${uplink} master br9; ip link set ${uplink} up`,
  );

const onBridge = (keys: object) => ({ cniVersion: "1.0.0", name: "br", type: "bridge", bridge: "br9", ...keys });

const ROUTER = "02:00:00:00:77:01";
/** The node's router: a neighbour by its address, on $dev. */
const router = (address: string, dev = "up0"): string => `ip neigh add ${address} lladdr ${ROUTER} dev ${dev}`;
const MACVLAN: Config = { cniVersion: "1.0.0", name: "mv", type: "macvlan", master: "up0" };

/** The kernel would give a macvlan with the router's MAC address what other pods on the master send to the router. */
const routerAddresses: Case[] = [
  {
    id: "ATK-D6i",
    what: "mac",
    keys: { mac: ROUTER },
    setup: `${UPLINK}; ${router("192.0.2.1")}`,
    says: "192.0.2.1",
  },
  {
    id: "ATK-D6j",
    what: "runtimeConfig.mac, IPv6",
    keys: { capabilities: { mac: true }, runtimeConfig: { mac: ROUTER } },
    setup: `ip address add 2001:db8:9::9/64 dev up0 nodad; ip -6 route add 2001:db8:a::/48 via fe80::7 dev up0; ${router("fe80::7")}`,
    says: "fe80::7",
  },
  {
    id: "ATK-D6k",
    what: "args, and the router of a bridge whose port is the other end of the master",
    keys: { args: { cni: { mac: ROUTER } }, master: "ens5" },
    setup: `ip link add ens5 up type veth peer name wire0; ip link add br9 up type bridge; ip link set wire0 up master br9
      ip address add 192.0.2.9/24 dev br9; ip route add 203.0.113.0/24 via 192.0.2.1; ${router("192.0.2.1", "br9")}`,
    says: "192.0.2.1",
  },
].map(({ id, what, keys, setup, says }) =>
  rowsThatNeed(["plugin:macvlan"])(
    id,
    "H",
    "nobody gets what others send to the router",
    `macvlan with the MAC address of the node's router (${what}): E(7), nothing is changed; a neighbour that is no router: OK`,
    (t: Trial) => {
      t.sh(setup);
      const conf = { ...MACVLAN, ...keys };
      const { msg } = t.refused("ADD", conf, [7]);
      t.expect(msg.includes(says), says, msg);
      t.sh("ip route flush root 0/0 scope global; ip -6 route flush root 2001:db8:a::/48");
      t.add(conf);
      t.silent("DEL", conf);
    },
  ),
);

export const attacksFunction: CaseTable = {
  perMain: [],
  fixed: [
    one(
      "ATK-D5a",
      "H",
      "a pod that has a physical function does not get other pods' virtual functions into its hands",
      "host-device of a virtual function whose physical function a pod has: E(7)",
      (t) => {
        const card = borrowCard(t);
        const [physical, virtual] = [config("1.0.0", { device: card.pf }), config("1.0.0", { device: "vf0" })];
        t.sh("ip netns add c2");
        t.add(physical);
        const { code, msg } = t.error(t.call("ADD", virtual, { set: second }));
        t.expect(code === 7 && msg.includes(card.pfPci), "code 7 and the physical function", `${code}: ${msg}`);
        t.silent("DEL", physical);
        t.add(virtual, { set: second, ns: "c2" });
        t.equal(t.error(t.call("ADD", physical)).code, 7, "code for the physical function");
        t.silent("DEL", virtual, { set: second });
      },
      ["card:igb"],
    ),
    one(
      "ATK-D6a",
      "H",
      ONES_OWN,
      "sriov with the MAC address of the physical function: E(7), and nothing is changed",
      (t) => {
        const card = borrowCard(t);
        const picture = t.picture();
        const before = t.sh(`ip link show ${card.pf}`);
        const conf = sriovConfig(card, 1, { vlan: 7, runtimeConfig: { mac: t.link(card.pf, "")!.mac } });
        const { code, msg } = t.error(t.call("ADD", conf));
        t.expect(code === 7 && msg.includes(card.pf), "code 7 and the physical function", `${code}: ${msg}`);
        t.equal(t.sh(`ip link show ${card.pf}`), before, "the card");
        t.unchangedSince(picture);
      },
      ["plugin:sriov", "card:igb"],
    ),
    one(
      "ATK-D6b",
      "H",
      ONES_OWN,
      "sriov with the MAC address of another container's virtual function: E(7); of the same container's, and after its DEL: taken",
      (t) => {
        const card = borrowCard(t);
        const mac = "02:00:00:00:00:aa";
        const [mine, theirs] = [sriovConfig(card, 0, { mac }), sriovConfig(card, 1, { mac })];
        t.sh("ip netns add c2");
        t.add(mine);
        const { code, msg } = t.error(t.call("ADD", theirs, { set: second }));
        t.expect(code === 7 && msg.includes("container"), "code 7 and the container", `${code}: ${msg}`);
        t.equal(t.call("ADD", theirs, { set: { CNI_IFNAME: "net2" } }).status, 0, "exit status");
        t.silent("DEL", theirs, { set: { CNI_IFNAME: "net2" } });
        t.silent("DEL", mine);
        t.add(theirs, { set: second, ns: "c2" });
        t.silent("DEL", theirs, { set: second });
      },
      ["plugin:sriov", "card:igb"],
    ),
    one(
      "ATK-D6c",
      "H",
      ONES_OWN,
      "sriov with the MAC address of another pod's macvlan on the physical function: E(7)",
      (t) => {
        const card = borrowCard(t);
        const mac = "02:00:00:00:00:ab";
        t.sh(`ip netns add c2; ip link add mv9 link ${card.pf} address ${mac} type macvlan mode bridge
          ip link set mv9 netns c2; ip -n c2 link set mv9 up`);
        t.equal(t.error(t.call("ADD", sriovConfig(card, 1, { mac }))).code, 7, "code");
      },
      ["plugin:sriov", "card:igb"],
    ),
    one(
      "ATK-D6d",
      "H",
      ONES_OWN,
      "macvlan on a physical function with the MAC address of another container's virtual function: E(7)",
      (t) => {
        const card = borrowCard(t);
        const mac = "02:00:00:00:00:ac";
        const theirs = sriovConfig(card, 1, { mac });
        t.add(theirs);
        const conf = { cniVersion: "1.0.0", name: "mv", type: "macvlan", master: card.pf, mac };
        t.sh("ip netns add c2");
        t.equal(t.error(t.call("ADD", conf, { set: second })).code, 7, "code");
        t.silent("DEL", theirs);
        t.equal(t.call("ADD", conf, { set: second }).status, 0, "exit status");
        t.silent("DEL", conf, { set: second });
      },
      ["plugin:sriov", "plugin:macvlan", "card:igb"],
    ),
    one(
      "ATK-D6e",
      "H",
      ONES_OWN,
      "sriov with the MAC address that a bridge over the physical function has pinned to another pod's port: E(7), nothing is changed; of the same container's port, and after its DEL: taken",
      (t) => {
        const card = borrowCard(t);
        bridgeOver(t, card.pf);
        const mac = "02:00:00:00:00:ad";
        const theirs = onBridge({ mac, macspoofchk: true, macspoofchkBackend: "bridge" });
        const mine = sriovConfig(card, 1, { vlan: 7, mac });
        ownersOnly(t, card.pf, theirs, mine, "br9");
      },
      ["plugin:sriov", "plugin:bridge", "card:igb", "kernel:locked_ports"],
    ),
    one(
      "ATK-D6f",
      "H",
      ONES_OWN,
      "sriov with the MAC address of a macvlan on a bridge over a VLAN of the physical function: E(7)",
      (t) => {
        const card = borrowCard(t);
        t.sh(`ip link add link ${card.pf} name v9 type vlan id 9`);
        bridgeOver(t, "v9");
        const mac = "02:00:00:00:00:ae";
        t.sh(`ip netns add c2; ip link add mv9 link br9 address ${mac} type macvlan mode bridge
          ip link set mv9 netns c2; ip -n c2 link set mv9 up`);
        t.equal(t.error(t.call("ADD", sriovConfig(card, 1, { mac }))).code, 7, "code");
      },
      ["plugin:sriov", "card:igb", "kernel:vlan"],
    ),
    ...(["bridge", "macvlan"] as const).map((type) =>
      one(
        type === "bridge" ? "ATK-D6g" : "ATK-D6h",
        "H",
        ONES_OWN,
        `${type} on a bridge over a VLAN of a physical function with the MAC address of another container's virtual function: E(7), nothing is changed; of the same container's, and after its DEL: taken`,
        (t) => {
          const card = borrowCard(t);
          t.sh(`ip link add link ${card.pf} name v9 type vlan id 9`);
          bridgeOver(t, "v9");
          const mac = "02:00:00:00:00:af";
          const theirs = sriovConfig(card, 1, { mac });
          const mine = type === "bridge" ? onBridge({ mac }) : { ...onBridge({ mac, master: "br9" }), type };
          ownersOnly(t, card.pf, theirs, mine, "container second");
        },
        ["plugin:sriov", `plugin:${type}`, "card:igb", "kernel:vlan"],
      ),
    ),
    ...routerAddresses,
    belongsToOne("ATK-D7a", "vfio-pci"),
    belongsToOne("ATK-D7c", "uio_pci_generic"),
    belongsToOne("ATK-D7d", "pci-stub"),
    one(
      "ATK-D7b",
      "H",
      ONES_OWN,
      "a virtual function on vfio-pci that a program has open: neither host-device nor sriov gives it to a pod",
      (t) => {
        const card = borrowCard(t);
        const giveBack = bindUserspace(t, card, 1);
        try {
          const before = t.sh(`ip link show ${card.pf}`);
          const group = t.sh(`basename $(readlink /sys/bus/pci/devices/${card.vfs[1]}/iommu_group)`).trim();
          const opened = t.sh(
            `perl -e 'open(G, "+<", "/dev/vfio/${group}") or die "$!"; if (fork == 0) { close STDIN; close STDOUT; close STDERR; sleep 30; exit }'; echo open`,
          );
          t.equal(opened.trim(), "open", "group");
          for (const conf of [
            config("1.0.0", { pciBusID: card.vfs[1] }),
            sriovConfig(card, 1, { vlan: 77, mac: "02:00:00:00:00:ee" }),
          ]) {
            const { msg } = t.error(t.call("ADD", conf));
            t.expect(msg.includes("open"), "the group is open", msg);
          }
          t.equal(t.sh(`ip link show ${card.pf}`), before, "the card");
        } finally {
          giveBack();
        }
      },
      ["plugin:sriov", "card:igb", "program:perl"],
    ),
    one(
      "ATK-D7e",
      "H",
      ONES_OWN,
      "a virtual function on uio_pci_generic that a program uses: neither host-device nor sriov gives it to a pod; when the program has ended: taken",
      (t) => {
        const card = borrowCard(t);
        const pci = card.vfs[1];
        const giveBack = bindUserspace(t, card, 1, "uio_pci_generic");
        try {
          const before = t.sh(`ip link show ${card.pf}`);
          // As DPDK does: bus mastering is bit 2 of the command register.
          const program = t.sh(`cd /sys/bus/pci/devices/${pci}
            perl -e 'open(U, "+<", "/dev/" . shift) or die "$!"; open(C, "+<", "config") or die "$!"; sysseek(C, 4, 0); sysread(C, $c, 2);
              sysseek(C, 4, 0); syswrite(C, pack("v", unpack("v", $c) | 4)) == 2 or die "$!";
              if (my $p = fork) { print $p; exit } close STDIN; close STDOUT; close STDERR; sleep 60' $(ls uio)`);
          for (const conf of [
            config("1.0.0", { pciBusID: pci }),
            sriovConfig(card, 1, { vlan: 77, mac: "02:00:00:00:00:ed" }),
          ]) {
            const { msg } = t.error(t.call("ADD", conf));
            t.expect(msg.includes("in use"), "the function is in use", msg);
          }
          t.equal(t.sh(`ip link show ${card.pf}`), before, "the card");
          t.sh(`kill ${program}; for i in $(seq 100); do [ -e /proc/${program} ] || break; sleep 0.05; done`);
          const conf = config("1.0.0", { pciBusID: pci });
          t.add(conf, { noKernel: true });
          t.silent("DEL", conf);
        } finally {
          giveBack();
        }
      },
      ["plugin:sriov", "card:igb", "program:perl"],
    ),
  ],
};
