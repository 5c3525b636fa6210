// The kinds of link on a master, macvlan and ipvlan: their differences. add.ts, check.ts and own.ts contain the shared code.
import type { Call, NetworkConfig } from "../../cni/plugin.ts";
import type { IpConfig, Result } from "../../cni/result.ts";
import type { Failure } from "../../errors.ts";
import type { NewLink } from "../../link/link.ts";
import type { Made, Master } from "../../link/master.ts";
import type { NetlinkError } from "../../netlink/errors.ts";

/** The keys that both plugins have. */
export interface UpperConfig extends NetworkConfig {
  master?: string;
  mode?: string;
  mtu?: number;
  linkInContainer?: boolean;
  dad?: "wait" | "skip" | "optimistic";
  acceptRA?: boolean;
}

export interface Numbers {
  readonly [name: string]: number;
}

/** The name of a number, for messages. */
export function nameOf(names: Numbers, number: number | undefined): string {
  return Object.keys(names).find((name) => names[name] === number) ?? String(number);
}

/** What differs between the kinds. */
export interface UpperKind<C extends UpperConfig> {
  readonly kind: NewLink["kind"];
  /** Each link has its own MAC address, not its master's. */
  readonly ownMac: boolean;
  /** Names of the numbers that linux/if_link.h defines for `mode` and `modeFlags`. */
  readonly names: { readonly mode: Numbers; readonly flag: Numbers };
  /** Properties of the link to create. CHECK compares them, except `mac`, which it takes from the prevResult. */
  properties(call: Call<C>): Pick<NewLink, "mac" | "mode" | "modeFlags" | "bcqueuelen" | "macaddrs">;
  /** Name of the master; "" is the device of the default route. */
  masterName(call: Call<C>): string;
  /** Throws Failure if the pod may not use this master, a device of the host. */
  refuse(call: Call<C>, master: Master): void;
  /** Throws Failure if the node would lose packets for one of the addresses. `master`: as in `refuse`. */
  refuseAddresses?(master: Master, ips: IpConfig[]): void;
  /** Runs `create` if the master can have another link like this. Otherwise throws Failure. */
  onMaster(call: Call<C>, master: Master, create: () => Made): Made;
  /** Explains a refusal of the kernel. undefined: the shared explanation applies. */
  explainRefusal(call: Call<C>, master: Master, error: NetlinkError): Failure | undefined;
  /** The result to use instead of IPAM's if the configuration has no IPAM. */
  chained(call: Call<C>): Result | undefined;
}
