// promiscMode. Whoever made the bridge, it stops to be promiscuous with the last port for which ADD made it so; one that was promiscuous before stays.
// Which ports these are stands in their aliases, and no lock is needed: ADD writes its mark first and then looks at the bridge, and who takes the
// flag away looks once more for marks.
import type { Bridge } from "../../src/link/bridge.ts";
import { getLink, IFF_PROMISC, listLinksOfKind, setLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { isPromiscuous } from "./alias.ts";

/** Whether a new port is to have the mark. */
export function needsMark({ flags, index }: Bridge): boolean {
  return (flags & IFF_PROMISC) === 0 || hasMarks(index);
}

/** Makes the bridge what the marks of its ports say. */
export function settlePromiscuity(bridge: number): void {
  const { route } = ownNamespace();
  const link = getLink(route, bridge);
  if (link === undefined) return;
  let promisc = hasMarks(bridge);
  if (((link.flags & IFF_PROMISC) !== 0) === promisc) return;
  setLink(route, bridge, { promisc });
  if (promisc) return;
  promisc = hasMarks(bridge);
  if (promisc) setLink(route, bridge, { promisc });
}

function hasMarks(bridge: number): boolean {
  return listLinksOfKind(ownNamespace().route, "veth").some(
    ({ master, alias }) => master === bridge && isPromiscuous(alias),
  );
}
