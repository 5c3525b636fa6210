// Where the power is cut, what may be on the disk then, and what has to be.

import type { Random } from "../../src/testing/random.ts";
import { Exit } from "../harness/options.ts";
import { mayStay } from "../interleave/picture.ts";
import type { Entry } from "./log.ts";

/** A call of the recording. */
export interface Step {
  readonly id: number;
  readonly command: "ADD" | "DEL";
  readonly plugin: string;
  readonly network: string;
  readonly container: string;
}

/** What a call said when it was recorded. */
export interface Answer {
  readonly status: number;
  /** Of an ADD. */
  readonly address?: string;
}

export interface Cut {
  /** Entries of the log before it are on disk. */
  readonly at: number;
  /** Entries after it that are on disk, too. */
  readonly more: readonly number[];
  /** Calls whose marks come before this entry may have begun. */
  readonly until: number;
}

/** Marks around a call: begun, and acknowledged. */
export const begin = (id: number): string => `begin-${id}`;
export const end = (id: number): string => `end-${id}`;

/** After each write that is durable by itself or made others so, and after each acknowledgement. */
export function cutPoints(log: readonly Entry[]): number[] {
  return log.flatMap((entry, n) => (entry.sure || entry.mark?.startsWith("end") ? [n + 1] : []));
}

/**
 * At one point: nothing of what was not flushed, all of it, and `some` parts of it that are drawn. Nothing alone when a write comes first that is
 * durable by itself: the log does not say what of the rest was begun only after that one, as the metadata is whose journal it belongs to.
 */
export function cutsAt(log: readonly Entry[], at: number, some: number, random: Random): Cut[] {
  const next = log.findIndex((entry, n) => n >= at && entry.flush);
  const until = next < 0 ? log.length : next;
  const loose: number[] = [];
  for (let n = at; n < until; n++) if (log[n]!.mark === undefined && log[n]!.data.length > 0) loose.push(n);
  const cuts: Cut[] = [{ at, more: [], until: at }];
  if (loose.length === 0 || loose.some((n) => log[n]!.sure)) return cuts;
  cuts.push({ at, more: loose, until });
  for (let n = 0; n < some && loose.length > 1; n++) {
    // Mostly one write that is missing, or one that came alone: what a file system forgot to order.
    const chosen = random.pick(loose);
    const kind = random.below(3);
    const more = loose.filter((one) =>
      kind === 0 ? one !== chosen : kind === 1 ? one === chosen : random.chance(0.5),
    );
    cuts.push({ at, more, until });
  }
  return cuts;
}

/** Who may and who must have an address, by the calls before a cut. */
export interface Owed {
  /** Acknowledged, and no DEL of it had begun: network/address to container. */
  readonly must: ReadonlyMap<string, string>;
  /** Containers of which a call had begun. */
  readonly begun: ReadonlySet<string>;
  /** Networks in which an ADD had been acknowledged. */
  readonly used: ReadonlySet<string>;
}

export function owed(
  log: readonly Entry[],
  cut: Cut,
  steps: readonly Step[],
  answers: ReadonlyMap<number, Answer>,
): Owed {
  const begunMarks = marksBefore(log, cut.until);
  const endedMarks = marksBefore(log, cut.at);
  const must = new Map<string, string>();
  const begun = new Set<string>();
  const used = new Set<string>();
  for (const step of steps) {
    if (!begunMarks.has(begin(step.id))) continue;
    begun.add(step.container);
    const answer = answers.get(step.id)!;
    if (step.command === "ADD" && answer.status === 0 && endedMarks.has(end(step.id))) {
      used.add(step.network);
      must.set(`${step.network}/${answer.address}`, step.container);
    }
    if (step.command === "DEL") for (const [key, container] of must) if (container === step.container) must.delete(key);
  }
  return { must, begun, used };
}

function marksBefore(log: readonly Entry[], before: number): Set<string> {
  const marks = new Set<string>();
  for (let n = 0; n < before; n++) {
    const { mark } = log[n]!;
    if (mark !== undefined) marks.add(mark);
  }
  return marks;
}

