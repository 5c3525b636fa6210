// The node's own, against what it was before any pod: what pods have no part in has to stay as it was, also while they live.
import { unlike } from "../interleave/picture.ts";

/** Devices that are there before any ADD, for pictureOf. */
export const LENT = /^(nic\d+p?|up[01]|lo)$/;

const own = /^(route|rule|table|sysctl|(of )?host nic\d+p?\b|of host nic\d+p?:)/;
/** What a bridge with a gateway and masquerade gives the node while it is there, and the pods that have it. */
const OF_BRIDGE =
  /^(route host .* dev br0 |table host family 1 cni_plugins_masquerade$|sysctl ipv4\/(ip_forward|conf\/(all|default)\/forwarding|conf\/all\/accept_redirects) )/;

/** @param before lines of pictureOf. @param lent devices that pods have now */
export function strays(before: readonly string[], now: readonly string[], lent: readonly string[]): string[] {
  const isLent = (line: string): boolean =>
    lent.some((name) => new RegExp(`^(of )?host ${name}p?\\b`).test(line)) || /^(route|rule) (?!host )/.test(line);
  const chosen = (lines: readonly string[]): string[] =>
    lines
      .filter((line) => own.test(line) && !OF_BRIDGE.test(line) && !isLent(line))
      // Forwarding is one for all interfaces.
      .map((line) => line.replace(/^(of host \S+: ipv4) 1=1 /, "$1 "));
  return unlike(chosen(before), chosen(now));
}
