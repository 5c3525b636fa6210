// Checks the plugin directories: whose executables they contain, and which one a runtime finds first.
import { pluginNames } from "../../cni/registry.ts";
import { S_IFMT, S_IFREG } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { isLeftover } from "../install/directory.ts";
import { type Kind, recognise } from "../install/recognise.ts";
import { namesIn } from "../node/namespaces.ts";
import { type Finding, finding } from "./finding.ts";

/** Common directories, in the order in which runtimes search them by default (containerd, CRI-O; Debian; Fedora). */
const USUAL = ["/opt/cni/bin", "/usr/lib/cni", "/usr/libexec/cni"];

/** The directories of `path` (CNI_PATH), followed by the common ones. */
export function pluginDirectories(path = host.getenv("CNI_PATH") ?? ""): string[] {
  return [...new Set([...path.split(":").filter((directory) => directory.startsWith("/")), ...USUAL])];
}

/** `used`: the plugin types in this node's configurations. */
export function checkDirectories(used: Set<string>, directories = pluginDirectories()): Finding[] {
  const there = directories.filter((directory) => namesIn(directory).length > 0);
  if (there.length === 0) {
    const cure = "mkdir -p /opt/cni/bin && podnic install /opt/cni/bin";
    return [finding("plugins", "error", `no plugins in ${directories.join(", ")}`, cure)];
  }
  const found = [...pluginNames(), ...[...used].filter((type) => !pluginNames().includes(type)).sort()].map((name) =>
    checkName(name, there, used.has(name)),
  );
  return [...found, ...there.flatMap(leftovers)];
}

function checkName(name: string, directories: string[], used: boolean): Finding {
  const places = directories
    .map((directory) => ({ path: `${directory}/${name}`, kind: recogniseQuietly(`${directory}/${name}`) }))
    .filter(({ kind }) => kind !== "missing");
  const [first, ...others] = places;
  const ours = pluginNames().includes(name);
  if (first === undefined) {
    if (!used) return finding("plugins", "note", `${name}: not installed`);
    const cure = ours ? `podnic install ${directories[0]}` : `Install the plugin ${name} in ${directories[0]}.`;
    return finding("plugins", "error", `${name}: not installed, but a configuration on this node uses it`, cure);
  }
  const executable = isExecutable(first.path);
  if (executable instanceof SystemError) {
    return finding("plugins", "error", executable.message, `Remove ${first.path}, and install the plugin again.`);
  }
  if (!executable) {
    return finding("plugins", "error", `${first.path} is not executable`, `chmod 755 ${first.path}`);
  }
  const behind = others.map(({ path, kind }) => `, which comes before ${inWords(kind)} in ${path}`).join("");
  const found = `${first.path}: ${inWords(first.kind)}${behind}`;
  const hidden = others.find(({ kind }) => kind === "podnic");
  if (!ours || first.kind === "podnic" || hidden === undefined) return finding("plugins", "ok", found);
  const cure = `podnic install ${first.path.slice(0, first.path.lastIndexOf("/"))}, or make the runtime search another directory first (containerd: bin_dir).`;
  return finding("plugins", "warning", found, cure);
}

function inWords(kind: Kind): string {
  return kind === "unknown" ? "unknown program" : kind;
}

function recogniseQuietly(path: string): Kind {
  try {
    return recognise(path);
  } catch (error) {
    if (error instanceof SystemError) return "unknown";
    throw error;
  }
}

/** Returns the kernel's error if it cannot examine the file, such as a link that leads to itself. */
function isExecutable(path: string): boolean | SystemError {
  try {
    const { mode } = host.stat(path);
    return (mode & S_IFMT) === S_IFREG && (mode & 0o111) !== 0;
  } catch (error) {
    if (error instanceof SystemError) return error;
    throw error;
  }
}

function leftovers(directory: string): Finding[] {
  return namesIn(directory)
    .filter(isLeftover)
    .map((name) => {
      const found = `${directory}/${name} is left over from an interrupted installation`;
      return finding("plugins", "warning", found, `podnic install ${directory}`);
    });
}
