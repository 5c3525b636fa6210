// Searches for an interface in the namespaces of pods other than the call's own.
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { NetlinkError } from "../netlink/errors.ts";
import { isNumberOf, namespaceNumbers } from "../netlink/nsid.ts";
import { closing } from "../state/files.ts";
import { type Link, listLinksQuietly } from "./link.ts";
import { lost } from "./master.ts";
import { lookInto, type NetNs } from "./namespace.ts";
import { SHORTAGES } from "./visible.ts";

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

/**
 * The same in those that `namespace` has numbers for, by the kernel's answers: they need no path that we may open. `find` is asked of links that
 * lead to `namespace`. A kernel without such answers (before Linux 4.16) lists our own links, which do not.
 */
export function findByNumber(namespace: NetNs, find: (link: Link) => boolean): Found | undefined {
  const { route, fd } = namespace;
  for (const number of namespaceNumbers(route).slice(0, SEARCH_LIMIT)) {
    const link = listLinksQuietly(route, number).find((each) => find(each) && isNumberOf(route, each.linkNetnsid, fd));
    if (link !== undefined) return { link, where: `a namespace that this node knows as number ${number}` };
  }
  return undefined;
}

/** Not openDirectory: the runtime's path may lead over links, as /var/run does. */
function namesIn(path: string): string[] {
  return closing(host.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC), (dir) => host.readdir(dir));
}

/** Other pods come and go meanwhile: one that cannot be looked into has no say, but a shortage of our own or a lost answer is thrown. */
export function findIn(path: string, find: (namespace: NetNs) => Link | undefined): Found | undefined {
  try {
    const link = lookInto(path, find);
    return link === undefined ? undefined : { link, where: path };
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof NetlinkError)) throw error;
    if (SHORTAGES.includes(error.code) || lost.includes(error.code)) throw error;
    return undefined;
  }
}
