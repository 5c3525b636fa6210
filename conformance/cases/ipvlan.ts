// ipvlan: upstream's unit tests as black boxes (IV-1 to IV-5) and what its documentation promises.
// Needs a kernel with ipvlan; elsewhere every case is not-run.
import { type Case, type CaseTable, row, rowsThatNeed, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { say } from "./stubs.ts";

const needs = ["plugin:ipvlan", "plugin:host-local"];
const SET = { CNI_CONTAINERID: "dummy", CNI_IFNAME: "ipvl0" };
const POOL = { type: "host-local", subnet: "10.1.2.0/24" };

const config = (t: Trial, inside: boolean, keys: Config): Config => {
  if (inside) {
    t.sh("ip -n c1 link add eth1 type veth peer name eth1p; ip -n c1 link set eth1 up; ip -n c1 link set eth1p up");
  }
  const master = inside ? "eth1" : "up0";
  return { cniVersion: "1.0.0", name: "mynet", type: "ipvlan", master, linkInContainer: inside, ...keys };
};

const both = (id: string, expected: string, run: (t: Trial, inside: boolean) => void): Case[] =>
  [false, true].map((inside) =>
    row(`${id}-${inside ? "inside" : "host"}`, "G", `${id} of upstream's tests`, expected, (t) => run(t, inside), {
      needs,
    }),
  );

const one = rowsThatNeed(needs);

function cycle(t: Trial, conf: Config, master = String(conf.master)): void {
  const prevResult = t.add(conf, { set: SET });
  t.equal(
    prevResult.interfaces?.map((i) => i.name),
    ["ipvl0"],
    "interfaces",
  );
  t.equal(prevResult.ips?.length, 1, "addresses");
  t.equal(t.link("ipvl0")?.addresses.filter((a) => a.cidr.includes(".")).length, 1, "v4 addresses of the link");
  const ipam = conf.ipam === undefined ? null : { type: "host-local", ranges: [[{ subnet: "10.1.2.0/24" }]] };
  const full = { ...conf, master, ipam, prevResult };
  t.silent("CHECK", full, { set: SET });
  t.silent("DEL", full, { set: SET });
  t.gone("ipvl0");
}

const mode = (value: string, n: number): Case =>
  one(`IVX-01${"abc"[n]}`, "G", "mode", `${value}: link of that mode with the master's MAC, CHECK OK`, (t) => {
    const conf = config(t, false, { mode: value, ipam: POOL });
    const prevResult = t.add(conf, { set: SET });
    t.equal(t.link("ipvl0")?.data.mode, value, "mode");
    t.equal(t.link("ipvl0")?.mac, t.link("up0", "")?.mac, "MAC");
    t.silent("CHECK", { ...conf, prevResult }, { set: SET });
    t.error(t.call("CHECK", { ...conf, mode: value === "l3" ? "l2" : "l3", prevResult }, { set: SET }));
  });

const refuses = (id: string, tag: Tag, label: string, keys: Config, setup = "true"): Case =>
  one(id, tag, "C-140", `${label}: E, nothing left`, (t) => {
    const conf = config(t, false, { ipam: POOL, ...keys });
    t.sh(setup);
    t.refused("ADD", conf, "any", { set: SET });
  });

const addresses = (...list: string[]): Config => ({
  ipam: { type: "static", addresses: list.map((address) => ({ address })) },
});
const NODE = "ip address add 192.0.2.9/24 dev up0; ip link set lo up";
const POD = "ip link add cali1 up type veth peer name x netns c1; ip -n c1 link set x up";
const BRIDGE =
  "ip link add br9 up type bridge; ip link add v9 up type veth peer name x netns c1; ip link set v9 master br9; ip address add 10.61.0.1/16 dev br9";

/** The kernel gives the interface what arrives on the master for its addresses, before the node sees it. */
const taken: { what: string; setup: string; keys: Config; needs?: string[] }[] = [
  ...["l2", "l3", "l3s"].map((mode) => ({
    what: `the node's address on the master, in mode ${mode}`,
    setup: NODE,
    keys: { mode, ...addresses("198.51.100.7/24", "192.0.2.9/24") },
  })),
  {
    what: "the node's address on the loopback interface",
    setup: `${NODE}; ip address add 10.96.0.10/32 dev lo`,
    keys: addresses("10.96.0.10/32"),
  },
  {
    what: "the node's IPv6 address",
    setup: "ip -6 address add 2001:db8:9::9/64 dev up0 nodad",
    keys: addresses("2001:db8:9::9/64"),
  },
  {
    what: "the node's address, from a pool of host-local",
    setup: NODE,
    keys: {
      ipam: {
        type: "host-local",
        ranges: [[{ subnet: "192.0.2.0/24", rangeStart: "192.0.2.9", rangeEnd: "192.0.2.9" }]],
      },
    },
  },
  {
    what: "the node's address, from a prevResult",
    setup: NODE,
    keys: { prevResult: { cniVersion: "1.0.0", interfaces: [{ name: "up0" }], ips: [{ address: "192.0.2.9/24" }] } },
  },
  {
    what: "the address of a pod to which the node has a host route",
    setup: `${NODE}; ${POD}; ip route add 10.244.1.7 dev cali1`,
    keys: addresses("10.244.1.7/32"),
  },
  {
    what: "the IPv6 address of a pod to which the node has a host route",
    setup: `${NODE}; ${POD}; ip -6 route add 2001:db8:a::7 dev cali1`,
    keys: addresses("2001:db8:a::7/128"),
  },
  {
    what: "an address in the subnet of a bridge that only pods are on",
    setup: `${NODE}; ${BRIDGE}`,
    keys: addresses("10.61.0.7/16"),
  },
  {
    what: "the node's address in the VRF of the master",
    setup: `ip link add red up type vrf table 10; ip link set up0 master red; ${NODE}`,
    keys: addresses("192.0.2.9/24"),
    needs: ["kernel:vrf"],
  },
  {
    what: "the node's link-local address on the master",
    setup: `${BRIDGE}; ip -6 address add fe80::9/64 dev up0 nodad`,
    keys: addresses("fe80::9/64"),
  },
  ...["224.0.0.18/32", "255.255.255.255/32", "0.0.0.0/32"].map((address) => ({
    what: `${address}, in mode l3`,
    setup: NODE,
    keys: { mode: "l3", ...addresses(address) },
  })),
];

/** The address is nobody's, or the administrator allows it. */
const free: { what: string; setup: string; keys: Config }[] = [
  { what: "an address in the node's subnet", setup: NODE, keys: addresses("192.0.2.10/24") },
  {
    what: "an address in the node's subnet on another device",
    setup: "ip link add dev9 up type veth peer name far9; ip link set far9 up; ip address add 192.0.2.9/24 dev dev9",
    keys: addresses("192.0.2.10/24"),
  },
  {
    what: "an address in the subnet of a bridge with a card",
    setup:
      "ip link add br9 up type bridge; ip link add card9 link up1 up type macvlan; ip link set card9 master br9; ip address add 10.61.0.1/16 dev br9",
    keys: addresses("10.61.0.7/16"),
  },
  {
    what: "the node has a host route to the pod, over an ipvlan interface of its own on the same master",
    setup: `${NODE}; ip link add shim0 up link up0 type ipvlan mode l2; ip route add 192.0.2.77 dev shim0`,
    keys: addresses("192.0.2.77/24"),
  },
  {
    what: "the node has a host route over the master",
    setup: `${NODE}; ip route add 192.0.2.77 dev up0`,
    keys: addresses("192.0.2.77/24"),
  },
  {
    what: "the address of a pod with a host route, on a master that devices.allow lists",
    setup: `${NODE}; ${POD}; ip route add 10.244.1.7 dev cali1; mkdir -p /etc/cni; echo '{"devices":{"allow":["up0"]}}' >/etc/cni/podnic.json`,
    keys: addresses("10.244.1.7/32"),
  },
  {
    what: "the node routes the address to a gateway",
    setup: `${NODE}; ip route add 10.0.0.0/8 via 192.0.2.1`,
    keys: addresses("10.1.2.3/24"),
  },
];

const attacks = [
  ...taken.map(({ what, setup, keys, needs: more = [] }, n) =>
    row(
      `ATK-I1${"abcdefghijklopq"[n]}`,
      "H",
      "an ipvlan interface takes no packets from the node",
      `${what}: E(7), nothing changed`,
      (t) => {
        t.sh(setup);
        t.refused("ADD", config(t, false, keys), [7], { set: SET });
      },
      { needs: [...needs, "plugin:static", ...more] },
    ),
  ),
  row(
    "ATK-I1m",
    "H",
    "an ipvlan interface takes no packets from the node",
    "the node's address, from an IPAM plugin that is run: E(7), nothing left, delegated DEL",
    (t) => {
      t.sh(NODE);
      const stub = t.stub({ ADD: say({ cniVersion: "1.0.0", ips: [{ address: "192.0.2.9/24" }] }) });
      t.refused("ADD", config(t, false, { ipam: { type: "stub" } }), [7], {
        set: { ...SET, CNI_PATH: `${stub.bin}:${t.settings.bin}` },
      });
      t.equal(stub.commands(), "ADD DEL", "calls of the delegate");
    },
    { needs },
  ),
  row(
    "ATK-I1n",
    "H",
    "an ipvlan interface takes no packets from the node",
    "the node's address, on the pod's ipvlan interface on the node's device: E(7), nothing changed",
    (t) => {
      t.sh(`${NODE}; ip link add sub0 link up0 netns c1 type ipvlan mode l2; ip -n c1 link set sub0 up`);
      const keys = { master: "sub0", linkInContainer: true, ...addresses("192.0.2.9/24") };
      t.refused("ADD", { ...config(t, false, keys) }, [7], { set: SET });
    },
    { needs: [...needs, "plugin:static"] },
  ),
  ...free.map(({ what, setup, keys }, n) =>
    row(
      `ATK-I2${"abcdefgh"[n]}`,
      "G",
      "what the node does not receive itself, an ipvlan interface can have",
      `${what}: OK`,
      (t) => {
        t.sh(setup);
        const conf = config(t, false, keys);
        const prevResult = t.add(conf, { set: SET });
        t.silent("DEL", { ...conf, prevResult }, { set: SET });
      },
      { needs: [...needs, "plugin:static"] },
    ),
  ),
  ...[7, 8].map((n) =>
    row(
      `ATK-I2${"hi"[n - 7]}`,
      "G",
      "what the node does not receive itself, an ipvlan interface can have",
      `a link-local address that ${n === 7 ? "is a pod bridge's on its own link" : "a pod bridge's subnet contains"}: OK`,
      (t) => {
        t.sh(`${BRIDGE}; ip -6 route flush fe80::/64; ip -6 address add fe80::7/64 dev br9 nodad`);
        const conf = config(t, false, addresses(`fe80::${n}/64`));
        const { status, stdout } = t.call("ADD", conf, { set: SET });
        t.equal(status, 0, stdout);
        t.silent("DEL", conf, { set: SET });
      },
      { needs: [...needs, "plugin:static"] },
    ),
  ),
];

export const ipvlan: CaseTable = {
  perMain: [],
  fixed: [
    ...both("IV-1", "a link of mode l2, mtu 1500", (t, inside) => {
      const ipam = { type: "static", addresses: [{ address: "10.1.2.5/24" }] };
      t.add(config(t, inside, { mode: "l2", mtu: 1500, ipam }), { set: { ...SET, CNI_IFNAME: "foobar0" } });
      t.equal(t.link("foobar0")?.kind, "ipvlan", "kind");
    }),
    ...both("IV-2", "ADD, CHECK, DEL", (t, inside) => cycle(t, config(t, inside, { ipam: POOL }))),
    ...both("IV-3", "chained: addresses of prevResult, master its interface", (t, inside) => {
      const { master, ...conf } = config(t, inside, {});
      const prevResult = {
        interfaces: [{ name: master }],
        ips: [{ version: "4", address: "10.1.2.2/24", gateway: "10.1.2.1", interface: 0 }],
        routes: [],
      };
      const result = t.add({ ...conf, prevResult }, { set: SET });
      const own = result.interfaces?.filter((i) => i.name === "ipvl0");
      t.equal(own?.length, 1, "own interfaces");
      const later = { ...conf, master, ipam: null, prevResult: result };
      t.silent("CHECK", later, { set: SET });
      t.silent("DEL", later, { set: SET });
      t.gone("ipvl0");
    }),
    ...both("IV-4", "DEL of what was never added: OK", (t, inside) =>
      t.silent("DEL", config(t, inside, { ipam: POOL }), { set: SET }),
    ),
    ...both("IV-5", "without master: the default route's device", (t, inside) => {
      const { master, ...conf } = config(t, inside, { ipam: POOL });
      const ip = inside ? "ip -n c1" : "ip";
      t.sh(`${ip} address add 192.0.0.1/24 dev ${master}; ${ip} route add default via 192.0.0.254`);
      cycle(t, conf, String(master));
    }),
    ...["l2", "l3", "l3s"].map(mode),
    ...["bridge", "private", "vepa"].map((flag, n) =>
      one(`IVX-02${"abc"[n]}`, "H", "option flag", `${flag}: reaches the kernel`, (t) => {
        t.add(config(t, false, { flag, ipam: POOL }), { set: SET });
        t.equal(JSON.stringify(t.link("ipvl0")?.data).includes(flag), true, `flag ${flag}`);
      }),
    ),
    one("IVX-03", "S", "C-081", "DEL without master after the default route vanished: OK, lease freed", (t) => {
      const { master, ...conf } = config(t, false, { ipam: POOL });
      t.sh(`ip address add 192.0.0.1/24 dev ${master}; ip route add default via 192.0.0.254`);
      t.add(conf, { set: SET });
      t.sh("ip route del default");
      t.silent("DEL", conf, { set: SET });
      t.gone("ipvl0");
      t.leaseCount(0, "mynet");
    }),
    one("IVX-04", "S", "C-096", "CHECK without master right after ADD: OK", (t) => {
      const { master, ...conf } = config(t, false, { ipam: POOL });
      t.sh(`ip address add 192.0.0.1/24 dev ${master}; ip route add default via 192.0.0.254`);
      const prevResult = t.add(conf, { set: SET });
      t.silent("CHECK", { ...conf, prevResult }, { set: SET });
    }),
    one("IVX-05", "S", "C-041", "the name is taken: E, neither link nor lease left", (t) => {
      t.sh("ip -n c1 link add ipvl0 type veth peer name other");
      t.refused("ADD", config(t, false, { ipam: POOL }), "any", { set: SET });
    }),
    one("IVX-06", "H", "L2 without IPAM", "a link without address: OK", (t) => {
      t.add(config(t, false, { mode: "l2" }), { set: SET });
    }),
    one(
      "IVX-07",
      "H",
      "the mode belongs to the master",
      "a second network in another mode: E, the first keeps its mode",
      (t) => {
        t.add(config(t, false, { mode: "l2", ipam: POOL }), { set: SET });
        t.refused("ADD", config(t, false, { mode: "l3", name: "other", ipam: POOL }), "any", {
          set: { ...SET, CNI_IFNAME: "second" },
        });
        t.equal(t.link("ipvl0")?.data.mode, "l2", "mode");
      },
    ),
    refuses("IVX-08a", "G", "mode bogus", { mode: "bogus" }),
    refuses("IVX-08b", "G", "master missing", { master: "nosuch0" }),
    refuses("IVX-08c", "H", "mtu above the master's", { mtu: 9000 }),
    refuses("IVX-08d", "G", "no prevResult, no master, no default route", { master: "" }),
    refuses("IVX-08e", "G", "the master serves macvlan", {}, "ip link add mv0 link up0 type macvlan"),
    one(
      "IVX-09",
      "G",
      "routes of l3 need no gateway",
      "a default route without gateway: in the kernel, CHECK OK",
      (t) => {
        const conf = config(t, false, { mode: "l3", ipam: { ...POOL, routes: [{ dst: "0.0.0.0/0", gw: "0.0.0.0" }] } });
        const prevResult = t.add(conf, { set: SET });
        t.silent("CHECK", { ...conf, prevResult }, { set: SET });
      },
    ),
    one("IVX-10", "G", "chained with two interfaces and no master", "E, nothing left", (t) => {
      const { master: _, ...conf } = config(t, false, {});
      const prevResult = { interfaces: [{ name: "up0" }, { name: "up1" }], ips: [{ address: "10.1.2.2/24" }] };
      t.refused("ADD", { ...conf, prevResult }, "any", { set: SET });
    }),
    ...attacks,
  ],
};
