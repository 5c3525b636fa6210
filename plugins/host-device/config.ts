import type { NetworkConfig } from "../../src/cni/plugin.ts";

export interface HostDeviceConfig extends NetworkConfig {
  /** Name or alternative name on the host. */
  device?: string;
  hwaddr?: string;
  /** Below /sys/devices. */
  kernelpath?: string;
  pciBusID?: string;
  /** Undocumented in the Go plugin but accepted there: no link handling. An effective PCI address overrules it. */
  dpdkMode?: boolean;
  useInterfaceNetwork?: boolean;
  runtimeConfig?: { deviceID?: string };
}
