// What the kernel has, as lines that can be compared: picture.c and nft, run in the namespaces of a world.
import { spawnSync } from "node:child_process";
import { lstatSync, mkdirSync, readdirSync, readFileSync, readlinkSync, renameSync } from "node:fs";
import { basename, join } from "node:path";
import { cache, root } from "../../scripts/build/paths.ts";

/** What stays of the masquerade when no pod has it. */
export const EMPTY_TABLE: readonly string[] = [
  "table host family 1 cni_plugins_masquerade",
  "nft table inet cni_plugins_masquerade {",
  'nft comment "Masquerading for plugins from github.com/containernetworking/plugins"',
  "nft chain masq_checks {",
  'nft comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"',
  "nft chain postrouting {",
  "nft type nat hook postrouting priority srcnat; policy accept;",
  "nft ip daddr 224.0.0.0/4 return",
  "nft ip6 daddr ff00::/8 return",
  "nft goto masq_checks",
];
/** What a bridge with a gateway sets, and all interfaces have then. */
export const FORWARDING = /^sysctl ipv4\/(ip_forward|conf\/(all|default)\/forwarding|conf\/all\/accept_redirects) /;
export const withoutForwarding = (line: string): string => line.replace(/^(of host \S+: ipv4) 1=1 /, "$1 ");
/** Takes away what bridge leaves for the next pod, after what it leaves has been compared: its table. */
export const DELETE_EMPTY_TABLE = "nft delete table inet cni_plugins_masquerade 2>/dev/null; true";
/** Before: its bridge, and forwarding. */
export const DELETE_BRIDGE = "ip link del br0 2>/dev/null; echo 0 >/proc/sys/net/ipv4/ip_forward; true";

/**
 * @param picture the program's path, for `run`, which returns what a shell prints
 * @param lent names of devices that are there before any ADD
 */
export async function pictureOf(
  run: (script: string) => Promise<string>,
  picture: string,
  lent: RegExp,
): Promise<string[]> {
  const lines = linesIn(await run(picture), lent);
  return hasTables(lines) ? [...lines, ...rulesIn(await run(RULES))] : lines;
}

/** Of what picture.c prints. */
export const linesIn = (seen: string, lent: RegExp): string[] =>
  seen.split("\n").flatMap((line) => (line === "" ? [] : linesOf(line.split("\t"), lent)));
export const hasTables = (lines: readonly string[]): boolean => lines.some((line) => line.startsWith("table "));
export const RULES = "nft list ruleset 2>/dev/null; true";
/** Of what RULES prints. */
export const rulesIn = (rules: string): string[] =>
  rules.split("\n").flatMap((line) => (/[^\s}]/.test(line) ? [`nft ${line.trim()}`] : []));

/** The names of a bridge's ports are random. */
function linesOf([word, ...columns]: string[], lent: RegExp): string[] {
  const ofDevice = word === "sysctl" ? /^ipv[46]\/neigh\/([^/]+)\//.exec(columns[0]!)?.[1] : undefined;
  if (ofDevice !== undefined && ofDevice !== "default" && !lent.test(ofDevice)) return [];
  const lines = word === "link" ? linkLines(columns, lent) : [`${word} ${columns.join(" ")}`];
  return lines.map((line) => line.replace(/\bveth[0-9a-f]{8}\b/g, "veth"));
}

/** One for what a person knows it by, and one for each kind of attribute. Those that ADD makes have random addresses. */
function linkLines(columns: string[], lent: RegExp): string[] {
  const [where, name, mtu, state, mac, alias, addresses, common, ...facts] = columns;
  const isLent = lent.test(name!) || lent.test(alias!);
  const fixed = isLent ? ` ${mac} alias "${alias}"` : "";
  const line = `${where} ${name} mtu ${mtu} ${state}${fixed} ${addresses}`.trim();
  return [line, ...[common!, ...(isLent ? facts : [])].map((fact) => `of ${where} ${name}: ${fact}`)];
}

/** What one has and the other has not. Sysctls come with a module of the kernel or with a device, which has lines of its own: their values count. */
export function unlike(before: readonly string[], after: readonly string[]): string[] {
  const [had, has] = [new Set(before), new Set(after)];
  const [knew, know] = [sysctlsOf(before), sysctlsOf(after)];
  const isNews = (line: string, names: ReadonlySet<string>) => !line.startsWith("sysctl ") || names.has(nameOf(line));
  return [
    ...after.filter((line) => !had.has(line) && isNews(line, knew)).map((line) => `left over: ${line}`),
    ...before.filter((line) => !has.has(line) && isNews(line, know)).map((line) => `missing: ${line}`),
  ];
}

