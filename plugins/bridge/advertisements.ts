// Makes the node ignore router advertisements from its pods (CVE-2020-10749). Otherwise, a pod that can send one would receive all IPv6
// traffic of the node.
import { Failure } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { isLearnt } from "../../src/link/advertised.ts";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { listRoutes } from "../../src/link/route.ts";
import { readSysctl, writeSysctl } from "../../src/link/sysctl.ts";

/**
 * Before the host forwards IPv6: the kernel then forgets the default routes that it has learnt from routers, and listens to none any more, except
 * on interfaces where accept_ra is 2. Those that it has such a route over get that. Throws SystemError.
 */
export function keepAdvertisements(): void {
  const { route } = ownNamespace();
  // Table 0: all of them; a VRF has its own.
  const learnt = listRoutes(route, 6, 0).filter((found) => found.dst.length === 0 && isLearnt(found));
  for (const index of new Set(learnt.flatMap(({ nexthops }) => nexthops.map(({ ifIndex }) => ifIndex)))) {
    const name = getLink(route, index)?.name;
    const key = `net/ipv6/conf/${name}/accept_ra`;
    // 0: a program of the host listens, whose routes the kernel leaves alone.
    if (name !== undefined && readSysctl(key) === "1") writeSysctl(key, "2");
  }
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
