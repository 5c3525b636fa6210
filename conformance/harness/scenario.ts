// Random network configurations and kernel states for the differential run. The same seed gives the same scenarios.
import type { Random } from "../../src/testing/random.ts";
import type { Config } from "./mains.ts";

export interface Scenario {
  readonly n: number;
  readonly plugin: string;
  readonly conf: Config;
  readonly ifname: string;
  readonly args: string | undefined;
  /** Shell code that prepares host and container. */
  readonly setup: string;
}

const V4 = ["198.51.100.7/24", "10.1.2.3/16", "192.0.2.200/25", "203.0.113.9/32", "10.0.0.1/8"];
const V6 = ["2001:db8:7::7/64", "fd00:1::9/48"];
const BAD = ["nope", "10.0.0.1", "", "10.0.0.300/24", "10.0.0.1/33"];

const sometimes = (r: Random, p: number, keys: () => Config): Config => (r.chance(p) ? keys() : {});

function address(r: Random): Config {
  const v6 = r.chance(0.25);
  const text = r.chance(0.05) ? r.pick(BAD) : r.pick(v6 ? V6 : V4);
  const gateway = v6
    ? r.pick(["2001:db8:7::1", "fd00:1::1"])
    : r.pick(["198.51.100.1", "10.1.0.1", "192.0.2.129", "0.0.0.0"]);
  return {
    address: text,
    ...sometimes(r, 0.6, () => ({ gateway })),
    ...sometimes(r, 0.1, () => ({ version: v6 ? "6" : "4" })),
  };
}

function route(r: Random): Config {
  const v6 = r.chance(0.2);
  const dst = v6
    ? r.pick(["::/0", "2001:db8:99::/64"])
    : r.pick(["0.0.0.0/0", "203.0.113.0/24", "172.16.0.0/12", "10.9.9.9/32"]);
  const gw = v6 ? r.pick(["2001:db8:7::2", "fd00:1::2"]) : r.pick(["198.51.100.254", "10.1.0.2", "0.0.0.0"]);
  return {
    dst: r.chance(0.03) ? r.pick(BAD) : dst,
    ...sometimes(r, 0.5, () => ({ gw })),
    ...sometimes(r, 0.12, () => ({ priority: r.pick([0, 5, 4096]) })),
    ...sometimes(r, 0.08, () => ({ table: r.pick([100, 254, 5000]) })),
    ...sometimes(r, 0.06, () => ({ mtu: 1300, advmss: 1200 })),
    ...sometimes(r, 0.06, () => ({ scope: r.pick([0, 253]) })),
  };
}

const some = <T>(r: Random, most: number, make: (r: Random) => T): T[] =>
  Array.from({ length: r.below(most + 1) }, () => make(r));

function range(r: Random, n: number): Config {
  const v6 = r.chance(0.25);
  const p = v6 ? `2001:db8:${n + 1}::` : `10.${n + 1}.${r.below(4)}.`;
  const subnet = v6 ? `${p}/64` : `${p}0/${r.pick([24, 28, 29, 30])}`;
  return {
    subnet: r.chance(0.04) ? r.pick(["10.0.0.5/24", "10.0.0.0/31", "x"]) : subnet,
    ...sometimes(r, 0.25, () => ({ rangeStart: `${p}2` })),
    ...sometimes(r, 0.25, () => ({ rangeEnd: `${p}${r.pick([2, 4, 6])}` })),
    ...sometimes(r, 0.3, () => ({ gateway: `${p}${r.pick([1, 3])}` })),
  };
}

function hostLocal(r: Random): Config {
  const sets = 1 + r.below(2);
  return {
    type: "host-local",
    ranges: Array.from({ length: sets }, (_, n) =>
      Array.from({ length: 1 + r.below(2) }, (_, m) => range(r, n * 2 + m)),
    ),
    routes: some(r, 2, route),
    ...sometimes(r, 0.1, () => ({ resolvConf: r.pick(["/run/resolv.conf", "/run/nosuch"]) })),
  };
}

function ipam(r: Random, required: boolean): Config | undefined {
  const kind = r.below(required ? 2 : 3);
  if (kind === 2) return undefined;
  if (kind === 1) return hostLocal(r);
  const dns = sometimes(r, 0.2, () => ({ dns: { nameservers: ["192.0.2.53"], search: ["example.net"] } }));
  return { type: "static", addresses: some(r, 3, address), routes: some(r, 3, route), ...dns };
}

/** Of a bridge that is there, is made, or is none (dev0). The lock of a port is podnic's alone: spoof checks are those of nftables. */
function bridgeKeys(r: Random): Config {
  return {
    ...sometimes(r, 0.9, () => ({ bridge: r.chance(0.05) ? r.pick(["dev0", "a-name-too-long-x", "a b"]) : "br0" })),
    ...sometimes(r, 0.4, () => ({ isGateway: true })),
    ...sometimes(r, 0.25, () => ({ isDefaultGateway: true })),
    ...sometimes(r, 0.15, () => ({ forceAddress: true })),
    ...sometimes(r, 0.25, () => ({ ipMasq: true, ipMasqBackend: r.chance(0.05) ? "pf" : "nftables" })),
    ...sometimes(r, 0.2, () => ({ macspoofchk: true, macspoofchkBackend: "nftables" })),
    ...sometimes(r, 0.2, () => ({ hairpinMode: true })),
    ...sometimes(r, 0.05, () => ({ promiscMode: true })),
    ...sometimes(r, 0.15, () => ({ portIsolation: true })),
    ...sometimes(r, 0.05, () => ({ disableContainerInterface: true })),
    ...sometimes(r, 0.1, () => ({ enabledad: true })),
    ...sometimes(r, 0.3, () => ({ mtu: r.chance(0.1) ? r.pick([67, "1400"]) : r.pick([0, 1400, 1500, 1501]) })),
    ...sometimes(r, 0.1, () => ({
      vlan: r.pick([0, 0, 0, 5, 4095, -1]),
      ...sometimes(r, 0.2, () => ({ vlanTrunk: [{ id: 7 }] })),
    })),
    ...sometimes(r, 0.1, () => ({ preserveDefaultVlan: r.chance(0.5) })),
  };
}

