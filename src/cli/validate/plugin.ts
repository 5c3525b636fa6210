// Checks the configuration of one plugin in the same way as the plugin itself: with its schema and its own rules.
import { shapes } from "#validators";
import { checkDelegateName } from "../../cni/find-delegate.ts";
import { checkAnswer, refuseInterfacePlugin } from "../../cni/ipam.ts";
import { isPlainName } from "../../cni/names.ts";
import { isInterfacePluginOfOthers } from "../../cni/others.ts";
import type { Call, NetworkConfig, Plugin } from "../../cni/plugin.ts";
import { findPlugin, ipamNames, pluginNames } from "../../cni/registry.ts";
import { inputLimit } from "../../cni/request.ts";
import { noAddress } from "../../cni/result-json.ts";
import { isLegacy, isSupported } from "../../cni/version.ts";
import { didYouMean, type Problem } from "../../config/messages.ts";
import { confinePath } from "../../config/policy.ts";
import type { Try } from "../../config/rules.ts";
import { inspect } from "../../config/validate.ts";
import { Failure } from "../../errors.ts";
import { host } from "../../host/host.ts";
import { refuseSmallMtu } from "../../link/configure.ts";
import { planRoutes } from "../../link/route-plan.ts";
import { Transaction } from "../../transaction.ts";
import { type Finding, finding, type Level, unique } from "./finding.ts";
import { unknownKeys } from "./unknown-keys.ts";
import { WrongValue, withoutWrong } from "./wrong-value.ts";

/** What the rest of the network determines about a plugin's part. */
export interface Context {
  /** The name of the network; "" if it has no usable name. */
  network: string;
  version: string;
  /** True if a device plugin allots a device to each pod (annotation k8s.v1.cni.cncf.io/resourceName). */
  allotted: boolean;
  /** True if this plugin is not the first in the list. */
  chained: boolean;
}

type Config = { [key: string]: unknown };

/** Checks the configuration of one plugin, which includes the network's name and version. */
export function checkPlugin(config: Config, context: Context): Finding[] {
  const { type } = config;
  if (typeof type !== "string" || type === "") {
    const wanted = `the name of a plugin, such as ${pluginNames().join(", ")}`;
    const text = type === undefined || type === "" ? '"type" is missing' : '"type" must be a string in quotes';
    return [finding("error", type === undefined ? "" : "/type", text, `It must be ${wanted}.`)];
  }
  if (!isPlainName(type)) {
    const cure = "Use the name of a plugin, not a path, because runtimes search their own directories.";
    return [finding("error", "/type", `"type" contains characters that are not allowed in the name of a plugin`, cure)];
  }
  const plugin = findPlugin(type);
  if (plugin === undefined) return checkForeign(type, config, context);
  const { length } = host.encode(JSON.stringify(config));
  if (length > inputLimit) {
    const text = `${type} would get a configuration of ${length} bytes, but it reads at most ${inputLimit}`;
    return [finding("error", "", text, "No network configuration needs to be that large.")];
  }
  if (plugin.kind === "ipam") {
    const cure = `${type} provides addresses for another plugin's interface. Put {"type": "${type}", …} into that plugin's "ipam".`;
    return [finding("error", "/type", `${type} is an IPAM plugin and does not create an interface`, cure)];
  }
  const ipam = ipamOf(config);
  const findings = [...checkIpamType(config, ipam), ...checkKeys(config, plugin, ipam), ...checkCapabilities(config)];
  if ("prevResult" in config) {
    const cure = "Remove this key. The runtime sets it to the result of the previous plugin.";
    findings.push({
      ...finding("warning", "/prevResult", '"prevResult" does not belong in a file', cure),
      atKey: true,
    });
  }
  const readers = [plugin, ...(ipam === undefined ? [] : [ipam])];
  const ofReaders = unique(readers.flatMap((reader) => checkWith(reader, config, context)));
  const ofAddresses = ofReaders.length > 0 || ipam === undefined ? [] : checkAnswers(plugin, ipam, config, context);
  return [...ofReaders, ...ofAddresses, ...noAddresses(config, context), ...findings];
}

/** Checks whether ADD would refuse addresses that IPAM can return. Requires a configuration without other errors. */
function checkAnswers(plugin: Plugin, ipam: Plugin, config: Config, context: Context): Finding[] {
  const callOf = (reader: Plugin): Call =>
    callFor(inspect(reader.schema, config).config as NetworkConfig, config, context);
  const [call, own] = [callOf(plugin), callOf(ipam)];
  const { mtu } = call.config as { mtu?: number };
  const findings: Finding[] = [];
  const [attempt, maybe] = [trying("error", findings), trying("warning", findings)];
  for (const result of ipam.foresee?.(own) ?? []) {
    // The runtime may pass addresses, also in CNI_ARGS.
    const isEmpty = result.ips.length === 0;
    if (isEmpty && hasCapability(config, "ips")) continue;
    (isEmpty ? maybe : attempt)("/ipam", () => checkAnswer(call, result));
    attempt("/ipam", () => plugin.checkAddresses?.(call, result, maybe));
    attempt("/ipam/routes", () => void planRoutes(result));
    if (mtu) attempt("/mtu", () => refuseSmallMtu(call.attachment.ifName, mtu, result.ips));
  }
  return unique(findings);
}

function trying(level: Level, findings: Finding[]): Try {
  return (at, rule) => {
    try {
      return rule();
    } catch (error) {
      if (error instanceof Failure) findings.push(finding(level, at, error.message, error.details));
      else if (!(error instanceof WrongValue)) throw error;
      return undefined;
    }
  };
}

