// "An interface plugin with a fresh device": lets one spec case run with host-device, macvlan and ipvlan alike.
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
}

const hostDevice: Main = {
  name: "host-device",
  deviceKey: "device",
  kind: "veth",
  creates: false,
  keys: (t) => ({ device: t.freshDevice() }),
};

const macvlan: Main = {
  name: "macvlan",
  deviceKey: "master",
  kind: "macvlan",
  creates: true,
  keys: () => ({ master: "up0" }),
};

const ipvlan: Main = { ...macvlan, name: "ipvlan", kind: "ipvlan" };

const MAINS: Readonly<Record<string, Main>> = { "host-device": hostDevice, macvlan, ipvlan };

export const mainNames: readonly string[] = Object.keys(MAINS);

/** @param keys of the configuration, for a plugin that the suite does not know */
export function mainPlugin(name: string, keys: Config = {}): Main {
  return MAINS[name] ?? stranger(name, keys);
}

/** Somebody's own interface plugin. up0 is the device that the host of every case has. */
function stranger(name: string, keys: Config): Main {
  const deviceKey = Object.keys(keys).find((key) => keys[key] === "up0");
  return { name, deviceKey, kind: "", creates: true, keys: () => keys };
}
