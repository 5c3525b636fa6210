// The lease directory, in exactly the Go plugin's format: <dataDir>/<network>/<ip> contains "containerID CR LF ifname", and last_reserved_ip.N
// contains the last address allocated from set N. Both implementations hold a flock(2) on `lock` while they work.
import { Cleanup } from "../../src/cleanup.ts";
import { openPlace } from "../../src/config/place.ts";
import type { Place } from "../../src/config/policy.ts";
import { Failure } from "../../src/errors.ts";
import { EINTR, EXT4_SUPER_MAGIC, O_WRONLY, XFS_SUPER_MAGIC } from "../../src/host/constants.ts";
import { errnoName, errnoText, type Fd, host, type Stat, SystemError } from "../../src/host/host.ts";
import { type Address, formatAddress, parseAddress } from "../../src/ip/address.ts";
import type { Interval } from "../../src/ip/range.ts";
import { log } from "../../src/log.ts";
import { hasErrno } from "../../src/state/descriptor.ts";
import {
  closing,
  openExclusive,
  readEach,
  readFile,
  readShort,
  unlinkIfThere,
  writeAll,
} from "../../src/state/files.ts";
import { withLock } from "../../src/state/lock.ts";
import { notOurs, openLooked } from "../../src/state/look.ts";
import { IndexContents, LeaseIndex, type OwnedLease, type Owner } from "./lease-index.ts";
import { LOCK, lastReservedName, leaseAddress, parseOwner, TEMPORARY } from "./pool-files.ts";
import type { Used } from "./used.ts";

const DIRECTORY_MODE = 0o755;
const FILE_MODE = 0o600;
/** File systems whose fsync of a new file writes its name too: ext4 and XFS (docs/decisions.md). */
const NAMES_SYNCED = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC];
/** The spec knows no limit for container ids, the kernel one for an environment variable: 128 KiB (MAX_ARG_STRLEN). */
const LEASE_LIMIT = 132 * 1024;

export class Store {
  readonly #path: string;
  readonly #dir: Fd;
  readonly #indexRoot: string;
  /** undefined: out of date, or not to be had. */
  #index: LeaseIndex | undefined;
  /** Addresses taken; undefined: not known yet. */
  #used: Used | undefined;
  /** The temporary file, while it waits for a free address. */
  #temporary: Fd | undefined;
  /** Leases of which this kernel, this disk or our rights do not let us say whose they are. */
  #unreadable: string[] = [];
  /** Open files of the leases taken, for sync. */
  #taken: Fd[] = [];

  private constructor(path: string, dir: Fd, indexRoot: string) {
    this.#path = path;
    this.#dir = dir;
    this.#indexRoot = indexRoot;
  }

  /** undefined: the directory does not exist and is not to be created. */
  static open(place: Place, create: boolean, indexRoot: string): Store | undefined {
    const dir = openPlace("dataDir", place, create ? { mode: DIRECTORY_MODE } : undefined);
    return dir === undefined ? undefined : new Store(place.path, dir, indexRoot);
  }

  close(): void {
    this.#closeTaken();
    host.close(this.#dir);
  }

  /** Runs `body` under the lock, which the methods below need. Waits at most `timeout` milliseconds. */
  locked<T>(timeout: number, body: () => T): T {
    return withLock(this.#dir, LOCK, timeout, () => {
      this.#index = LeaseIndex.open(this.#dir, this.#indexRoot);
      this.#used = this.#index?.used;
      try {
        return body();
      } finally {
        this.#dropTemporary();
        this.#index?.seal();
        this.#index?.close();
        this.#index = undefined;
        this.#used = undefined;
      }
    });
  }

