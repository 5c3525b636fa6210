// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface HostDeviceConfig extends NetworkConfig {
  /** The device by its name or an alternative name on the host. */
  device?: string;
  /** The device by its link-layer address. */
  hwaddr?: string;
  /** The device by its path below /sys/devices; its first interface. */
  kernelpath?: string;
  /** The device by its PCI address with domain; its first interface, also below a virtio device. */
  pciBusID?: string;
  /** The device has a userspace driver: the pod gets no interface. With a PCI address its driver decides instead. */
  dpdkMode?: boolean;
  /** The pod's interface gets the addresses and routes that the device has on the host, besides those of IPAM. */
  useInterfaceNetwork?: boolean;
  runtimeConfig?: {
    /** What a device plugin allotted to the pod (capability deviceID): a PCI address, which beats pciBusID, or an auxiliary device such as mlx5_core.sf.4. */
    deviceID?: string;
  };
}
