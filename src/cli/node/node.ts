// The node as the operator's commands see it: everything that tells about pods, looked up once.
import { readText } from "../../sysfs/device.ts";
import { readCache } from "./cache.ts";
import { configurationFiles, type PluginConfiguration, pluginsOf, readConfiguration } from "./configurations.ts";
import { Containers } from "./evidence.ts";
import { findHolders, type Holder } from "./holders.ts";
import { type Inside, lookInside } from "./inside.ts";
import { Namespaces } from "./namespaces.ts";
import { cachedConfigurations, findPools, type Pool } from "./pools.ts";

export interface Node {
  namespaces: Namespaces;
  holders: Holder[];
  insides: Inside[];
  containers: Containers;
  /** Of files, then of what libcni remembers. */
  configurations: PluginConfiguration[];
}

/** Throws NetlinkError and SystemError. */
export function lookAtNode(): Node {
  const namespaces = Namespaces.find();
  const holders = findHolders(namespaces);
  const insides = lookInside(namespaces);
  const cache = readCache();
  const containers = new Containers({ namespaces, holders, insides, cache, bootTime: bootTime() });
  const files = configurationFiles().flatMap((file) => pluginsOf(readConfiguration(file)));
  return {
    namespaces,
    holders,
    insides,
    containers,
    configurations: [...files, ...cachedConfigurations(cache, pluginsOf)],
  };
}

/** Pools of the node; `dataDirs` empty: the usual one and those that configurations name. */
export function poolsOf({ containers, configurations }: Node, dataDirs: string[] = []): Pool[] {
  return findPools(containers, configurations, dataDirs);
}

/** Seconds since the epoch; 0 when the kernel does not tell. */
function bootTime(): number {
  return Number(/^btime (\d+)$/m.exec(readText("/proc/stat") ?? "")?.[1] ?? 0);
}
