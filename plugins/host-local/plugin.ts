// host-local: allocates addresses from ranges of this node, and stores them in files.
import { Cleanup } from "../../src/cleanup.ts";
import type { Call, Plugin } from "../../src/cni/plugin.ts";
import { type Dns, emptyResult, type Result } from "../../src/cni/result.ts";
import { ownPlace, type Place, policy } from "../../src/config/policy.ts";
import { Failure } from "../../src/errors.ts";
import { errnoText, SystemError } from "../../src/host/host.ts";
import { type Address, formatAddress, parseAddress } from "../../src/ip/address.ts";
import { equalAddresses, nextAddress } from "../../src/ip/range.ts";
import { log } from "../../src/log.ts";
import { allocate } from "./allocate.ts";
import type { HostLocalConfig } from "./config.schema.ts";
import type { OwnedLease, Owner } from "./lease-index.ts";
import { formatSet, type Range, type RangeSet, rangeOf } from "./ranges.ts";
import { checkRequest, type LeaseRequest, leaseDirectory, requestOf } from "./request.ts";
import { readResolvConf } from "./resolv-conf.ts";
import { Store } from "./store.ts";

type HostLocalCall = Call<HostLocalConfig>;

function resultOf({ routes }: LeaseRequest, reservations: Reservation[], dns: Dns = {}): Result {
  const ips = reservations.map(({ address, range: { subnet, gateway } }) => {
    const prefix = { address, length: subnet.length };
    return gateway === undefined ? { address: prefix } : { address: prefix, gateway };
  });
  return { ...emptyResult(), ips, routes, dns };
}

/** Possible results of ADD, which together contain the first address of each range. */
function foresee(call: HostLocalCall): Result[] {
  const request = requestOf(call);
  const count = Math.max(...request.sets.map((set) => set.length));
  return Array.from({ length: count }, (_, n) => {
    const first = (set: RangeSet): Reservation => {
      const range = set[Math.min(n, set.length - 1)]!;
      const isTaken = range.gateway !== undefined && equalAddresses(range.first, range.gateway);
      return { range, address: isTaken ? nextAddress(range.first)! : range.first };
    };
    return resultOf(request, request.sets.map(first));
  });
}

interface Reservation {
  address: Address;
  range: Range;
}

/** Below /run, because the index is valid for one boot only (lease-index.ts), and because a file in memory does not slow down the sync of a lease. */
const INDEX = ownPlace("/run/podnic");
export const INDEX_ROOT = `${INDEX.path}/host-local`;

