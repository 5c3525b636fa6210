// Bad input, as people really write it. Each is refused by us before anything is touched.
import type { Sandbox } from "../harness/sandbox.ts";

export interface Refusal {
  /** The mistake, in words. */
  readonly mistake: string;
  /** The input as a reader should see it. */
  readonly shown: string;
  readonly command?: string;
  readonly plugin: "host-device" | "macvlan" | "static" | "host-local";
  /** stdin; a text is taken as it is. */
  readonly config: object | string;
  readonly env?: Record<string, string | undefined>;
  /** Run before, on the private host. */
  readonly before?: (t: Sandbox) => unknown;
}

const device = { cniVersion: "1.0.0", name: "net1", type: "host-device", device: "dev0" };
const macvlan = { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "up0" };
const fixed = (ipam: object) => ({
  ...device,
  ipam: { type: "static", addresses: [{ address: "192.0.2.5/24" }], ...ipam },
});
const pool = (ipam: object) => ({ ...device, ipam: { type: "host-local", subnet: "192.0.2.0/24", ...ipam } });

const environment = (mistake: string, env: Record<string, string | undefined>, command = "ADD"): Refusal => ({
  mistake,
  shown:
    Object.entries(env)
      .map(([name, value]) => `${name}=${value === undefined ? " (unset)" : value}`)
      .join(" ") || command,
  command,
  plugin: "host-device",
  config: device,
  env,
});

const config = (mistake: string, shown: string, value: { type: string; [key: string]: unknown } | string): Refusal => ({
  mistake,
  shown,
  plugin: typeof value === "string" ? "host-device" : (value.type as Refusal["plugin"]),
  config: value,
});

export const refusals: readonly Refusal[] = [
  environment("the command in lower case", {}, "add"),
  environment("missing variables", { CNI_CONTAINERID: undefined, CNI_NETNS: undefined }),
  environment("a container ID that is a path", { CNI_CONTAINERID: "../../etc/x" }),
  environment("an interface name of 16 bytes", { CNI_IFNAME: "interface-number" }),
  environment("an interface name that the kernel would change", { CNI_IFNAME: "eth%d" }),
  environment("the namespace no longer exists", { CNI_NETNS: "/run/netns/gone" }),
  {
    ...environment("the namespace is a regular file", { CNI_NETNS: "/run/netns/file" }),
    before: (t) => t.write("/run/netns/file", ""),
  },
  environment("the namespace is the node's own", { CNI_NETNS: "/proc/self/ns/net" }),
  {
    ...environment("CNI_ARGS with an unknown key", { CNI_ARGS: "MAC=02:00:00:00:00:11;POD=a" }),
    plugin: "macvlan",
    config: macvlan,
  },
  config("a truncated configuration", '`{"cniVersion":"1.0.0","name":"net1"`', '{"cniVersion":"1.0.0","name":"net1"'),
  config("no name", '"name" missing', { ...device, name: undefined }),
  config("a name that is a path", '"name": "../net1"', { ...device, name: "../net1" }),
  config("an unknown version", '"cniVersion": "9.9.9"', { ...device, cniVersion: "9.9.9" }),
  config("a number in quotes", '"mtu": "1400"', { ...macvlan, mtu: "1400" }),
  config("a typo", '"mode": "brige"', { ...macvlan, mode: "brige" }),
  config("no device", '"device" missing', { ...device, device: undefined }),
  config("a device that does not exist", '"device": "eth7"', { ...device, device: "eth7" }),
  config("a PCI address that is a path", '"pciBusID": "../../../tmp"', {
    ...device,
    device: undefined,
    pciBusID: "../../../tmp",
  }),
  config("a master that does not exist", '"master": "eth7"', { ...macvlan, master: "eth7" }),
  {
    ...config("a master that is down", '"master": "up0"', macvlan),
    before: (t) => t.sh("ip link set up0 down"),
  },
  config("an MTU above the master's", '"mtu": 9000', { ...macvlan, mtu: 9000 }),
  {
    ...config("the pod already has an interface with this name", "CNI_IFNAME=eth0", macvlan),
    before: (t) => t.sh("ip -n c1 link add eth0 type veth peer name other"),
  },
  {
    ...config("a master in use by another pod's passthru interface", '"master": "up0"', macvlan),
    before: (t) => t.sh("ip netns add c2; ip link add link up0 name eth0 netns c2 type macvlan mode passthru"),
  },
  {
    ...config("a master that is a port of a bridge", '"master": "up0"', macvlan),
    before: (t) => t.sh("ip link add br0 type bridge; ip link set up0 master br0"),
  },
  config("no address from IPAM", '"addresses": []', { ...macvlan, ipam: { type: "static", addresses: [] } }),
  config("an IPAM plugin that does not exist", '"ipam.type": "host-locl"', { ...device, ipam: { type: "host-locl" } }),
  config("an IPAM plugin that is a path", '"ipam.type": "../../tmp/x"', { ...device, ipam: { type: "../../tmp/x" } }),
  config(
    "an address without a prefix length",
    '"address": "192.0.2.5"',
    fixed({ addresses: [{ address: "192.0.2.5" }] }),
  ),
  config(
    "a route's gateway that is not an address",
    '"gw": "router"',
    fixed({ routes: [{ dst: "203.0.113.0/24", gw: "router" }] }),
  ),
  config("a subnet with host bits", '"subnet": "192.0.2.7/24"', pool({ subnet: "192.0.2.7/24" })),
  config("a range outside its subnet", '"rangeStart": "192.0.3.10"', pool({ rangeStart: "192.0.3.10" })),
  config("state in a directory that is not allowed", '"dataDir": "/etc/cron.d"', pool({ dataDir: "/etc/cron.d" })),
  config("a result that the version cannot represent", '"cniVersion": "0.2.0" without IPAM', {
    ...device,
    cniVersion: "0.2.0",
  }),
];
