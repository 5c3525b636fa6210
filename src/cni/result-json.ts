// Reads and writes results in the format of every version of the specification (spec C-050 to C-055).
import { fold, type Overlong } from "../config/fold.ts";
import { describe } from "../config/messages.ts";
import type { ObjectShape, Shape } from "../config/shape.ts";
import { Failure } from "../errors.ts";
import { type Address, formatAddress, formatPrefix, type Prefix, parseAddress, parsePrefix } from "../ip/address.ts";
import { formatMac, parseMac } from "../ip/mac.ts";
import { jsonText } from "../json-text.ts";
import { type Dns, emptyResult, type Interface, type IpConfig, type Result, type Route } from "./result.ts";
import { isBefore, isLegacy, isSupported } from "./version.ts";

/** The value is not a valid result. Callers turn this error into a Failure that says where the value came from. */
export class ResultError extends Error {
  override readonly name = "ResultError";
}

type Json = { [key: string]: unknown };

const most = 1024;
const object = (keys: { [key: string]: Shape }): ObjectShape => ({
  keys: Object.assign(Object.create(null), keys),
  lower: Object.assign(
    Object.create(null),
    Object.fromEntries(Object.keys(keys).map((key) => [key.toLowerCase(), key])),
  ),
});
const list = (items: Shape) => ({ items, max: most });
const leaves = (...keys: string[]) => object(Object.fromEntries(keys.map((key) => [key, null])));

const routes = list(leaves("dst", "gw", "mtu", "advmss", "priority", "table", "scope"));
const legacyIp = object({ ip: null, gateway: null, routes });
const shape = object({
  cniVersion: null,
  interfaces: list(leaves("name", "mac", "mtu", "sandbox", "socketPath", "pciID")),
  ips: list(leaves("version", "interface", "address", "gateway")),
  routes,
  dns: object({ nameservers: list(null), domain: null, search: list(null), options: list(null) }),
  ip4: legacyIp,
  ip6: legacyIp,
});

function fail(where: string, value: unknown, wanted: string): never {
  throw new ResultError(`${where} is ${describe(value)}, not ${wanted}`);
}

function text(of: Json, key: string, where: string): string {
  const value = of[key] ?? "";
  return typeof value === "string" ? value : fail(`${where}.${key}`, value, "a string");
}

function unsigned(of: Json, key: string, where: string, largest = 0xffffffff): number | undefined {
  const value = of[key];
  if (value === undefined) return undefined;
  if (typeof value === "number" && Number.isInteger(value) && value >= 0 && value <= largest) return value;
  return fail(`${where}.${key}`, value, `a number from 0 to ${largest}`);
}

function objects(of: Json, key: string, where: string): Json[] {
  const value = of[key] ?? [];
  if (!Array.isArray(value)) return fail(`${where}${key}`, value, "a list");
  for (const [at, item] of value.entries()) {
    if (typeof item !== "object" || item === null || Array.isArray(item))
      fail(`${where}${key}[${at}]`, item, "an object");
  }
  return value as Json[];
}

function prefix(of: Json, key: string, where: string): Prefix {
  return parsePrefix(text(of, key, where)) ?? fail(`${where}.${key}`, of[key], "an address with prefix length");
}

/** Like Go, treats an empty string as no address. */
function optionalAddress(of: Json, key: string, where: string): Address | undefined {
  const value = text(of, key, where);
  return value === "" ? undefined : (parseAddress(value) ?? fail(`${where}.${key}`, value, "an IP address"));
}

/** The object without the keys whose value is undefined. */
function defined<T extends object>(value: { [key in keyof T]: T[key] | undefined }): T {
  const found: { [key: string]: unknown } = {};
  const keys = Object.keys(value);
  for (let i = 0; i < keys.length; i++) {
    const key = keys[i]!;
    const item = value[key as keyof T];
    if (item !== undefined) found[key] = item;
  }
  return found as T;
}

