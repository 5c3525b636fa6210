// static: returns the addresses that the configuration or the runtime specifies. It stores nothing and allocates nothing.
import type { Call, Plugin } from "../../src/cni/plugin.ts";
import { emptyResult, type IpConfig, type Result } from "../../src/cni/result.ts";
import { orFail, type Try } from "../../src/config/rules.ts";
import { Failure, type FailureKind } from "../../src/errors.ts";
import { type Address, formatPrefix, type Prefix, parseAddress, parsePrefix } from "../../src/ip/address.ts";
import { equalAddresses, prefixContains, samePrefix } from "../../src/ip/range.ts";
import { readRoutes } from "../../src/plugin/routes.ts";
import type { StaticConfig } from "./config.schema.ts";

type StaticCall = Call<StaticConfig>;

export const staticIpam: Plugin<StaticConfig> = {
  name: "static",
  kind: "ipam",
  knownArgs: ["IP", "GATEWAY"],
  schema: "static",
  validate(call, attempt = orFail) {
    const result = resultOf(call, attempt);
    if (attempt === orFail) checked = { call, result };
  },
  foresee: (call) => [resultOf(call)],
  add: (call) => (checked?.call === call ? checked.result : resultOf(call)),
  check,
  del() {},
  gc() {},
  status() {},
};

/** The call that was validated last, and its result, so that ADD does not compute the result again. */
let checked: { call: StaticCall; result: Result } | undefined;

/** The result of ADD. Throws Failure("invalid config"), or Failure("invalid environment") for CNI_ARGS. */
function resultOf(call: StaticCall, attempt = orFail): Result {
  const { ipam } = call.config;
  if (ipam === undefined) throw invalid("IPAM config missing 'ipam' key", 'Add "ipam" with "type" and "addresses".');
  const ips = addressesOf(call, attempt);
  attempt("/cniVersion", () => checkFamilies(ips, call.version));
  const routes = attempt("/ipam/routes", () => readRoutes(ipam.routes)) ?? [];
  return { ...emptyResult(), ips, routes, dns: ipam.dns ?? {} };
}

/**
 * Throws Failure unless the prevResult has each given address, with its prefix length and gateway. An address given without a gateway matches any
 * gateway, because bridge fills one in.
 */
function check(call: StaticCall): void {
  const { prevResult, attachment } = call;
  if (prevResult === undefined)
    throw invalid("Required prevResult missing", "The runtime must pass the result of ADD.");
  for (const { address, gateway } of addressesOf(call)) {
    const had = prevResult.ips.some((ip) => samePrefix(ip.address, address) && isGateway(ip.gateway, gateway));
    if (had) continue;
    throw new Failure(
      "failed",
      `static: Failed to match addr ${formatPrefix(address)} on interface ${attachment.ifName}`,
      "prevResult does not contain this address with this gateway. The configuration has changed since ADD, or another plugin changed the result.",
    );
  }
}

/** The runtime's addresses replace those of `args`, which replace those of the configuration and CNI_ARGS (conventions of the spec). */
function addressesOf(call: StaticCall, attempt = orFail): IpConfig[] {
  const { ipam, runtimeConfig, args } = call.config;
  const configured = (ipam?.addresses ?? []).flatMap((entry, i) => configuredAddress(entry, i, attempt) ?? []);
  const replacing = [
    { where: "runtimeConfig.ips", at: "/runtimeConfig/ips", texts: runtimeConfig?.ips ?? [] },
    { where: "args.cni.ips", at: "/args/cni/ips", texts: args?.cni?.ips ?? [] },
  ].find(({ texts }) => texts.length > 0);
  if (replacing === undefined) return withArguments(call, configured);
  // These lists have no place for gateways, so use the configuration's gateways where they fit.
  const gateways = configured.flatMap(({ gateway }) => (gateway ? [gateway] : []));
  return replacing.texts.flatMap((text, i) => {
    const prefix = attempt(`${replacing.at}/${i}`, () => {
      const message = `an entry in the 'ips' field is NOT in CIDR notation, got: '${text}'`;
      return prefixOf(text, message, `Write "${replacing.where}[${i}]" like "10.10.0.1/24".`);
    });
    if (prefix === undefined) return [];
    return withGateway(
      prefix,
      gateways.filter((gateway) => prefixContains(prefix, gateway)),
    );
  });
}

type ConfiguredAddress = { address?: string; gateway?: string };

/** Entry `i` of "ipam.addresses". undefined: it is invalid, and `attempt` does not throw. */
function configuredAddress(entry: ConfiguredAddress, i: number, attempt: Try): IpConfig | undefined {
  const at = `/ipam/addresses/${i}`;
  const prefix = attempt(`${at}/address`, () => {
    const { address = "" } = entry;
    const message = `the 'address' field is expected to be in CIDR notation, got: '${address}'`;
    return prefixOf(address, message, `Write "ipam.addresses[${i}].address" like "10.10.0.1/24".`);
  });
  const gateways = attempt(`${at}/gateway`, () => (entry.gateway ? [gatewayOf(entry.gateway, "invalid config")] : []));
  return prefix && withGateway(prefix, gateways ?? []);
}

function prefixOf(text: string, message: string, details: string): Prefix {
  const prefix = parsePrefix(text);
  if (prefix === undefined) throw invalid(message, details);
  return prefix;
}

/** Adds the values of CNI_ARGS: IP=…,… to the list, GATEWAY=…,… to the addresses without a gateway whose network contains it. */
function withArguments({ args }: StaticCall, configured: IpConfig[]): IpConfig[] {
  const added = list(args.get("IP")).map((text) => {
    const prefix = parsePrefix(text);
    if (prefix !== undefined) return withGateway(prefix, []);
    const message = `the 'ip' field is expected to be in CIDR notation, got: '${text}'`;
    throw new Failure("invalid environment", message, "Write IP in CNI_ARGS like IP=10.10.0.1/24,2001:db8::1/64.");
  });
  const gateways = list(args.get("GATEWAY")).map((text) => gatewayOf(text, "invalid environment"));
  return [...configured, ...added].map((ip) => {
    if (ip.gateway !== undefined) return ip;
    return withGateway(
      ip.address,
      gateways.filter((gateway) => prefixContains(ip.address, gateway)),
    );
  });
}

function list(text: string | undefined): string[] {
  return text ? text.split(",").map((part) => part.trim()) : [];
}

/** Of several gateways, takes the last, as the Go plugin does. */
function withGateway(address: Prefix, gateways: Address[]): IpConfig {
  const gateway = gateways[gateways.length - 1];
  return gateway === undefined ? { address } : { address, gateway };
}

function gatewayOf(text: string, kind: FailureKind): Address {
  const address = parseAddress(text);
  if (address !== undefined) return address;
  throw new Failure(
    kind,
    `invalid gateway address: ${text}`,
    "Write a gateway like 10.10.0.254, without prefix length.",
  );
}

/** Before version 0.3.0, a result had room for only one address of each family. */
function checkFamilies(ips: IpConfig[], version: string): void {
  if (!version.startsWith("0.1.") && !version.startsWith("0.2.")) return;
  const families = ips.map(({ address }) => address.address.family);
  if (new Set(families).size === families.length) return;
  throw invalid(
    `CNI version ${version} does not support more than 1 address per family`,
    'Raise "cniVersion" to 0.3.0 or later, or keep only one address per family.',
  );
}

function isGateway(has: Address | undefined, given: Address | undefined): boolean {
  return given === undefined || (has !== undefined && equalAddresses(has, given));
}

function invalid(message: string, details: string): Failure {
  return new Failure("invalid config", message, details);
}
