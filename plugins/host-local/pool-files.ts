// The names and contents of the files in a lease directory.
import { type Address, formatAddress, parseAddress } from "../../src/ip/address.ts";
import type { Owner } from "./lease-index.ts";

/**
 * A lease is written under this name and then linked, so that it always has its owner. One name is enough, because the lock is held. The Go
 * plugin ignores the file, because its name is not an address.
 */
export const TEMPORARY = ".podnic.tmp";
export const LOCK = "lock";
const LAST_RESERVED = "last_reserved_ip.";

/**
 * Container ID and interface name, without white space and separated by CR LF. A lease from before 0.8 has the container ID alone. Like the Go
 * plugin, ignores surrounding white space.
 */
const LEASE = /^\s*([^\s\0-\x1f\ufffd]+)(?:\r\n([^\s\0-\x1f\ufffd]+))?\s*$/;
const NOT_TEXT = /[\0-\x08\x0e-\x1f\ufffd]/;

/** The owner of a lease. "none": the file is empty, or not text. undefined: text that no plugin wrote. */
export function parseOwner(text: string): Owner | "none" | undefined {
  const lease = LEASE.exec(text);
  if (lease !== null) return { containerId: lease[1]!, ifName: lease[2] ?? "" };
  return text.trim() === "" || NOT_TEXT.test(text) ? "none" : undefined;
}

/** The address that is a file's name, if the name has the form that the plugins write. */
export function leaseAddress(name: string): Address | undefined {
  const address = parseAddress(name);
  if (address === undefined) return undefined;
  // IPv4 has only one form.
  const plain = address.family === 4 ? !name.includes(":") : formatAddress(address) === name;
  return plain ? address : undefined;
}

/** Whether this is the name of a pool's file that is not a lease. */
export function isPoolFile(name: string): boolean {
  return name === LOCK || name === TEMPORARY || name.startsWith(LAST_RESERVED);
}

export function lastReservedName(index: number): string {
  return `${LAST_RESERVED}${index}`;
}
