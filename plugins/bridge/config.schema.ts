// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface BridgeConfig extends NetworkConfig {
  /** Name of the bridge on the host. If the bridge does not exist, ADD creates it. */
  bridge?: string;
  /** The host becomes the pods' gateway. The bridge gets the gateway's address (with vlan, an interface on the bridge gets it), and the host forwards packets. */
  isGateway?: boolean;
  /** Sets isGateway, and gives the pod a default route through the host unless IPAM provides one. */
  isDefaultGateway?: boolean;
  /** With isGateway, ADD removes an address of the bridge that conflicts with the gateway's address. Without this key, ADD fails if there is such an address. */
  forceAddress?: boolean;
  /** For packets that the pod sends to other subnets, the node replaces the source address with its own. Requires ipam. */
  ipMasq?: boolean;
  /** Accepted for compatibility with the Go plugin. With either value, podnic uses the kernel's nftables. */
  ipMasqBackend?: "" | "nftables" | "iptables";
  /** MTU of both ends of the veth, and of a bridge that ADD creates. Without this key, or if it is 0, both ends get the bridge's MTU. */
  mtu?: number;
  /** The bridge can send frames back through the port on which it received them. */
  hairpinMode?: boolean;
  /** The bridge's own interface receives every frame (promiscuous mode) until the last pod of a network with this key has been deleted. Cannot be combined with hairpinMode. */
  promiscMode?: boolean;
  /** VLAN of the pod's untagged frames. 0 means no VLAN. */
  vlan?: number;
  /** VLANs whose frames the pod sends and receives with tags: single VLANs (id) and ranges (minID and maxID). Untagged frames belong to the VLAN in vlan or, without that key, to VLAN 1. */
  vlanTrunk?: {
    /** One VLAN. */
    id?: number;
    /** First VLAN of a range. */
    minID?: number;
    /** Last VLAN of a range. */
    maxID?: number;
  }[];
  /** With vlan or vlanTrunk, the pod is also in the bridge's default VLAN. */
  preserveDefaultVlan?: boolean;
  /** The pod can send only frames that have its own MAC address as the source. */
  macspoofchk?: boolean;
  /** bridge: the bridge checks the frames, with a locked port and a pinned address; nftables: nftables rules check the frames, as with the Go plugin. Without this key, podnic uses bridge if the kernel supports it, and otherwise nftables. */
  macspoofchkBackend?: "" | "bridge" | "nftables";
  /** The pod cannot reach other isolated ports of the bridge. It can reach only ports that are not isolated, such as the uplink. */
  portIsolation?: boolean;
  /** ADD leaves the pod's interface down, and a program in the pod must bring it up. Cannot be combined with ipam. */
  disableContainerInterface?: boolean;
  /** The interface gets no link-local address, so no frame with the pod's MAC address is sent before the pod sends one itself. Intended for virtual machines that migrate. Cannot be combined with ipam. */
  silent?: boolean;
  /** Enables IPv6 duplicate address detection. ADD waits until the detection has finished. */
  enabledad?: boolean;
  /** The kernel configures IPv6 addresses and routes from router advertisements. This is off by default, because otherwise a pod on a shared network could redirect its neighbours' traffic (CVE-2020-10749). */
  acceptRA?: boolean;
  /** MAC address of the pod's interface. args, CNI_ARGS and runtimeConfig take precedence. If no address is requested, ADD chooses a random one. */
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
