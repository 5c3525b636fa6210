// The links and addresses in each network namespace of this node.
import { formatAddress } from "../../ip/address.ts";
import { type KernelAddress, listAddresses } from "../../link/address.ts";
import { type View, viewAtOnce, viewOf } from "../../link/identity.ts";
import { type Link, listLinksQuietly } from "../../link/link.ts";
import { ownNamespace } from "../../link/namespace.ts";
import { lookOrDoubt } from "../../link/visible.ts";
import type { HiddenNumbers } from "../../netlink/nsid.ts";
import { addressesIn, isLoopback, mayBeAttached } from "../../plugin/lessees.ts";
import { Progress } from "../progress.ts";
import { type Namespaces, NO_PATH, type SeenNamespace } from "./namespaces.ts";

export interface Inside {
  namespace: SeenNamespace;
  links: Link[];
  /** Identifies the devices of the links. */
  view: View;
  /** The links that may belong to an attachment. */
  attached: Link[];
  /** The addresses of `attached`, as text without prefix length. */
  addresses: Set<string>;
}

/**
 * Reads the links and addresses in all namespaces for which `isWanted` is true, except this process's own. Omits namespaces that end in the
 * meantime. Adds the paths of namespaces that cannot be entered to `blind`, and removes the numbers of the others from `hidden`.
 */
export function lookInside(
  namespaces: Namespaces,
  isWanted: (namespace: SeenNamespace) => boolean = () => true,
  blind: string[] = [],
  hidden?: HiddenNumbers,
): Inside[] {
  const own = ownNamespace();
  hidden?.without(own.fd);
  const progress = new Progress("reading network namespaces");
  const found: Inside[] = [];
  for (const namespace of namespaces.seen) {
    progress.step(namespaces.seen.length);
    if ((namespace.ino === own.ino && namespace.dev === own.dev) || !isWanted(namespace)) continue;
    const look = lookOrDoubt(namespace.path, (open) => {
      hidden?.without(open.fd);
      const view = viewAtOnce(viewOf(open, own));
      const links = view.links();
      const attached = links.filter((link) => mayBeAttached(link, open, namespace.named));
      return { namespace, view, links, attached, addresses: addressesOn(attached, listAddresses(open.route, 0)) };
    });
    if (look.found !== undefined) found.push(look.found);
    if (look.doubt !== undefined) blind.push(namespace.path);
  }
  progress.done();
  return found;
}

/**
 * Like lookInside, for the namespaces that have no path here, by the host's numbers (nsid) for them. "unknown": the kernel does not provide
 * the information (before Linux 4.20).
 */
export function lookBeyond(hidden: HiddenNumbers): Pick<Inside, "namespace" | "attached" | "addresses">[] | "unknown" {
  const { route } = ownNamespace();
  const namespace = { path: NO_PATH, dev: 0, ino: 0, named: false };
  const found = hidden.left.map((number) => {
    const attached = listLinksQuietly(route, number).filter((link) => !isLoopback(link));
    const addresses = addressesIn(number);
    return addresses && { namespace, attached, addresses: addressesOn(attached, addresses) };
  });
  const told = found.filter((one) => one !== undefined);
  return told.length === found.length ? told : "unknown";
}

function addressesOn(links: readonly Link[], addresses: readonly KernelAddress[]): Set<string> {
  const indices = new Set(links.map(({ index }) => index));
  return new Set(addresses.filter(({ index }) => indices.has(index)).map(({ address }) => formatAddress(address)));
}
