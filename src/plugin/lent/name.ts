// Chooses the name of a returned device if another device on the host has its name by now.

import { Failure, shellWord } from "../../errors.ts";
import { host, SystemError } from "../../host/host.ts";
import { decodeName, encodeName } from "../../host/utf8.ts";
import { isSameDevice, viewOf } from "../../link/identity.ts";
import { ALIAS_MAX, getLink, IFF_UP, type Link, setLink } from "../../link/link.ts";
import type { NetNs } from "../../link/namespace.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import { log } from "../../log.ts";
import { hasErrno } from "../../state/descriptor.ts";
import { readFile, unlinkIfThere, withDirectory, writeFile } from "../../state/files.ts";
import { isSameKey, type RecordKey, STATE_ROOT } from "../../state/record.ts";
import { type AnyLender, ageOf, type Lender, type LoanData, lendersBeside, listLoans } from "./lender.ts";
import { besides } from "./lock.ts";

/** "busy": the device that has it is on loan as well, and another call has that one in hand. */
type NameState = "free" | "taken" | "busy";

/**
 * Frees the name when the device that has it is on loan as well, from whichever plugin, and was called otherwise: a driver that was bound
 * anew, or a pod that ended, gave it the name. Its own DEL gives it its own name; until then the kernel's `dev<index>` does. Otherwise two
 * devices with each other's name would prevent each other from returning forever. `own`: the device itself, when it is on the host.
 */
export function freeName<D extends LoanData>(
  lender: Lender<D>,
  key: RecordKey,
  hostNs: NetNs,
  name: string,
  own?: Link,
): NameState {
  const isHeldBy = (other: Link | undefined): other is Link => other !== undefined && other.index !== own?.index;
  const seen = getLink(hostNs.route, name);
  if (!isHeldBy(seen)) return "free";
  const holder = loanOf(lender, key, hostNs, seen, name);
  if (holder === undefined) return "taken";
  const freed = besides(lender.lockOf(key), holder.lender.lockOf(holder.key), () => {
    // Before we had its lock it may have got its own name, or gone to a pod.
    const other = getLink(hostNs.route, name);
    if (!isHeldBy(other)) return "free";
    if (other.index !== seen.index || loanOf(lender, key, hostNs, other, name) === undefined) return "taken";
    makeRoom(hostNs, other);
    return "free";
  });
  return freed ?? "busy";
}

/** The loan that this device of the host is of, when that is another one than `key` and it was called otherwise. */
function loanOf(
  own: AnyLender,
  key: RecordKey,
  hostNs: NetNs,
  link: Link,
  name: string,
): { lender: AnyLender; key: RecordKey } | undefined {
  const view = viewOf(hostNs, hostNs);
  for (const lender of lendersBeside(own)) {
    for (const record of listLoans(lender)) {
      const { saved } = lender.loanOf(record.data);
      if (lender === own && isSameKey(record.key, key)) continue;
      if (saved === undefined || ageOf(record) !== "now" || saved.name === name) continue;
      if (isSameDevice(view, link, saved, record.key.ifName)) return { lender, key: record.key };
    }
  }
  return undefined;
}

function makeRoom(hostNs: NetNs, other: Link): void {
  const spare = spareName(hostNs, other.index);
  log("info", "this name belongs to another device that is also being returned; giving that device a temporary name", {
    name: other.name,
    interface: spare,
  });
  // Before 6.2 the kernel renames only a device that is down.
  if ((other.flags & IFF_UP) !== 0) setLink(hostNs.route, other.index, { up: false });
  setLink(hostNs.route, other.index, { name: spare });
}

/**
 * What a returned device becomes when another device has its name: the rest of what it was, and `dev<index>`, as the kernel calls a
 * device whose name is taken. Not the name that it has, which may be one that a pod has chosen. The alias says what it was called, for
 * people and for the next ADD. Nobody knows when the name gets free: a pod must not wait for that with its end. `here`: it is on the host
 * already, and may have become that.
 */
export function underSpareName(hostNs: NetNs, link: Link, saved: LinkSnapshot, here?: Link): LinkSnapshot {
  const own = cutTo(ALIAS_MAX - encodeName(` [was ${saved.name}]`).length, saved.alias);
  const alias = `${own} [was ${saved.name}]`.trimStart();
  noteRenamed(saved.name, own === saved.alias ? "" : saved.alias);
  // A pod may have chosen a name and an alias like these.
  if (here?.alias === alias && formerName(here) !== undefined) return { ...saved, name: here.name, alias };
  const name = spareName(hostNs, link.index);
  log("warning", "the host has another device with this name, so the returned device gets a spare name", {
    device: saved.name,
    interface: name,
    cure: renameCommand(name, saved),
  });
  return { ...saved, name, alias };
}

/** What gives a device its name and alias back, for the shell. */
export function renameCommand(spare: string, { name, alias }: { name: string; alias: string }): string {
  return `ip link set dev ${shellWord(spare)} name ${shellWord(name)} alias ${shellWord(alias)}`;
}

function cutTo(bytes: number, text: string): string {
  const letters = Array.from(text);
  while (encodeName(letters.join("")).length > bytes) letters.pop();
  return letters.join("");
}

/** `dev<index>`, or the next such name that is free. */
function spareName(hostNs: NetNs, index: number): string {
  for (let number = index; ; number++) {
    const spare = `dev${number}`;
    if (getLink(hostNs.route, spare) === undefined) return spare;
  }
}

/**
 * Files with the names that were lost. They spare an ADD the look at all aliases; the alias alone says which device it is. Empty, but for an alias
 * that the mark has made too long.
 */
const RENAMED = `${STATE_ROOT}/renamed`;

function noteRenamed(name: string, alias: string): void {
  try {
    withDirectory(RENAMED, { mode: 0o700 }, (dir) => writeFile(dir, name, encodeName(alias), 0o600));
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log("warning", "cannot record that a device was renamed", { device: name, error: error.message });
  }
}

/** Whether a device that had this name may be here under a spare name. */
export function mayBeRenamed(name: string): boolean {
  try {
    host.stat(`${RENAMED}/${name}`, false);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

/** No device says any more that it had this name. */
export function forgetRenamed(name: string): void {
  withDirectory(RENAMED, undefined, (dir) => unlinkIfThere(name, dir));
}

/** Name and alias of a device before it got a spare name; undefined: it has none. */
export function formerName({ name, alias }: Pick<Link, "name" | "alias">): { name: string; alias: string } | undefined {
  if (!/^dev\d+$/.test(name)) return undefined;
  const [, own, former = ""] = /^(.*?) ?\[was ([^\s/]{1,15})\]$/.exec(alias) ?? [];
  return own === undefined ? undefined : { name: former, alias: wholeAlias(alias, own, former) };
}

/** A letter takes four bytes at most: a shorter alias was not cut. */
function wholeAlias(alias: string, own: string, name: string): string {
  if (encodeName(alias).length < ALIAS_MAX - 3) return own;
  try {
    const kept = withDirectory(RENAMED, undefined, (dir) => readFile(dir, name, ALIAS_MAX));
    const whole = kept === undefined ? "" : decodeName(kept);
    return whole.startsWith(own) ? whole : own;
  } catch (error) {
    if (!(error instanceof SystemError || error instanceof Failure)) throw error;
    return own;
  }
}

/** What a device is to come home as: under the name that it lost, if that is free by then. */
export function withFormerName(saved: LinkSnapshot): LinkSnapshot {
  const former = formerName(saved);
  return former === undefined ? saved : { ...saved, ...former };
}