function readInterface(of: Json, where: string): Interface {
  const mac = text(of, "mac", where);
  const bytes = parseMac(mac);
  const optional = (key: string) => text(of, key, where) || undefined;
  return defined<Interface>({
    name: text(of, "name", where),
    mac: bytes === undefined ? mac || undefined : formatMac(bytes),
    mtu: unsigned(of, "mtu", where) || undefined,
    sandbox: optional("sandbox"),
    socketPath: optional("socketPath"),
    pciID: optional("pciID"),
  });
}

function readRoute(of: Json, where: string): Route {
  return defined<Route>({
    dst: prefix(of, "dst", where),
    gw: optionalAddress(of, "gw", where),
    mtu: unsigned(of, "mtu", where),
    advmss: unsigned(of, "advmss", where),
    priority: unsigned(of, "priority", where),
    table: unsigned(of, "table", where),
    scope: unsigned(of, "scope", where, 255),
  });
}

function readDns(value: unknown): Dns {
  if (value === undefined) return {};
  if (typeof value !== "object" || value === null || Array.isArray(value)) return fail("dns", value, "an object");
  const of = value as Json;
  const texts = (key: string): string[] | undefined => {
    const items = of[key];
    if (items === undefined) return undefined;
    if (!Array.isArray(items) || !items.every((item) => typeof item === "string"))
      fail(`dns.${key}`, items, "a list of strings");
    return items as string[];
  };
  return defined<Dns>({
    nameservers: texts("nameservers"),
    domain: text(of, "domain", "dns") || undefined,
    search: texts("search"),
    options: texts("options"),
  });
}

function readLegacy(of: Json, key: "ip4" | "ip6", into: Result): void {
  const value = of[key];
  if (value === undefined) return;
  if (typeof value !== "object" || value === null) fail(key, value, "an object");
  const ip = value as Json;
  const address = prefix(ip, "ip", key);
  into.ips.push(defined<IpConfig>({ address, gateway: optionalAddress(ip, "gateway", key), interface: undefined }));
  into.routes.push(...objects(ip, "routes", `${key}.`).map((route, at) => readRoute(route, `${key}.routes[${at}]`)));
}

/**
 * Reads a result of any version. If the result has no cniVersion, or an empty one, its version is `version`. Ignores the interfaces and
 * interface indices in an IPAM plugin's result, because an IPAM plugin creates no interfaces (C-134). Throws ResultError.
 */
export function readResult(raw: unknown, version: string, from: "ipam" | "previous"): Result {
  if (typeof raw !== "object" || raw === null || Array.isArray(raw)) return fail("the result", raw, "an object");
  const overlong: Overlong[] = [];
  const of = fold(raw, shape, "", overlong) as Json;
  if (overlong[0] !== undefined) throw new ResultError(`${overlong[0].pointer} has more than ${most} entries`);
  const own = of.cniVersion || version;
  if (typeof own !== "string" || !isSupported(own))
    return fail("cniVersion", own, "a CNI spec version that podnic supports");

  const result = emptyResult();
  result.dns = readDns(of.dns);
  if (isLegacy(own)) {
    readLegacy(of, "ip4", result);
    readLegacy(of, "ip6", result);
    return result;
  }
  if (from === "previous") {
    result.interfaces = objects(of, "interfaces", "").map((item, at) => readInterface(item, `interfaces[${at}]`));
  }
  result.ips = objects(of, "ips", "").map((item, at) => {
    const where = `ips[${at}]`;
    const index =
      from === "ipam" ? undefined : unsigned(item, "interface", where, Math.max(0, result.interfaces.length - 1));
    return defined<IpConfig>({
      address: prefix(item, "address", where),
      gateway: optionalAddress(item, "gateway", where),
      // Some plugins write the index 0 although their result has no interfaces.
      interface: result.interfaces.length === 0 ? undefined : index,
    });
  });
  result.routes = objects(of, "routes", "").map((item, at) => readRoute(item, `routes[${at}]`));
  return result;
}

/** Formats a result for `version`. Throws Failure("invalid config") if this version's format cannot express the result. */
export function writeResult(result: Result, version: string): string {
  const value = isLegacy(version)
    ? legacyResult(result, version)
    : isBefore(version, "1.0.0")
      ? middleResult(result, version)
      : newResult(result, version);
  return jsonText(value, 4);
}

