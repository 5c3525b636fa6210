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

/** The keys that every network configuration can have, after key folding and validation. Plugins extend this interface. */
export interface NetworkConfig extends NetworkKeys {
  name: string;
  type: string;
  args?: { cni?: Record<string, unknown> };
}

export type IpamConfig = NonNullable<NetworkConfig["ipam"]>;

/** One attachment. podnic stores all its state under these three names. */
export interface Attachment {
  network: string;
  containerId: string;
  ifName: string;
}

/** An address that an attachment has from the pool of an IPAM plugin. `ifName` is "" in a lease that host-local before 0.8 wrote. */
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
   * The configuration. On ADD, CHECK and STATUS it is valid. On DEL and GC, configFor has removed (and logged) the invalid parts: these
   * commands need only the network's name.
   */
  config: C;
  /** stdin, unchanged: delegates get these bytes. */
  stdin: Uint8Array;
  /** stdin, parsed, with the keys as spelled in the input. An IPAM plugin in this process reads its own configuration from it. */
  raw: object;
  /** cniVersion of the configuration, or "0.1.0" if it has none. */
  version: string;
  /** undefined if there is none, on STATUS and GC, and on DEL also if it is not valid. */
  prevResult: Result | undefined;
  /** On GC, the attachments that are still valid (readAttachments refuses a missing list); otherwise empty. */
  validAttachments: { containerId: string; ifName: string }[];
  /** The steps of ADD and how to undo them. dispatch.ts rolls them back if ADD throws, or if it cannot write the result. */
  transaction: Transaction;
  /** Messages about the invalid parts that DEL and GC removed from the configuration. */
  ignored: string[];
  /** Set if an interface plugin in this process makes this call of an IPAM plugin. The interface plugin continues after the call. */
  isPart?: boolean;
  /** The result of prepareIpam, so that it runs only once. Only cni/ipam.ts uses this. */
  ipam?: IpamCall;
}

/** The IPAM plugin of a call. prepareIpam finds and checks it before podnic changes anything. */
export type IpamCall = { plugin: Plugin; call: Call } | { delegate: Delegate };

/** The executable of a third-party plugin. */
export interface Delegate {
  name: string;
  path: string;
  /** An O_PATH descriptor, so that podnic runs exactly the file that it has checked. */
  file: Fd;
}

/** A plugin. Its functions throw Failure, SystemError or NetlinkError. */
export interface Plugin<C extends NetworkConfig = NetworkConfig> {
  readonly name: string;
  /** Alternative names under which runtimes can call the plugin. */
  readonly names?: readonly string[];
  /** "interface" plugins create or move CNI_IFNAME, and refuse their own network namespace as the pod's. "ipam" plugins use no namespace. */
  readonly kind: "interface" | "ipam";
  /** Names of the CNI_ARGS that the plugin knows besides IgnoreUnknown, such as "MAC". If empty, the plugin ignores CNI_ARGS completely. */
  readonly knownArgs: readonly string[];
  /** Name of the schema, which the build compiles from plugins/NAME/config.schema.json; see config/validate.ts. */
  readonly schema: string;
  /** Kind of link that the plugin creates. `podnic doctor` checks whether the kernel supports it. */
  readonly linkKind?: NewLink["kind"];
  /** True for an IPAM plugin whose ADD fails if the attachment still has addresses from an earlier ADD. */
  readonly refusesSecond?: boolean;
  /** True if an ADD without IPAM can report addresses. Absent: it reports only those in prevResult. */
  hasOwnAddresses?(call: Call<C>): boolean;
  /**
   * The places that the call may have to write to (cni/confine.ts). Absent: none. Throws Failure("invalid config"), on DEL and GC too, if
   * the configuration is not allowed to use a place.
   */
  writes?(call: Call<C>): readonly Place[];
  /** True if the plugin restores settings of a device by writing to files in /sys/devices. */
  readonly restoresDevices?: boolean;
  /**
   * False if the call should give up only capabilities, and not its access to files. A plugin returns false for calls without a path in the
   * configuration if Landlock would take too much of their time. Absent: true.
   */
  confinesFiles?(call: Call<C>): boolean;
  /** For IPAM plugins: the attachment that has the address from the configuration's pool; undefined if there is none, or it is not known. */
  holderOf?(call: Call<C>, address: Address): Pick<Attachment, "containerId" | "ifName"> | undefined;
  /** For IPAM plugins, on GC: the known leases of attachments that are no longer valid. */
  stale?(call: Call<C>): Lease[];
  /** On DEL: true if what ADD left behind is not in the namespace of CNI_NETNS, so that DEL must search other namespaces. */
  isElsewhere?(call: Call<C>): boolean;
  /**
   * Checks the rules that the schema cannot express, each with `attempt`. Changes nothing outside the process. On ADD, CHECK and STATUS,
   * there is no `attempt`, and the first broken rule throws Failure("invalid config").
   */
  validate(call: Call<C>, attempt?: Try): void;
  /** For IPAM plugins and `podnic validate`: possible results of ADD with a valid configuration, so that each range occurs in one. */
  foresee?(call: Call<C>): Result[];
  /**
   * For interface plugins and `podnic validate`: throws the Failure with which ADD refuses these addresses from IPAM on every node. Uses
   * `maybe` to run a rule that does not apply on some nodes.
   */
  checkAddresses?(call: Call<C>, addresses: Result, maybe: Try): void;
  add(call: Call<C>): Result;
  /** Called if an ADD of the attachment fails or is refused, possibly more than once. */
  addFailed?(attachment: Attachment): void;
  /**
   * Called on another plugin's DEL, because the network's type may have changed since ADD. Finds what this plugin's ADD created for the
   * attachment by its own marks or records, and removes it. The configuration in `call` is the other plugin's. Returns false if there was
   * nothing.
   */
  removeMade?(call: Call): boolean;
  check(call: Call<C>): void;
  del(call: Call<C>): void;
  gc(call: Call<C>): void;
  status(call: Call<C>): void;
  /** Removes notes about pods whose namespace (given by its path) is gone. `podnic gc` calls this, and does not report what it removes. */
  forgetGone?(isGone: (netns: string) => boolean): void;
}
