// The node's own, against what it was before any pod: what pods have no part in has to stay as it was, also while they live.
import { FORWARDING, unlike, withoutForwarding } from "../interleave/picture.ts";
import type { Pod } from "./pods.ts";

/** Devices that are there before any ADD, for pictureOf. */
export const LENT = /^(nic\d+p?|up[01]|lo)$/;

/** What a bridge with a gateway and masquerade gives the node while it is there, and the pods that have it. */
const OF_BRIDGE =
  /^((of )?host br0\b|(of )?host veth\b|route host .* dev br0 |table host family 1 cni_plugins_masquerade$)/;
const OF_POD = /^((of|route|rule|table|neighbour|nexthop|xtables) )?pod\d+ /;
/** A veth cannot filter, so that the master of macvlans hears all. */
const asWithoutPods = (line: string): string =>
  withoutForwarding(line).replace(/^(of host up0: .* promiscuity) 1 /, "$1 0 ");

/**
 * The node's own: all that no pod and no bridge has.
 * @param before lines of pictureOf, and of the files. @param lent devices that pods have now. @param masqueraded addresses
 */
export function strays(
  before: readonly string[],
  now: readonly string[],
  lent: readonly string[],
  masqueraded: readonly string[] = [],
): string[] {
  const isLent = (line: string): boolean =>
    lent.some(
      (name) => new RegExp(`^((of )?host ${name}p?\\b|sysctl ipv[46]/neigh/${name}p?/)`).test(line) || isRecord(line),
    );
  const isMasquerade = (line: string): boolean =>
    line.startsWith("nft ") && masqueraded.some((address) => line.startsWith(`nft ip saddr ${address} `));
  const chosen = (lines: readonly string[]): string[] =>
    lines
      .filter(
        (line) =>
          ![OF_POD, OF_BRIDGE, FORWARDING].some((one) => one.test(line)) && !isMasquerade(line) && !isLent(line),
      )
      .map(asWithoutPods);
  return unlike(chosen(before), chosen(now));
}

/** Their number is compared elsewhere. */
const isRecord = (line: string): boolean => /^file \/var\/lib\/cni\/podnic\/host-device\/[^.][^/]*$/.test(line);

/** What a pod of the model has: lines of pictureOf, without those of attributes and those that each namespace has. */
export function linesOfPod({ id, attachments }: Pod): string[] {
  const lines = [`${id} lo mtu 65536 up 00:00:00:00:00:00 alias "" 127.0.0.1/8 ::1/128`];
  for (const { network, ifName, device, result } of attachments) {
    const ips = (result?.ips ?? []).map(({ address }) => address);
    // host-device notes the device's name in the alias.
    const card = device === undefined ? "1500 up" : `1400 up 02:00:00:00:0${device.slice(3)}:01 alias "${device}"`;
    lines.push(`${id} ${ifName} mtu ${card} ${ips.join(" ")}`.trim());
    for (const [ip, length] of ips.map((address) => address.split("/")))
      lines.push(
        `route ${id} ipv4/${length} dev ${ifName} type 1 proto 2 scope 253 table 254 to ${network.prefix}.0.0 src ${ip}`,
      );
  }
  return lines;
}

/** What living pods have and should not have, and the reverse. */
export function unlikeModel(pods: readonly Pod[], now: readonly string[], bare: readonly string[]): string[] {
  const rules = bare.flatMap((line) => (line.startsWith("rule host ") ? [line.slice("rule host ".length)] : []));
  const found = new Map(pods.map(({ id }) => [id, [] as string[]]));
  for (const line of now.filter((one) => OF_POD.test(one) && !one.startsWith("of "))) {
    const id = /\bpod\d+\b/.exec(line)![0];
    found.set(id, [...(found.get(id) ?? []), line]);
  }
  const wanted = new Map(
    pods.map((pod) => [pod.id, [...linesOfPod(pod), ...rules.map((rule) => `rule ${pod.id} ${rule}`)]]),
  );
  return [...found].flatMap(([id, lines]) => unlike(wanted.get(id) ?? [], lines).map((line) => `in a pod: ${line}`));
}
