// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface SriovConfig extends NetworkConfig {
  /** PCI address of the virtual function; the runtime sets it to the one that the device plugin allocated. */
  deviceID?: string;
  /** VLAN of the virtual function; 0 means none. Unchanged if absent. */
  vlan?: number;
  /** Priority of the VLAN's frames; requires vlan. */
  vlanQoS?: number;
  /** 802.1q or 802.1ad, in upper or lower case; requires vlan. */
  vlanProto?: string;
  /** MAC address of the virtual function, in any notation; runtimeConfig, args and CNI_ARGS take precedence. Unchanged if absent. */
  mac?: string;
  /** MTU, at most the virtual function's maximum; restored afterwards. 0 leaves it unchanged. */
  mtu?: number;
  /** Whether the card drops frames whose source address is not the virtual function's. Unchanged if absent. */
  spoofchk?: "" | "on" | "off";
  /** Whether the host trusts the virtual function, for example to use promiscuous mode. Unchanged if absent. */
  trust?: "" | "on" | "off";
  /** Link state of the virtual function: auto follows the port, enable means always up, disable means always down. Unchanged if absent. */
  link_state?: "" | "auto" | "enable" | "disable";
  /** Guaranteed transmit rate in Mbit/s; 0 means none. Unchanged if absent. */
  min_tx_rate?: number;
  /** Maximum transmit rate in Mbit/s; 0 means no limit. Unchanged if absent. */
  max_tx_rate?: number;
  args?: {
    cni?: {
      /** MAC address requested through args; takes precedence over MAC in CNI_ARGS. */
      mac?: string;
    };
  };
  runtimeConfig?: {
    /** MAC address that the pod requested (capability mac). */
    mac?: string;
    /** Used if there is no top-level deviceID. */
    deviceID?: string;
    /** File in which Multus expects information about the device; podnic adds the physical function's address to it. */
    CNIDeviceInfoFile?: string;
  };
}