  /**
   * Leases of the attachment; those of plugins older than 0.8, which name the container only, when there are no others. Each has been
   * read.
   */
  find(owner: Owner): OwnedLease[] {
    const known = this.#index?.of(owner.containerId)?.filter((lease) => matches(lease, owner));
    const read = known?.map(({ ip }) => this.#read(ip));
    const found: OwnedLease[] = [];
    // A lease that was written over leaves no trace in the directory's time.
    if (read?.every((lease) => lease !== undefined && matches(lease, owner))) found.push(...(read as OwnedLease[]));
    else {
      this.#rebuild((lease) => {
        if (matches(lease, owner)) found.push(lease);
        return true;
      });
    }
    const exact = found.filter(({ ifName }) => ifName !== "");
    return exact.length > 0 ? exact : found;
  }

  /** Releases every lease that is not to be kept; one without an owner is asked for with a containerId of "". Does not stop at one that cannot be removed; throws at the end. */
  sweep(keep: (lease: OwnedLease) => boolean): void {
    const cleanup = new Cleanup();
    this.#rebuild((lease) => {
      if (keep(lease)) return true;
      let gone = false;
      cleanup.attempt(() => {
        unlinkIfThere(lease.ip, this.#dir);
        gone = true;
      });
      return !gone;
    });
    cleanup.finish();
  }

  /** Addresses whose leases could not be read in the last pass over the directory: they may be anybody's. */
  get unreadable(): readonly string[] {
    return this.#unreadable;
  }

  /** The holder of the address. undefined: there is none, or it is unknown. Needs no lock: a lease is written before an interface has its address. */
  ownerOf(address: Address): Owner | undefined {
    return this.#read(formatAddress(address));
  }

  /** All that name an owner. Needs no lock either. */
  owned(): OwnedLease[] {
    const found: OwnedLease[] = [];
    readEach(this.#dir, leaseAddress, (_, ip, text) => {
      const owner = text === undefined ? this.#readOwner(ip) : parseOwner(text);
      if (typeof owner === "object") found.push({ containerId: owner.containerId, ifName: owner.ifName, ip });
    });
    return found;
  }

  /** There is a lease, and this process cannot read it now. */
  isUnreadable(ip: string): boolean {
    return this.#readOwner(ip) === "unreadable";
  }

  isTaken(address: Address): boolean {
    try {
      host.stat(formatAddress(address), false, this.#dir);
      return true;
    } catch (error) {
      if (hasErrno(error, "ENOENT")) return false;
      throw error;
    }
  }

  /** The first address of the interval that is not taken. */
  firstFree(interval: Interval): Address | undefined {
    if (this.#used === undefined) this.#rebuild(() => true);
    return this.#used!.firstFree(interval);
  }

  /** Gives the address to the owner; durable after sync. false: it is taken. */
  take(address: Address, owner: Owner): boolean {
    const ip = formatAddress(address);
    return this.#change(() => {
      this.#temporary ??= this.#writeTemporary(host.encode(`${owner.containerId}\r\n${owner.ifName}`));
      try {
        host.link(TEMPORARY, ip, this.#dir, this.#dir);
      } catch (error) {
        if (!hasErrno(error, "EEXIST")) throw error;
        this.#used?.mark(address, true);
        return false;
      }
      this.#taken.push(this.#temporary);
      this.#temporary = undefined;
      this.#used?.mark(address, true);
      this.#index?.add({ ...owner, ip }, address);
      this.#removeTemporary();
      return true;
    });
  }

  /** Makes what was taken survive a power cut. Needs no lock. */
  sync(): void {
    for (const fd of this.#taken) host.fsync(fd);
    if (this.#taken.length > 0 && !NAMES_SYNCED.includes(host.fstatfs(this.#dir))) host.fsync(this.#dir);
    this.#closeTaken();
  }

  /** The same while the caller goes on. Returns what waits for the end, and throws when the disk could not write. */
  syncAside(): () => void {
    if (!NAMES_SYNCED.includes(host.fstatfs(this.#dir))) {
      this.sync();
      return () => {};
    }
    const begun = this.#taken.map((fd) => ({ fd, pid: host.syncAside(fd) }));
    this.#taken = [];
    return () => {
      try {
        for (const { pid } of begun) waitForSync(pid);
      } finally {
        for (const { fd } of begun) host.close(fd);
      }
    };
  }

  /** Gives the address back. The caller knows, since it holds the lock, whose it is. */
  release(lease: OwnedLease): void {
    this.#change(() => {
      unlinkIfThere(lease.ip, this.#dir);
      const address = parseAddress(lease.ip)!;
      this.#used?.mark(address, false);
      this.#index?.remove(lease, address);
    });
  }

  /** The address handed out last from set `index`; undefined when unknown. Advisory. */
  lastReserved(index: number): Address | undefined {
    try {
      const name = lastReservedName(index);
      const data = readShort(this.#dir, name) ?? readFile(this.#dir, name, 64);
      // Exactly an address, as the Go plugin reads it: anything else is as good as nothing.
      return data && parseAddress(host.decode(data));
    } catch (error) {
      this.#warn("cannot read the last reserved address", lastReservedName(index), error);
      return undefined;
    }
  }

  /** Never fails: the file only spreads addresses over the pool. */
  setLastReserved(index: number, address: Address): void {
    const name = lastReservedName(index);
    const text = host.encode(formatAddress(address));
    try {
      if (!this.#overwrite(name, text)) this.#change(() => this.#replace(name, text));
    } catch (error) {
      this.#warn("cannot write the last reserved address", name, error);
    }
  }

  /**
   * Writes over what is not longer than `text`, in one write and thus wholly or not at all. Much cheaper than #replace: ext4 writes a file
   * that replaces another to disk at once (0.7 ms). false: not done.
   */
  #overwrite(name: string, text: Uint8Array): boolean {
    const judge = (stat: Stat) => (stat.size > text.length ? "is longer" : notOurs(stat));
    try {
      const fd = openLooked(this.#dir, name, O_WRONLY, judge)?.fd;
      if (fd === undefined) return false;
      closing(fd, () => writeAll(fd, text));
      return true;
    } catch (error) {
      if (hasErrno(error, "ELOOP")) return false;
      throw error;
    }
  }

  /** Follows no link. */
  #replace(name: string, text: Uint8Array): void {
    this.#dropTemporary();
    host.close(this.#writeTemporary(text));
    try {
      host.rename(TEMPORARY, name, this.#dir, this.#dir);
    } catch (error) {
      unlinkIfThere(TEMPORARY, this.#dir);
      throw error;
    }
  }

  /** Throws when no lease could be written. */
  probe(): void {
    this.#change(() => {
      this.#temporary = this.#writeTemporary(new Uint8Array());
      this.#dropTemporary();
    });
  }

  /** The lease stands without it; what stays is removed when the directory is read, which the next call then does. */
  #removeTemporary(): void {
    try {
      unlinkIfThere(TEMPORARY, this.#dir);
    } catch (error) {
      this.#index?.doubt();
      this.#warn("cannot remove a temporary file", TEMPORARY, error);
    }
  }

  /** A change of the directory: when it fails half-way the index does not hold any more. */
  #change<T>(change: () => T): T {
    return this.#index === undefined ? change() : this.#index.during(change);
  }

  #dropTemporary(): void {
    if (this.#temporary === undefined) return;
    host.close(this.#temporary);
    this.#temporary = undefined;
    this.#change(() => this.#removeTemporary());
  }

  #writeTemporary(data: Uint8Array): Fd {
    let fd = openExclusive(this.#dir, TEMPORARY);
    while (fd === undefined) {
      unlinkIfThere(TEMPORARY, this.#dir);
      fd = openExclusive(this.#dir, TEMPORARY);
    }
    try {
      host.fchmod(fd, FILE_MODE);
      writeAll(fd, data);
      return fd;
    } catch (error) {
      host.close(fd);
      unlinkIfThere(TEMPORARY, this.#dir);
      throw error;
    }
  }

  /**
   * Reads every lease, and writes the index anew with those that `keep` says remain. Removes what killed processes left, a temporary file.
   * A lease without an owner (emptied, or a Go plugin was killed while it wrote) is taken: a pod may have the address.
   */
  #rebuild(keep: (lease: OwnedLease) => boolean): void {
    this.#index?.close();
    this.#index = undefined;
    const contents = new IndexContents();
    this.#used = contents.used;
    this.#unreadable = [];
    const select = (name: string): Address | undefined => {
      if (name === TEMPORARY) unlinkIfThere(TEMPORARY, this.#dir);
      return leaseAddress(name);
    };
    readEach(this.#dir, select, (address, name, text) => {
      const owner = text === undefined ? this.#readOwner(name) : parseOwner(text);
      if (owner === "none") {
        if (!keep({ containerId: "", ifName: "", ip: name })) return;
        this.#warn(
          "lease without an owner: its address remains in use; podnic gc releases the address if no pod has it",
          name,
        );
      }
      if (owner === "unreadable") this.#unreadable.push(name);
      if (typeof owner === "object") {
        const lease = { containerId: owner.containerId, ifName: owner.ifName, ip: name };
        if (!keep(lease)) return;
        contents.addOwner(lease);
      }
      contents.used.mark(address, true);
    });
    if (this.#unreadable.length === 0) this.#index = LeaseIndex.build(this.#dir, this.#indexRoot, contents);
  }

  #read(ip: string): OwnedLease | undefined {
    const owner = this.#readOwner(ip);
    return typeof owner === "object" ? { ...owner, ip } : undefined;
  }

  /**
   * "none": empty, or not text. undefined: not there, or nothing we understand: it stays, and its address is not handed out.
   * "unreadable": it may be anybody's.
   */
  #readOwner(name: string): Owner | "none" | "unreadable" | undefined {
    try {
      const data = readShort(this.#dir, name) ?? readFile(this.#dir, name, LEASE_LIMIT);
      return data && parseOwner(host.decode(data));
    } catch (error) {
      this.#warn("cannot read a lease", name, error);
      // A link, a directory, a file far too large: no plugin made it.
      return hasErrno(error, "ELOOP") || error instanceof Failure ? undefined : "unreadable";
    }
  }

  #warn(what: string, name: string, error?: unknown): void {
    const cause = error === undefined ? {} : { cause: String(error) };
    log("warning", `host-local: ${what}`, { file: `${this.#path}/${name}`, ...cause });
  }

  #closeTaken(): void {
    for (const fd of this.#taken) host.close(fd);
    this.#taken = [];
  }
}

/** `pid`: see Host.syncAside. */
function waitForSync(pid: number): void {
  if (pid === 0) return;
  const status = host.waitpid(pid);
  if (status === 0) return;
  // A signal ended it, so it is unknown what it did.
  const errno = (status & 0x7f) === 0 ? status >> 8 : EINTR;
  throw new SystemError("fsync", errno, errnoName(errno), errnoText(errno));
}

function matches(lease: Owner, owner: Owner): boolean {
  return lease.containerId === owner.containerId && (lease.ifName === owner.ifName || lease.ifName === "");
}
