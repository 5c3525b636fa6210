// host-local's pools on this node, including the Go plugin's: their ranges and leases, and whether the holders of the leases still exist.

import type { HostLocalConfig } from "../../../plugins/host-local/config.schema.ts";
import { INDEX_ROOT } from "../../../plugins/host-local/plugin.ts";
import { leaseAddress, parseOwner } from "../../../plugins/host-local/pool-files.ts";
import { DATA_DIR, type LeaseRequest, requestOf } from "../../../plugins/host-local/request.ts";
import { Store } from "../../../plugins/host-local/store.ts";
import type { Call } from "../../cni/plugin.ts";
import { confinePath, policy } from "../../config/policy.ts";
import { readWhatIsValid } from "../../config/validate.ts";
import { Failure } from "../../errors.ts";
import { type Fd, host, SystemError } from "../../host/host.ts";
import { type Address, formatAddress } from "../../ip/address.ts";
import { compareAddresses, type Interval, intervalContains, sortKey } from "../../ip/range.ts";
import { readEach, readFile, withDirectory } from "../../state/files.ts";
import { isObject } from "../../state/shape.ts";
import { Progress } from "../progress.ts";
import type { CachedAttachment } from "./cache.ts";
import type { PluginConfiguration } from "./configurations.ts";
import type { Containers, Evidence } from "./evidence.ts";
import { namesIn } from "./namespaces.ts";

export interface Lease extends Evidence {
  address: string;
  containerId: string;
  /** "" in leases of host-local before 0.8. */
  interface: string;
}

export interface Pool {
  network: string;
  directory: string;
  /** Each in the form "first-last"; empty if this node has no configuration of the network. */
  ranges: string[];
  /** The number of addresses that can be assigned; absent if the ranges are not known. */
  size?: number;
  used: number;
  free?: number;
  leases: Lease[];
}

/** Bytes. A lease consists of two texts, of which the longer one, the container ID, is at most as long as an environment variable. */
const LEASE_LIMIT = 132 * 1024;

/** The settings of a network's host-local configuration. */
interface Described {
  dataDir: string;
  request: LeaseRequest | undefined;
}

/** Finds the pools in `dataDirs`; if it is empty, in the default directory and those in configurations. */
export function findPools(
  containers: Containers,
  configurations: PluginConfiguration[],
  dataDirs: string[] = [],
): Pool[] {
  const described = describe(configurations);
  const places = dataDirs.length > 0 ? dataDirs : [DATA_DIR, ...[...described.values()].map(({ dataDir }) => dataDir)];
  const pools: Pool[] = [];
  for (const dataDir of new Set(places.map((place) => place.replace(/\/+$/, "")))) {
    for (const network of namesIn(dataDir)) {
      const pool = readPool(`${dataDir}/${network}`, network, containers, described.get(network)?.request);
      if (pool !== undefined) pools.push(pool);
    }
  }
  return pools;
}

/** The configurations in libcni's cache, each once. They describe networks without a configuration file on the node (Multus). */
export function cachedConfigurations(
  cache: CachedAttachment[],
  pluginsOf: (config: unknown) => PluginConfiguration[],
): PluginConfiguration[] {
  const seen = new Map<string, Set<unknown>>();
  return cache.flatMap(({ network, config }) => {
    const known = seen.get(network) ?? new Set();
    seen.set(network, known);
    if (known.has(config)) return [];
    known.add(config);
    return pluginsOf(config).map((one) => ({ ...one, network }));
  });
}

/** The settings by network. If a network has several configurations, uses the first one. */
function describe(configurations: PluginConfiguration[]): Map<string, Described> {
  const found = new Map<string, Described>();
  for (const { network, version, config: raw } of configurations) {
    if (found.has(network) || !isObject(raw.ipam) || raw.ipam.type !== "host-local") continue;
    const { config } = readWhatIsValid<HostLocalConfig>("host-local", raw);
    found.set(network, {
      dataDir: config.ipam?.dataDir || DATA_DIR,
      request: requestQuietly(network, version, config),
    });
  }
  return found;
}

function requestQuietly(network: string, version: string, config: HostLocalConfig): LeaseRequest | undefined {
  const attachment = { network, containerId: "", ifName: "" };
  try {
    return requestOf({ config, version, attachment, args: new Map() as unknown } as Call<HostLocalConfig>);
  } catch (error) {
    if (error instanceof Failure) return undefined; // podnic validate reports the error
    throw error;
  }
}

