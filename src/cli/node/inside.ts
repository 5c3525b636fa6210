// The links and addresses in each network namespace of this node.
import { AF_INET } from "../../host/constants.ts";
import { formatAddress } from "../../ip/address.ts";
import { type View, viewAtOnce, viewOf } from "../../link/identity.ts";
import type { Link } from "../../link/link.ts";
import { ownNamespace } from "../../link/namespace.ts";
import { lookOrDoubt } from "../../link/visible.ts";
import { readAddress, writeAddress } from "../../netlink/address.ts";
import { RTM_GETADDR } from "../../netlink/constants.ts";
import type { RouteSocket } from "../../netlink/socket.ts";
import { Progress } from "../progress.ts";
import type { Namespaces, SeenNamespace } from "./namespaces.ts";

export interface Inside {
  namespace: SeenNamespace;
  links: Link[];
  /** To tell which device each is. */
  view: View;
  /** Texts of the addresses of its interfaces, without prefix length. */
  addresses: Set<string>;
}

/** Looks into all namespaces, or those wanted, but our own and those that end meanwhile. `blind` gets the paths of those that nobody can look into. */
export function lookInside(
  namespaces: Namespaces,
  isWanted: (namespace: SeenNamespace) => boolean = () => true,
  blind: string[] = [],
): Inside[] {
  const own = ownNamespace();
  const progress = new Progress("reading network namespaces");
  const found: Inside[] = [];
  for (const namespace of namespaces.seen) {
    progress.step(namespaces.seen.length);
    if ((namespace.ino === own.ino && namespace.dev === own.dev) || !isWanted(namespace)) continue;
    const look = lookOrDoubt(namespace.path, (open) => {
      const view = viewAtOnce(viewOf(open, own));
      return { namespace, view, links: view.links(), addresses: allAddresses(open.route) };
    });
    if (look.found !== undefined) found.push(look.found);
    if (look.doubt !== undefined) blind.push(namespace.path);
  }
  progress.done();
  return found;
}

/** `ip addr show`. */
function allAddresses(route: RouteSocket): Set<string> {
  const { items } = route.dump(
    "ip addr show",
    RTM_GETADDR,
    (writer) => writeAddress(writer, { family: 0, prefixLength: 0, flags: 0, scope: 0, index: 0, attributes: {} }),
    (bytes, start, end) => {
      const { family, attributes } = readAddress(bytes, start, end);
      const own = attributes.local ?? attributes.address;
      return own && formatAddress({ family: family === AF_INET ? 4 : 6, bytes: own });
    },
  );
  return new Set(items);
}
