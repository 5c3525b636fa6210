// Checks a network, which is a plugin's configuration or a list of them. The rules are those of the specification (section 1) and of the
// runtimes.
import { checkNetworkName, excerpt } from "../../cni/names.ts";
import { isBefore, isSupported, supportedVersions } from "../../cni/version.ts";
import { describe, didYouMean } from "../../config/messages.ts";
import { Failure } from "../../errors.ts";
import { isObject } from "../../state/shape.ts";
import { type Finding, finding, unique } from "./finding.ts";
import { checkPlugin } from "./plugin.ts";
import { unknownKeys } from "./unknown-keys.ts";

/** The origin of a network. */
export interface Origin {
  /** The name of a network without a name; undefined if the network must have a name. */
  defaultName: string | undefined;
  /** See Context of plugin.ts. */
  allotted: boolean;
}

type Config = { [key: string]: unknown };

const listKeys = [
  "cniVersion",
  "cniVersions",
  "name",
  "disableCheck",
  "disableGC",
  "loadOnlyInlinedPlugins",
  "plugins",
];

/** Checks a network. Returns the findings, and the name and plugin types to show; they are incomplete if the network is not valid. */
export function checkNetwork(raw: unknown, origin: Origin): { name: string; types: string[]; findings: Finding[] } {
  if (!isObject(raw)) {
    const text = `${describe(raw)} is not an object`;
    return {
      name: "",
      types: [],
      findings: [finding("error", "", text, "A network configuration must be an object: {…}.")],
    };
  }
  const { plugins } = raw;
  const name = typeof raw.name === "string" && raw.name !== "" ? raw.name : (origin.defaultName ?? "");
  const ofNetwork = [...checkName(raw, origin), ...checkVersionOf(raw)];
  const context = { network: name, version: versionOf(raw), allotted: origin.allotted };
  if (plugins === undefined) {
    const ofPlugin = checkPlugin(raw, { ...context, chained: false });
    return { name, types: [typeName(raw)], findings: unique([...ofNetwork, ...ofPlugin]) };
  }
  const list = Array.isArray(plugins) ? plugins : [];
  const ofPlugins = list.flatMap((plugin: unknown, i) =>
    checkEntry(plugin, { ...context, chained: i > 0 }, `/plugins/${i}`),
  );
  return { name, types: list.map(typeName), findings: [...ofNetwork, ...checkList(raw), ...ofPlugins] };
}

function typeName(plugin: unknown): string {
  return isObject(plugin) && typeof plugin.type === "string" ? plugin.type : "?";
}

function versionOf({ cniVersion }: Config): string {
  return typeof cniVersion === "string" && cniVersion !== "" ? cniVersion : "0.1.0";
}

function checkName({ name }: Config, { defaultName }: Origin): Finding[] {
  if (name === undefined || name === "") {
    if (defaultName !== undefined) return [];
    return [
      finding(
        "error",
        "",
        "missing network name",
        'Add a "name". podnic stores the network\'s state and leases under this name. It is optional only in a NetworkAttachmentDefinition.',
      ),
    ];
  }
  if (typeof name !== "string")
    return [finding("error", "/name", `name must be a string in quotes (found ${describe(name)})`)];
  try {
    checkNetworkName(name);
    return [];
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    return [finding("error", "/name", error.message, error.details)];
  }
}

function checkVersionOf(raw: Config): Finding[] {
  const { cniVersion } = raw;
  if (cniVersion === undefined || cniVersion === "") {
    const cure = 'Write "cniVersion": "1.0.0", or a version that your runtime supports.';
    return [finding("warning", "", "cniVersion is missing, so it defaults to 0.1.0, the oldest version", cure)];
  }
  if (typeof cniVersion !== "string") {
    return [finding("error", "/cniVersion", `cniVersion must be a string in quotes (found ${describe(cniVersion)})`)];
  }
  if (isSupported(cniVersion)) return [];
  const longer = supportedVersions.find((known) => known.startsWith(cniVersion));
  const meant = longer === undefined ? didYouMean(cniVersion, supportedVersions) : `; did you mean "${longer}"?`;
  const text = `"${excerpt(cniVersion)}" is not a CNI spec version that podnic supports${meant}`;
  return [finding("error", "/cniVersion", text, `Supported: ${supportedVersions.join(", ")}.`)];
}

/** Checks the list itself, without its entries. */
function checkList(raw: Config): Finding[] {
  const { plugins, cniVersion } = raw;
  const { plugins: _, ...own } = raw;
  const shape = { keys: Object.fromEntries(listKeys.map((key) => [key, null])), lower: {} };
  const misplaced = ["type", "ipam"].filter((key) => key in own);
  const others = Object.fromEntries(Object.entries(own).filter(([key]) => !misplaced.includes(key)));
  const findings: Finding[] = [
    ...misplaced.map((key) => ({
      ...finding(
        "warning",
        `/${key}`,
        `"${key}" next to "plugins" is ignored`,
        `Move it into the entry of "plugins" that it belongs to.`,
      ),
      atKey: true,
    })),
    ...unknownKeys(others, [shape]),
  ];
  if (!Array.isArray(plugins)) {
    return [finding("error", "/plugins", `plugins must be a list […] (found ${describe(plugins)})`), ...findings];
  }
  if (plugins.length === 0) {
    const cure = "Add at least the plugin that creates the interface.";
    return [finding("error", "/plugins", "plugins must not be an empty list", cure), ...findings];
  }
  if (isSupported(versionOf(raw)) && isBefore(versionOf(raw), "0.3.0")) {
    const text = `lists of plugins were introduced in cniVersion 0.3.0, but this network has ${versionOf(raw)}`;
    findings.push(finding("warning", cniVersion === undefined ? "" : "/cniVersion", text, 'Raise "cniVersion".'));
  }
  return findings;
}

function checkEntry(plugin: unknown, context: Parameters<typeof checkPlugin>[1], pointer: string): Finding[] {
  if (!isObject(plugin)) {
    const text = `an entry of plugins must be an object {…} (found ${describe(plugin)})`;
    return [finding("error", pointer, text, 'Write an entry like {"type": "macvlan", …}.')];
  }
  // The runtime adds the name and the version to each plugin's part.
  const whole = { ...plugin, name: context.network, cniVersion: context.version };
  return checkPlugin(whole, context).map((each) => ({ ...each, pointer: `${pointer}${each.pointer}` }));
}
