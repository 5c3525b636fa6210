// What the kernel has, as lines that can be compared: picture.c and nft, run in the namespaces of a world.
import { spawnSync } from "node:child_process";
import { mkdirSync, renameSync } from "node:fs";
import { join } from "node:path";
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
  const seen = await run(picture);
  const lines = seen.split("\n").flatMap((line) => (line === "" ? [] : linesOf(line.split("\t"), lent)));
  if (lines.some((line) => line.startsWith("table "))) {
    const rules = await run("nft list ruleset 2>/dev/null; true");
    for (const line of rules.split("\n")) if (/[^\s}]/.test(line)) lines.push(`nft ${line.trim()}`);
  }
  return lines;
}

/** The names of a bridge's ports are random. */
function linesOf([word, ...columns]: string[], lent: RegExp): string[] {
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

/** What one has and the other has not. */
export function unlike(before: readonly string[], after: readonly string[]): string[] {
  const [had, has] = [new Set(before), new Set(after)];
  return [
    ...after.filter((line) => !had.has(line)).map((line) => `left over: ${line}`),
    ...before.filter((line) => !has.has(line)).map((line) => `missing: ${line}`),
  ];
}

/** step.c and picture.c, compiled. @return their directory. @throws with the compiler's words */
export function compileTools(): string {
  const dir = join(cache, "interleave");
  mkdirSync(dir, { recursive: true });
  for (const tool of ["step", "picture"]) {
    // Another run may use the one that is there.
    const made = `${dir}/${tool}.${process.pid}`;
    const source = join(root, `conformance/interleave/${tool}.c`);
    const run = spawnSync("gcc", ["-O1", "-o", made, source], { encoding: "utf8" });
    if (run.status !== 0) throw new Error(`cannot compile ${tool}.c: ${run.stderr}`);
    renameSync(made, `${dir}/${tool}`);
  }
  return dir;
}
