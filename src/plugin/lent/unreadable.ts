// DEL and GC of an attachment whose record exists but cannot be read, because the disk lost a part of it or a later version of podnic wrote it. Such
// a record does not mean that no device was lent. The device may be in the pod under any name, and only the record contained that name.
import type { Attachment, Call } from "../../cni/plugin.ts";
import { Failure } from "../../errors.ts";
import { type View, viewOf } from "../../link/identity.ts";
import { IFF_LOOPBACK, type Link } from "../../link/link.ts";
import { type NetNs, openNamespace, ownNamespace, sameNamespace } from "../../link/namespace.ts";
import { isNamed, type NamedNamespace } from "../../link/return.ts";
import { lookOrDoubt, seeNamespaces, withThreads } from "../../link/visible.ts";
import { log } from "../../log.ts";
import { bootId, bootTime, type Damaged } from "../../state/record.ts";
import { sandboxesOf } from "../results.ts";
import { aliasPrefix } from "../upper/own.ts";
import { forgetRest } from "./give-back.ts";
import { isLent, type Lender, type LoanData } from "./lender.ts";
import { namespace } from "./shape.ts";

/** The kernel makes these in each namespace, and moves them to none. */
export const FALLBACK = /^(tunl0|sit0|gre0|gretap0|erspan0|ip_vti0|ip6_vti0|ip6tnl0|ip6gre0)$/;

/** The device that a configuration names, which may have been lent. */
export interface Suspect {
  /** It is on the host. "No" also when that cannot be told. */
  isHome(): boolean;
  /** The link of a pod is not certainly another one. */
  mayBe(view: View, link: Link): boolean;
  /** The configuration names the link. */
  isIt(view: View, link: Link): boolean;
}

/** What the call says of the attachment. */
type Asked = Pick<Call, "attachment" | "netns" | "prevResult">;

/**
 * DEL: forgets the attachment when its device is not in the pod: the host has it, the record is of an earlier boot, the pod is gone, or none of its
 * interfaces may be the device. Throws Failure otherwise. What a later version wrote is kept in any case, for that version.
 */
export function settleUnreadable<D extends LoanData>(lender: Lender<D>, call: Asked, device: Suspect): void {
  const { attachment: key } = call;
  lender.whileReturning(key, () => {
    const found = lender.store().unreadable(key) ?? lender.foreign?.unreadable(key);
    if (found !== undefined) settle(lender, found, call, device);
  });
}

/**
 * GC: the same for each record of this network that cannot be read and is of no valid attachment. Returns those that stay, whose leases must stay
 * too; `all` when nobody knows whose one of them is.
 */
export function collectUnreadable<D extends LoanData>(
  lender: Lender<D>,
  { attachment: { network }, validAttachments }: Pick<Call, "attachment" | "validAttachments">,
  device: Suspect,
  attempt: (run: () => void) => void,
): { kept: Attachment[]; all: boolean } {
  const kept: Attachment[] = [];
  let all = false;
  const store = lender.store();
  for (const found of store.damaged()) {
    const isValid = validAttachments.some((valid) => store.nameOf({ network, ...valid }) === found.name);
    if (isValid || !store.mayBeOf(found.name, network)) continue;
    const attachment = found.key ?? { network, containerId: "", ifName: "" };
    if (lender.foreign?.read(attachment) !== undefined) continue;
    attempt(() => {
      let isSettled = false;
      try {
        const asked = { attachment, netns: "", prevResult: undefined };
        lender.whileReturning(attachment, () => settle(lender, found, asked, device));
        isSettled = true;
      } finally {
        if (!isSettled && found.key !== undefined) kept.push(found.key);
        all ||= !isSettled && found.key === undefined;
      }
    });
  }
  return { kept, all };
}

function settle<D extends LoanData>(lender: Lender<D>, found: Damaged, asked: Asked, device: Suspect): void {
  const { attachment: key, netns } = asked;
  const rest = readRest(found);
  const isPast = rest.isPast || (rest.isOld && !isThere(netns));
  const there = isPast || device.isHome() ? undefined : whereMayBe(asked, rest.netns, device);
  if (there !== undefined) throw cannotTell(found, there);
  const { why, file } = found;
  log("warning", "the attachment's record cannot be read, so its device's settings were not restored", { why, file });
  if (why !== "damaged") return;
  if (key.containerId === "") lender.store().removeDamaged(found.name);
  else forgetRest(lender, key, netns);
}

