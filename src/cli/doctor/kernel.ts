// Checks which features the kernel supports, and what this process is allowed to do. Changes nothing.
import { AF_NETLINK, O_DIRECTORY, O_RDONLY, RESOLVE_NO_SYMLINKS, SOCK_RAW } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { addLink, type NewLink } from "../../link/link.ts";
import { ownNamespace } from "../../link/namespace.ts";
import { NETLINK_GET_STRICT_CHK, NETLINK_ROUTE, SOL_NETLINK } from "../../netlink/constants.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import { plugins } from "../../plugins.ts";
import { readFileAt } from "../../state/files.ts";
import { readText } from "../../sysfs/device.ts";
import { type Finding, finding } from "./finding.ts";

/** The oldest kernel of a distribution that is still maintained. */
const OLDEST = [4, 18] as const;
/** Bytes. The modules.dep of a distribution's kernel has half a megabyte. */
const LIMIT = 16 << 20;
/** An index that no interface has. */
const NOBODY = 0x7fffffff;

type Module = "loaded" | "built in" | "available" | "missing" | "unknown";

/** `used`: the plugin types in this node's configurations. */
export function checkKernel(used: Set<string>): Finding[] {
  const release = readText("/proc/sys/kernel/osrelease") ?? "";
  return [checkRelease(release), checkOpenat2(), checkStrict(), ...checkModules(release, used)];
}

export function checkRelease(release: string): Finding {
  const [major = 0, minor = 0] = release.split(/[.-]/).map(Number);
  const found = `Linux ${release || "of unknown version"}`;
  const old = major < OLDEST[0] || (major === OLDEST[0] && minor < OLDEST[1]);
  if (release === "" || old) {
    return finding(
      "kernel",
      "warning",
      found,
      `podnic is tested on Linux 6.12 and 6.18. It is not tested on versions before ${OLDEST.join(".")}.`,
    );
  }
  return finding("kernel", "ok", found);
}

function checkOpenat2(): Finding {
  try {
    host.close(host.open("/", O_RDONLY | O_DIRECTORY, 0, undefined, RESOLVE_NO_SYMLINKS));
    return finding("kernel", "ok", "openat2(2): paths are opened in one call");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return finding(
      "kernel",
      "note",
      `openat2(2): ${error.code}; paths are resolved one step at a time, which is just as safe`,
    );
  }
}

function checkStrict(): Finding {
  const fd = host.socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
  try {
    host.setsockopt(fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, new Uint8Array([1, 0, 0, 0]));
    return finding("kernel", "ok", "rtnetlink checks requests strictly");
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    return finding("kernel", "note", "rtnetlink does not check requests strictly (before 4.20); queries take longer");
  } finally {
    host.close(fd);
  }
}

function checkModules(release: string, used: Set<string>): Finding[] {
  const kinds = plugins.flatMap(({ linkKind }) => (linkKind === undefined ? [] : [linkKind]));
  return [...new Set(kinds)].map((name) => {
    const state = moduleState(release, name);
    if (state !== "missing") return finding("kernel", "ok", `${name}: ${inWords[state]}`);
    const cure = `Install the package of additional kernel modules (linux-modules-extra, kernel-modules), or a kernel with CONFIG_${name.toUpperCase()}.`;
    const needed = used.has(name);
    return finding(
      "kernel",
      needed ? "error" : "note",
      `${name}: not in this kernel${needed ? ", but a configuration on this node uses it" : ""}`,
      needed ? cure : "",
    );
  });
}

const inWords = {
  loaded: "loaded",
  "built in": "built in",
  available: "loaded on first use",
  unknown: "cannot be determined without CAP_NET_ADMIN",
};

/** Looks at the files first, because a request to the kernel would make it load the module. */
function moduleState(release: string, name: NewLink["kind"]): Module {
  if (readText(`/sys/module/${name}/refcnt`) !== undefined) return "loaded";
  for (const [file, state] of [
    ["modules.builtin", "built in"],
    ["modules.dep", "available"],
  ] as const) {
    if (textOf(`/lib/modules/${release}/${file}`).includes(`/${name}.ko`)) return state;
  }
  return askKernel(name);
}

function textOf(path: string): string {
  try {
    const data = readFileAt(path, LIMIT);
    return data === undefined ? "" : host.decode(data);
  } catch {
    return "";
  }
}

/** Finds out whether the kernel supports a type of links, with a request that always fails, because the lower device does not exist. */
function askKernel(kind: NewLink["kind"]): Module {
  try {
    addLink(ownNamespace().route, { kind, name: `podnic-${kind}`, parent: NOBODY });
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    if (error.code === "EOPNOTSUPP") return "missing";
    return error.code === "EPERM" ? "unknown" : "built in";
  }
  throw new Error(`the kernel created a ${kind} on an interface that does not exist`);
}

const CAPABILITIES = [
  { bit: 12, name: "CAP_NET_ADMIN", why: "to move and configure interfaces" },
  { bit: 21, name: "CAP_SYS_ADMIN", why: "to enter network namespaces" },
  { bit: 13, name: "CAP_NET_RAW", why: "to announce addresses" },
  { bit: 1, name: "CAP_DAC_OVERRIDE", why: "to keep state in root's directories" },
];

/** `status`: the contents of /proc/self/status. */
export function checkCapabilities(status = readText("/proc/self/status") ?? ""): Finding[] {
  const effective = /^CapEff:\s*([0-9a-f]+)$/m.exec(status)?.[1];
  if (effective === undefined) {
    return [finding("capabilities", "note", "cannot be determined, because /proc is not mounted")];
  }
  const bits = Number.parseInt(effective.slice(-8), 16);
  const missing = CAPABILITIES.filter(({ bit }) => ((bits >>> bit) & 1) === 0);
  if (missing.length === 0) {
    return [finding("capabilities", "ok", `this process has ${CAPABILITIES.map(({ name }) => name).join(", ")}`)];
  }
  const cure = "Run podnic as root on the node. A runtime runs plugins as root with all capabilities.";
  return missing.map(({ name, why }) =>
    finding("capabilities", "warning", `this process lacks ${name}, which plugins need ${why}`, cure),
  );
}
