// The name of a device that comes home, when another device of the host has it by now.
import { isSameDevice, viewOf } from "../../link/identity.ts";
import { getLink, IFF_UP, type Link, setLink } from "../../link/link.ts";
import type { NetNs } from "../../link/namespace.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import { log } from "../../log.ts";
import { isSameKey, type RecordKey } from "../../state/record.ts";
import { ageOf, type Lender, type LoanData, listLoans } from "./lender.ts";

/**
 * Frees the name when the device that has it is on loan as well, and was called otherwise: a driver that was bound anew, or a pod that ended,
 * gave it the name. Its own DEL gives it its own name; until then the kernel's `dev<index>` does. Otherwise two devices with each other's name
 * would keep each other from coming home for ever. `own`: the device itself, when it is on the host. False: somebody else has the name.
 */
export function freeName<D extends LoanData>(
  lender: Lender<D>,
  key: RecordKey,
  host: NetNs,
  name: string,
  own?: Link,
): boolean {
  const other = getLink(host.route, name);
  if (other === undefined || other.index === own?.index) return true;
  const view = viewOf(host, host);
  const isOnLoan = listLoans(lender).some((record) => {
    const { was } = lender.loanOf(record.data);
    if (was === undefined || isSameKey(record.key, key) || ageOf(record) !== "now" || was.name === name) return false;
    return isSameDevice(view, other, was, record.key.ifName);
  });
  const spare = spareName(host, other);
  if (!isOnLoan || spare === other.name) return false;
  log("info", "another device that is being returned has the name", { name, interface: spare });
  // Before 6.2 the kernel renames only a device that is down.
  if ((other.flags & IFF_UP) !== 0) setLink(host.route, other.index, { up: false });
  setLink(host.route, other.index, { name: spare });
  return true;
}

/**
 * What a device that is on the host already becomes when its name is somebody else's: the rest of what it was, and `dev<index>`, as the kernel
 * calls a device whose name is taken. Not the name that it has, which may be one that a pod has chosen. The alias says what it was called.
 */
export function underSpareName(host: NetNs, link: Link, was: LinkSnapshot): LinkSnapshot {
  const name = spareName(host, link);
  log("warning", "the host has another device of this name: it goes by a spare name for now", {
    device: was.name,
    interface: name,
    cure: `ip link set dev ${name} name …`,
  });
  return { ...was, name, alias: was.alias || was.name };
}

function spareName(host: NetNs, { name, index }: Link): string {
  const spare = `dev${index}`;
  return getLink(host.route, spare) === undefined ? spare : name;
}
