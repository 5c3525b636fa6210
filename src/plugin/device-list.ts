// The lists of devices in the node's policy (devices.allow, devices.deny).
import type { Link } from "../link/link.ts";
import { isPciAddress, placeOnHost } from "../sysfs/device.ts";
import { physicalFunction, physicalFunctionInterface } from "../sysfs/vf.ts";

/**
 * Begins an entry that lists all virtual functions of a physical function. It cannot be mistaken for a name, because no interface name contains a
 * colon.
 */
const FUNCTIONS_OF = "pf:";

/**
 * True if an entry names the device: by name, alternative name, MAC address or PCI address, each of which may be a pattern with * and ?, or by its
 * physical function ("pf:" and the physical function's name or PCI address).
 */
export function isListed(link: Link, entries: string[]): boolean {
  return entries.some((entry) => entry !== "" && (namesDevice(entry, link) || namesItsPf(entry, link)));
}

function namesDevice(entry: string, link: Link): boolean {
  if ([link.name, ...link.altnames].some((name) => fits(entry, name))) return true;
  // Addresses match in upper and lower case.
  const lower = entry.toLowerCase();
  const place = placeOnHost(link);
  return (place !== "" && (fits(entry, place) || fits(lower, place))) || fits(lower.replaceAll("-", ":"), link.mac);
}

function namesItsPf(entry: string, link: Link): boolean {
  if (!entry.startsWith(FUNCTIONS_OF)) return false;
  const place = placeOnHost(link);
  const pf = isPciAddress(place) ? physicalFunction(place) : undefined;
  if (pf === undefined) return false;
  const wanted = entry.slice(FUNCTIONS_OF.length);
  return fits(wanted.toLowerCase(), pf) || fits(wanted, physicalFunctionInterface(pf) ?? "");
}

/**
 * True if the text matches the pattern, in which `*` stands for any characters and `?` for one. The time is at most proportional to the product of
 * both lengths.
 */
export function fits(pattern: string, text: string): boolean {
  let p = 0;
  let t = 0;
  let star = -1;
  let resume = 0;
  while (t < text.length) {
    if (pattern[p] === "*") {
      star = p++;
      resume = t;
    } else if (pattern[p] === "?" || pattern[p] === text[t]) {
      p++;
      t++;
    } else if (star >= 0) {
      p = star + 1;
      t = ++resume;
    } else return false;
  }
  while (pattern[p] === "*") p++;
  return p === pattern.length;
}