const nameOf = (line: string): string => line.split(" ")[1]!;
const sysctlsOf = (lines: readonly string[]) =>
  new Set(lines.filter((line) => line.startsWith("sysctl ")).map((line) => nameOf(line)));

const PLACES = ["/var/lib/cni", "/run", "/etc/cni"];
/** Of the test, of iproute2, and of other tests of this machine. */
const NOT_PLUGINS = /^\/run\/(netns|stub|below|\.below|case|par)$/;
/** What may stay when no pod has it: by its name, so that anything beside it is found. See README.md. */
const MAY_STAY = [
  /^dir \/var\/lib\/cni\/(networks(\/[^/]+)?|podnic(\/(host-device|card|sriov))?|sriov(\/pci(\/vf_lock)?)?)$/,
  /^dir \/run\/cni(\/podnic(\/ipvlan)?)?$/,
  /^dir \/run\/podnic(\/(bridge|host-local(\/[\da-f]+-\d+)?))?$/,
  /^file \/var\/lib\/cni\/networks\/[^/]+\/(lock|last_reserved_ip\.\d+)$/,
  // The index of the leases, and the locks: one of the pool, one of a bridge, one of a card.
  /^file \/run\/podnic\/host-local\/[\da-f]+-\d+\/(state|[\da-f]+)$/,
  /^file \/(var\/lib\/cni\/podnic\/host-device|run\/cni\/podnic\/ipvlan)\/lock$/,
  /^file \/run\/podnic\/bridge\/(br\d|cni0)\.lock$/,
  /^file \/var\/lib\/cni\/(podnic\/card|sriov\/pci\/vf_lock)\/[\da-f]{4}:[\da-f]{2}:[\da-f]{2}\.[\da-f]\.lock$/,
];

/** @param line as stateOf makes them, without contents */
export const mayStay = (line: string): boolean => MAY_STAY.some((one) => one.test(line));

/** Files, directories and all else that plugins may leave on the disk, with the contents of leases and configurations. */
export function stateOf(root: string, places: readonly string[] = PLACES): string[] {
  const lines: string[] = [];
  const walk = (dir: string): void => {
    for (const name of namesOf(join(root, dir))) {
      const path = `${dir}/${name}`;
      if (NOT_PLUGINS.test(path)) continue;
      const line = lineOf(root, path);
      if (line === undefined) continue;
      if (!mayStay(line)) lines.push(line);
      if (line.startsWith("dir ")) walk(path);
    }
  };
  for (const place of places) walk(place);
  return lines;
}

function namesOf(dir: string): string[] {
  try {
    return readdirSync(dir).sort();
  } catch {
    return [];
  }
}

/** Undefined: it has gone in the meantime. */
function lineOf(root: string, path: string): string | undefined {
  const kind = lstatSync(join(root, path), { throwIfNoEntry: false });
  if (kind === undefined) return undefined;
  if (kind.isDirectory()) return `dir ${path}`;
  if (kind.isSymbolicLink()) return `link ${path} -> ${readlinkSync(join(root, path))}`;
  if (!kind.isFile()) return `special ${path}`;
  const line = `file ${path}`;
  const told = /^\/etc\/|\/networks\//.test(path) && !mayStay(line);
  return told ? `${line} ${JSON.stringify(readFileSync(join(root, path), "latin1"))}` : line;
}

/** step.c, picture.c and `more`, compiled. @return `dir`, where they are. @throws with the compiler's words */
export function compileTools(
  dir = join(cache, "interleave"),
  more: readonly string[] = [],
  flags: readonly string[] = [],
): string {
  mkdirSync(dir, { recursive: true });
  for (const source of ["conformance/interleave/step.c", "conformance/interleave/picture.c", ...more]) {
    const tool = join(dir, basename(source, ".c"));
    // Another run may use the one that is there.
    const made = `${tool}.${process.pid}`;
    const run = spawnSync("gcc", ["-O1", ...flags, "-o", made, join(root, source)], { encoding: "utf8" });
    if (run.status !== 0) throw new Error(`cannot compile ${source}: ${run.error?.message ?? run.stderr}`);
    renameSync(made, tool);
  }
  return dir;
}
