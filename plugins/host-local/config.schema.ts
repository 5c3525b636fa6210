// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";
import type { RouteConfig } from "../../src/config/defs.schema.ts";

export type RangeConfig = {
  /** Subnet of the addresses. It must contain at least four addresses. */
  subnet?: string;
  /** First address to allocate. Default: the subnet's second address. */
  rangeStart?: string;
  /** Last address to allocate. Default: the subnet's last address, or for IPv4 the address before it. */
  rangeEnd?: string;
  /** Next hop for routes without one. It is never allocated, and can be outside the subnet. Default: the subnet's second address. */
  gateway?: string;
  /** The result contains no gateway, and host-local can also allocate the subnet's second address. */
  noGateway?: boolean;
};

export interface HostLocalConfig extends NetworkConfig {
  ipam?: {
    /** Name of the IPAM plugin. static and host-local are built in; podnic runs any other plugin as a separate program. */
    type?: string;
    /** Range sets. A pod gets one address from each set, so IPv4 and IPv6 need separate sets. */
    ranges?: RangeConfig[][];
    /** Subnet of a single range, as an alternative to ranges. The range is a separate set, which comes before the sets in ranges. */
    subnet?: string;
    /** First address to allocate from the single range. */
    rangeStart?: string;
    /** Last address to allocate from the single range. */
    rangeEnd?: string;
    /** Next hop for routes without one, in the single range. */
    gateway?: string;
    /** The single range has no gateway, and no address is reserved for one. */
    noGateway?: boolean;
    /** Addresses and networks that are never allocated. */
    exclude?: string[];
    /** Routes to install in the pod; docs/configuration.md describes their keys. */
    routes?: RouteConfig[];
    /** Directory of the lease files. It must be below /var/lib/cni or /run/cni, or elsewhere in /var/lib, /run, /tmp or /var/tmp if only root can write there. */
    dataDir?: string;
    /** resolv.conf file on the host. The result contains its settings as dns. The file must be below /etc, /run, /var/lib or /tmp, and its path must not contain symbolic links. */
    resolvConf?: string;
  };
  args?: {
    cni?: {
      /** Addresses requested through args, with or without prefix length. At most one address for each set. */
      ips?: string[];
    };
  };
  runtimeConfig?: {
    /** Additional sets, which come before all others (capability ipRanges). */
    ipRanges?: RangeConfig[][];
    /** Addresses that the pod requested (capability ips), with or without prefix length. At most one address for each set. */
    ips?: string[];
  };
}
