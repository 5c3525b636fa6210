// GC's list of the attachments that are still valid.
import { describe } from "../config/messages.ts";
import { Failure } from "../errors.ts";
import type { Call } from "./plugin.ts";

/** The released specification 1.1.0 uses the second name, all later texts use the first. libcni sends both (C-115). */
const keys = ["cni.dev/valid-attachments", "cni.dev/attachments"] as const;

export interface ValidAttachment {
  containerId: string;
  ifName: string;
}

function refuse(what: string, why: string): never {
  throw new Failure("invalid config", what, `${why} Nothing was collected.`);
}

/**
 * The union of both lists: an attachment is valid if either list contains it. A missing list is an error and not an empty list, because an
 * empty list makes GC delete everything, and `cnitool gc` sends no list (cases GC-03 to GC-07). null is an empty list: libcni writes null for
 * a nil slice, which a runtime passes for a network without pods. Throws Failure("invalid config").
 */
export function readAttachments(raw: object): ValidAttachment[] {
  const all: ValidAttachment[] = [];
  let found = false;
  for (const key of keys) {
    const list = (raw as { [key: string]: unknown })[key];
    if (list === undefined) continue;
    found = true;
    if (list === null) continue;
    if (!Array.isArray(list))
      refuse(`"${key}" is ${describe(list)}`, "The value must be a list of {containerID, ifname}.");
    for (const [at, item] of list.entries()) {
      const { containerID, ifname } = (item ?? {}) as { [key: string]: unknown };
      if (typeof containerID !== "string" || typeof ifname !== "string" || containerID === "" || ifname === "") {
        refuse(`"${key}"[${at}] is not an attachment`, 'It must have the strings "containerID" and "ifname".');
      }
      all.push({ containerId: containerID, ifName: ifname });
    }
  }
  if (!found)
    refuse(`"${keys[0]}" is missing`, "The runtime must list the valid attachments; [] means that there are none.");
  return all;
}

/** On GC: true if the runtime lists the attachment. */
export function isValidAttachment({ validAttachments }: Call, { containerId, ifName }: ValidAttachment): boolean {
  return validAttachments.some((valid) => valid.containerId === containerId && valid.ifName === ifName);
}

/** The configuration with this list under both names, for a delegated IPAM plugin. */
export function withAttachments(raw: object, valid: readonly ValidAttachment[]): object {
  const list = valid.map(({ containerId, ifName }) => ({ containerID: containerId, ifname: ifName }));
  return { ...raw, ...Object.fromEntries(keys.map((key) => [key, list])) };
}