export function hostLocalPlugin(indexRoot = INDEX_ROOT): Plugin<HostLocalConfig> {
  /** Runs `body` with the lease directory locked. undefined: it does not exist. */
  function withStore<T>(
    place: Place,
    create: boolean,
    body: (store: Store) => T,
    after?: (store: Store) => void,
  ): T | undefined {
    const store = Store.open(place, create, indexRoot);
    if (store === undefined) return undefined;
    try {
      const value = store.locked(policy().lockTimeout, () => body(store));
      after?.(store);
      return value;
    } catch (error) {
      throw withPath(error, place.path);
    } finally {
      store.close();
    }
  }

  function add(call: HostLocalCall): Result {
    const request = requestOf(call);
    const dns = request.resolvConf === undefined ? {} : readResolvConf(request.resolvConf);
    const { containerId, ifName } = call.attachment;
    const owner = { containerId, ifName };
    const reserved = withStore(
      request.directory,
      true,
      (store) => {
        const reservations = reserve(store, request, owner);
        call.transaction.onRollback("releasing the addresses", () => release(request.directory, owner, reservations));
        return reservations;
      },
      // Not under the lock, so that other calls do not wait for the disk. If the address is for an interface that is made next (isPart), that does
      // not wait either.
      (store) => (call.isPart ? call.transaction.beside(store.syncAside()) : store.sync()),
    )!;
    return resultOf(request, reserved, dns);
  }

  /** Releases what this call reserved and still holds. */
  function release(directory: Place, owner: Owner, reservations: Reservation[]): void {
    withStore(directory, false, (store) => {
      for (const { address } of reservations) {
        const ip = formatAddress(address);
        if (isSame(store.ownerOf(address), owner)) store.release({ ...owner, ip });
        else if (store.isUnreadable(ip)) refuseUnreadable([ip]);
      }
    });
  }

  function check(call: HostLocalCall): void {
    const request = requestOf(call);
    const { containerId } = call.attachment;
    const held = withStore(request.directory, false, (store) => store.find(call.attachment)) ?? [];
    const lost = (details: string): Failure =>
      new Failure("failed", `host-local: Failed to find address added by container ${containerId}`, details);
    if (held.length === 0) throw lost(`No lease in ${request.directory.path} belongs to this container.`);
    // Addresses of other plugins in the chain lie outside of the ranges.
    for (const { address } of call.prevResult?.ips ?? []) {
      const text = formatAddress(address.address);
      const ours = request.ranges.find(address.address) !== undefined;
      if (ours && !held.some(({ ip }) => ip === text))
        throw lost(`The lease ${request.directory.path}/${text} does not belong to this container.`);
    }
  }

  /** DEL and GC: runs `body`, unless no ADD was allowed to use the directory, which then holds nothing of ours. */
  function clean(call: HostLocalCall, body: (store: Store) => void): void {
    const place = orNothing(() => leaseDirectory(call));
    if (place === undefined) return;
    const run = (): void => void withStore(place, false, body);
    if (!mayHoldLeases(call)) orNothing(run);
    else run();
  }

  /** Takes no lock, because the caller may hold a lock for which other calls wait. */
  function holderOf(call: HostLocalCall, address: Address): Owner | undefined {
    const place = orNothing(() => leaseDirectory(call));
    const store = place && Store.open(place, false, indexRoot);
    try {
      return store?.ownerOf(address);
    } finally {
      store?.close();
    }
  }

  function del(call: HostLocalCall): void {
    const cleanup = new Cleanup();
    clean(call, (store) => {
      for (const lease of store.find(call.attachment)) cleanup.attempt(() => store.release(lease));
      cleanup.attempt(() => refuseUnreadable(store.unreadable.filter((ip) => mayBeOf(call, ip))));
    });
    cleanup.finish();
  }

  /** Returns no leases for a configuration that is invalid, because gc itself reports it. */
  function stale(call: HostLocalCall): OwnedLease[] {
    try {
      const store = Store.open(leaseDirectory(call), false, indexRoot);
      const isValid = validityIn(call);
      try {
        return store?.owned().filter((lease) => !isValid(lease)) ?? [];
      } finally {
        store?.close();
      }
    } catch (error) {
      if (error instanceof Failure && error.kind === "invalid config") return [];
      throw error;
    }
  }

  function gc(call: HostLocalCall): void {
    clean(call, (store) => {
      store.sweep(validityIn(call));
      refuseUnreadable(store.unreadable);
    });
  }

  function status(call: HostLocalCall): void {
    const request = requestOf(call);
    try {
      withStore(request.directory, true, (store) => {
        store.probe();
        request.sets.forEach((set, index) => {
          const free = allocate(set, store.lastReserved(index), request.excluded, {
            firstFree: (interval) => store.firstFree(interval),
            take: () => true,
          });
          // Without a free address, the node only cannot run one more pod. A failed STATUS would make it NotReady, which would end all its pods,
          // those of other networks too.
          if (free === undefined)
            log("warning", `STATUS: ${exhausted(set, request.directory.path).message}`, {
              directory: request.directory.path,
            });
        });
      });
    } catch (error) {
      if (error instanceof Failure && error.kind === "try again") throw error;
      const message = error instanceof Error ? error.message : String(error);
      const details =
        error instanceof Failure
          ? error.details
          : `host-local cannot allocate addresses, because it cannot use its lease directory ${request.directory.path}.`;
      throw new Failure("not available", message, details);
    }
  }

  return {
    name: "host-local",
    kind: "ipam",
    knownArgs: ["IP"],
    schema: "host-local",
    refusesSecond: true,
    // Landlock costs more than 3 % of an ADD here (docs/decisions.md), so it is used only if the configuration names a path.
    confinesFiles: ({ config: { ipam, logFile } }) => Boolean(ipam?.dataDir || ipam?.resolvConf || logFile),
    writes: (call) => [leaseDirectory(call), INDEX],
    foresee,
    // requestOf keeps the request of a call, so that `add` need not compute it again.
    validate: (call, attempt) => (attempt === undefined ? void requestOf(call) : checkRequest(call, attempt)),
    add,
    check,
    del,
    gc,
    status,
    holderOf,
    stale,
  };
}

export const hostLocal: Plugin<HostLocalConfig> = hostLocalPlugin();

/** Reserves one address from each set, or none at all. The caller holds the lock for all sets. */
function reserve(store: Store, request: LeaseRequest, owner: Owner): Reservation[] {
  const held = store.find(owner);
  const reserved: Reservation[] = [];
  try {
    request.sets.forEach((set, index) => {
      try {
        const one = reserveFrom(store, set, request, index, owner, held);
        reserved.push(one);
        store.setLastReserved(index, one.address);
      } catch (error) {
        if (!(error instanceof Failure)) throw error;
        throw error.reworded(`failed to allocate for range ${index}: ${error.message}`, error.details);
      }
    });
    return reserved;
  } catch (error) {
    // Release only what this call took: the attachment may have leases from an earlier ADD that succeeded.
    for (const { address } of reserved) store.release({ ...owner, ip: formatAddress(address) });
    throw error;
  }
}

