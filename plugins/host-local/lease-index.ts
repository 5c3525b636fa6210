// An index of the owners of leases and of the addresses in use. With this index, podnic does not have to read the lease directory, so the cost of a
// call does not grow with the number of leases.
//
// podnic works without the index, too. It uses the index only if the lease directory has the modification time that the index's last writer gave it.
// If the Go plugin, an operator or a podnic process that was killed half-way adds or removes a file, the directory gets another time, and podnic
// reads the directory and writes a new index. A tool that restores files together with the directory's modification time (cp -a, rsync -a, tar -x)
// still changes the directory's ctime. podnic then sees that the directory was changed later than the index, which the index's writer always changes
// last. The index is valid for one boot, because it is not synced.
//
// <root>/<device>-<inode>/state contains the boot ID and the modification time. The files 00 to ff contain lines "containerID ifname ip" (without
// ifname for a lease of plugins older than 0.8). A hash of the container ID selects the file. The other files are blocks of used.ts.

import { O_APPEND, O_CLOEXEC, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_TRUNC, O_WRONLY } from "../../src/host/constants.ts";
import { type Fd, host, type Stat } from "../../src/host/host.ts";
import type { Address } from "../../src/ip/address.ts";
import { log } from "../../src/log.ts";
import { closing, openDirectory, readFile, readOwnShort, unlinkIfThere, writeAll } from "../../src/state/files.ts";
import { bootId } from "../../src/state/record.ts";
import { Used } from "./used.ts";

export interface Owner {
  containerId: string;
  /** "" in a lease of plugins older than 0.8. */
  ifName: string;
}

export interface OwnedLease extends Owner {
  ip: string;
}

/** The contents of a new index. */
export class IndexContents {
  /** Lines of the files 00 to ff. */
  readonly lines = new Map<string, string[]>();
  readonly used = new Used();

  addOwner(lease: OwnedLease): void {
    const file = fileOf(lease.containerId);
    const lines = this.lines.get(file);
    if (lines === undefined) this.lines.set(file, [lineOf(lease)]);
    else lines.push(lineOf(lease));
  }
}

const STATE = "state";
const MODE = 0o700;
/** Maximum size in bytes of an index file, which holds the leases of one container in 256. */
const LIMIT = 64 * 1024 * 1024;

export class LeaseIndex {
  readonly #leases: Fd;
  readonly #index: Fd;
  readonly #time: { seconds: number; nanoseconds: number };
  /** The index may differ from the directory. It is then not sealed, so that the next call writes a new one. */
  #doubtful = false;
  #changed = false;
  #failed = false;
  /** A bitmap of the addresses taken. */
  readonly used: Used;

  private constructor(leases: Fd, index: Fd, time: { seconds: number; nanoseconds: number }, used?: Used) {
    this.#leases = leases;
    this.#index = index;
    this.#time = time;
    this.used = used ?? new Used((block) => this.#attempt(() => readOwnShort(index, block)));
  }

  /** Opens the index of an open lease directory. undefined: there is none, or the directory has changed since it was written. */
  static open(leases: Fd, root: string): LeaseIndex | undefined {
    let index: Fd | undefined;
    try {
      const there = host.fstat(leases);
      const { dev, ino, mtime, mtimeNsec } = there;
      index = openDirectory(indexPath(root, dev, ino));
      if (index === undefined) return undefined;
      const state = readOwnShort(index, STATE);
      const isOfTime = state !== undefined && host.decode(state) === stateText(mtime, mtimeNsec);
      if (isOfTime && !isLater(there, host.fstat(index))) {
        return new LeaseIndex(leases, index, { seconds: mtime, nanoseconds: mtimeNsec });
      }
    } catch (error) {
      log("debug", "host-local: cannot read the index", { cause: String(error) });
    }
    if (index !== undefined) host.close(index);
    return undefined;
  }

  /** Writes a new index. undefined: it cannot be written, which costs only time. */
  static build(leases: Fd, root: string, contents: IndexContents): LeaseIndex | undefined {
    let index: Fd | undefined;
    try {
      const { dev, ino } = host.fstat(leases);
      index = openDirectory(indexPath(root, dev, ino), { mode: MODE })!;
      unlinkIfThere(STATE, index);
      for (const name of host.readdir(index)) host.unlink(name, index);
      for (const [file, lines] of contents.lines) write(index, file, host.encode(lines.join("")), O_TRUNC);
      for (const [block, bits] of contents.used.blocks()) write(index, block, bits, O_TRUNC);
      // A time that no change will ever give the directory: in the past, and with a random fraction.
      const [a, b, c, d] = host.random(4);
      const fraction = (((a! * 256 + b!) * 256 + c!) * 256 + d!) % 1e9;
      host.futimens(leases, Math.floor(host.now() / 1000) - 1, fraction);
      // Read the time back: some file systems store whole seconds only.
      const { mtime, mtimeNsec } = host.fstat(leases);
      write(index, STATE, host.encode(stateText(mtime, mtimeNsec)), O_TRUNC);
      return new LeaseIndex(leases, index, { seconds: mtime, nanoseconds: mtimeNsec }, contents.used);
    } catch (error) {
      log("debug", "host-local: cannot write the index", { cause: String(error) });
      if (index !== undefined) host.close(index);
      return undefined;
    }
  }

  /** Leases of all interfaces of the container. undefined: the index cannot be read. */
  of(containerId: string): OwnedLease[] | undefined {
    return this.#attempt(() => read(this.#index, containerId));
  }

  /**
   * Runs a change of the directory, which calls add and remove to update the index. If the change throws, it is unknown how much of it was done, and
   * the index stays doubtful.
   */
  during<T>(change: () => T): T {
    const doubtful = this.#doubtful;
    this.#doubtful = true;
    this.#changed = true;
    const value = change();
    this.#doubtful = doubtful || this.#failed;
    return value;
  }

  add(lease: OwnedLease, address: Address): void {
    this.#attempt(() => {
      write(this.#index, fileOf(lease.containerId), host.encode(lineOf(lease)), O_APPEND);
      this.#mark(address, true);
    });
  }

