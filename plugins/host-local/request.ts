// Checks the parts of a configuration that host-local uses, before it changes anything.
import type { Call } from "../../src/cni/plugin.ts";
import { confinePath, type Place, plainPath } from "../../src/config/policy.ts";
import { isBelow } from "../../src/config/roots.ts";
import { orFail, type Try } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import { type Address, formatAddress, parseAddress, parsePrefix } from "../../src/ip/address.ts";
import {
  equalAddresses,
  type Interval,
  IntervalMap,
  lastAddress,
  mergeIntervals,
  networkAddress,
} from "../../src/ip/range.ts";
import type { RouteSpec } from "../../src/link/route.ts";
import { readRoutes } from "../../src/plugin/routes.ts";
import type { HostLocalConfig, RangeConfig } from "./config.schema.ts";
import { isPoolFile } from "./pool-files.ts";
import { type Range, type RangeSet, rangeSets, type SetConfig } from "./ranges.ts";

export interface LeaseRequest {
  /** Set N uses the file `last_reserved_ip.N`. */
  sets: RangeSet[];
  /** The requested address of each set. */
  wanted: (Address | undefined)[];
  /** All ranges of all sets. */
  ranges: IntervalMap<SetRange>;
  /** Addresses that are never allocated. */
  excluded: IntervalMap<Interval>;
  routes: RouteSpec[];
  resolvConf: string | undefined;
  directory: Place;
}

/** A range, and the index of its set. */
type SetRange = Range & { index: number };

export const DATA_DIR = "/var/lib/cni/networks";

const requests = new WeakMap<Call<HostLocalConfig>, LeaseRequest>();

/** Reads the request of a call once, although a call is validated first and served later. Throws Failure("invalid config"). */
export function requestOf(call: Call<HostLocalConfig>): LeaseRequest {
  let request = requests.get(call);
  if (request === undefined) {
    request = makeRequest(call);
    requests.set(call, request);
  }
  return request;
}

function makeRequest(call: Call<HostLocalConfig>): LeaseRequest {
  // orFail throws at the first error, so the request is not undefined.
  return readRequest(call, orFail)!;
}

/** Reports each error to `attempt`. */
export function checkRequest(call: Call<HostLocalConfig>, attempt: Try): void {
  readRequest(call, attempt);
}

/** undefined: the request is invalid, and `attempt` does not throw. */
function readRequest(call: Call<HostLocalConfig>, attempt: Try): LeaseRequest | undefined {
  const { ipam } = call.config;
  if (ipam === undefined) throw invalid("IPAM config missing 'ipam' key", 'Add "ipam" with "type" and "ranges".');
  const sets = attempt("/ipam", () => rangeSets(sourcesOf(call), call.version, attempt));
  const excluded = attempt("/ipam/exclude", () => readExcluded(ipam.exclude ?? [], attempt));
  const { resolvConf = "" } = ipam;
  const isReadable = resolvConf === "" || attempt("/ipam/resolvConf", () => confinePath("resolvConf", resolvConf));
  const pool = sets && { sets, ranges: mapOf(sets), excluded: excluded ?? new IntervalMap<Interval>([]) };
  const wanted = distribute(call, pool, attempt);
  const routes = attempt("/ipam/routes", () => readRoutes(ipam.routes));
  const directory = attempt("/ipam/dataDir", () => leaseDirectory(call));
  if (!pool || !excluded || !isReadable || !wanted || !routes || !directory) return undefined;
  return { ...pool, wanted, routes, resolvConf: resolvConf || undefined, directory };
}

/** The order is the Go plugin's, because the number in last_reserved_ip.N depends on it. */
function sourcesOf({ config: { ipam = {}, runtimeConfig } }: Call<HostLocalConfig>): SetConfig[] {
  const all: SetConfig[] = [];
  addSets(all, "runtimeConfig.ipRanges", "/runtimeConfig/ipRanges", runtimeConfig?.ipRanges);
  if (ipam.subnet !== undefined) all.push({ where: "ipam", at: "/ipam", ranges: [{ at: "/ipam", config: ipam }] });
  addSets(all, "ipam.ranges", "/ipam/ranges", ipam.ranges);
  return all;
}

function addSets(all: SetConfig[], key: string, pointer: string, sets: RangeConfig[][] | undefined): void {
  sets?.forEach((ranges, i) => {
    const at = `${pointer}/${i}`;
    all.push({ where: `${key}[${i}]`, at, ranges: ranges.map((config, j) => ({ at: `${at}/${j}`, config })) });
  });
}

function mapOf(sets: RangeSet[]): LeaseRequest["ranges"] {
  return new IntervalMap(sets.flatMap((set, index) => set.map((range) => ({ ...range, index }))));
}

const directories = new WeakMap<Call<HostLocalConfig>, Place>();

/** `<dataDir>/<network>`, computed once for each call. Throws Failure("invalid config") if configurations may not use this directory. */
export function leaseDirectory(call: Call<HostLocalConfig>): Place {
  let place = directories.get(call);
  if (place === undefined) {
    place = placeOfLeases(call);
    directories.set(call, place);
  }
  return place;
}

function placeOfLeases(call: Call<HostLocalConfig>): Place {
  const dataDir = call.config.ipam?.dataDir || DATA_DIR;
  if (dataDir !== DATA_DIR) confinePath("dataDir", dataDir);
  // The network's name may also be the name of another program's directory.
  const place = confinePath("dataDir", `${dataDir}/${call.attachment.network}`);
  if (place.path !== `${DATA_DIR}/${call.attachment.network}`) refuseInPools(place);
  // The pool would prevent the installation of a plugin with the network's name.
  if (call.command === "ADD" && call.path.some((directory) => isBelow(place.path, plainPath(directory).path)))
    throw invalid(
      `the leases would be in ${JSON.stringify(place.path.slice(0, 128))}, a directory of CNI_PATH`,
      'Use another "ipam.dataDir".',
    );
  return place;
}

