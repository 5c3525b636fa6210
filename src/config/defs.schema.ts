// From defs.schema.json, by `npm run keys`: what is valid. Not to be edited.

export type NetworkConfig = {
  /** Version of the CNI specification; it determines the format of the result. */
  cniVersion?: string;
  /** Name of the network. Required; if it is missing, Multus uses the name of the NetworkAttachmentDefinition. */
  name?: string;
  /** Name of the plugin; the runtime uses it to find the executable. */
  type?: string;
  /** Source of the interface's addresses; without a type, it gets none. The other keys are the IPAM plugin's. */
  ipam?: {
    /** Name of the IPAM plugin. static and host-local are built in; podnic runs any other plugin as a separate program. */
    type?: string;
    [key: string]: unknown;
  };
  dns?: DnsConfig;
  /** Keys of runtimeConfig that the runtime can set. */
  capabilities?: unknown;
  /** Set by the runtime. */
  runtimeConfig?: { [key: string]: unknown };
  /** panic, error, warning, info, debug or verbose; any other value means info, as in sriov-cni. */
  logLevel?: string;
  /** Log file, `….log` below /var/log, /run or /tmp. If this key is absent, the log goes to stderr. */
  logFile?: string;
  [key: string]: unknown;
};

export type DnsConfig = {
  /** Name servers, in order. */
  nameservers?: string[];
  /** The pod's local domain. */
  domain?: string;
  /** Search domains, in order. */
  search?: string[];
  /** Options for resolv.conf. */
  options?: string[];
};

export type RouteConfig = {
  /** Destination. Required. */
  dst: string;
  /** Next hop. Default: the gateway of an address of the same family. 0.0.0.0 and :: make the route on-link. */
  gw?: string;
  /** MTU of the route. */
  mtu?: number;
  /** TCP maximum segment size to advertise. */
  advmss?: number;
  /** Metric; the lowest wins. */
  priority?: number;
  /** Routing table. Default: 254 (main). */
  table?: number;
  /** 0 global, 253 link, 254 host. */
  scope?: number;
};
