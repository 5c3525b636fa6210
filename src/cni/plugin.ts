// The interface of a plugin. cni/dispatch.ts fills a Call and runs one of these functions.
import type { NetworkConfig as NetworkKeys } from "../config/defs.schema.ts";
import type { Place } from "../config/policy.ts";
import type { Try } from "../config/rules.ts";
import type { Fd } from "../host/host.ts";
import type { Address } from "../ip/address.ts";
import type { NewLink } from "../link/link.ts";
import type { Transaction } from "../transaction.ts";
import type { CniArgs } from "./args.ts";
import type { Result } from "./result.ts";

export type Command = "ADD" | "DEL" | "CHECK" | "GC" | "STATUS" | "VERSION";

/** A network configuration, after key folding and validation: the keys that each may have. Plugins extend it. */
export interface NetworkConfig extends NetworkKeys {
  name: string;
  type: string;
  args?: { cni?: Record<string, unknown> };
}

export type IpamConfig = NonNullable<NetworkConfig["ipam"]>;

/** One attachment: the key of all state. */
export interface Attachment {
  network: string;
  containerId: string;
  ifName: string;
}

/** Of an address, in the pool of an IPAM plugin. `ifName` is "" in one of host-local before 0.8. */
export interface Lease extends Pick<Attachment, "containerId" | "ifName"> {
  ip: string;
}

/** One invocation. For GC and STATUS `attachment.containerId` and `.ifName` and `netns` are empty. */
export interface Call<C extends NetworkConfig = NetworkConfig> {
  command: Command;
  attachment: Attachment;
  /** CNI_NETNS as given; may be empty on DEL. */
  netns: string;
  args: CniArgs;
  /** Directories of CNI_PATH, absolute ones only. */
  path: string[];
  /**
   * The configuration. On ADD, CHECK and STATUS it is valid. On DEL and GC what was invalid has been removed (and logged):
   * these commands need no more than the network's name.
   */
  config: C;
  /** stdin as it came: delegates get these bytes. */
  stdin: Uint8Array;
  /** stdin decoded, keys as they came: an IPAM plugin in this process takes its own configuration from it. */
  raw: object;
  /** Version of the config; "0.1.0" when it says none. */
  version: string;
  /** On DEL undefined when it could not be read. */
  prevResult: Result | undefined;
  /** For GC: attachments that are still valid. Never undefined there (an absent list was refused before). */
  validAttachments: { containerId: string; ifName: string }[];
  /** Steps with their undo. dispatch rolls it back when ADD throws or its result cannot be written. */
  transaction: Transaction;
  /** What DEL and GC left out of the configuration because it was invalid, in words. */
  ignored: string[];
  /** An IPAM plugin's: part of the call of an interface plugin, which has more to do then. */
  isPart?: boolean;
  /** What cni/ipam.ts has prepared for this call; only for cni/ipam.ts. */
  ipam?: IpamCall;
}

/** Where addresses come from, found and checked before anything is touched. */
export type IpamCall = { plugin: Plugin; call: Call } | { delegate: Delegate };

/** A plugin that is executed. */
export interface Delegate {
  name: string;
  /** Where it was found. */
  path: string;
  /** Open with O_PATH: what was checked is what runs. */
  file: Fd;
}

/** A plugin. Every function but `add` returns nothing and throws Failure (or SystemError, NetlinkError) to fail. */
export interface Plugin<C extends NetworkConfig = NetworkConfig> {
  readonly name: string;
  /** Other names that it is called by. */
  readonly names?: readonly string[];
  /** "interface" plugins own CNI_IFNAME and must not run in their own netns; "ipam" plugins touch no namespace. */
  readonly kind: "interface" | "ipam";
  /** Names of the CNI_ARGS it understands, besides IgnoreUnknown: "MAC", "IP", "GATEWAY". Empty: CNI_ARGS is ignored as a whole. */
  readonly knownArgs: readonly string[];
  /** Compiled from plugins/NAME/config.schema.json by ajv at build time; see config/validate.ts. */
  readonly schema: string;
  /** Kind of link that it creates: `podnic doctor` asks whether the kernel has it. */
  readonly linkKind?: NewLink["kind"];
  /** An IPAM plugin whose ADD fails while the attachment has addresses from an earlier one. */
  readonly refusesSecond?: boolean;
  /** True when an ADD may report addresses although no IPAM is configured. Absent: only those of a prevResult. */
  hasOwnAddresses?(call: Call<C>): boolean;
  /**
   * Where its calls may have to write (cni/confine.ts). Absent: nowhere. Throws Failure("invalid config"), on DEL and GC too, when a
   * configuration may not name it.
   */
  writes?(call: Call<C>): readonly Place[];
  /** It puts back what a pod has changed of a device: files in /sys/devices. */
  readonly restoresDevices?: boolean;
  /** False for a call that only gives up capabilities: one that names no path of its own, when Landlock costs it too much. Absent: true. */
  confinesFiles?(call: Call<C>): boolean;
  /** An IPAM plugin's: who has the address in the pool of the configuration, as far as that is known. */
  holderOf?(call: Call<C>, address: Address): Pick<Attachment, "containerId" | "ifName"> | undefined;
  /** GC, of an IPAM plugin: the leases of attachments that are not valid any more, as far as they are known. */
  stale?(call: Call<C>): Lease[];
  /** DEL: what ADD left in a namespace is not in that of CNI_NETNS, so that the others have to be looked at. */
  isElsewhere?(call: Call<C>): boolean;
  /**
   * Rules beyond the schema, each run by `attempt`. Touches nothing outside the process. Without `attempt` it throws the first
   * Failure("invalid config"): on ADD, CHECK and STATUS.
   */
  validate(call: Call<C>, attempt?: Try): void;
  /** An IPAM plugin's: what ADD may answer, as far as a configuration without errors tells: each range once. For `podnic validate`. */
  foresee?(call: Call<C>): Result[];
  /**
   * An interface plugin's: throws the Failure of an ADD that gets these addresses from IPAM, whatever the node. `maybe` runs a rule that a node may lift. For
   * `podnic validate`.
   */
  checkAddresses?(call: Call<C>, addresses: Result, maybe: Try): void;
  add(call: Call<C>): Result;
  /** An ADD of the attachment failed, or was refused. It may come more than once. */
  addFailed?(attachment: Attachment): void;
  /**
   * DEL of another plugin, because the network's type has changed since ADD: takes away what ADD made for the attachment, by its own marks or records.
   * False: nothing. The configuration is the other plugin's.
   */
  removeMade?(call: Call): boolean;
  check(call: Call<C>): void;
  del(call: Call<C>): void;
  gc(call: Call<C>): void;
  status(call: Call<C>): void;
  /** What `podnic gc` cleans up without a word: notes whose pod's namespace, by its path, is gone. */
  forgetGone?(isGone: (netns: string) => boolean): void;
}
