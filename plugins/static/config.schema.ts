// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";
import type { DnsConfig, RouteConfig } from "../../src/config/defs.schema.ts";

export interface StaticConfig extends NetworkConfig {
  ipam?: {
    /** Name of the IPAM plugin. static and host-local are built in; podnic runs any other plugin as a separate program. */
    type?: string;
    /** Addresses of the interface, in order. */
    addresses?: {
      /** Address with prefix length. */
      address?: string;
      /** Next hop for routes without one. It can be in any network. */
      gateway?: string;
      /** Ignored; podnic takes the version from the address. */
      version?: string;
    }[];
    /** Routes to install in the pod; docs/configuration.md describes their keys. */
    routes?: RouteConfig[];
    /** DNS settings for the result. */
    dns?: DnsConfig;
  };
  args?: {
    cni?: {
      /** Addresses requested through args, with prefix length. */
      ips?: string[];
    };
  };
  runtimeConfig?: {
    /** Addresses that the pod requested (capability ips), with prefix length. */
    ips?: string[];
  };
}
