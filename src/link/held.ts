// Finds the holder of an address that this interface cannot have. It runs only after the kernel has refused the address.
import { O_CLOEXEC, O_DIRECTORY, O_RDONLY } from "../host/constants.ts";
import { host } from "../host/host.ts";
import type { Address } from "../ip/address.ts";
import { equalAddresses } from "../ip/range.ts";
import { listAddresses } from "./address.ts";
import { type Link, listLinks } from "./link.ts";
import { lookInto, type NetNs, ownNamespace } from "./namespace.ts";

/** Namespaces looked into at most: about 0.1 ms each. */
const SEARCH_LIMIT = 1024;

/** "net1 in /run/netns/NAME", another interface than `own` with this MAC; "" when none is seen. */
export function holderOfMac(pod: NetNs, own: number, mac: string): string {
  return search(pod, own, ({ link }) => link.mac === mac);
}

/** The same for an IP address. */
export function holderOfAddress(pod: NetNs, own: number, address: Address): string {
  return search(pod, own, ({ link, namespace }) =>
    listAddresses(namespace.route, link.index, address.family).some((each) => equalAddresses(each.address, address)),
  );
}

interface Candidate {
  link: Link;
  namespace: NetNs;
}

/** The pod's own namespace, the host's, and those beside the pod's: a runtime has all of its pods in one directory. */
function search(pod: NetNs, own: number, fits: (candidate: Candidate) => boolean): string {
  const within = (namespace: NetNs): string | undefined =>
    listLinks(namespace.route).find((link) => !(namespace === pod && link.index === own) && fits({ link, namespace }))
      ?.name;
  try {
    const here = within(pod);
    if (here !== undefined) return `${here} in this pod`;
    const onHost = within(ownNamespace());
    if (onHost !== undefined) return `${onHost} on the host`;
    const directory = pod.path.slice(0, pod.path.lastIndexOf("/"));
    if (!directory.endsWith("/netns")) return "";
    for (const name of namesIn(directory).slice(0, SEARCH_LIMIT)) {
      const path = `${directory}/${name}`;
      const found = path === pod.path ? undefined : quietly(() => lookInto(path, within));
      if (found !== undefined) return `${found} in ${path}`;
    }
  } catch {
    // The refusal is what matters; who holds it would only have been kind.
  }
  return "";
}

/** Other pods come and go meanwhile. */
function quietly<T>(look: () => T | undefined): T | undefined {
  try {
    return look();
  } catch {
    return undefined;
  }
}

function namesIn(path: string): string[] {
  const dir = host.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  try {
    return host.readdir(dir);
  } finally {
    host.close(dir);
  }
}
