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
  /** To tell which device each is. */
  view: View;
  /** Those of them that may be an attachment's. */
  attached: Link[];
  /** Texts of the addresses of these, without prefix length. */
  addresses: Set<string>;
}

/**
 * Looks into all namespaces, or those wanted, but our own and those that end meanwhile. `blind` gets the paths of those that nobody can look into,
 * and `hidden` loses the numbers of the others.
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
 * The same of the namespaces that have no path here, by the numbers that the host has for them. "unknown": the kernel does not tell (before Linux
 * 4.20).
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
