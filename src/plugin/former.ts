// DEL, when the pod has nothing that the plugin would have made: somebody may have changed the network's "type", or the bridge or master that it names,
// since the ADD. The address is in use until the interface is gone.
import type { Call } from "../cni/plugin.ts";
import { interfacePlugins } from "../cni/registry.ts";
import { Failure, shellWord } from "../errors.ts";
import { beginDeleteAddress } from "../link/address.ts";
import { deleteWithoutWaiting } from "../link/delete.ts";
import { isPhysical } from "../link/identity.ts";
import { getLink, type Link } from "../link/link.ts";
import { type NetNs, openNamespace } from "../link/namespace.ts";
import { log } from "../log.ts";
import { isLent, lends } from "./lent/lender.ts";
import { leasedAddresses } from "./owner.ts";
import { typesKept } from "./results.ts";
import { keepsMoving } from "./upper/moved.ts";

/** What another plugin than `own` made for the attachment, by its marks or its record, as that plugin takes it away. True: there was something. */
export function removeFormer(call: Call, own: string): boolean {
  if (call.command !== "DEL") return false;
  const maker = interfacePlugins().find(({ name, removeMade }) => name !== own && removeMade?.(call) === true);
  if (maker !== undefined) log("warning", "the network's type has changed since ADD", { before: maker.name });
  return maker !== undefined;
}

/** Of plugins that make such a link in the pod, and nothing else: with it, all of it is gone. */
export const MADE = ["macvlan", "ipvlan", "veth"];

/**
 * The pod's interface that has the attachment's name and an address of its lease, but no mark: the Go plugin's. Throws Failure when it may be a device
 * of the host. How an interface of the pod looks must not keep the pod from ending: libcni's cache, which no pod can write, says what the ADD made.
 */
export function removeLeased(call: Call): void {
  const { ifName } = call.attachment;
  const pod = call.command !== "DEL" || call.netns === "" ? undefined : openNamespace(call.netns, "ok");
  const link = pod && getLink(pod.route, ifName);
  if (pod === undefined || link?.name !== ifName) return;
  const leased = leasedAddresses(call, pod, link);
  if (leased.length === 0) {
    log("warning", "leaving an interface in the pod, because nothing shows that it belongs to this attachment", {
      interface: ifName,
      kind: link.kind,
    });
    return;
  }
  if (isLent(pod, link)) return;
  // The Go plugin writes the name that a device has on the host into its alias.
  if (MADE.includes(link.kind) && link.alias === "") {
    log(
      "warning",
      "deleting an interface that has an address leased to this attachment, although the configuration does not describe it",
      {
        interface: ifName,
        kind: link.kind,
      },
    );
    if (!deleteWithoutWaiting(pod, link.index)) throw keepsMoving(ifName);
    return;
  }
  // The kernel gives a physical device back with the pod's end; one without alias was not lent (KubeVirt's dummy).
  if (!isPhysical(link) && link.alias !== "" && mayBeLent(call)) throw inDoubt(link, pod);
  log("warning", "leaving an interface in the pod, but removing its leased address", {
    interface: ifName,
    kind: link.kind,
  });
  for (const address of leased) beginDeleteAddress(pod.route, link.index, address);
  pod.route.run();
}

/** Not when the ADD was this plugin's, or that of one which lends nothing. */
function mayBeLent({ attachment, config }: Call): boolean {
  const types = typesKept(attachment);
  return types.length === 0 || (!types.includes(config.type) && types.some(lends));
}

function inDoubt({ name, kind }: Link, { path }: NetNs): Failure {
  return new Failure(
    "try again",
    `cannot tell whether "${name}" in ${path} is a device of the host`,
    `It is a ${kind} with the address of this attachment, but the configuration does not describe it. Nothing was released. Move it to the host (ip link set dev ${shellWord(name)} netns …), delete it, or change the network's configuration back. When the pod's namespace is gone, DEL succeeds.`,
  );
}
