// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface IpvlanConfig extends NetworkConfig {
  /** Device on the host, by name or alternative name. When absent the interface of the plugin before, else the device of the default route. */
  master?: string;
  /** l2: the pod has neighbours and a gateway as on a cable; l3: the host's stack routes for it, no ARP, no broadcast; l3s: as l3, and through the host's netfilter. One master has one mode. */
  mode?: "" | "l2" | "l3" | "l3s";
  /** bridge: interfaces on one master reach each other directly; vepa: through the switch, if it sends frames back; private: not at all. One master has one flag. */
  flag?: "" | "bridge" | "private" | "vepa";
  /** At most the master's; that of the master when absent or 0. */
  mtu?: number;
  /** The master is in the pod, put there by another plugin, and not on the host. */
  linkInContainer?: boolean;
  /** IPv6 duplicate address detection. wait: ADD waits for its end (1 to 2 s) when an address has a gateway, like the Go plugins; skip: none, the addresses work at once and nobody notices a duplicate; optimistic: the addresses work at once, a duplicate is noticed later. */
  dad?: "wait" | "skip" | "optimistic";
  /** Let the kernel take IPv6 addresses and routes from router advertisements. Off, because a pod on a shared network could otherwise redirect its neighbours' traffic (CVE-2020-10749). */
  acceptRA?: boolean;
}
