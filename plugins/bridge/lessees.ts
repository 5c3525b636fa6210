// GC: the addresses of pods whose ports have no alias of podnic. Nothing shows that such a port is this network's, so it stays, and so do the
// lease and the rules of whoever has an address behind it.
import { isValidAttachment } from "../../src/cni/attachments.ts";
import { holderOf, isDelegated, wantsIpam } from "../../src/cni/ipam.ts";
import type { Attachment, Call } from "../../src/cni/plugin.ts";
import { Failure } from "../../src/errors.ts";
import { formatAddress } from "../../src/ip/address.ts";
import { type KernelAddress, listAddressesOf } from "../../src/link/address.ts";
import type { Link } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { log } from "../../src/log.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { ownerOf } from "./alias.ts";

type Lessee = Pick<Attachment, "containerId" | "ifName">;

/**
 * Attachments that are not valid any more, and have the lease of an address that is in a namespace behind a veth of others: the Go plugin's ports,
 * whatever has become of them, the pod's end and the bridge. `veths`: all of the host. Throws Failure when the kernel does not tell which addresses
 * are there.
 */
export function lesseesBehindOthers(call: Call, veths: Link[]): Lessee[] {
  if (!wantsIpam(call) || isDelegated(call)) return [];
  const isOwned = ({ alias }: Link): boolean => ownerOf(alias) !== undefined;
  // These have an owner: GC knows what is to become of their leases.
  const known = new Set(veths.filter(isOwned).map(({ linkNetnsid, parent }) => `${linkNetnsid} ${parent}`));
  const numbers = new Map(veths.filter((link) => !isOwned(link)).map(({ linkNetnsid, name }) => [linkNetnsid, name]));
  const lessees: Lessee[] = [];
  for (const [number, port] of numbers) {
    if (number === undefined) continue;
    for (const { index, address } of addressesIn(number)) {
      const holder = known.has(`${number} ${index}`) ? undefined : holderOf(call, address);
      if (holder === undefined || isValid(call, holder)) continue;
      lessees.push(holder);
      const what = "GC keeps the lease of an attachment that is no longer valid, because its pod still has the address";
      log("warning", what, { container: holder.containerId, address: formatAddress(address), port });
    }
  }
  return lessees;
}

/** A lease of host-local before 0.8 names no interface. */
function isValid(call: Call, holder: Lessee): boolean {
  if (holder.ifName !== "") return isValidAttachment(call, holder);
  return call.validAttachments.some(({ containerId }) => containerId === holder.containerId);
}

/** None of a namespace that is about to end. */
function addressesIn(number: number): KernelAddress[] {
  try {
    const found = listAddressesOf(ownNamespace().route, number);
    if (found !== undefined) return found;
  } catch (error) {
    if (error instanceof NetlinkError && error.code === "EINVAL") return [];
    throw error;
  }
  throw new Failure(
    "try again",
    "cannot tell which addresses pods have behind the veth interfaces of other plugins",
    "A pod may still have an address whose lease GC would release, so GC released none. This needs Linux 4.20. Use `podnic gc`.",
  );
}
