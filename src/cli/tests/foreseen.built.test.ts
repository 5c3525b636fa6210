// If ADD refuses a configuration independently of the node and the call, `podnic validate` reports the same error.
import { readdirSync, readFileSync } from "node:fs";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { call, enterNode, sh } from "./node.ts";
import { run } from "./run.ts";
import { emptyNode } from "./state.ts";

beforeAll(enterNode);
beforeEach(() => {
  emptyNode();
  sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
});

type Config = { type: string; [key: string]: unknown };

const bridge = (more: object): Config => ({ type: "bridge", bridge: "br9", ...more });
const macvlan = (more: object): Config => ({ type: "macvlan", master: "up0", ...more });
const sriov = (more: object): Config => ({ type: "sriov", deviceID: "0000:01:00.1", ...more });
const pool = (range: object, more = {}) => ({
  ipam: { type: "host-local", ranges: [[{ subnet: "10.9.0.0/24", ...range }]], ...more },
});
const fixed = (address: object, more = {}) => ({ ipam: { type: "static", addresses: [address], ...more } });
const gateway = (ipam: object) => bridge({ isGateway: true, ...ipam });

/**
 * Other sources of a refusal: the node or its policy; the call, including its prevResult and what the runtime or a delegated IPAM plugin
 * returns; or an operator's command.
 */
type Elsewhere = "node" | "call" | "command";

