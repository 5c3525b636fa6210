// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface MacvlanConfig extends NetworkConfig {
  /** Device on the host, by name or alternative name. Default: the device of the default route. */
  master?: string;
  /** How interfaces on one master reach each other. bridge: directly; vepa: through the switch, if it sends frames back; private: not at all; passthru: a single interface has the master for itself; source: the interface receives only from the senders in macaddr. */
  mode?: "" | "bridge" | "private" | "vepa" | "passthru" | "source";
  /** MTU, at most the master's. If 0 or absent: the master's MTU. */
  mtu?: number;
  /** MAC address of the interface; runtimeConfig, args and CNI_ARGS take precedence. Default: the kernel chooses one. */
  mac?: string;
  /** In source mode: MAC addresses of the senders to receive from. */
  macaddr?: string[];
  /** Length of the master's broadcast queue. If 0 or absent: the kernel's default of 1000. Requires Linux 5.11. */
  bcqueuelen?: number;
  /** The master is in the pod, where another plugin put it, instead of on the host. */
  linkInContainer?: boolean;
  /** IPv6 duplicate address detection. wait: if an address has a gateway, ADD waits until detection has finished (1 to 2 s), as the Go plugins do; skip: no detection, so the addresses work at once but duplicates go unnoticed; optimistic: the addresses work at once, and a duplicate is detected later. */
  dad?: "wait" | "skip" | "optimistic";
  /** Let the kernel configure IPv6 addresses and routes from router advertisements. Off by default, because a pod on a shared network could otherwise redirect its neighbours' traffic (CVE-2020-10749). */
  acceptRA?: boolean;
  args?: {
    cni?: {
      /** MAC address requested through args. */
      mac?: string;
    };
  };
  runtimeConfig?: {
    /** MAC address that the pod requested (capability mac). */
    mac?: string;
  };
}