/** No namespace outlives a boot. */
function isThere(netns: string): boolean {
  const pod = netns === "" ? undefined : openNamespace(netns, "ok");
  return pod !== undefined && !sameNamespace(pod, ownNamespace());
}

export interface Rest {
  /** It was written before this boot. */
  isPast: boolean;
  /** So says its file's time alone, which a restored backup or a clock that was set may have changed. */
  isOld: boolean;
  /** The pod's namespace. */
  netns: NamedNamespace | undefined;
}

/** The beginning of a record may be there, or all of one of a later version. */
export function readRest({ text, written }: Pick<Damaged, "text" | "written">): Rest {
  const boot = /"bootId":"([^"]+)"/.exec(text)?.[1];
  const isKnown = boot !== undefined && bootId() !== "";
  const isPast = isKnown && boot !== bootId();
  const isOld = !isKnown && written !== 0 && written < bootTime();
  const said = /"netns":(\{[^{}]*\})/.exec(text)?.[1];
  let netns: unknown;
  try {
    netns = said === undefined ? undefined : JSON.parse(said);
  } catch {
    // It is damaged.
  }
  return { isPast, isOld, netns: namespace(netns) ? netns : undefined };
}

interface Place {
  path: string;
  names: string[];
}

/**
 * The pod's namespace by whatever still says which it is, with its interfaces that may be the device. Without one that can be opened, or that
 * anything names, the others: there only what the configuration names for certain, and when nothing at all says which the pod's is, what has the
 * interface's name and is nobody else's.
 */
function whereMayBe({ attachment, netns, prevResult }: Asked, rest: Rest["netns"], device: Suspect): Place | undefined {
  const home = ownNamespace();
  const paths = new Set([netns, ...sandboxesOf(attachment, prevResult), rest?.path ?? ""]);
  paths.delete("");
  for (const path of paths) {
    const pod = openNamespace(path, "ok");
    if (pod === undefined || sameNamespace(pod, home) || (rest !== undefined && !isNamed(pod, rest))) continue;
    return suspects(pod, home, device.mayBe);
  }
  let doubt: Error | undefined;
  for (const { path, dev, ino } of withThreads(seeNamespaces())) {
    if (dev === home.dev && ino === home.ino) continue;
    const { found, doubt: why } = lookOrDoubt(path, (one) => {
      const isPod = rest !== undefined && rest.ino !== 0 && isNamed(one, rest);
      return suspects(one, home, (view, link) => {
        if (isPod) return device.mayBe(view, link);
        if (link.alias.startsWith(aliasPrefix) || isLent(one, link)) return false;
        if (device.isIt(view, link)) return true;
        return paths.size === 0 && link.name === attachment.ifName && device.mayBe(view, link);
      });
    });
    if (found !== undefined) return found;
    doubt ??= why;
  }
  if (doubt !== undefined) throw doubt;
  return undefined;
}

function suspects(pod: NetNs, home: NetNs, mayBe: Suspect["mayBe"]): Place | undefined {
  const view = viewOf(pod, home);
  const names = view
    .links()
    .filter((link) => (link.flags & IFF_LOOPBACK) === 0 && !FALLBACK.test(link.name) && mayBe(view, link))
    .map(({ name }) => name);
  return names.length === 0 ? undefined : { path: pod.path, names };
}

function cannotTell({ why, file }: Damaged, { path, names }: Place): Failure {
  const isNewer = why === "newer";
  const cure = isNewer
    ? "A later version of podnic wrote the record: install that version again, and repeat the DEL."
    : "Move the device back by hand (ip link set dev NAME netns …), or remove the file if the device is not in the pod.";
  return new Failure(
    "try again",
    `cannot tell whether the attachment's device is still in ${path}: its record ${isNewer ? "was written by a later version of podnic" : "is damaged"}`,
    `Record: ${file}. The device may be one of these interfaces: ${names.join(", ")}. Nothing was released. ${cure} When the pod's namespace is gone, DEL succeeds.`,
  );
}