/** Each place that creates a Failure("invalid config"), by file and message. If only the configuration causes it, there are examples. */
const SITES: { [file: string]: { [message: string]: Elsewhere | Config[] } } = {
  "plugins/bridge/addresses.ts": {
    "isGateway: the bridge cannot be the gateway": [
      gateway(pool({ gateway: "10.8.0.1" })),
      gateway(pool({ gateway: "10.9.0.255" })),
      gateway(fixed({ address: "10.9.0.2/24", gateway: "10.9.0.2" })),
      gateway(fixed({ address: "10.9.0.1/24" })),
      gateway(fixed({ address: "2001:db8::2/128" })),
      bridge({ isDefaultGateway: true, ...pool({ gateway: "10.8.0.1" }) }),
    ],
    "the host itself has": "node",
  },
  "plugins/bridge/config.ts": {
    "invalid bridge name": [bridge({ bridge: "br:1" }), bridge({ bridge: "all" })],
    "invalid MTU": [bridge({ mtu: 67 })],
    message: [
      bridge({ hairpinMode: true, promiscMode: true }),
      bridge({ disableContainerInterface: true, ...pool({}) }),
      bridge({ silent: true, ...pool({}) }),
    ],
  },
  "plugins/bridge/find.ts": {
    "already exists but is not a bridge": "node",
    "does not filter VLANs": "node",
    "invalid MTU": "node",
  },
  // This is only a warning (see below), because the bridge may already have the reserved address, or the policy may list it.
  "plugins/bridge/gateway-limits.ts": {
    forceAddress: "node",
    "what,": "node",
    "what, `$": "node",
    "isGateway: $": "node",
  },
  "plugins/bridge/gateway.ts": { "will have an IP address": "node", "already has an IP address": "node" },
  "plugins/bridge/mac.ts": { "is already in use on bridge": "node" },
  "plugins/bridge/masquerade.ts": { "the node itself has the address": "node" },
  "plugins/bridge/reserved.ts": { "a device that a pod has": "node", "another program creates": "node" },
  "plugins/bridge/spoof.ts": { "this kernel cannot lock": "node" },
  "plugins/bridge/vlan-gateway.ts": { elsewhere: "node" },
  "plugins/bridge/vlans.ts": { "invalid vlanTrunk": [bridge({ vlanTrunk: [{ minID: 9, maxID: 5 }] })] },
  "plugins/host-device/plugin.ts": {
    "specify either": [{ type: "host-device" }],
    "kernel device path": [{ type: "host-device", kernelpath: "/etc/x" }],
    useInterfaceNetwork: "node",
  },
  "plugins/host-local/ranges.ts": {
    message: [
      macvlan(pool({ subnet: "10.9.0.1/24" })),
      macvlan(pool({ rangeStart: "10.8.0.1" })),
      macvlan({ ...pool({}), ipam: { type: "host-local" } }),
    ],
  },
  "plugins/host-local/request.ts": {
    message: [
      macvlan(pool({}, { exclude: ["x"] })),
      macvlan(pool({}, { dataDir: "/var/lib/cni/networks/10.0.0.1" })),
      macvlan({ ...pool({}), args: { cni: { ips: ["x"] } } }),
    ],
  },
  "plugins/host-local/resolv-conf.ts": { "open $": "node" },
  "plugins/ipvlan/addresses.ts": { "an ipvlan interface cannot have": "node" },
  "plugins/ipvlan/plugin.ts": { "chained master failure": "call" },
  "plugins/macvlan/plugin.ts": {
    "other keys conflict": [
      macvlan({ mode: "passthru", mac: "02:00:00:00:00:01" }),
      macvlan({ mode: "source" }),
      macvlan({ macaddr: ["02:00:00:00:00:01"] }),
    ],
  },
  "plugins/sriov/config.ts": { message: [sriov({ vlanProto: "802.1x" }), sriov({ min_tx_rate: 9, max_tx_rate: 5 })] },
  "plugins/sriov/device-info.ts": { CNIDeviceInfoFile: "call" },
  "plugins/sriov/plugin.ts": { "is above the maximum": "node" },
  "plugins/static/plugin.ts": {
    message: [
      macvlan(fixed({ address: "10.9.0.2" })),
      {
        ...macvlan({}),
        cniVersion: "0.2.0",
        ipam: { type: "static", addresses: [1, 2].map((n) => ({ address: `10.9.0.${n}/24` })) },
      },
    ],
  },
  "src/cli/runtime/networks.ts": { text: "command", "no network": "command", networks: "command" },
  "src/cli/runtime/run.ts": { disableCheck: "command" },
  "src/cni/attachments.ts": { what: "call" },
  "src/cni/call.ts": { "Required prevResult": "call", "could not parse prevResult": "call" },
  "src/cni/dispatch.ts": {
    "podnic was started as": "call",
    what: "call",
    "as the IPAM plugin of another": "call",
    "failed to load netconf": "call",
  },
  "src/cni/find-delegate.ts": { "invalid plugin name": [macvlan({ ipam: { type: "../../tmp/x" } })] },
  "src/cni/ipam.ts": {
    "is not an IPAM plugin": [
      macvlan({ ipam: { type: "macvlan" } }),
      macvlan({ ipam: { type: "vlan" } }),
      macvlan({ ipam: { type: "podnic" } }),
    ],
    "IPAM plugin $": [
      macvlan(fixed({ address: "10.9.0.2/24", gateway: "fd00::1" })),
      macvlan(fixed({ address: "10.9.0.2/24" }, { routes: [{ dst: "10.0.0.0/8", gw: "fd00::1" }] })),
      macvlan(pool({}, { routes: [{ dst: "2001:db8::/32", gw: "10.9.0.1" }] })),
    ],
  },
  "src/cni/names.ts": {
    "too long": [macvlan({ name: "n".repeat(33_000) })],
    "invalid characters": [macvlan({ name: "a/b" })],
  },
  "src/cni/request.ts": { "missing network name": [macvlan({ name: undefined })] },
  "src/cni/result-json.ts": {
    "no valid IP addresses": [macvlan({ cniVersion: "0.2.0" })],
    // static and host-local report this earlier. Otherwise it comes from a delegated IPAM plugin, or from the node's device.
    "does not support more than 1": "call",
  },
  "src/config/place.ts": { "is refused": "node" },
  "src/config/policy.ts": { $key: [macvlan(pool({}, { dataDir: "/etc/x" })), macvlan({ logFile: "/etc/x.log" })] },
  "src/config/validate.ts": { $prefix: [macvlan({ mtu: "x" }), macvlan({ mode: "brigde" })] },
  "src/link/configure.ts": {
    "the minimum for IPv6": [
      bridge({ mtu: 1279, ...pool({ subnet: "fd00::/64" }) }),
      macvlan({ mtu: 1000, ...fixed({ address: "fd00::2/64" }) }),
    ],
  },
  "src/link/master.ts": { "is a loopback device": "node", "invalid MTU": "node" },
  // This concerns a prevResult. For an IPAM plugin's result, ipam.ts reports it earlier.
  "src/link/route-plan.ts": { "is not an IPv6 address": "call" },
  "src/plugin/card-address.ts": { "belongs to": "node" },
  "src/plugin/interface.ts": { Required: "call", "Sandbox in prevResult": "call", "prevResult has no address": "call" },
  "src/plugin/mac.ts": { "invalid MAC address": [macvlan({ mac: "01:00:00:00:00:01" }), bridge({ mac: "x" })] },
  "src/plugin/node-device.ts": { "does not allow": "node", device: "node" },
  "src/plugin/routes.ts": { message: [macvlan(fixed({ address: "10.9.0.2/24" }, { routes: [{ dst: "x" }] }))] },
  "src/state/walk.ts": { "path refused": "node" },
};

