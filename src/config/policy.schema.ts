// From policy.schema.json, by `npm run keys`: what is valid. Not to be edited.

export type PolicyConfig = {
  devices?: {
    /** Devices that pods can get even if the node or another program seems to need them. */
    allow?: string[];
    /** Devices that pods never get. */
    deny?: string[];
    /** Devices on which a network can use macvlan's source mode, in which a pod reads frames that are sent to other pods. */
    source?: string[];
  };
  bridges?: {
    /** Bridges that a network can use or create. Without this key, a network can use or create any bridge. */
    names?: string[];
    /** Subnets whose addresses a network can add to the node with isGateway. Without this key, a network can add any address except those that the node has on another interface or reaches directly over another interface. */
    gateways?: string[];
    /** Bridges on which ADD enables VLAN filtering if a configuration has vlan or vlanTrunk. On other bridges without VLAN filtering, such an ADD fails. */
    filterVlans?: string[];
    /** Bridges on which forceAddress can remove the gateway address of another network that has pods on the bridge. On other bridges, such an ADD fails. */
    forceAddress?: string[];
  };
  /** Additional directories for the paths in a configuration. A path can be one of these directories, or below one. */
  paths?: {
    dataDir?: string[];
    logFile?: string[];
    resolvConf?: string[];
    kernelpath?: string[];
    /** Directories that links in CNI_PATH can point to. */
    plugins?: string[];
  };
  /** Time limit for another plugin, in milliseconds. */
  delegateTimeout?: number;
  /** How long to wait for a lock, in milliseconds. */
  lockTimeout?: number;
};