/** Checks the configuration of a third-party plugin: only the part that one of podnic's IPAM plugins reads. */
function checkForeign(type: string, config: Config, context: Context): Finding[] {
  const ofType = unknownType("/type", type, pluginNames());
  const ipam = ipamOf(config);
  if (ipam === undefined) return [ofType];
  const { name, cniVersion, runtimeConfig, args, capabilities } = config;
  const own = JSON.parse(
    JSON.stringify({ name, cniVersion, type, ipam: config.ipam, runtimeConfig, args, capabilities }),
  ) as Config;
  const whole = shapes[ipam.schema];
  const shape = whole != null && "keys" in whole ? whole.keys.ipam : undefined;
  const keys = shape == null ? [] : unknownKeys(own.ipam, [shape], "/ipam");
  return [ofType, ...unique(checkWith(ipam, own, context)), ...keys];
}

function toFinding({ pointer, text, cure }: Problem): Finding {
  return finding("error", pointer, text, cure ?? "");
}

function unknownType(pointer: string, type: string, known: string[]): Finding {
  // "vlan" is an existing plugin, and not a misspelled "ipvlan".
  const isOthers = isInterfacePluginOfOthers(type) || ["dhcp", "whereabouts", "calico-ipam"].includes(type);
  const meant = isOthers ? "" : didYouMean(type, known);
  const text = `"${type}" is not a podnic plugin${meant}`;
  if (meant !== "") return finding("warning", pointer, text, "A runtime looks for a plugin with exactly this name.");
  return finding("note", pointer, text, "Its keys are not checked.");
}

/** The configuration's IPAM plugin, if it is one of podnic's. */
function ipamOf({ ipam }: Config): Plugin | undefined {
  const type = typeof ipam === "object" && ipam !== null ? (ipam as Config).type : undefined;
  const plugin = typeof type === "string" ? findPlugin(type) : undefined;
  return plugin?.kind === "ipam" ? plugin : undefined;
}

function checkIpamType({ ipam }: Config, known: Plugin | undefined): Finding[] {
  if (known !== undefined || typeof ipam !== "object" || ipam === null || Array.isArray(ipam)) return [];
  const { type } = ipam as Config;
  if (type === undefined || type === "") {
    if (Object.keys(ipam).length === 0) return [];
    return [
      finding(
        "warning",
        "/ipam",
        'ipam has no "type", so the interface gets no address',
        `Set it to ${ipamNames()
          .map((name) => JSON.stringify(name))
          .join(" or ")}.`,
      ),
    ];
  }
  if (typeof type !== "string") return [];
  const findings: Finding[] = [];
  trying("error", findings)("/ipam/type", () => {
    refuseInterfacePlugin(type, findPlugin(type));
    checkDelegateName(type);
  });
  return findings.length > 0 ? findings : [unknownType("/ipam/type", type, ipamNames())];
}

function checkKeys(config: Config, plugin: Plugin, ipam: Plugin | undefined): Finding[] {
  const readers = [plugin, ...(ipam === undefined ? [] : [ipam])];
  const known = readers.map(({ schema }) => shapes[schema] ?? null);
  if (ipam !== undefined) return unknownKeys(config, known);
  // podnic does not know which keys a third-party IPAM plugin reads.
  const { ipam: _, ...rest } = config;
  return unknownKeys(rest, known);
}

/** A capability asks the runtime for a key of runtimeConfig, so the known capabilities are the keys of runtimeConfig that the plugins read. */
function checkCapabilities(config: Config): Finding[] {
  const { capabilities } = config;
  if (typeof capabilities !== "object" || capabilities === null) return [];
  const readers = [findPlugin(String(config.type)), ipamOf(config)].filter((reader) => reader !== undefined);
  const shape = readers.flatMap(({ schema }) => {
    const whole = shapes[schema];
    const part = whole != null && "keys" in whole ? whole.keys.runtimeConfig : undefined;
    return part == null ? [] : [part];
  });
  if (shape.length === 0) return [];
  return unknownKeys(capabilities, shape, "/capabilities").map((each) => ({
    ...each,
    text: each.text.replace("is not a known key", "is not a known capability"),
  }));
}

/** Checks a configuration with the plugin's schema and its own rules. Reads nothing but the configuration. */
function checkWith(plugin: Plugin, config: Config, context: Context): Finding[] {
  const { config: folded, problems } = inspect(plugin.schema, config);
  const findings = problems.map(toFinding);
  const attempt = trying("error", findings);
  attempt("", () => {
    const readable = withoutWrong(folded, problems) as NetworkConfig;
    attempt("/logFile", () => {
      const { logFile } = readable as { logFile?: string };
      if (logFile) confinePath("logFile", logFile);
    });
    plugin.validate(callFor(readable, config, context), attempt);
  });
  return findings;
}

function callFor(config: NetworkConfig, raw: object, { network, version, allotted }: Context): Call {
  // Use STATUS if the device is known only when there is a pod, because STATUS does not require a device.
  const command = allotted || hasCapability(raw, "deviceID") ? "STATUS" : "ADD";
  return {
    command,
    attachment: { network, containerId: "validate", ifName: "net1" },
    netns: "",
    args: { get: () => undefined },
    path: [],
    config,
    stdin: new Uint8Array(0),
    raw,
    version: isSupported(version) ? version : "1.1.0",
    prevResult: undefined,
    validAttachments: [],
    transaction: new Transaction(),
    ignored: [],
  };
}

function hasCapability(raw: object, name: string): boolean {
  const { capabilities } = raw as { capabilities?: { [name: string]: unknown } };
  return capabilities?.[name] === true;
}

function noAddresses({ ipam }: Config, { version, chained }: Context): Finding[] {
  if (!isSupported(version) || !isLegacy(version) || chained) return [];
  if (typeof ipam === "object" && ipam !== null && "type" in ipam) return [];
  const { message, details } = noAddress(version);
  return [finding("error", "/cniVersion", message, details)];
}
