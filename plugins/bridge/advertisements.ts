// The node takes no router advertisement from its pods (CVE-2020-10749): any pod that can send one would get the node's traffic to all of IPv6.
import { Failure } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { readSysctl, writeSysctl } from "../../src/link/sysctl.ts";

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
      "A pod could make itself this node's IPv6 router. Let podnic write below /proc/sys, or set net.ipv6.conf.default.accept_ra=0 on the host.",
    );
  }
}
