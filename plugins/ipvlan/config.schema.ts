// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface IpvlanConfig extends NetworkConfig {
  /** Device on the host, by name or alternative name. Default: the previous plugin's interface or, if there is none, the device of the default route. */
  master?: string;
  /** l2: the pod is on the master's network, with neighbours and a gateway; l3: the host routes the pod's packets, without ARP or broadcasts; l3s: like l3, but packets also pass through the host's netfilter. All interfaces on a master have the same mode. */
  mode?: "" | "l2" | "l3" | "l3s";
  /** How interfaces on the same master reach each other. bridge: directly; vepa: through the switch, if it sends frames back; private: not at all. All interfaces on a master have the same flag. */
  flag?: "" | "bridge" | "private" | "vepa";
  /** MTU, at most the master's. If the value is 0 or missing, the interface gets the master's MTU. */
  mtu?: number;
  /** The master is in the pod (where another plugin created it), not on the host. */
  linkInContainer?: boolean;
  /** IPv6 duplicate address detection. wait: if an address has a gateway, ADD waits until the detection has finished (1 to 2 s), as the Go plugins do; skip: the addresses work at once, and duplicates are not detected; optimistic: the addresses work at once, and a duplicate is detected later. */
  dad?: "wait" | "skip" | "optimistic";
  /** The kernel configures IPv6 addresses and routes from router advertisements. This is off by default, because otherwise a pod on a shared network could redirect its neighbours' traffic (CVE-2020-10749). */
  acceptRA?: boolean;
}