/**
 * Refuses a directory inside the pool of another network, and one that contains such pools. A directory with the name of a pool's lock, or of an
 * address, blocks that lock or address until somebody removes the directory. The default directory is no danger, because it contains only pools.
 */
function refuseInPools({ path, steps }: Place): void {
  const taken = steps.find((step) => isPoolFile(step) || parseAddress(step) !== undefined);
  if (taken === undefined && !`${DATA_DIR}/`.startsWith(`${path}/`)) return;
  throw invalid(
    `the leases would be in ${JSON.stringify(path.slice(0, 128))}, which could conflict with another network's leases`,
    'Use another network name or another "ipam.dataDir". No directory in the path can be named like a file of host-local: an address, "lock" or "last_reserved_ip.N".',
  );
}

/** A requested address, and the JSON pointer to it. */
interface Requested {
  at: string;
  address: Address;
}

/** The requested addresses, each once. If `args` requests addresses, CNI_ARGS does not count (spec C-142). */
function requested(call: Call<HostLocalConfig>, attempt: Try): Requested[] {
  const { args, runtimeConfig } = call.config;
  const byArgs = args?.cni?.ips ?? [];
  const byEnvironment = byArgs.length === 0 ? call.args.get("IP") : undefined;
  const texts = [
    ...(byEnvironment ? [{ at: "", text: byEnvironment }] : []),
    ...byArgs.map((text, i) => ({ at: `/args/cni/ips/${i}`, text })),
    ...(runtimeConfig?.ips ?? []).map((text, i) => ({ at: `/runtimeConfig/ips/${i}`, text })),
  ];
  const all: Requested[] = [];
  for (const { at, text } of texts) {
    const address = attempt(at, () => {
      const read = text.includes("/") ? parsePrefix(text)?.address : parseAddress(text);
      if (read === undefined) throw notAnAddress(text, text === byEnvironment);
      return read;
    });
    if (address === undefined || all.some((other) => equalAddresses(other.address, address))) continue;
    all.push({ at, address });
  }
  return all;
}

function notAnAddress(text: string, byEnvironment: boolean): Failure {
  if (byEnvironment) return new Failure("invalid environment", `invalid IP address ${text}`, "Correct IP in CNI_ARGS.");
  const message = text === "" ? "an IP address is empty" : `invalid IP address ${text}`;
  return invalid(
    message,
    'Write addresses in "args.cni.ips" and "runtimeConfig.ips" like "10.1.2.3" or "10.1.2.3/24".',
  );
}

type Pool = Pick<LeaseRequest, "sets" | "ranges" | "excluded">;

/**
 * Assigns the requested addresses to the sets, one to each. Throws if addresses are left over, or are not for pods. Without a pool, checks only that
 * the texts are addresses.
 */
function distribute(
  call: Call<HostLocalConfig>,
  pool: Pool | undefined,
  attempt: Try,
): LeaseRequest["wanted"] | undefined {
  const addresses = requested(call, attempt);
  if (pool === undefined) return undefined;
  const { sets, ranges, excluded } = pool;
  const wanted = new Array<Address | undefined>(sets.length).fill(undefined);
  const left: Requested[] = [];
  const unusable: { at: string; why: string }[] = [];
  for (const each of addresses) {
    const { at, address } = each;
    const range = ranges.find(address);
    if (range === undefined || wanted[range.index] !== undefined) {
      left.push(each);
      continue;
    }
    wanted[range.index] = address;
    const why = reserved(address, range, excluded);
    if (why !== "") unusable[range.index] = { at, why: `requested ip ${formatAddress(address)} is ${why}` };
  }
  // Sets without an entry are holes, which forEach skips.
  unusable.forEach(({ at, why }, index) => {
    attempt(at, () => {
      throw new Failure("failed", `failed to allocate for range ${index}: ${why}`, "Request another address.");
    });
  });
  if (left[0] === undefined) return wanted;
  return attempt(left[0].at, () => {
    throw new Failure(
      "failed",
      `failed to allocate all requested IPs: ${left.map(({ address }) => formatAddress(address)).join(" ")}`,
      "Each address must be in a range set, and a set allocates only one address.",
    );
  });
}

/** Why an address of a range is not for pods. "": it is. */
function reserved(address: Address, range: Range, excluded: IntervalMap<Interval>): string {
  if (range.gateway !== undefined && equalAddresses(address, range.gateway)) return "subnet's gateway";
  return excluded.find(address) !== undefined ? 'excluded by "ipam.exclude"' : "";
}

function readExcluded(texts: string[], attempt: Try): IntervalMap<Interval> {
  const intervals = texts.flatMap((text, i) => attempt(`/ipam/exclude/${i}`, () => parseExcluded(text, i)) ?? []);
  return new IntervalMap(mergeIntervals(intervals));
}

function parseExcluded(text: string, i: number): Interval {
  const prefix = text.includes("/") ? parsePrefix(text) : undefined;
  if (prefix !== undefined) return { first: networkAddress(prefix), last: lastAddress(prefix) };
  const address = parseAddress(text);
  if (address === undefined) throw invalid(`invalid IP address: ${text}`, `Correct "ipam.exclude[${i}]".`);
  return { first: address, last: address };
}

function invalid(message: string, details: string): Failure {
  return new Failure("invalid config", message, details);
}
