// Devices without a record that are neither in the pod nor on the host: looks into every namespace that podnic can see. What it finds there is never taken,
// as nothing shows how it got there. It only keeps DEL from releasing what may still be in use, and ADD from a card with a forged alias.
import { Failure, shellWord } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";
import { isPhysical, viewOf } from "../../src/link/identity.ts";
import { type Link, listLinks, listLinksQuietly } from "../../src/link/link.ts";
import type { NetNs } from "../../src/link/namespace.ts";
import { lookOrDoubt, seeNamespaces, withThreads } from "../../src/link/visible.ts";
import { HiddenNumbers } from "../../src/netlink/nsid.ts";
import { wasAdded } from "../../src/plugin/added.ts";
import { FIRST_NAMESPACE } from "../../src/plugin/lent/home.ts";
import { isCardLent } from "../../src/plugin/lent/lender.ts";
import { outside, unseen } from "../../src/plugin/lent/outside.ts";
import { decide } from "../../src/plugin/lent/unrecorded.ts";
import { waitForTeardown } from "../../src/plugin/lent/wait.ts";
import { isPciAddress, pciNetDirectory } from "../../src/sysfs/device.ts";
import { describe, placeOf } from "./find.ts";
import { subjectOf, type wantedOf } from "./in-pod.ts";

/** Milliseconds of a search: the runtime waits, and a node may have thousands of namespaces (0.1 ms each). */
const PATIENCE = 3000;

export interface Namesake {
  name: string;
  where: string;
}

/**
 * DEL, when an ADD of the attachment lent a device: throws Failure when the device is, or may be, in a namespace that is not known to be the pod's. One that
 * another attachment has by now is nobody's concern here.
 */
export function requireNowhere(sought: Sought, hostNs: NetNs): void {
  const { call, selection } = sought;
  if (!wasAdded(call)) return;
  const name = describe(call.config, selection);
  const { found, doubt } = outside(`search ${name}`, name, () => search(sought, hostNs));
  if (found === "another's") return;
  if (found !== undefined) throw elsewhere(name, found);
  if (doubt !== undefined) throw doubt;
  requireNotHidden(placeOf(call.config, selection), name, hostNs);
}

type Sought = ReturnType<typeof wantedOf>;

interface Outcome {
  found?: Namesake | "another's" | undefined;
  doubt?: Failure | undefined;
}

function search(sought: Sought, hostNs: NetNs): Outcome {
  const { call, selection, given = "" } = sought;
  const place = placeOf(call.config, selection) || "/";
  let isAnothers = false;
  const isIt = (link: Link, pod: NetNs): boolean => {
    const { verdict } = decide(subjectOf({ ...sought, pod, hostNs, view: viewOf(pod, hostNs) }, link, false));
    isAnothers ||= verdict === "another's";
    return verdict === "doubt";
  };
  // Of a namespace that nothing leads to, the kernel says no more than this.
  const isLike = ({ name, mac, permanentMac, parentDevice, alias }: Link): boolean => {
    if (parentDevice === place || (given !== "" && permanentMac === given)) return true;
    return alias !== "" && alias === call.config.device && (mac === given || name === call.attachment.ifName);
  };
  const { found, doubt } = lookEverywhere(hostNs, isIt, isLike);
  return { found: found ?? (isAnothers ? "another's" : undefined), doubt };
}

/**
 * In all namespaces but the host's, until there is one: those that can be seen, and those that only the host's numbers lead to. `doubt`: one cannot be looked
 * into, or the time was over.
 */
function lookEverywhere(
  hostNs: NetNs,
  isIt: (link: Link, namespace: NetNs) => boolean,
  isLike: (link: Link) => boolean,
): { found?: Namesake; doubt?: Failure | undefined } {
  const end = host.monotonic() + PATIENCE;
  const numbers = new HiddenNumbers(hostNs.route);
  numbers.without(hostNs.fd);
  let doubt: Failure | undefined;
  for (const { path, dev, ino } of withThreads(seeNamespaces())) {
    if (dev === hostNs.dev && ino === hostNs.ino) continue;
    if (host.monotonic() > end) return { doubt: doubt ?? tooMany() };
    const look = lookOrDoubt(path, (namespace) => {
      numbers.without(namespace.fd);
      return listLinks(namespace.route).find((link) => isIt(link, namespace));
    });
    if (look.found !== undefined) return { found: { name: look.found.name, where: path } };
    doubt ??= look.doubt;
  }
  for (const number of numbers.left) {
    const link = listLinksQuietly(hostNs.route, number).find(isLike);
    if (link !== undefined)
      return { found: { name: link.name, where: `a namespace that the host knows as number ${number}` } };
  }
  return { doubt };
}

/** The card is plugged in and has its driver, and its interface is in a namespace that nobody sees. It returns when that ends. */
function requireNotHidden(place: string, name: string, { cookie }: NetNs): void {
  if (!isPciAddress(place) || (cookie !== "" && cookie !== FIRST_NAMESPACE)) return;
  const isHome = (): true | undefined => (pciNetDirectory(place)?.length === 0 ? undefined : true);
  if (isHome() === true || isCardLent(place) || waitForTeardown(isHome) === true) return;
  throw unseen(name, "its interface is in a namespace that podnic cannot see");
}

/** ADD: another card than `stray`, with a pod, that has the alias `name`, unless libcni's results say that it is called otherwise (`given`). */
export function namesakeInPod(
  name: string,
  stray: Link,
  hostNs: NetNs,
  given: (permanentMac: string) => string | undefined,
): Namesake | undefined {
  const isOther = ({ parentDevice, permanentMac }: Link): boolean =>
    parentDevice !== stray.parentDevice || permanentMac !== stray.permanentMac;
  const isIt = (link: Link): boolean =>
    link.alias === name && isPhysical(link) && isOther(link) && (given(link.permanentMac) ?? name) === name;
  return outside(`alias ${name}`, name, () => lookEverywhere(hostNs, isIt, isIt).found);
}

function elsewhere(name: string, { name: found, where }: Namesake): Failure {
  return new Failure(
    "try again",
    `the device ${name} may be "${found}" in ${where}, and podnic cannot tell whether its pod moved it there`,
    `podnic has no record of the device. Nothing was released. Move the interface to the host (ip link set dev ${shellWord(found)} netns …). When that namespace is deleted, DEL succeeds.`,
  );
}

function tooMany(): Failure {
  return new Failure(
    "try again",
    "there are more network namespaces than podnic can search in time",
    "The attachment's device might be in one of them, so nothing was released. Repeat the DEL.",
  );
}
