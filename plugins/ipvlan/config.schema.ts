// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface IpvlanConfig extends NetworkConfig {
  /** Device on the host, by name or alternative name. Default: the previous plugin's interface or, if there is none, the device of the default route. */
  master?: string;
  /** l2: the pod is on the master's network, with neighbours and a gateway; l3: the host routes the pod's packets, without ARP or broadcasts; l3s: like l3, and packets pass through the host's netfilter. All interfaces on a master share one mode. */
  mode?: "" | "l2" | "l3" | "l3s";
  /** How interfaces on one master reach each other. bridge: directly; vepa: through the switch, if it sends frames back; private: not at all. All interfaces on a master share one flag. */
  flag?: "" | "bridge" | "private" | "vepa";
  /** MTU, at most the master's. If 0 or absent: the master's MTU. */
  mtu?: number;
  /** The master is in the pod, where another plugin put it, instead of on the host. */
  linkInContainer?: boolean;
  /** IPv6 duplicate address detection. wait: if an address has a gateway, ADD waits until detection has finished (1 to 2 s), as the Go plugins do; skip: no detection, so the addresses work at once but duplicates go unnoticed; optimistic: the addresses work at once, and a duplicate is detected later. */
  dad?: "wait" | "skip" | "optimistic";
  /** Let the kernel configure IPv6 addresses and routes from router advertisements. Off by default, because a pod on a shared network could otherwise redirect its neighbours' traffic (CVE-2020-10749). */
  acceptRA?: boolean;
}
