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

/** What one kind does its own way. */
export interface UpperKind<C extends UpperConfig> {
  readonly kind: NewLink["kind"];
  /** Each link has a MAC address of its own, and not its master's. */
  readonly ownMac: boolean;
  /** Names of linux/if_link.h for the numbers of `mode` and `modeFlags`. */
  readonly names: { readonly mode: Numbers; readonly flag: Numbers };
  /** Properties of the link to create; CHECK compares them, but for `mac`, which the prevResult knows. */
  properties(call: Call<C>): Pick<NewLink, "mac" | "mode" | "modeFlags" | "bcqueuelen" | "macaddrs">;
  /** Name of the master; "" is the device of the default route. */
  masterName(call: Call<C>): string;
  /** Throws Failure when the node keeps this master, one of the host, to itself. */
  refuse(call: Call<C>, master: Master): void;
  /** Throws Failure when packets for one of the addresses would be taken from the node. `master`: as in `refuse`. */
  refuseAddresses?(master: Master, ips: IpConfig[]): void;
  /** Runs `create` when the master can take one more link like this, else throws Failure. */
  onMaster(call: Call<C>, master: Master, create: () => Made): Made;
  /** Words a refusal of the kernel; undefined leaves it to the shared words. */
  explainRefusal(call: Call<C>, master: Master, error: NetlinkError): Failure | undefined;
  /** The result that stands in for IPAM's, when the configuration has none. */
  chained(call: Call<C>): Result | undefined;
}
