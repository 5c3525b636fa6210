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
  /** Paths of the namespaces that nobody could look into. */
  blind: string[];
  containers: Containers;
  /** What bridge left of pods that are gone. */
  leftovers: Leftover[];
  /** What libcni remembers. */
  cache: CachedAttachment[];
  /** Of files, then of what libcni remembers. */
  configurations: PluginConfiguration[];
}

/** Who is not root would be told half of the truth: state is root's, and so are pods' namespaces. Throws Failure. */
export function requireRoot(): void {
  requireRootFor("this", "only root can see pods' namespaces and the plugins' records");
}

export function configurationsInFiles(): PluginConfiguration[] {
  return configurationFiles().flatMap((file) => pluginsOf(readConfiguration(file)));
}

/** Of the pods of these namespaces. `blind` gets the paths of the namespaces that nobody could look into. Throws NetlinkError and SystemError. */
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
  // One that may be a living pod's is not gone because of its age.
  const sources = { insides: isKnown ? [...beyond, ...insides] : insides, bootTime: isKnown ? bootTime() : 0 };
  return { insides, cache, containers: new Containers({ ...sources, namespaces, holders, cache, blind }) };
}

/** Throws NetlinkError, SystemError and Failure (see requireRoot). */
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

/** Pools of the node; `dataDirs` empty: the usual one and those that configurations name. */
export function poolsOf({ containers, configurations }: Node, dataDirs: string[] = []): Pool[] {
  return findPools(containers, configurations, dataDirs);
}