function reserveFrom(
  store: Store,
  set: RangeSet,
  request: LeaseRequest,
  index: number,
  owner: Owner,
  held: OwnedLease[],
): Reservation {
  const wanted = request.wanted[index];
  if (wanted !== undefined && store.isTaken(wanted)) throw taken(store, set, wanted, request.directory.path);
  const old = held.find(({ ip }) => rangeOf(set, parseAddress(ip)!) !== undefined);
  if (old !== undefined) {
    throw new Failure(
      "failed",
      `${old.ip} has been allocated to ${owner.containerId}, duplicate allocation is not allowed`,
      `The lease is ${request.directory.path}/${old.ip}. An earlier ADD was not followed by DEL.`,
    );
  }
  if (wanted !== undefined) {
    if (!store.take(wanted, owner)) throw taken(store, set, wanted, request.directory.path);
    return { address: wanted, range: rangeOf(set, wanted)! };
  }
  const free = allocate(set, store.lastReserved(index), request.excluded, {
    firstFree: (interval) => store.firstFree(interval),
    take: (address) => store.take(address, owner),
  });
  if (free === undefined) throw exhausted(set, request.directory.path);
  return free;
}

function taken(store: Store, set: RangeSet, address: Address, directory: string): Failure {
  const text = formatAddress(address);
  const owner = store.ownerOf(address);
  const holder = owner === undefined ? "" : ` by container ${owner.containerId} ${owner.ifName}`.trimEnd();
  return new Failure(
    "failed",
    `requested IP address ${text} is not available in range set ${formatSet(set)}`,
    `The address is leased${holder}: ${directory}/${text}.`,
  );
}

function exhausted(set: RangeSet, directory: string): Failure {
  return new Failure(
    "failed",
    `no IP addresses available in range set: ${formatSet(set)}`,
    `All are leased in ${directory}. Enlarge the range, or release leases that no pod uses (podnic gc).`,
  );
}

/**
 * True if the lease may be the attachment's. The prevResult contains every address that ADD allocated, so the leases of other addresses need not be
 * readable. Without a prevResult, any lease may be ours.
 */
function mayBeOf({ prevResult }: HostLocalCall, ip: string): boolean {
  const ips = prevResult?.ips ?? [];
  return ips.length === 0 || ips.some(({ address }) => formatAddress(address.address) === ip);
}

/**
 * Throws Failure("io") if there are such leases: a lease that cannot be read might belong to this container, and a clean-up that leaves it must not
 * report success.
 */
function refuseUnreadable(leases: readonly string[]): void {
  if (leases.length === 0) return;
  const some = leases.slice(0, 8).join(", ");
  throw new Failure(
    "io",
    `host-local: cannot read ${leases.length === 1 ? "the lease" : `${leases.length} leases, such as`} ${some}`,
    "podnic cannot tell which containers hold these addresses, so it does not release them. The log gives the reason. Repeat the call when the leases can be read, or remove damaged files.",
  );
}

/** GC: returns a function that is true for the leases of attachments that the runtime lists. */
function validityIn({ validAttachments }: HostLocalCall): (lease: OwnedLease) => boolean {
  const valid = new Set(validAttachments.map(({ containerId, ifName }) => `${containerId} ${ifName}`));
  const containers = new Set(validAttachments.map(({ containerId }) => containerId));
  return ({ containerId, ifName }) => {
    // A lease without an owner may be that of any valid attachment.
    if (containerId === "") return containers.size > 0;
    // A lease from before 0.8 names no interface.
    return ifName === "" ? containers.has(containerId) : valid.has(`${containerId} ${ifName}`);
  };
}

/**
 * True if an earlier ADD may have written leases to a directory that is refused now. A `dataDir` in the configuration was refused to ADD as well. A
 * person who wrote it, or planted a link there, must not keep the pod from ending.
 */
function mayHoldLeases({ config, prevResult }: HostLocalCall): boolean {
  return !config.ipam?.dataDir || (prevResult?.ips ?? []).length > 0;
}

/** Runs `look`. undefined: the configuration was refused, which is logged. */
function orNothing<T>(look: () => T): T | undefined {
  try {
    return look();
  } catch (error) {
    if (!(error instanceof Failure) || error.kind !== "invalid config") throw error;
    log("warning", "host-local: did not release any addresses", { cause: error.message });
    return undefined;
  }
}

/** Adds the directory's path to an error. Files are opened relative to an open directory, so the kernel's error does not contain it. */
function withPath(error: unknown, directory: string): unknown {
  if (!(error instanceof SystemError) || error.subject.startsWith("/")) return error;
  const { syscall, errno, code, subject } = error;
  const path = subject === "" ? directory : `${directory}/${subject}`;
  return new SystemError(syscall, errno, code, errnoText(errno), path);
}

function isSame(a: Owner | undefined, b: Owner): boolean {
  return a?.containerId === b.containerId && a.ifName === b.ifName;
}