/** The error for a result without addresses before 0.3.0. Requests that would lead to such a result are also refused in advance. */
export function noAddress(version: string): Failure {
  return new Failure(
    "invalid config",
    "cannot convert: no valid IP addresses",
    `In cniVersion ${version}, a result can contain only addresses. Use 0.3.1 or later, or add an "ipam" section to the network.`,
  );
}

function legacyResult(result: Result, version: string): Json {
  const of = (family: 4 | 6): Json | undefined => {
    const ips = result.ips.filter(({ address }) => address.address.family === family);
    if (ips.length > 1) {
      throw new Failure(
        "invalid config",
        `CNI version ${version} does not support more than 1 address per family`,
        "Use cniVersion 0.3.1 or later.",
      );
    }
    const ip = ips[0];
    if (ip === undefined) return undefined;
    const own = result.routes.filter(({ dst }) => dst.address.family === family).map(plainRoute);
    return {
      ip: formatPrefix(ip.address),
      gateway: ip.gateway && formatAddress(ip.gateway),
      routes: own.length === 0 ? undefined : own,
    };
  };
  const [ip4, ip6] = [of(4), of(6)];
  if (ip4 === undefined && ip6 === undefined) throw noAddress(version);
  return { cniVersion: version, ip4, ip6, dns: writeDns(result.dns) };
}

function plainRoute({ dst, gw }: Route): Json {
  return { dst: formatPrefix(dst), gw: gw && formatAddress(gw) };
}

function orAbsent<T>(items: T[]): T[] | undefined {
  return items.length === 0 ? undefined : items;
}

/** For 0.3.0 to 0.4.0. The keys have the order of Go's structs. */
function middleResult(result: Result, version: string): Json {
  return {
    cniVersion: version,
    interfaces: orAbsent(result.interfaces.map(({ name, mac, sandbox }) => ({ name, mac, sandbox }))),
    ips: orAbsent(
      result.ips.map((ip) => ({
        version: String(ip.address.address.family),
        interface: ip.interface,
        address: formatPrefix(ip.address),
        gateway: ip.gateway && formatAddress(ip.gateway),
      })),
    ),
    routes: orAbsent(result.routes.map(plainRoute)),
    dns: writeDns(result.dns),
  };
}

/** For 1.0.0 and later. Like Go, sorts the keys alphabetically. */
function newResult(result: Result, version: string): Json {
  const dns = writeDns(result.dns);
  const ofRoute = isBefore(version, "1.1.0") ? plainRoute : fullRoute;
  return {
    cniVersion: version,
    dns: Object.keys(dns).length === 0 ? undefined : Object.fromEntries(Object.entries(dns).sort()),
    // The specification has mtu, socketPath and pciID since 1.1.0, but Go reads and writes them in 1.0.0 too, and Multus needs the mtu.
    interfaces: orAbsent(
      result.interfaces.map(({ mac, mtu, name, pciID, sandbox, socketPath }) => ({
        mac,
        mtu,
        name,
        pciID,
        sandbox,
        socketPath,
      })),
    ),
    ips: orAbsent(
      result.ips.map((ip) => ({
        address: formatPrefix(ip.address),
        gateway: ip.gateway && formatAddress(ip.gateway),
        interface: ip.interface,
      })),
    ),
    routes: orAbsent(result.routes.map(ofRoute)),
  };
}

function fullRoute({ advmss, dst, gw, mtu, priority, scope, table }: Route): Json {
  return {
    advmss: advmss || undefined,
    dst: formatPrefix(dst),
    gw: gw && formatAddress(gw),
    mtu: mtu || undefined,
    priority: priority || undefined,
    scope,
    table,
  };
}

function writeDns({ domain, nameservers, options, search }: Dns): Json {
  const dns: Json = {};
  if (nameservers !== undefined && nameservers.length > 0) dns.nameservers = nameservers;
  if (domain) dns.domain = domain;
  if (search !== undefined && search.length > 0) dns.search = search;
  if (options !== undefined && options.length > 0) dns.options = options;
  return dns;
}
