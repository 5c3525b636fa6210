// The node as the operator's commands see it: all information about pods, collected once.
import { ownNamespace } from "../../link/namespace.ts";
import { HiddenNumbers } from "../../netlink/nsid.ts";
import { bootTime } from "../../state/record.ts";
import { requireRootFor } from "../exit.ts";
import { type CachedAttachment, readCache } from "./cache.ts";
import { configurationFiles, type PluginConfiguration, pluginsOf, readConfiguration } from "./configurations.ts";
import { Containers } from "./evidence.ts";
import { findHolders, type Holder } from "./holders.ts";
import { type Inside, lookBeyond, lookInside } from "./inside.ts";
import { Namespaces } from "./namespaces.ts";
import { cachedConfigurations, findPools, type Pool } from "./pools.ts";
import { findLeftovers, type Leftover } from "./ports.ts";

export interface Node {
  namespaces: Namespaces;
  holders: Holder[];
  insides: Inside[];
  /** The paths of the namespaces that podnic could not enter. */
  blind: string[];
  containers: Containers;
  /** What the bridge plugin created for pods that are gone. */
  leftovers: Leftover[];
  /** The entries of libcni's cache. */
  cache: CachedAttachment[];
  /** The configurations in files, followed by those in libcni's cache. */
  configurations: PluginConfiguration[];
}

/** Throws Failure if the user is not root, because other users cannot see all of the state, and cannot enter pods' namespaces. */
export function requireRoot(): void {
  requireRootFor("this", "only root can see pods' namespaces and the plugins' records");
}

export function configurationsInFiles(): PluginConfiguration[] {
  return configurationFiles().flatMap((file) => pluginsOf(readConfiguration(file)));
}

/** Collects information about pods. Adds the paths of namespaces that it cannot enter to `blind`. Throws NetlinkError and SystemError. */
export function lookAtPods(
  namespaces: Namespaces,
  holders: Holder[],
  blind: string[] = [],
): Pick<Node, "containers" | "insides" | "cache"> {
  const hidden = new HiddenNumbers(ownNamespace().route);
  const insides = lookInside(namespaces, undefined, blind, hidden);
  const beyond = lookBeyond(hidden);
  const cache = readCache();
  const isKnown = beyond !== "unknown";
  // Without information about the hidden namespaces, a pod there may still have a lease's address, so the lease's age does not prove anything.
  const sources = { insides: isKnown ? [...beyond, ...insides] : insides, bootTime: isKnown ? bootTime() : 0 };
  return { insides, cache, containers: new Containers({ ...sources, namespaces, holders, cache, blind }) };
}

/** Collects all information about the node. Throws NetlinkError, SystemError and Failure (see requireRoot). */
export function lookAtNode(): Node {
  requireRoot();
  const namespaces = Namespaces.find();
  const holders = findHolders(namespaces);
  const blind: string[] = [];
  const { containers, insides, cache } = lookAtPods(namespaces, holders, blind);
  return {
    namespaces,
    holders,
    insides,
    blind,
    containers,
    cache,
    leftovers: findLeftovers(containers, insides, cache),
    configurations: [...configurationsInFiles(), ...cachedConfigurations(cache, pluginsOf)],
  };
}

/** The node's pools. See findPools for `dataDirs`. */
export function poolsOf({ containers, configurations }: Node, dataDirs: string[] = []): Pool[] {
  return findPools(containers, configurations, dataDirs);
}
