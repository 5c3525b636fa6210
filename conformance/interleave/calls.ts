// What pairs are made of: configurations, calls, operators' commands.

export interface Call {
  readonly command: "ADD" | "DEL" | "CHECK" | "GC";
  readonly config: Readonly<Record<string, unknown>>;
  readonly container?: string;
  /** Name below /run/netns. */
  readonly pod?: string;
  /** Of the Go plugins. */
  readonly peer?: true;
}
/** An operator's command, such as `gc --all`. */
export interface Operation {
  readonly podnic: readonly string[];
}

export interface Pair {
  readonly name: string;
  /** Shell code that makes the devices, once for each world. */
  readonly inside: string;
  /** Before every schedule. */
  readonly given: readonly (Call | Operation)[];
  /** Shell code of what pods do after that. */
  readonly pods?: string;
  /** Pods whose namespaces are gone when the schedule begins; they are made again after it. */
  readonly dead?: readonly string[];
  /** The plugins are in `PLUGINS`, where the Go plugins are before every schedule; the operator installs podnic there. */
  readonly installs?: true;
  /** What brings `PLUGINS` back to that, after the DELs. */
  readonly after?: readonly Operation[];
  readonly actors: readonly (Call | Operation)[];
  /** A network card, whose virtual function VF and whose physical function PF stand for in configurations. */
  readonly card?: true;
  /** Shell code, in a network namespace of its own, that fails where the kernel lacks something. */
  readonly needs?: string;
}

/** Where the pairs of an installation have the plugins. */
export const PLUGINS = "/run/case/plugins";

export const range = (end: string) => ({
  type: "host-local",
  ranges: [[{ subnet: "198.51.100.0/24", rangeStart: "198.51.100.10", rangeEnd: end }]],
});
export const common = { cniVersion: "1.1.0", name: "net1" };
export const wide = range("198.51.100.20");
export const hostLocal = (ipam = wide) => ({ ...common, type: "host-local", ipam });
export const macvlan = (ipam?: object) => ({ ...common, type: "macvlan", master: "up0", ...(ipam && { ipam }) });
export const device = { ...common, type: "host-device", device: "nic0" };
export const bridge = (more: object = {}) => ({ ...common, type: "bridge", bridge: "br0", ...more });
export const gateway = { isGateway: true, ipMasq: true, ipam: wide };
export const NIC =
  "ip link add nic0 type veth peer name nic0p; ip link set nic0p up; ip link set nic0 up alias 'rack 7' mtu 1400";

export const call = (command: Call["command"], config: object, n = 1): Call => ({
  command,
  config: config as Call["config"],
  container: `ctr-${n}`,
  pod: `c${n}`,
});
export const collect = (config: object, valid: number[] = []): Call => ({
  command: "GC",
  config: {
    ...config,
    "cni.dev/valid-attachments": [...valid, Number(BYSTANDER)].map((n) => ({
      containerID: `ctr-${n}`,
      ifname: "eth0",
    })),
  },
});

export function pair(name: string, inside: string, given: Pair["given"], actors: Pair["actors"]): Pair {
  return { name, inside, given, actors };
}

/** Its pod is there in each world, with an interface to lend. */
export const BYSTANDER = "9";
export const BYSTANDERS_DEVICE = `ip netns add c${BYSTANDER}; ip -n c${BYSTANDER} link set lo up
ip link add nic${BYSTANDER} type veth peer name nic${BYSTANDER}p; ip link set nic${BYSTANDER}p up; ip link set nic${BYSTANDER} up mtu 1400`;
const bystandersAddress = `198.51.100.3${BYSTANDER}`;
/** Its lines in a picture. */
export const isBystanders = (line: string): boolean =>
  new RegExp(`\\b(c|ctr-)${BYSTANDER}\\b|${bystandersAddress.replaceAll(".", "\\.")}\\b`).test(line);

/** Attached as those of the pair, in the same pool, with an address and a device that none of them wants. Undefined: the pair attaches nothing. */
export function bystanderOf({ given, actors }: Pick<Pair, "given" | "actors">): Call | undefined {
  const all = [...given, ...actors].filter((one) => "config" in one);
  const like = all.find(({ config }) => config.ipam !== undefined) ?? all[0];
  if (like === undefined) return undefined;
  const { pciBusID: _, ipam, ...own }: Call["config"] = like.config.type === "sriov" ? device : like.config;
  const pool = { subnet: "198.51.100.0/24", rangeStart: bystandersAddress, rangeEnd: bystandersAddress };
  const config = {
    ...own,
    ...(own.type === "host-device" && { device: `nic${BYSTANDER}` }),
    ...(own.type === "ipvlan" && { master: "up1" }),
    ...(ipam === undefined ? {} : { ipam: { type: "host-local", ranges: [[pool]] } }),
  };
  return call("ADD", config, Number(BYSTANDER));
}

export const THIRD = "ip netns add c3; ip -n c3 link set lo up";
/** Version 1.1.1 knows nothing later than 1.0.0. */
export const byGo = (made: Call): Call => ({ ...made, config: { ...made.config, cniVersion: "1.0.0" }, peer: true });

export const ipvlan = (mode: string) => ({ ...common, type: "ipvlan", master: "up0", mode });
export const HAS_IPVLAN = "ip link add up0 type veth peer name up1; ip link add link up0 name upper type ipvlan";

export const VF = "the card's function";
export const PF = "the whole card";
export const sriov = { ...common, type: "sriov", deviceID: VF, vlan: 7, mac: "02:00:00:00:00:07" };
/** The same function for host-device. */
export const functionOf = { ...common, type: "host-device", pciBusID: VF };
export const wholeCard = { ...common, type: "host-device", pciBusID: PF };