  remove(lease: OwnedLease, address: Address): void {
    this.#attempt(() => {
      const file = fileOf(lease.containerId);
      const text = readText(this.#index, file);
      const line = `\n${lineOf(lease)}`;
      const at = text.indexOf(line);
      const rest = text.slice(1, at + 1) + text.slice(at + line.length);
      if (at >= 0) write(this.#index, file, host.encode(rest), O_TRUNC);
      this.#mark(address, false);
    });
  }

  #mark(address: Address, taken: boolean): void {
    const { block, bits } = this.used.mark(address, taken);
    // All blocks have the same size, so the file needs no truncation.
    write(this.#index, block, bits, 0);
  }

  /** Makes the next call read the directory instead of the index. */
  doubt(): void {
    this.#failed = true;
    this.#doubtful = true;
  }

  /** Must be called last: declares that the index says what the directory contains. */
  seal(): void {
    if (this.#doubtful || !this.#changed) return;
    this.#attempt(() => {
      host.futimens(this.#leases, this.#time.seconds, this.#time.nanoseconds);
      // This changes nothing but the ctime of the index, which must not be before the directory's.
      host.fchmod(this.#index, MODE);
    });
  }

  close(): void {
    host.close(this.#index);
  }

  #attempt<T>(run: () => T): T | undefined {
    try {
      return run();
    } catch (error) {
      this.#fail(error);
      return undefined;
    }
  }

  #fail(error: unknown): void {
    this.doubt();
    log("debug", "host-local: discarding the index", { cause: String(error) });
  }
}

/** Uses the inode and not the path, so that a directory has one index, whatever path leads to it. */
function indexPath(root: string, dev: number, ino: number): string {
  return `${root}/${dev.toString(16)}-${ino}`;
}

/** Compares the ctimes. (Wrong if the clock was set back between the two changes.) */
function isLater(one: Stat, other: Stat): boolean {
  return one.ctime === other.ctime ? one.ctimeNsec > other.ctimeNsec : one.ctime > other.ctime;
}

function stateText(seconds: number, nanoseconds: number): string {
  const boot = bootId();
  if (boot === "") throw new Error("the kernel reports no boot ID");
  return `1 ${boot} ${seconds} ${nanoseconds}\n`;
}

function lineOf({ containerId, ifName, ip }: OwnedLease): string {
  return `${containerId} ${ifName} ${ip}\n`;
}

/** FNV-1a of the last eight characters, folded to 8 bits. */
function fileOf(containerId: string): string {
  let hash = 0x811c9dc5;
  for (let i = Math.max(0, containerId.length - 8); i < containerId.length; i++) {
    hash = Math.imul(hash ^ containerId.charCodeAt(i), 0x01000193);
  }
  return ((hash ^ (hash >>> 8) ^ (hash >>> 16) ^ (hash >>> 24)) & 0xff).toString(16).padStart(2, "0");
}

function read(index: Fd, containerId: string): OwnedLease[] {
  const text = readText(index, fileOf(containerId));
  const found: OwnedLease[] = [];
  const start = `\n${containerId} `;
  for (let at = text.indexOf(start); at >= 0; at = text.indexOf(start, at + 1)) {
    const [ifName, ip] = text.slice(at + start.length, text.indexOf("\n", at + 1)).split(" ");
    found.push({ containerId, ifName: ifName!, ip: ip! });
  }
  return found;
}

/** Puts a line feed in front, so that every line follows one. */
function readText(index: Fd, file: string): string {
  const data = readOwnShort(index, file) ?? readFile(index, file, LIMIT);
  return data === undefined ? "\n" : `\n${host.decode(data)}`;
}

function write(index: Fd, file: string, data: Uint8Array, how: number): void {
  const fd = host.open(file, O_WRONLY | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC | how, 0o600, index);
  closing(fd, () => writeAll(fd, data));
}
