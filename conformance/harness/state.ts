// A picture of everything a plugin may leave behind: links of the host and of every container, and state files.
import { lstatSync, readdirSync, readFileSync, readlinkSync } from "node:fs";
import { join } from "node:path";
import { type Link, parseLinks } from "./kernel.ts";

export interface Picture {
  /** Namespace name ("" is the host) to its links. */
  readonly links: ReadonlyMap<string, readonly Link[]>;
  /** Path to content, for state that counts: locks and allocation cursors do not. */
  readonly files: ReadonlyMap<string, string>;
}

export const PICTURE_SCRIPT = `
echo "@"; ip -j -d address show
for n in /run/netns/*; do
  [ -f "$n" ] && json=$(ip -n "\${n##*/}" -j -d address show 2>/dev/null) && printf '@%s\\n%s\\n' "\${n##*/}" "$json"
done
exit 0`;

export function parsePicture(output: string): Map<string, Link[]> {
  const links = new Map<string, Link[]>();
  for (const part of output.split(/^@/m).slice(1)) {
    const end = part.indexOf("\n");
    links.set(part.slice(0, end), parseLinks(part.slice(end + 1).trim()));
  }
  return links;
}

const STATE_DIRS = ["/var/lib/cni", "/run"];
const OURS = /^\/run\/(netns|stub|below|\.below|case|par)(\/|$)/;
/** podnic's index of leases: it holds nothing that the lease directory does not, and is not used when the two differ. */
const INDEX = /^\/run\/podnic\/host-local(\/|$)/;
const NOT_STATE = /^(lock|.*\.lock|last_reserved_ip\..*)$/;

/** Reads the state files below root (the /proc/PID/root of a namespace holder). */
export function stateFiles(root: string, dirs: readonly string[] = STATE_DIRS): Map<string, string> {
  const files = new Map<string, string>();
  const walk = (dir: string): void => {
    let names: string[];
    try {
      names = readdirSync(join(root, dir)).sort();
    } catch {
      return;
    }
    for (const name of names) {
      const path = join(dir, name);
      if (OURS.test(path) || INDEX.test(path)) continue;
      const kind = lstatSync(join(root, path));
      if (kind.isDirectory()) walk(path);
      else if (kind.isSymbolicLink()) files.set(path, `-> ${readlinkSync(join(root, path))}`);
      else if (!NOT_STATE.test(name))
        files.set(path, kind.isFile() ? readFileSync(join(root, path), "latin1") : "special");
    }
  };
  for (const dir of dirs) walk(dir);
  return files;
}

/** Everything about a link that an undone operation must restore. ifindex may change by a move and is left out. */
function facts(link: Link, upOrDown: boolean): string {
  const addresses = link.addresses.filter((a) => a.scope !== "link").map((a) => a.cidr);
  const alias = link.alias === "" ? "" : ` alias ${link.alias}`;
  const altnames = link.altnames.length === 0 ? "" : ` altnames ${link.altnames.join(",")}`;
  const mac = link.kind === "" ? "" : ` ${link.mac}`;
  const where = addresses.length === 0 ? "" : ` ${addresses.sort().join(" ")}`;
  const state = upOrDown ? (link.up ? " up" : " down") : "";
  const promiscuous = link.promiscuous ? " promiscuous" : "";
  return `${link.kind || "link"}${state}${promiscuous} mtu ${link.mtu}${mac}${alias}${altnames}${where}`;
}

/** What differs, in words; empty when the second picture equals the first. */
export function differences(before: Picture, after: Picture, upOrDown = true): string[] {
  const found: string[] = [];
  for (const ns of new Set([...before.links.keys(), ...after.links.keys()])) {
    const where = ns === "" ? "host" : ns;
    const a = new Map((before.links.get(ns) ?? []).map((l) => [l.name, facts(l, upOrDown)]));
    const b = new Map((after.links.get(ns) ?? []).map((l) => [l.name, facts(l, upOrDown)]));
    for (const [name, text] of b) {
      if (!a.has(name)) found.push(`${where} has new link ${name} (${text})`);
      else if (a.get(name) !== text) found.push(`${where} link ${name} was (${a.get(name)}), is (${text})`);
    }
    for (const name of a.keys()) if (!b.has(name)) found.push(`${where} lost link ${name}`);
  }
  for (const [path, content] of after.files) {
    if (!before.files.has(path)) found.push(`new file ${path}`);
    else if (before.files.get(path) !== content) found.push(`changed file ${path}`);
  }
  for (const path of before.files.keys()) if (!after.files.has(path)) found.push(`lost file ${path}`);
  return found;
}
