// Makes the node ignore router advertisements from its pods (CVE-2020-10749). Otherwise, a pod that can send one would receive all IPv6
// traffic of the node.
import { Failure } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { isLearnt } from "../../src/link/advertised.ts";
import { IFF_LOOPBACK, listLinks } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { type KernelRoute, listRoutes } from "../../src/link/route.ts";
import { readSysctl, writeSysctl } from "../../src/link/sysctl.ts";
import { RTN_UNICAST } from "../../src/netlink/constants.ts";

/**
 * Before the host forwards IPv6: the kernel then forgets the default routes that it has learnt from routers, and listens to none any more, except
 * on interfaces where accept_ra is 2. Those that listen now get that, also when they have learnt nothing yet or their router restarts: the node's
 * own addresses and routes come from advertisements as well. Throws SystemError.
 */
export function keepAdvertisements(): void {
  const { route } = ownNamespace();
  // Table 0: all of them; a VRF has its own.
  const routes = ([4, 6] as const).flatMap((family) => listRoutes(route, family, 0));
  for (const { name, index, kind, linkNetnsid, flags } of listLinks(route)) {
    // The names of the kernel's own directories, for what is yet to be made.
    if ((flags & IFF_LOOPBACK) !== 0 || name === "all" || name === "default") continue;
    if (kind === "veth" && linkNetnsid !== undefined && isPodsWire(index, routes)) continue;
    const keys = `net/ipv6/conf/${name}`;
    // accept_ra 0: a program of the host listens, whose routes the kernel leaves alone. forwarding 1: it does not listen now.
    if (readSysctl(`${keys}/accept_ra`) === "1" && readSysctl(`${keys}/forwarding`) === "0")
      writeUnlessGone(`${keys}/accept_ra`, "2");
  }
}

/** Interfaces of other pods go meanwhile. */
function writeUnlessGone(key: string, value: string): void {
  try {
    writeSysctl(key, value);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "ENOENT") throw error;
  }
}

/**
 * The host's end of a veth behind which is a single address, and no router that it has heard of. (The uplink of a node that is a container itself
 * is a veth as well.)
 */
function isPodsWire(index: number, routes: KernelRoute[]): boolean {
  const own = routes.filter(({ nexthops }) => nexthops.some(({ ifIndex }) => ifIndex === index));
  const isSingle = ({ type, dst, nexthops }: KernelRoute): boolean =>
    type === RTN_UNICAST && dst.length === dst.address.bytes.length * 8 && nexthops.every(({ gateway }) => !gateway);
  return own.some(isSingle) && !own.some(isLearnt);
}

/** Of an interface of the host that pods can send to; before it is up. Throws Failure when it goes on listening. */
export function ignoreAdvertisements(name: string): void {
  const key = `net/ipv6/conf/${name}/accept_ra`;
  try {
    writeSysctl(key, "0");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const now = readSysctl(key);
    // No IPv6 on it.
    if (now === undefined || now === "0") return;
    throw new Failure(
      "failed",
      `cannot stop "${name}" from accepting router advertisements: ${error.message}`,
      "Otherwise, a pod could become this node's IPv6 router. Allow podnic to write to /proc/sys, or set net.ipv6.conf.default.accept_ra=0 on the host.",
    );
  }
}
