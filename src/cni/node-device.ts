// Devices that the node itself needs stay on the node, unless its policy says otherwise: who writes a configuration may be a tenant.
import { policy } from "../config/policy.ts";
import { CniError, Code } from "../errors.ts";
import { getLink, IFF_LOOPBACK, type Link, listLinks } from "../link/link.ts";
import { defaultRouteDevices, type KernelRoute } from "../link/route.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { placeOnHost } from "../sysfs/device.ts";

/**
 * Throws CniError(invalidConfig) saying what the node needs the device for. Looks, and changes nothing. `routes`: those of the node, when
 * the caller has them already (relevantRoutes).
 */
export function refuseNodeDevice(route: RouteSocket, link: Link, routes?: KernelRoute[]): void {
  if ((link.flags & IFF_LOOPBACK) !== 0) refuse(link, "is the loopback interface", "Name another device.");
  refuseDenied(link);
  if (matches(link, policy().devices.allow)) return;
  const cure = `Name another device, or add "${link.name}" to devices.allow in /etc/cni/podnic.json on this node.`;
  if (link.master !== 0 && link.slaveKind !== "vrf") {
    const master = getLink(route, link.master)?.name ?? `interface ${link.master}`;
    refuse(link, `belongs to the ${link.slaveKind || "interface"} ${master}`, cure);
  }
  const carrier = carrierOver(route, link, routes);
  if (carrier === link.name) refuse(link, "carries a default route of this node", cure);
  if (carrier !== undefined) refuse(link, `is below ${carrier}, which carries a default route of this node`, cure);
}

/** Only what the node's policy denies: for uses that leave the device to the node. Throws CniError(invalidConfig). */
export function refuseDenied(link: Link): void {
  if (!matches(link, policy().devices.deny)) return;
  refuse(link, "is denied to pods by the node's policy", "See devices.deny in /etc/cni/podnic.json.");
}

function refuse(link: Link, why: string, cure: string): never {
  throw new CniError(Code.invalidConfig, `device "${link.name}" ${why}`, cure);
}

function matches(link: Link, entries: string[]): boolean {
  return entries.some(
    (entry) =>
      entry === link.name ||
      link.altnames.includes(entry) ||
      (entry !== "" && (entry === placeOnHost(link) || entry.toLowerCase() === link.mac)),
  );
}

/** Name of the device with a default route (of any table) that stands on `link`: itself, a VLAN or bridge over it, … */
function carrierOver(route: RouteSocket, link: Link, routes?: KernelRoute[]): string | undefined {
  const seen = new Set<number>();
  let all: Link[] | undefined;
  const standsOnLink = (index: number): boolean => {
    if (index === link.index) return true;
    if (index === 0 || seen.has(index)) return false;
    seen.add(index);
    const upper = getLink(route, index);
    if (upper === undefined) return false;
    // A parent in another namespace has an index of that namespace.
    if (upper.linkNetnsid === undefined && standsOnLink(upper.parent)) return true;
    if (!["bridge", "bond", "team", "vrf"].includes(upper.kind)) return false;
    all ??= listLinks(route);
    return all.some((port) => port.master === index && standsOnLink(port.index));
  };
  for (const index of defaultRouteDevices(route, routes)) {
    if (standsOnLink(index)) return getLink(route, index)?.name ?? `interface ${index}`;
  }
  return undefined;
}
