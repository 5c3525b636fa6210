// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface MacvlanConfig extends NetworkConfig {
  /** Device on the host, by name or alternative name; the device of the default route when absent. */
  master?: string;
  /** bridge: interfaces on one master reach each other directly; vepa: through the switch, if it sends frames back; private: not at all; passthru: one interface takes the whole master; source: receives only from the senders of macaddr. */
  mode?: "" | "bridge" | "private" | "vepa" | "passthru" | "source";
  /** At most the master's; that of the master when absent or 0. */
  mtu?: number;
  /** Address of the interface, unless another place below gives one; the kernel's choice when none does. */
  mac?: string;
  /** Mode source: MAC addresses of the senders to listen to. */
  macaddr?: string[];
  /** Broadcasts that may wait on the master; the kernel's 1000 when absent or 0. Needs Linux 5.11. */
  bcqueuelen?: number;
  /** The master is in the pod, put there by another plugin, and not on the host. */
  linkInContainer?: boolean;
  /** IPv6 duplicate address detection. wait: ADD waits for its end (1 to 2 s) when an address has a gateway, like the Go plugins; skip: none, the addresses work at once and nobody notices a duplicate; optimistic: the addresses work at once, a duplicate is noticed later. */
  dad?: "wait" | "skip" | "optimistic";
  /** Let the kernel take IPv6 addresses and routes from router advertisements. Off, because a pod on a shared network could otherwise redirect its neighbours' traffic (CVE-2020-10749). */
  acceptRA?: boolean;
  args?: {
    cni?: {
      /** Address that the network's user asks for by args. */
      mac?: string;
    };
  };
  runtimeConfig?: {
    /** Address that the pod asked for (capability mac). */
    mac?: string;
  };
}
