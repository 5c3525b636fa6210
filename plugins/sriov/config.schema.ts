// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface SriovConfig extends NetworkConfig {
  /** PCI address of the virtual function; the runtime fills it in from the device plugin. */
  deviceID?: string;
  /** VLAN the card puts the function in; 0 is none. Not touched when absent. */
  vlan?: number;
  /** Priority of the VLAN's frames; needs vlan. */
  vlanQoS?: number;
  /** 802.1q or 802.1ad, in any case of letters; needs vlan. */
  vlanProto?: string;
  /** Address of the function, in any spelling. runtimeConfig.mac wins, then MAC of CNI_ARGS. Not touched when absent. */
  mac?: string;
  /** At most what the function can; put back afterwards. 0 leaves it as it is. */
  mtu?: number;
  /** Whether the card drops frames with another source address than the function's. Not touched when absent. */
  spoofchk?: "" | "on" | "off";
  /** Whether the function may do what needs the host's trust, such as promiscuous mode. Not touched when absent. */
  trust?: "" | "on" | "off";
  /** Link of the function: as the port's, always up, always down. Not touched when absent. */
  link_state?: "" | "auto" | "enable" | "disable";
  /** Guaranteed transmit rate, Mbit/s; 0 is none. Stays what it is when absent. */
  min_tx_rate?: number;
  /** Highest transmit rate, Mbit/s; 0 is no limit. Stays what it is when absent. */
  max_tx_rate?: number;
  args?: {
    cni?: {
      /** Address that the network's user asks for by args; wins over MAC of CNI_ARGS. */
      mac?: string;
    };
  };
  runtimeConfig?: {
    /** What the pod asked for (capability mac). */
    mac?: string;
    /** Used when there is no deviceID at the top. */
    deviceID?: string;
    /** Where Multus wants to read what the device is; the card's address is added to what is there. */
    CNIDeviceInfoFile?: string;
  };
}
