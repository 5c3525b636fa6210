// DEL of an attachment whose record exists but cannot be read, because the disk lost a part of it or a later version of podnic wrote it. Such
// a record does not mean that no device was lent. The device may be in the pod under any name, and only the record contained that name.
import type { Call } from "../../cni/plugin.ts";
import { Failure } from "../../errors.ts";
import { type View, viewOf } from "../../link/identity.ts";
import { IFF_LOOPBACK, type Link } from "../../link/link.ts";
import { openNamespace, ownNamespace, sameNamespace } from "../../link/namespace.ts";
import { log } from "../../log.ts";
import { forget } from "./give-back.ts";
import type { Lender, LoanData } from "./lender.ts";

/** The kernel makes these in each namespace, and moves them to none. */
const FALLBACK = /^(tunl0|sit0|gre0|gretap0|erspan0|ip_vti0|ip6_vti0|ip6tnl0|ip6gre0)$/;

/**
 * Forgets the attachment when its device is not in the pod: the host has it (`isHome`), the pod is gone, or none of its interfaces `mayBe` the
 * device, by what the configuration says. Throws Failure otherwise. What a later version wrote is kept in any case, for that version.
 */
export function settleUnreadable<D extends LoanData>(
  lender: Lender<D>,
  { attachment: key, netns }: Call,
  isHome: () => boolean,
  mayBe: (view: View, link: Link) => boolean,
): void {
  lender.whileReturning(key, () => {
    const found = lender.store().unreadable(key);
    if (found === undefined) return;
    const inPod = isHome() ? [] : candidates(netns, mayBe);
    if (inPod.length > 0) throw cannotTell(found, netns, inPod);
    log("warning", "the attachment's record cannot be read, so nothing was restored", { ...found });
    if (found.why === "damaged") forget(lender, key, undefined, netns);
  });
}

/** Names of the pod's interfaces that may be the device. */
function candidates(netns: string, mayBe: (view: View, link: Link) => boolean): string[] {
  const home = ownNamespace();
  const pod = netns === "" ? undefined : openNamespace(netns, "ok");
  if (pod === undefined || sameNamespace(pod, home)) return [];
  const view = viewOf(pod, home);
  return view
    .links()
    .filter((link) => (link.flags & IFF_LOOPBACK) === 0 && !FALLBACK.test(link.name) && mayBe(view, link))
    .map(({ name }) => name);
}

function cannotTell({ why, file }: { why: string; file: string }, netns: string, names: string[]): Failure {
  const isNewer = why === "newer";
  const cure = isNewer
    ? "A later version of podnic wrote the record: install that version again, and repeat the DEL."
    : "Move the device back by hand (ip link set dev NAME netns …), or remove the file if the device is not in the pod (podnic doctor --fix).";
  return new Failure(
    "try again",
    `cannot tell whether the attachment's device is still in ${netns}: its record ${isNewer ? "was written by a later version of podnic" : "is damaged"}`,
    `Record: ${file}. The device may be one of these interfaces: ${names.join(", ")}. Nothing was released. ${cure} When the pod's namespace is gone, DEL succeeds.`,
  );
}
