// Finds out which CNI versions another program's plugin supports, by calling VERSION as runtimes do.
import { findDelegate } from "../../cni/find-delegate.ts";
import { Failure } from "../../errors.ts";
import { host, SystemError } from "../../host/host.ts";
import { closing } from "../../state/files.ts";
import type { PluginConfiguration } from "./configurations.ts";

const LIMIT = 64 * 1024;
/** Milliseconds. Plugins usually answer within a few. */
const TIMEOUT = 5000;

/** A plugin that does not support the cniVersion of its network. */
export interface Unsupported {
  network: string;
  version: string;
  path: string;
  supported: string[];
}

export class SupportedVersions {
  readonly #directories: string[];
  readonly #known = new Map<string, { path: string; versions: string[] } | undefined>();

  constructor(directories: string[]) {
    this.#directories = directories;
  }

  /** Lists the plugins that do not support their network's cniVersion. Ignores plugins that do not answer. */
  unsupported(configurations: PluginConfiguration[]): Unsupported[] {
    return configurations.flatMap(({ network, version, config: { type, ipam } }) => {
      const ipamType = typeof ipam === "object" && ipam !== null && "type" in ipam ? ipam.type : undefined;
      return [type, ipamType].flatMap((one) => {
        const answer = typeof one === "string" && one !== "" ? this.#of(one) : undefined;
        if (answer === undefined || answer.versions.includes(version)) return [];
        return [{ network, version, path: answer.path, supported: answer.versions }];
      });
    });
  }

  #of(type: string): { path: string; versions: string[] } | undefined {
    if (!this.#known.has(type)) this.#known.set(type, ask(type, this.#directories));
    return this.#known.get(type);
  }
}

/** Asks a plugin for its versions. undefined: the plugin does not exist, or its answer does not conform to the specification. */
function ask(type: string, directories: string[]): { path: string; versions: string[] } | undefined {
  try {
    const { file, path } = findDelegate(type, directories);
    const outcome = closing(file, () =>
      host.run({
        file,
        path,
        env: { CNI_COMMAND: "VERSION" },
        stdin: host.encode('{"cniVersion":"1.0.0"}'),
        maxOutput: LIMIT,
        timeout: TIMEOUT,
      }),
    );
    const { supportedVersions } = JSON.parse(host.decode(outcome.stdout)) as { supportedVersions?: unknown };
    if (outcome.status !== 0 || !Array.isArray(supportedVersions) || supportedVersions.length === 0) return undefined;
    return { path, versions: supportedVersions.map(String) };
  } catch (error) {
    if (error instanceof Failure || error instanceof SystemError || error instanceof SyntaxError) return undefined;
    throw error;
  }
}

/** The problem and its cure, in words. */
export function unsupportedInWords({ network, version, path, supported }: Unsupported): {
  found: string;
  cure: string;
} {
  const newest = supported.at(-1);
  return {
    found: `network "${network}" has cniVersion ${version}, but ${path} supports only ${supported.join(", ")}: ADD and DEL fail`,
    cure: `Set "cniVersion" to "${newest}" if all plugins of the network support it, or install a newer ${path.slice(path.lastIndexOf("/") + 1)}.`,
  };
}
