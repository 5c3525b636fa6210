// promiscMode. The bridge stops being promiscuous when the last port with this key is removed, whoever created the bridge. A bridge that was
// promiscuous before stays promiscuous. The aliases of the ports show which ports have the key. No lock is needed: ADD writes its mark before
// it looks at the bridge, and a call that clears the flag looks for marks once more afterwards.
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