/** undefined: the directory is not a pool. */
function readPool(
  directory: string,
  network: string,
  containers: Containers,
  request?: LeaseRequest,
): Pool | undefined {
  const read = readLeases(directory, containers);
  if (read === undefined) return undefined;
  const pool: Pool = {
    network,
    directory,
    ranges: [],
    used: read.length,
    leases: read.map(({ lease }) => lease),
  };
  if (request === undefined) return pool;
  const outside = read.filter(({ at }) => request.ranges.find(at) === undefined).length;
  const ranges = request.sets.flat();
  const size = ranges.reduce(
    (sum, range) => sum + sizeOf(range, range.gateway, request.excluded.overlapping(range)),
    0,
  );
  return {
    ...pool,
    ranges: ranges.map(({ first, last }) => `${formatAddress(first)}-${formatAddress(last)}`),
    size,
    free: Math.max(0, size - (pool.used - outside)),
  };
}

interface Found {
  lease: Lease;
  at: Address;
}

/** The leases, sorted by address. undefined: the path is not a pool, not a directory, or contains a link that podnic does not follow. */
function readLeases(directory: string, containers: Containers): Found[] | undefined {
  const progress = new Progress(`reading ${directory}`, 1000);
  const found = new Map<string, Found>();
  let isPool = false;
  try {
    const select = (name: string): Address | undefined => {
      const at = leaseAddress(name);
      isPool ||= at !== undefined || name === "lock" || name.startsWith("last_reserved_ip.");
      return at;
    };
    withDirectory(directory, undefined, (dir) =>
      readEach(dir, select, (at, name, text, written) => {
        progress.step();
        const lease = readLease(dir, name, containers, text, written);
        if (lease !== undefined) found.set(sortKey(at), { lease, at });
      }),
    );
  } catch (error) {
    if (error instanceof SystemError || error instanceof Failure) return undefined;
    throw error;
  }
  progress.done();
  if (!isPool) return undefined;
  // Sort the string keys, because the engine sorts strings without calling a comparison function.
  return [...found.keys()].sort().map((key) => found.get(key)!);
}

/** Reads the lease from `text`, or from the file if `text` is undefined. Returns undefined if the lease was released in the meantime. */
function readLease(
  dir: Fd,
  name: string,
  containers: Containers,
  text: string | undefined,
  written: number,
): Lease | undefined {
  const odd = (why: string): Lease => ({ address: name, containerId: "", interface: "", life: "unknown", why });
  try {
    const data = text === undefined ? readFile(dir, name, LEASE_LIMIT) : undefined;
    if (text === undefined && data === undefined) return undefined;
    const owner = parseOwner(text ?? host.decode(data!));
    if (owner === undefined) return odd("no plugin wrote it");
    const at = (): number => (text === undefined ? host.stat(name, false, dir).mtime : written);
    const { containerId, ifName } = owner === "none" ? { containerId: "", ifName: "" } : owner;
    const { life, why } =
      owner === "none" ? containers.holderOfNobodys(name, at) : containers.holderOf({ containerId, ifName }, name, at);
    return { address: name, containerId, interface: ifName, life, why };
  } catch (error) {
    if (error instanceof SystemError || error instanceof Failure) return odd(error.message);
    throw error;
  }
}

/** The number of addresses in a range without its gateway and the excluded intervals, which are disjoint. */
function sizeOf(range: Interval, gateway: Address | undefined, excluded: Interval[]): number {
  const cut = excluded.reduce((sum, interval) => sum + countOf(intersection(range, interval)), 0);
  const kept = gateway !== undefined && intervalContains(range, gateway);
  const twice = kept && excluded.some((interval) => intervalContains(interval, gateway));
  return countOf(range) - cut - (kept && !twice ? 1 : 0);
}

function intersection(a: Interval, b: Interval): Interval | undefined {
  if (a.first.family !== b.first.family) return undefined;
  const first = compareAddresses(a.first, b.first) > 0 ? a.first : b.first;
  const last = compareAddresses(a.last, b.last) < 0 ? a.last : b.last;
  return compareAddresses(first, last) <= 0 ? { first, last } : undefined;
}

/** The number of addresses in an interval. Exact below 2^53. */
function countOf(interval: Interval | undefined): number {
  if (interval === undefined) return 0;
  const { first, last } = interval;
  return last.bytes.reduce((sum, byte, i) => sum * 256 + byte - first.bytes[i]!, 0) + 1;
}

/** Releases leases while holding the directory's lock. Keeps a lease whose owner has changed since it was read. */
export function collectLeases(directory: string, leases: Pick<Lease, "address" | "interface" | "containerId">[]): void {
  const gone = new Set(leases.map((one) => leaseKey(one.address, one.containerId, one.interface)));
  const store = Store.open(confinePath("dataDir", directory), false, INDEX_ROOT);
  try {
    store?.locked(policy().lockTimeout, () =>
      store.sweep(({ ip, containerId, ifName }) => !gone.has(leaseKey(ip, containerId, ifName))),
    );
  } finally {
    store?.close();
  }
}

function leaseKey(address: string, containerId: string, ifName: string): string {
  return `${address} ${containerId} ${ifName}`;
}
