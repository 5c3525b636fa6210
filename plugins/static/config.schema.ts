// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";
import type { DnsConfig, RouteConfig } from "../../src/config/defs.schema.ts";

export interface StaticConfig extends NetworkConfig {
  ipam?: {
    /** Name of the IPAM plugin. static and host-local are built in, others are run. */
    type?: string;
    /** Addresses of the interface, in order. */
    addresses?: {
      /** Address with prefix length. */
      address?: string;
      /** Next hop for routes that name none; of any network. */
      gateway?: string;
      /** Ignored: the address says it. */
      version?: string;
    }[];
    /** Routes to install in the pod; their keys are in docs/configuration.md. */
    routes?: RouteConfig[];
    dns?: DnsConfig;
  };
  args?: {
    cni?: {
      /** Addresses that the network's user asks for by args, with prefix length. */
      ips?: string[];
    };
  };
  runtimeConfig?: {
    /** Addresses that the pod asked for (capability ips), with prefix length. */
    ips?: string[];
  };
}