/** A bridge of somebody's, with an address of its own at times. */
function bridgeSetup(r: Random): string {
  const state = r.below(10);
  if (state < 4) return "";
  const lines = [`ip link add br0 address 02:00:00:00:00:b0 ${state === 9 ? "" : "up"} type bridge`];
  if (r.chance(0.3)) lines.push(`ip address add ${r.pick(["10.1.0.1/24", "192.0.2.129/25", "10.9.9.9/24"])} dev br0`);
  if (r.chance(0.3)) lines.push("ip link set dev0 master br0");
  if (r.chance(0.1)) lines.push("ip link set br0 mtu 1400");
  return lines.join("\n");
}

function mainKeys(r: Random, plugin: string): Config {
  if (plugin === "bridge") return bridgeKeys(r);
  if (plugin === "host-device") {
    const by = r.below(10);
    if (by === 0) return { hwaddr: "02:00:00:00:00:d0" };
    if (by === 1) return { device: "the-alternative-name" };
    if (by === 2) return { device: r.pick(["nosuch0", "", "dev0x"]) };
    return { device: "dev0" };
  }
  const modes = plugin === "macvlan" ? ["bridge", "private", "vepa", "passthru", "x"] : ["l2", "l3", "l3s", "x"];
  return {
    ...sometimes(r, 0.9, () => ({ master: r.chance(0.05) ? "nosuch0" : "up0" })),
    ...sometimes(r, 0.5, () => ({ mode: r.pick(modes) })),
    ...sometimes(r, 0.3, () => ({ mtu: r.pick([0, 1400, 1500, 1501, -1, "1400"]) })),
    ...(plugin === "macvlan"
      ? sometimes(r, 0.3, () => ({ mac: r.pick(["02:00:00:00:00:aa", "02-00-00-00-00-bb", "zz"]) }))
      : {}),
  };
}

function setup(r: Random): string {
  const lines = [
    "ip link set up0 address 02:00:00:00:00:e0",
    "ip link add dev0 address 02:00:00:00:00:d0 type veth peer name dev0p; ip link set dev0 up; ip link set dev0p up",
    "ip link property add dev dev0 altname the-alternative-name",
    "echo 'nameserver 192.0.2.99' >/run/resolv.conf",
  ];
  if (r.chance(0.3)) lines.push("ip address add 192.0.2.1/24 dev up0; ip route add default via 192.0.2.254");
  if (r.chance(0.1)) lines.push("ip -n c1 link add eth0 address 02:00:00:00:00:f0 type veth peer name other");
  if (r.chance(0.15)) {
    lines.push(
      "ip -n c1 link add o address 02:00:00:00:00:f1 type veth peer name op; ip -n c1 link set o up; ip -n c1 link set op up",
    );
    lines.push("ip -n c1 address add 192.0.2.9/24 dev o; ip -n c1 route add default via 192.0.2.1 dev o");
  }
  if (r.chance(0.1)) lines.push("ip link set dev0 mtu 1400 alias mine");
  if (r.chance(0.1)) lines.push("ip link set dev0 down");
  if (r.chance(0.2)) {
    const lease = `10.1.${r.below(4)}.2`;
    lines.push(
      `mkdir -p /var/lib/cni/networks/net1; cd /var/lib/cni/networks/net1; printf 'other\\r\\neth0' >${lease}`,
    );
    lines.push(`printf ${lease} >last_reserved_ip.0`);
  }
  return lines.join("\n");
}

/** One scenario. `versions` are those both sides speak, `plugins` those both have and the kernel can serve. */
export function scenario(r: Random, n: number, plugins: readonly string[], versions: readonly string[]): Scenario {
  const plugin = r.pick(plugins);
  const direct = plugin === "static" || plugin === "host-local";
  let part = ipam(r, direct);
  while (direct && part?.type !== plugin) part = ipam(r, true);
  const ips = r.chance(0.1) ? { args: { cni: { ips: [r.pick(["10.1.0.5", "10.1.1.6/24", "10.1.2.3/24"])] } } } : {};
  const conf: Config = {
    cniVersion: r.pick(versions),
    name: "net1",
    type: plugin,
    ...(direct ? {} : mainKeys(r, plugin)),
    ...(part && { ipam: part }),
    ...sometimes(r, 0.2, () => ({ dns: { nameservers: ["192.0.2.77"], domain: "example.org" } })),
    ...ips,
    ...sometimes(r, 0.1, () => ({ capabilities: { ips: true, mac: true }, runtimeConfig: { ips: ["10.2.0.6/24"] } })),
  };
  const args = r.chance(0.15)
    ? r.pick(["IgnoreUnknown=1;IP=10.1.0.4", "IgnoreUnknown=true;K8S_POD_NAME=x", "A=B", "IP=10.1.0.9/24"])
    : undefined;
  const ifname = r.pick(["eth0", "eth0", "net1", "a.b-c_d"]);
  const prepared = [setup(r), plugin === "bridge" ? bridgeSetup(r) : ""].filter(Boolean).join("\n");
  return { n, plugin, conf, ifname, args, setup: prepared };
}
