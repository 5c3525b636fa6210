// From defs.schema.json, by `npm run keys`: what is valid. Not to be edited.

export type NetworkConfig = {
  /** Version of the CNI spec; decides the form of the result. */
  cniVersion?: string;
  /** Name of the network. Needed; Multus puts that of the NetworkAttachmentDefinition in when it is missing. */
  name?: string;
  /** Name of the plugin, by which the runtime finds it. */
  type?: string;
  /** Where addresses come from. Without a type there are none. Its further keys are those of the IPAM plugin. */
  ipam?: {
    /** Name of the IPAM plugin. static and host-local are built in, others are run. */
    type?: string;
    [key: string]: unknown;
  };
  dns?: DnsConfig;
  /** For the runtime: which keys of runtimeConfig it may fill in. */
  capabilities?: unknown;
  /** Filled in by the runtime. */
  runtimeConfig?: { [key: string]: unknown };
  /** panic, error, warning, info, debug or verbose; anything else is info, as with sriov-cni. */
  logLevel?: string;
  /** Log file, `….log` below /var/log, /run or /tmp; stderr when absent. */
  logFile?: string;
  [key: string]: unknown;
};

export type DnsConfig = {
  /** Name servers, in order. */
  nameservers?: string[];
  /** Domain of the pod. */
  domain?: string;
  /** Domains to look names up in, in order. */
  search?: string[];
  /** Options of resolv.conf. */
  options?: string[];
};

export type RouteConfig = {
  /** Destination. Needed. */
  dst: string;
  /** Next hop; the gateway of an address of the same family when absent. 0.0.0.0 and :: mean on the link. */
  gw?: string;
  /** MTU along the route. */
  mtu?: number;
  /** TCP maximum segment size to advertise. */
  advmss?: number;
  /** Metric: lower wins. */
  priority?: number;
  /** Routing table; the main one (254) when absent. */
  table?: number;
  /** 0 global, 253 link, 254 host. */
  scope?: number;
};
