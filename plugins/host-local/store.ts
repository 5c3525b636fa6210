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
/** File systems on which fsync of a new file writes its name, too: ext4 and XFS (docs/decisions.md). */
const NAMES_SYNCED = [EXT4_SUPER_MAGIC, XFS_SUPER_MAGIC];
/** In bytes. The spec sets no limit for container IDs, but the kernel limits an environment variable to 128 KiB (MAX_ARG_STRLEN). */
const LEASE_LIMIT = 132 * 1024;

export class Store {
  readonly #path: string;
  readonly #dir: Fd;
  readonly #indexRoot: string;
  /** undefined: there is no index, or it is out of date. */
  #index: LeaseIndex | undefined;
  /** Addresses taken; undefined: not known yet. */
  #used: Used | undefined;
  /** The temporary file of a lease, until an address for it is found. */
  #temporary: Fd | undefined;
  /** Leases whose owner this process could not read. */
  #unreadable: string[] = [];
  /** Open files of the leases taken, for sync. */
  #taken: Fd[] = [];

  private constructor(path: string, dir: Fd, indexRoot: string) {
    this.#path = path;
    this.#dir = dir;
    this.#indexRoot = indexRoot;
  }

  /** Opens the lease directory. undefined: it does not exist, and `create` is false. */
  static open(place: Place, create: boolean, indexRoot: string): Store | undefined {
    const dir = openPlace("dataDir", place, create ? { mode: DIRECTORY_MODE } : undefined);
    return dir === undefined ? undefined : new Store(place.path, dir, indexRoot);
  }

  close(): void {
    this.#closeTaken();
    host.close(this.#dir);
  }

  /** Runs `body` under the lock. The methods below need the lock unless they say otherwise. Waits for it at most `timeout` milliseconds. */
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
   * The leases of the attachment. If there are none, those of plugins older than 0.8, which contain only the container ID. Each returned lease has
   * been read.
   */
  find(owner: Owner): OwnedLease[] {
    const known = this.#index?.of(owner.containerId)?.filter((lease) => matches(lease, owner));
    const read = known?.map(({ ip }) => this.#read(ip));
    const found: OwnedLease[] = [];
    // Overwriting a lease does not change the directory's time, so the index alone is not enough.
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

  /**
   * Releases every lease for which `keep` returns false. For a lease without an owner, `keep` gets a containerId of "". If a lease cannot be removed,
   * continues with the others and throws at the end.
   */
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

  /** Addresses whose leases could not be read in the last pass over the directory. They may belong to any attachment. */
  get unreadable(): readonly string[] {
    return this.#unreadable;
  }

  /** The holder of the address. undefined: there is none, or it is unknown. Needs no lock: a lease is written before an interface has its address. */
  ownerOf(address: Address): Owner | undefined {
    return this.#read(formatAddress(address));
  }

  /** All leases that contain an owner. Needs no lock either. */
  owned(): OwnedLease[] {
    const found: OwnedLease[] = [];
    readEach(this.#dir, leaseAddress, (_, ip, text) => {
      const owner = text === undefined ? this.#readOwner(ip) : parseOwner(text);
      if (typeof owner === "object") found.push({ containerId: owner.containerId, ifName: owner.ifName, ip });
    });
    return found;
  }

  /** True if there is a lease that this process cannot read now. */
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

  /** Gives the address to the owner. The lease is durable only after sync. false: the address is taken. */
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

  /** Makes the leases that were taken survive a power cut. Needs no lock. */
  sync(): void {
    for (const fd of this.#taken) host.fsync(fd);
    if (this.#taken.length > 0 && !NAMES_SYNCED.includes(host.fstatfs(this.#dir))) host.fsync(this.#dir);
    this.#closeTaken();
  }

  /**
   * Like sync, but in child processes while the caller continues. Returns a function that waits for the end, and throws if the disk could not write.
   */
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

  /** Releases the address. The caller holds the lock, so it knows whose address it is. */
  release(lease: OwnedLease): void {
    this.#change(() => {
      unlinkIfThere(lease.ip, this.#dir);
      const address = parseAddress(lease.ip)!;
      this.#used?.mark(address, false);
      this.#index?.remove(lease, address);
    });
  }

  /** The address that was allocated last from set `index`; undefined if it is unknown. This is only a hint. */
  lastReserved(index: number): Address | undefined {
    try {
      const name = lastReservedName(index);
      const data = readShort(this.#dir, name) ?? readFile(this.#dir, name, 64);
      // Like the Go plugin, accepts only the exact text of an address, and otherwise ignores the file.
      return data && parseAddress(host.decode(data));
    } catch (error) {
      this.#warn("cannot read the last reserved address", lastReservedName(index), error);
      return undefined;
    }
  }

  /** Does not throw if this fails, because the file only spreads addresses over the pool. */
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
   * Overwrites a file that is not longer than `text`, in one write, so that it is written wholly or not at all. This is much cheaper than #replace,
   * because ext4 writes a file that replaces another to disk at once (0.7 ms). false: the file was not written.
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

  /** Replaces a file. Follows no symbolic link. */
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

  /** Throws if podnic could not write a lease. */
  probe(): void {
    this.#change(() => {
      this.#temporary = this.#writeTemporary(new Uint8Array());
      this.#dropTemporary();
    });
  }

  /** The lease is valid even if this fails. The file is then removed when podnic reads the directory, which the next call does. */
  #removeTemporary(): void {
    try {
      unlinkIfThere(TEMPORARY, this.#dir);
    } catch (error) {
      this.#index?.doubt();
      this.#warn("cannot remove a temporary file", TEMPORARY, error);
    }
  }

  /** Runs a change of the directory. If it fails half-way, the index is no longer valid. */
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
   * Reads every lease, and writes a new index of those for which `keep` returns true. Removes the temporary file that a killed process has left. A
   * lease without an owner (it was emptied, or a Go plugin was killed while it wrote) counts as taken, because a pod may have the address.
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
   * "none": the file is empty, or not text. undefined: there is no file, or no plugin wrote it. Such a file stays, and its address is not allocated.
   * "unreadable": the lease may belong to any attachment.
   */
  #readOwner(name: string): Owner | "none" | "unreadable" | undefined {
    try {
      const data = readShort(this.#dir, name) ?? readFile(this.#dir, name, LEASE_LIMIT);
      return data && parseOwner(host.decode(data));
    } catch (error) {
      this.#warn("cannot read a lease", name, error);
      // No plugin makes a link, a directory, or a file this large.
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
  // If a signal ended the child process, it is unknown whether it wrote the file.
  const errno = (status & 0x7f) === 0 ? status >> 8 : EINTR;
  throw new SystemError("fsync", errno, errnoName(errno), errnoText(errno));
}

function matches(lease: Owner, owner: Owner): boolean {
  return lease.containerId === owner.containerId && (lease.ifName === owner.ifName || lease.ifName === "");
}
