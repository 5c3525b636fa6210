// The node's policy, /etc/cni/podnic.json: root-owned, not writable by others. It can widen or narrow what configurations may do; a
// configuration never can.

export interface Policy {
  devices: {
    /** Names, altnames, MACs or PCI addresses that may be handed to pods although they carry the default route or belong to a bridge or bond. */
    allow: string[];
    /** Devices that never may. */
    deny: string[];
  };
  /** Directories (besides the built-in ones) below which a path of a configuration may lie. */
  paths: { dataDir: string[]; logFile: string[]; resolvConf: string[]; kernelpath: string[] };
  /** Milliseconds for a delegated plugin. */
  delegateTimeout: number;
  /** Milliseconds for a lock. */
  lockTimeout: number;
}

/** Read once a call, when first needed. A file that is not root's, or not valid, is an error (fail closed) on ADD and ignored on DEL. */
export function policy(): Policy {
  throw new Error("not built yet");
}

/** Throws CniError(invalidConfig) when `path` of `key` lies outside the allowed roots. Lexical check; files are opened without following links (state/files.ts). */
export function confinePath(_key: keyof Policy["paths"], _path: string): void {
  throw new Error("not built yet");
}
