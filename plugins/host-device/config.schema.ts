// From config.schema.json, by `npm run keys`: what is valid. Not to be edited.
import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface HostDeviceConfig extends NetworkConfig {
  /** Selects the device by its name or an alternative name on the host. */
  device?: string;
  /** Selects the device by its link-layer address. */
  hwaddr?: string;
  /** Selects the first interface of the device with this path in /sys/devices. */
  kernelpath?: string;
  /** Selects the first interface of the device with this PCI address, including a virtio device's interface. The address must include the domain. */
  pciBusID?: string;
  /** The device has a userspace driver, so the pod gets no interface. If the configuration contains a PCI address, podnic ignores this key and checks the driver itself. */
  dpdkMode?: boolean;
  /** The pod's interface gets the addresses and routes that the device has on the host, in addition to IPAM's. */
  useInterfaceNetwork?: boolean;
  runtimeConfig?: {
    /** Device that a device plugin allocated to the pod (capability deviceID). The value is a PCI address or an auxiliary device such as mlx5_core.sf.4. It takes precedence over pciBusID. */
    deviceID?: string;
  };
}
