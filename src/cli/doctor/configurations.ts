// Checks the network configurations on this node, and the node's policy.
import { policy } from "../../config/policy.ts";
import { Failure } from "../../errors.ts";
import { host, SystemError } from "../../host/host.ts";
import { readInput } from "../input.ts";
import { CONFIG_DIRECTORIES, configurationFiles, pluginsOf, readConfiguration } from "../node/configurations.ts";
import { SupportedVersions, unsupportedInWords } from "../node/supported.ts";
import { validateFile } from "../validate/file.ts";
import { sameNameInWords, sameNames } from "../validate/same-name.ts";
import { pluginDirectories } from "./directories.ts";
import { type Finding, finding } from "./finding.ts";

const POLICY = "/etc/cni/podnic.json";

export function checkConfigurations(directories = CONFIG_DIRECTORIES, plugins = pluginDirectories()): Finding[] {
  const files = configurationFiles(directories);
  if (files.length === 0) {
    const found = `no configuration in ${directories.join(", ")}`;
    return [finding("configurations", "note", `${found}; with Multus, networks are NetworkAttachmentDefinitions`)];
  }
  const versions = new SupportedVersions(plugins);
  const checked = files.map((file) => checkFile(file));
  const same = sameNames(checked).map(({ file, name, other }) => {
    const [found, cure] = sameNameInWords(name, other);
    return finding("configurations", "warning", `${file}: ${found}`, cure);
  });
  return [...checked.flatMap(({ file, findings }) => [...findings, ...checkVersions(file, versions)]), ...same];
}

/** A plugin that does not support the version is an error, because runtimes then fail even on DEL, and the pod cannot be deleted. */
function checkVersions(file: string, versions: SupportedVersions): Finding[] {
  return versions.unsupported(pluginsOf(readConfiguration(file))).map((one) => {
    const { found, cure } = unsupportedInWords(one);
    return finding("configurations", "error", `${file}: ${found}`, cure);
  });
}

interface Checked {
  file: string;
  networks: { name: string }[];
  findings: Finding[];
}

function checkFile(file: string): Checked {
  try {
    const { networks, findings } = validateFile(file, readInput(file));
    const wrong = findings.filter(({ level }) => level !== "note");
    const good = networks.map(({ name, plugins }) =>
      finding("configurations", "ok", `${file}: network "${name}", plugins ${plugins.join(", ")}`),
    );
    const bad = wrong.map(({ level, line, message, cure }) => {
      const where = line === 0 ? file : `${file}:${line}`;
      return finding("configurations", level, `${where}: ${message}`, cure || `podnic validate ${file}`);
    });
    return { file, networks, findings: wrong.length === 0 ? good : bad };
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    const unreadable = finding("configurations", "error", `${file}: ${error.message}`, error.details);
    return { file, networks: [], findings: [unreadable] };
  }
}

export function checkPolicy(): Finding[] {
  try {
    policy();
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    const cure = error instanceof Failure ? error.details : "";
    return [finding("policy", "error", `${error.message}; every ADD fails`, cure || `Check ${POLICY}.`)];
  }
  try {
    host.stat(POLICY);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return [finding("policy", "ok", `there is no ${POLICY}; the built-in policy applies`)];
  }
  return [finding("policy", "ok", `${POLICY} is valid and in use`)];
}
