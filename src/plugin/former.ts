// DEL, if the pod does not have what the plugin would have made. Since the ADD, somebody may have changed the network's "type", or the bridge or
// master in its configuration. The address stays in use until the old interface is gone.
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

/**
 * Lets another plugin than `own` remove what it made for the attachment, which it recognizes by its marks or its record. Returns true if there was
 * something.
 */
export function removeFormer(call: Call, own: string): boolean {
  if (call.command !== "DEL") return false;
  const maker = interfacePlugins().find(({ name, removeMade }) => name !== own && removeMade?.(call) === true);
  if (maker !== undefined) log("warning", "the network's type has changed since ADD", { before: maker.name });
  return maker !== undefined;
}

/** Kinds of link whose plugins make nothing in the pod but this link, so that deleting it removes everything. */
export const MADE = ["macvlan", "ipvlan", "veth"];

/**
 * Removes the pod's interface, or at least its leased address, if the interface has the attachment's name and an address of its lease, but no mark of
 * podnic: a Go plugin made it. Throws Failure if the interface may be a device of the host. The pod controls how its interfaces look, and must not be
 * able to prevent its own deletion by that. So libcni's cache, which no pod can write, says what the ADD made.
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
  // The kernel returns a physical device to the host when the pod's namespace ends. A virtual one without an alias was not lent (such as KubeVirt's
  // dummy).
  if (!isPhysical(link) && link.alias !== "" && mayBeLent(call)) throw inDoubt(link, pod);
  log("warning", "leaving an interface in the pod, but removing its leased address", {
    interface: ifName,
    kind: link.kind,
  });
  for (const address of leased) beginDeleteAddress(pod.route, link.index, address);
  pod.route.run();
}

/** False if the ADD was this plugin's, or that of plugins which lend no devices. */
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
