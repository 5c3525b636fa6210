// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";
import type { RouteConfig } from "../../src/config/defs.schema.ts";

export type RangeConfig = {
  /** Subnet that the addresses belong to; at least four addresses. */
  subnet?: string;
  /** First address to allocate. Default: the subnet's second address. */
  rangeStart?: string;
  /** Last address to allocate. Default: the subnet's last address; for IPv4, the one before it. */
  rangeEnd?: string;
  /** Next hop for routes without one; never allocated; can be outside the subnet. Default: the subnet's second address. */
  gateway?: string;
  /** The result contains no gateway, and the second address is allocated like the others. */
  noGateway?: boolean;
};

export interface HostLocalConfig extends NetworkConfig {
  ipam?: {
    /** Name of the IPAM plugin. static and host-local are built in; podnic runs any other plugin as a separate program. */
    type?: string;
    /** Range sets. A pod gets one address from each set, so IPv4 and IPv6 need separate sets. */
    ranges?: RangeConfig[][];
    /** A single range, written without lists. It is a separate set, which comes before ranges. */
    subnet?: string;
    /** First address to allocate from that single range. */
    rangeStart?: string;
    /** Last address to allocate from that single range. */
    rangeEnd?: string;
    /** For that single range: next hop for routes without one. */
    gateway?: string;
    /** For that single range: there is no gateway, and no address is reserved for one. */
    noGateway?: boolean;
    /** Addresses and networks that are never allocated. */
    exclude?: string[];
    /** Routes to install in the pod; docs/configuration.md describes their keys. */
    routes?: RouteConfig[];
    /** Directory of the lease files: below /var/lib/cni or /run/cni, or elsewhere in /var/lib, /run, /tmp or /var/tmp if only root can write there. */
    dataDir?: string;
    /** resolv.conf file on the host to report as dns: below /etc, /run, /var/lib or /tmp, and not through a link. */
    resolvConf?: string;
  };
  args?: {
    cni?: {
      /** Addresses requested through args, at most one per set, with or without prefix length. */
      ips?: string[];
    };
  };
  runtimeConfig?: {
    /** More sets, which come before all others (capability ipRanges). */
    ipRanges?: RangeConfig[][];
    /** Addresses that the pod requested (capability ips), at most one per set, with or without prefix length. */
    ips?: string[];
  };
}
