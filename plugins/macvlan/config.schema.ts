// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface MacvlanConfig extends NetworkConfig {
  /** Device on the host, by name or alternative name. Default: the device of the default route. */
  master?: string;
  /** How interfaces on the same master reach each other. bridge: directly; vepa: through the switch, if it sends frames back; private: not at all; passthru: only one interface can use the master; source: the interface receives frames only from the senders in macaddr. */
  mode?: "" | "bridge" | "private" | "vepa" | "passthru" | "source";
  /** MTU, at most the master's. If the value is 0 or missing, the interface gets the master's MTU. */
  mtu?: number;
  /** MAC address of the interface. runtimeConfig, args and CNI_ARGS take precedence. Default: the kernel chooses an address. */
  mac?: string;
  /** MAC addresses of the senders from which the interface receives frames in source mode. */
  macaddr?: string[];
  /** Length of the master's broadcast queue. If the value is 0 or missing, the kernel's default of 1000 applies. Requires Linux 5.11. */
  bcqueuelen?: number;
  /** The master is in the pod (where another plugin created it), not on the host. */
  linkInContainer?: boolean;
  /** IPv6 duplicate address detection. wait: if an address has a gateway, ADD waits until the detection has finished (1 to 2 s), as the Go plugins do; skip: the addresses work at once, and duplicates are not detected; optimistic: the addresses work at once, and a duplicate is detected later. */
  dad?: "wait" | "skip" | "optimistic";
  /** The kernel configures IPv6 addresses and routes from router advertisements. This is off by default, because otherwise a pod on a shared network could redirect its neighbours' traffic (CVE-2020-10749). */
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
