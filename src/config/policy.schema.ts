// From policy.schema.json, by `npm run keys`: what is valid. Not to be edited.

export type PolicyConfig = {
  devices?: {
    /** May go to pods although the node needs them, or they seem to be there for others. */
    allow?: string[];
    /** Never go to pods. */
    deny?: string[];
  };
  bridges?: {
    /** Bridges that ADD makes filter VLANs when a configuration has vlan or vlanTrunk. Without this, such an ADD is refused. */
    filterVlans?: string[];
  };
  /** Further directories that the paths of a configuration may name, or lie below. */
  paths?: {
    dataDir?: string[];
    logFile?: string[];
    resolvConf?: string[];
    kernelpath?: string[];
    /** Where links in CNI_PATH may lead. */
    plugins?: string[];
  };
  /** Milliseconds. */
  delegateTimeout?: number;
  /** Milliseconds. */
  lockTimeout?: number;
};
