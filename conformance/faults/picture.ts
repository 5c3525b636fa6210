// Everything that must be as before: links with all their properties, addresses, routes and state files. What is left out is
// left out by name, so that a property nobody thought of is compared too.
import type { Namespaces } from "../harness/namespaces.ts";
import { stateFiles } from "../harness/state.ts";
import type { Shell } from "./shell.ts";

/** "host eth0" → property → value. */
export type Picture = ReadonlyMap<string, Readonly<Record<string, string>>>;

/**
 * ifindex and what is counted from it change when the kernel moves a device. operstate, qdisc and the carrier bits follow the
 * UP flag with a delay. Link-local IPv6 addresses come and go with it by themselves.
 */
const FOLLOWS = new Set([
  "ifindex",
  "ifname",
  "operstate",
  "qdisc",
  "link_netnsid",
  "link_index",
  "flags",
  "addr_info",
]);
const FOLLOWING_FLAGS = new Set(["LOWER_UP", "NO-CARRIER", "M-DOWN"]);

const DUMP = "/run/case/dump";
const script = (enter: string): string => `
ip ${enter} -j -d -batch ${DUMP} 2>&1; echo
ip ${enter} -6 -j route show table all 2>&1; echo`;

export interface PictureOptions {
  /** Properties not to look at, named as `ip -j` does, and "up": for plugins that lose them even without a fault. */
  readonly ignore: ReadonlySet<string>;
  readonly shell: Shell;
  readonly ns: Namespaces;
}

/** Takes the picture of the host and of the container c1. */
export async function takePicture(options: PictureOptions): Promise<Picture> {
  const { shell, ns, ignore } = options;
  const said = await shell.run(`
[ -e ${DUMP} ] || printf 'address show\\nlink show\\nroute show table all\\n' >${DUMP}
${script("")}
echo @c1
${script("-n c1")}`);
  const picture = new Map<string, Record<string, string>>();
  const [host, pod] = said.split("@c1\n") as [string, string];
  addNamespace(picture, "host", host, ignore);
  addNamespace(picture, "pod", pod, ignore);
  for (const [path, content] of stateFiles(`/proc/${ns.pid}/root`))
    if (!path.startsWith("/run/case/")) picture.set(`file ${path}`, { content });
  return picture;
}

type Json = Record<string, unknown>;

function addNamespace(
  picture: Map<string, Record<string, string>>,
  where: string,
  dump: string,
  ignore: ReadonlySet<string>,
): void {
  const lines = dump.split("\n").filter((line) => line !== "");
  if (lines.length !== 4) throw new Error(`${where}: ip said ${dump}`);
  const [addresses, links, routes4, routes6] = lines.map(parse) as [Json[], Json[], Json[], Json[]];
  // `address show` has no virtual functions, `link show` no addresses.
  const withAddresses = new Map(addresses.map((link) => [link.ifname, link]));
  for (const link of links) {
    const addresses = ((withAddresses.get(link.ifname)?.addr_info ?? []) as Json[]).filter((a) => a.scope !== "link");
    const facts: Record<string, string> = {};
    for (const [key, value] of Object.entries(link))
      if (!FOLLOWS.has(key) && !ignore.has(key)) facts[key] = JSON.stringify(value);
    const flags = (link.flags as string[]).filter((f) => !FOLLOWING_FLAGS.has(f) && !(f === "UP" && ignore.has("up")));
    facts.flags = flags.sort().join(",");
    facts.addresses = addresses
      .map((a) => `${a.local}/${a.prefixlen}`)
      .sort()
      .join(" ");
    picture.set(`${where} link ${link.ifname}`, facts);
  }
  for (const route of [...routes4, ...routes6]) {
    if (route.protocol === "kernel") continue; // follow addresses and the UP flag
    picture.set(`${where} route ${JSON.stringify(route)}`, {});
  }
}

function parse(line: string): Json[] {
  // iproute2 prints an empty object for each filtered entry.
  return (JSON.parse(line) as Json[]).filter((entry) => Object.keys(entry).length > 0);
}

/** What differs, in words; empty when nothing does. */
export function differences(before: Picture, after: Picture): string[] {
  const found: string[] = [];
  for (const [what, facts] of after) {
    const was = before.get(what);
    if (was === undefined) found.push(`new ${what}`);
    else
      for (const key of new Set([...Object.keys(was), ...Object.keys(facts)]))
        if (was[key] !== facts[key]) found.push(`${what}: ${key} was ${was[key]}, is ${facts[key]}`);
  }
  for (const what of before.keys()) if (!after.has(what)) found.push(`lost ${what}`);
  return found;
}
