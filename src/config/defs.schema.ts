// From defs.schema.json, by `npm run keys`: what is valid. Not to be edited.

export type NetworkConfig = {
  /** Version of the CNI specification. It determines the format of the result. */
  cniVersion?: string;
  /** Name of the network (required). If it is missing, Multus sets it to the name of the NetworkAttachmentDefinition. */
  name?: string;
  /** Name of the plugin, which the runtime uses to find the executable. */
  type?: string;
  /** Plugin that provides the interface's addresses, and the configuration of this plugin. Without a type, the interface gets no addresses. */
  ipam?: {
    /** Name of the IPAM plugin. static and host-local are built in; podnic runs any other plugin as a separate program. */
    type?: string;
    [key: string]: unknown;
  };
  dns?: DnsConfig;
  /** Keys that the runtime can set in runtimeConfig. */
  capabilities?: unknown;
  /** Set by the runtime. */
  runtimeConfig?: { [key: string]: unknown };
  /** panic, error, warning, info, debug or verbose; any other value means info, as in sriov-cni. */
  logLevel?: string;
  /** Log file. It must be below /var/log, /run or /tmp, and its name must end in .log. Without this key, the plugin writes its log to stderr. */
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
  /** Metric. The kernel uses the route with the lowest metric. */
  priority?: number;
  /** Routing table. Default: 254 (main). */
  table?: number;
  /** Scope: 0 for global, 253 for link, 254 for host. */
  scope?: number;
};
