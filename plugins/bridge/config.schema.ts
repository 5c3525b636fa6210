// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface BridgeConfig extends NetworkConfig {
  /** Bridge on the host. Made when it does not exist; one that exists is left as it is. */
  bridge?: string;
  /** The host is the pods' gateway: the bridge (with vlan, an interface on it) gets the gateway's address, and the host forwards packets. */
  isGateway?: boolean;
  /** isGateway, and the pod's default route leads there, unless IPAM gives one. */
  isDefaultGateway?: boolean;
  /** isGateway: an address of the bridge that is in the way is removed. Without it that is an error. */
  forceAddress?: boolean;
  /** What the pod sends out of its subnet leaves with the node's address. Needs ipam. */
  ipMasq?: boolean;
  /** Both are done by the kernel's nftables; iptables is accepted for configurations of the Go plugin. */
  ipMasqBackend?: "" | "nftables" | "iptables";
  /** Of both ends, and of a bridge that is made. That of the bridge when absent or 0. */
  mtu?: number;
  /** The bridge sends frames back to the pod that they came from. */
  hairpinMode?: boolean;
  /** The bridge itself takes every frame. Set, and never taken back. Not together with hairpinMode. */
  promiscMode?: boolean;
  /** VLAN of the pod's frames, which have no tag in the pod; 0 is none. */
  vlan?: number;
  /** VLANs that the pod sees with their tags: single ones (id) and ranges (minID and maxID). What has no tag is of vlan or, without it, of VLAN 1. */
  vlanTrunk?: {
    /** One VLAN. */
    id?: number;
    /** First VLAN of a range. */
    minID?: number;
    /** Last VLAN of a range. */
    maxID?: number;
  }[];
  /** With vlan or vlanTrunk: the pod is in the bridge's default VLAN too. */
  preserveDefaultVlan?: boolean;
  /** Only frames with the pod's MAC address pass. */
  macspoofchk?: boolean;
  /** bridge: the bridge checks, by a locked port and a pinned address; nftables: rules like those of the Go plugin. The first that the kernel has when absent. */
  macspoofchkBackend?: "" | "bridge" | "nftables";
  /** The pod reaches no other isolated port of the bridge, only those that are not isolated, such as the uplink. */
  portIsolation?: boolean;
  /** The pod's interface stays down, for whoever sets it up in the pod. Not together with ipam. */
  disableContainerInterface?: boolean;
  /** Nothing is sent with the pod's MAC address before the pod sends something itself: the interface gets no link-local address. For virtual machines that migrate. Not together with ipam. */
  silent?: boolean;
  /** IPv6 duplicate address detection; ADD waits for its end. */
  enabledad?: boolean;
  /** Let the kernel take IPv6 addresses and routes from router advertisements. Off, because a pod on a shared network could otherwise redirect its neighbours' traffic (CVE-2020-10749). */
  acceptRA?: boolean;
  /** Address of the pod's interface, unless another place below gives one; a random one when none does. */
  mac?: string;
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
