// Searches for an interface in the namespaces of pods other than the call's own.
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { closing } from "../state/files.ts";
import type { Link } from "./link.ts";
import { lookInto, type NetNs } from "./namespace.ts";

/** Namespaces looked into at most: about 0.1 ms each. */
const SEARCH_LIMIT = 4096;

export interface Found {
  link: Link;
  /** Path of the namespace. */
  where: string;
}

export function findBeside(netnsPath: string, find: (namespace: NetNs) => Link | undefined): Found | undefined {
  const beside = netnsPath.slice(0, netnsPath.lastIndexOf("/"));
  if (!beside.endsWith("/netns")) return undefined;
  for (const name of namesIn(beside).slice(0, SEARCH_LIMIT)) {
    const found = findIn(`${beside}/${name}`, find);
    if (found !== undefined) return found;
  }
  return undefined;
}

/** Not openDirectory: the runtime's path may lead over links, as /var/run does. */
function namesIn(path: string): string[] {
  return closing(host.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), (dir) => host.readdir(dir));
}

/** Other pods come and go meanwhile: one that cannot be looked into has no say. */
export function findIn(path: string, find: (namespace: NetNs) => Link | undefined): Found | undefined {
  try {
    const link = lookInto(path, find);
    return link === undefined ? undefined : { link, where: path };
  } catch (error) {
    if (error instanceof SystemError || error instanceof NetlinkError) return undefined;
    throw error;
  }
}
