// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface BridgeConfig extends NetworkConfig {
  /** Bridge on the host. ADD creates it if it does not exist. */
  bridge?: string;
  /** The host is the pods' gateway: the bridge (with vlan, an interface on the bridge) gets the gateway's address, and the host forwards packets. */
  isGateway?: boolean;
  /** Like isGateway; in addition, the pod gets a default route through the host, unless IPAM provides one. */
  isDefaultGateway?: boolean;
  /** With isGateway: ADD removes an address of the bridge that conflicts with the gateway's address. Without this key, ADD fails. */
  forceAddress?: boolean;
  /** Packets that the pod sends to other subnets leave with the node's address. Requires ipam. */
  ipMasq?: boolean;
  /** Both values use the kernel's nftables; iptables is accepted for compatibility with the Go plugin. */
  ipMasqBackend?: "" | "nftables" | "iptables";
  /** MTU of both ends, and of a bridge that ADD creates. Without this key, or if it is 0, both ends get the bridge's MTU. */
  mtu?: number;
  /** The bridge can send frames back through the port on which it received them. */
  hairpinMode?: boolean;
  /** The bridge's own interface receives every frame, until the last pod of a network with this key is gone. Cannot be combined with hairpinMode. */
  promiscMode?: boolean;
  /** VLAN of the pod's untagged frames; 0 means no VLAN. */
  vlan?: number;
  /** VLANs that the pod sees with their tags: single VLANs (id) and ranges (minID and maxID). Untagged frames belong to vlan or, without that key, to VLAN 1. */
  vlanTrunk?: {
    /** One VLAN. */
    id?: number;
    /** First VLAN of a range. */
    minID?: number;
    /** Last VLAN of a range. */
    maxID?: number;
  }[];
  /** With vlan or vlanTrunk: the pod is also in the bridge's default VLAN. */
  preserveDefaultVlan?: boolean;
  /** The pod can send only frames that have its own MAC address as the source. */
  macspoofchk?: boolean;
  /** bridge: the bridge itself checks, with a locked port and a pinned address; nftables: rules like the Go plugin's. Without this key: bridge if the kernel supports it, otherwise nftables. */
  macspoofchkBackend?: "" | "bridge" | "nftables";
  /** The pod cannot reach other isolated ports of the bridge, only ports that are not isolated, such as the uplink. */
  portIsolation?: boolean;
  /** The pod's interface stays down; a program in the pod has to bring it up. Cannot be combined with ipam. */
  disableContainerInterface?: boolean;
  /** For virtual machines that migrate: the interface gets no link-local address, so that nothing is sent with the pod's MAC address before the pod sends something itself. Cannot be combined with ipam. */
  silent?: boolean;
  /** IPv6 duplicate address detection; ADD waits until it is complete. */
  enabledad?: boolean;
  /** Let the kernel configure IPv6 addresses and routes from router advertisements. Off by default, because a pod on a shared network could otherwise redirect its neighbours' traffic (CVE-2020-10749). */
  acceptRA?: boolean;
  /** MAC address of the pod's interface, unless args, CNI_ARGS or runtimeConfig specifies one. If none is specified, ADD chooses a random address. */
  mac?: string;
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