/** The leases found: network/address to what is in the file, its CR LF as a space. */
export function judgeLeases(found: ReadonlyMap<string, string>, owed: Pick<Owed, "must" | "begun">): string[] {
  const wrong: string[] = [];
  for (const [key, container] of owed.must) {
    const is = found.get(key);
    if (is !== `${container} eth0`)
      wrong.push(`${key} was given to ${container}, and is ${is === undefined ? "free" : `"${is}"`}`);
  }
  for (const [key, owner] of found) {
    const container = owner.split(" ")[0]!;
    if (owner !== "" && !owed.begun.has(container)) wrong.push(`${key} belongs to "${owner}", who never asked`);
  }
  return wrong;
}

/**
 * What is neither a lease, whose text is judged elsewhere, nor may stay. A call that the cut ended may have left its record or the record's
 * temporary file, and a temporary file in a network where the runtime did not call GC.
 * @param files such as "file /var/lib/cni/networks/net1/lock" and "dir /run/podnic". @param collected networks where it did
 */
export function judgeFiles(
  files: readonly string[],
  { begun }: Pick<Owed, "begun">,
  collected: readonly string[],
): string[] {
  const isLeft = (line: string): boolean => {
    const path = line.replace(/^\w+ /, "");
    const [, network, name] = /^\/var\/lib\/cni\/networks\/([^/]+)\/([^/]+)$/.exec(path) ?? [];
    if (network !== undefined && line.startsWith("file ")) {
      if (/^\d+\.\d+\.\d+\.\d+$/.test(name!) || mayStay(line)) return false;
      return name !== ".podnic.tmp" || collected.includes(network);
    }
    const record = /^file \/var\/lib\/cni\/podnic\/host-device\/\.?net3\W(ctr-\d+)\W[^/]*$/.exec(line);
    if (record !== null) return !begun.has(record[1]!);
    return !mayStay(line) && !/^\/var\/lib\/cni\/lost\+found(\/|$)/.test(path);
  };
  return files.filter(isLeft).map((line) => `left over: ${line}`);
}

const NETWORK = "/var/lib/cni/networks/(net\\d)";
/** A network of which the directory or the lock is another file; what is wrong then, and is not without it. */
const SPOILED = new RegExp(`"msg": "(?:dataDir \\\\"${NETWORK}\\\\" is refused|${NETWORK}/lock is not a lock file): `);
const BY_FILE = new RegExp(`^left over: file ${NETWORK}$`);
const BY_SPOILED = new RegExp(`^left over: file ${NETWORK}$|^after GC (net\\d)/\\S+ is (?:still )?"`);
/** A lease's name that is a directory. */
const OTHER_LEASE = new RegExp(`^left over: dir ${NETWORK}/([0-9.]+)$`);

/**
 * What remains wrong on a file system without a journal. There, each of the writes of one fsync may be on the disk alone: also a name without
 * its inode. e2fsck then gives the name to the file or directory that had the inode before. As long as nobody was told that the call had
 * succeeded, that is nothing that an fsync could prevent.
 */
export function unlessRenamed(wrong: readonly string[], { must, used }: Pick<Owed, "must" | "used">): string[] {
  const networkOf = (pattern: RegExp, line: string) =>
    pattern
      .exec(line)
      ?.slice(1)
      .find((name) => name !== undefined);
  const spoiled = new Set(wrong.map((line) => networkOf(SPOILED, line) ?? networkOf(BY_FILE, line)));
  for (const name of used) spoiled.delete(name);
  return wrong.filter((line) => {
    const [, network, address] = OTHER_LEASE.exec(line) ?? [];
    if (network !== undefined) return must.has(`${network}/${address}`);
    return !spoiled.has(networkOf(SPOILED, line) ?? networkOf(BY_SPOILED, line) ?? "");
  });
}

/** What a verdict needs of a report. */
export interface Judged {
  readonly looks: number;
  /** Nothing was wrong with all fsyncs; something was without one that is needed. */
  readonly asExpected: boolean;
}

/** Disks that nobody has looked at are no success. */
export function verdictOf(reports: readonly Judged[]): number {
  if (reports.some(({ asExpected }) => !asExpected)) return Exit.wrong;
  return reports.length > 0 && reports.every(({ looks }) => looks > 0) ? Exit.passed : Exit.untested;
}