const sources = ["src", "plugins"].flatMap((root) =>
  readdirSync(root, { recursive: true, encoding: "utf8" })
    .map((name) => `${root}/${name}`)
    .filter((name) => name.endsWith(".ts") && !/test\.ts$|\/test(s|ing)\//.test(name)),
);

const SITE = /new Failure\(\s*"invalid config",\s*/g;

/** The text after each `new Failure("invalid config", ` in a file. */
const messagesIn = (file: string): string[] =>
  readFileSync(file, "utf8")
    .split(SITE)
    .slice(1)
    .map((message) => message.replace(/[{}]/g, "").slice(0, 120));

describe("every refusal of a configuration", () => {
  it("is known to come from the configuration alone, or from elsewhere", () => {
    const made = Object.fromEntries(
      sources.map((file) => [file, messagesIn(file).length] as const).filter(([, count]) => count > 0),
    );
    expect(made).toEqual(
      Object.fromEntries(Object.entries(SITES).map(([file, all]) => [file, Object.keys(all).length])),
    );
    for (const [file, all] of Object.entries(SITES)) {
      const messages = messagesIn(file);
      for (const words of Object.keys(all)) {
        const found = messages.findIndex((message) => message.includes(words));
        expect(found, `${file}: ${words}`).not.toBe(-1);
        messages.splice(found, 1);
      }
    }
  });
});

/** The findings of `podnic validate`, in the form "level: message". */
function findingsOf(config: object): { level: string; message: string }[] {
  const text = JSON.stringify({ cniVersion: "1.0.0", name: "net", ...config });
  return JSON.parse(run(["validate", "--json", "-"], text).stdout).files[0].findings;
}

function refusalOf(config: Config): { code: number; msg: string } {
  try {
    return { code: 0, msg: call("ADD", config) };
  } catch (error) {
    return JSON.parse(/\{.*?\n\}/s.exec((error as Error).message)![0]);
  }
}

const examples = Object.values(SITES).flatMap((all) =>
  Object.values(all).flatMap((site) => (typeof site === "string" ? [] : site)),
);

it.each(examples.map((config) => [JSON.stringify(config), config] as const))("%s", (_, config) => {
  const { code, msg } = refusalOf(config);
  expect(code, msg).toBe(7);
  const errors = findingsOf(config).filter(({ level }) => level === "error");
  expect(errors.map(({ message }) => message).filter((message) => msg.includes(message))).not.toEqual([]);
});

it.each([
  ["a gateway in a reserved subnet", gateway(pool({ subnet: "240.1.0.0/24" })), "warning"],
  ["a gateway of everything", gateway(pool({ subnet: "0.0.0.0/1" })), "warning"],
  ["no address, which CNI_ARGS may bring", macvlan({ ipam: { type: "static" } }), "warning"],
])("%s: what the node or the runtime may lift is a %s", (_, config, level) => {
  const { code, msg } = refusalOf(config);
  expect(code, msg).toBe(7);
  expect(findingsOf(config)).toMatchObject([{ level, message: msg }]);
});

it.each([
  ["addresses that the runtime brings", macvlan({ ipam: { type: "static" }, capabilities: { ips: true } })],
  ["the gateway as the first address of its range", gateway(pool({ rangeStart: "10.9.0.1", gateway: "10.9.0.1" }))],
  ["no gateway, and one outside, without isGateway", bridge(pool({ gateway: "10.8.0.1" }))],
  ["a small MTU without IPv6", macvlan({ mtu: 1000, ...pool({}) })],
])("%s: nothing", (_, config) => expect(findingsOf(config)).toEqual([]));
