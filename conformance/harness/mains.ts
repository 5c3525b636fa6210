// "An interface plugin with a fresh device": lets one spec case run with host-device, macvlan, ipvlan and bridge alike.
import type { Sandbox } from "./sandbox.ts";

export type Config = Record<string, unknown>;

export interface Main {
  readonly name: string;
  /** Plugin keys of a configuration that names a device of its own. Each call may make a new device. */
  keys(t: Sandbox): Config;
  /** The key that names the device on the host; undefined when there is none. */
  readonly deviceKey: string | undefined;
  /** The link kind ADD leaves in the container; "" when that is not known. */
  readonly kind: string;
  /** True when the plugin makes a link of its own that can carry `mtu` and `mode`. */
  readonly creates: boolean;
  /** Interfaces of the host that its results name before the container's. */
  readonly hostInterfaces: number;
}

const hostDevice: Main = {
  name: "host-device",
  deviceKey: "device",
  kind: "veth",
  creates: false,
  hostInterfaces: 0,
  keys: (t) => ({ device: t.freshDevice() }),
};

const macvlan: Main = {
  name: "macvlan",
  deviceKey: "master",
  kind: "macvlan",
  creates: true,
  hostInterfaces: 0,
  keys: () => ({ master: "up0" }),
};

const ipvlan: Main = { ...macvlan, name: "ipvlan", kind: "ipvlan" };

const bridge: Main = {
  name: "bridge",
  deviceKey: undefined,
  kind: "veth",
  creates: true,
  // The bridge and its port.
  hostInterfaces: 2,
  // One that is there before: a bridge that ADD makes stays.
  keys: (t) => {
    t.sh("ip link show br0 >/dev/null 2>&1 || ip link add br0 address 02:00:00:00:00:b0 up type bridge");
    return { bridge: "br0" };
  },
};

const MAINS: Readonly<Record<string, Main>> = { "host-device": hostDevice, macvlan, ipvlan, bridge };

export const mainNames: readonly string[] = Object.keys(MAINS);

/** @param keys of the configuration, for a plugin that the suite does not know */
export function mainPlugin(name: string, keys: Config = {}): Main {
  return MAINS[name] ?? stranger(name, keys);
}

/** Somebody's own interface plugin. up0 is the device that the host of every case has. */
function stranger(name: string, keys: Config): Main {
  const deviceKey = Object.keys(keys).find((key) => keys[key] === "up0");
  return { name, deviceKey, kind: "", creates: true, hostInterfaces: 0, keys: () => keys };
}
