// The error for an interface name that another device in the pod already has. All plugins use this text.
import { Failure } from "../errors.ts";
import { getLink } from "./link.ts";
import type { NetNs } from "./namespace.ts";

export function nameTaken(name: string, pod: NetNs): Failure {
  return new Failure(
    "failed",
    `interface "${name}" already exists in the pod: file exists`,
    `${pod.path} has a device with this name, which was left unchanged. Another network of the pod uses CNI_IFNAME ${name}, or an earlier ADD was not followed by DEL.`,
  );
}

/** Throws Failure. Alternative names count too. */
export function requireFreeName(pod: NetNs, name: string): void {
  if (getLink(pod.route, name) !== undefined) throw nameTaken(name, pod);
}
