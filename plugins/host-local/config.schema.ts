// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";
import type { RouteConfig } from "../../src/config/defs.schema.ts";

export type RangeConfig = {
  /** Network that the addresses are of; at least four addresses. */
  subnet?: string;
  /** First address to hand out; the second of the subnet when absent. */
  rangeStart?: string;
  /** Last address to hand out; when absent the last of the subnet, for IPv4 the one before. */
  rangeEnd?: string;
  /** Next hop for routes that name none; never handed out; may lie outside of the subnet. The second address of the subnet when absent. */
  gateway?: string;
  /** The result names no gateway, and the second address is handed out like others. */
  noGateway?: boolean;
};

export interface HostLocalConfig extends NetworkConfig {
  ipam?: {
    /** Name of the IPAM plugin. static and host-local are built in, others are run. */
    type?: string;
    /** Range sets: a pod gets one address of each, so that IPv4 and IPv6 are two sets. */
    ranges?: RangeConfig[][];
    /** A single range, written without lists: a set of its own before ranges. */
    subnet?: string;
    /** Of that single range: first address to hand out. */
    rangeStart?: string;
    /** Of that single range: last address to hand out. */
    rangeEnd?: string;
    /** Of that single range: next hop for routes that name none. */
    gateway?: string;
    /** Of that single range: no gateway, and no address kept free for one. */
    noGateway?: boolean;
    /** Addresses and networks that are never handed out. */
    exclude?: string[];
    /** Routes to install in the pod; their keys are in docs/configuration.md. */
    routes?: RouteConfig[];
    /** Where the files are; below /var/lib/cni or /run/cni, or elsewhere in /var/lib, /run, /tmp and /var/tmp where only root can write. */
    dataDir?: string;
    /** The host's resolv.conf to report as dns; below /etc, /run, /var/lib or /tmp, and not behind a link. */
    resolvConf?: string;
  };
  args?: {
    cni?: {
      /** Addresses that the network's user asks for by args, at most one for a set, with or without prefix length. */
      ips?: string[];
    };
  };
  runtimeConfig?: {
    /** More sets, before all others (capability ipRanges). */
    ipRanges?: RangeConfig[][];
    /** Addresses that the pod asked for (capability ips), likewise. */
    ips?: string[];
  };
}
