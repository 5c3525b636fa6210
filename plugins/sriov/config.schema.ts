// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface SriovConfig extends NetworkConfig {
  /** PCI address of the virtual function. The runtime sets it to the function that the device plugin allocated. */
  deviceID?: string;
  /** VLAN of the virtual function. 0 means no VLAN. Without this key, the VLAN is not changed. */
  vlan?: number;
  /** Priority of the VLAN's frames. Requires vlan. */
  vlanQoS?: number;
  /** 802.1q or 802.1ad, in upper or lower case. Requires vlan. */
  vlanProto?: string;
  /** MAC address of the virtual function, in any notation. runtimeConfig, args and CNI_ARGS take precedence. If no address is requested, the MAC address is not changed. */
  mac?: string;
  /** MTU, at most the virtual function's maximum. DEL restores the original MTU. With 0, the MTU is not changed. */
  mtu?: number;
  /** Whether the card drops frames whose source address is not the virtual function's. Without this key, the setting is not changed. */
  spoofchk?: "" | "on" | "off";
  /** Whether the host trusts the virtual function. A trusted virtual function can use promiscuous mode, for example. Without this key, the setting is not changed. */
  trust?: "" | "on" | "off";
  /** Link state of the virtual function: auto follows the port, enable means always up, disable means always down. Without this key, the link state is not changed. */
  link_state?: "" | "auto" | "enable" | "disable";
  /** Guaranteed transmit rate in Mbit/s. 0 means no guarantee. Without this key, the rate is not changed. */
  min_tx_rate?: number;
  /** Maximum transmit rate in Mbit/s. 0 means no limit. Without this key, the rate is not changed. */
  max_tx_rate?: number;
  args?: {
    cni?: {
      /** MAC address requested through args. It takes precedence over MAC in CNI_ARGS. */
      mac?: string;
    };
  };
  runtimeConfig?: {
    /** MAC address that the pod requested (capability mac). */
    mac?: string;
    /** PCI address of the virtual function. podnic uses it only if there is no top-level deviceID. */
    deviceID?: string;
    /** File with information about the device, for Multus. podnic adds the physical function's address to it. */
    CNIDeviceInfoFile?: string;
  };
}
