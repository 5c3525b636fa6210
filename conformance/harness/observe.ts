// Runs a scenario with one implementation and keeps what can be compared.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { type Link, parseRoutes } from "./kernel.ts";
import type { Config } from "./mains.ts";
import type { Scenario } from "./scenario.ts";
import { PICTURE_SCRIPT, parsePicture, stateFiles } from "./state.ts";
import { canonical, type Trial } from "./trial.ts";

export interface Step {
  readonly command: string;
  readonly ok: boolean;
  /** The result without what must differ; the error's message when it failed. */
  readonly said: string;
  /** Links, addresses, routes and state files. */
  readonly world: Readonly<Record<string, string>>;
}

const STATE = "/var/lib/cni/networks";

/** Everything at once: a scenario is looked at six times on each side. */
const WORLD_SCRIPT = `(${PICTURE_SCRIPT})
for n in "" "-n c1"; do for f in 4 6; do echo "#"; ip $n -$f -j -d route show table all; done; done`;

/** What a bridge and nftables have beside that, for scenarios of bridge. */
const BRIDGE_SCRIPT = `echo "#"; ip -j -d link show type bridge_slave; echo "#"; bridge -j vlan show 2>/dev/null
echo "#"; nft list ruleset; echo "#"; cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding`;

/** Each plugin names its end of a pair as it likes. */
const plain = (text: string): string =>
  text
    .replaceAll(/\bveth[0-9a-f]{8}\b/g, "vethPORT")
    .replaceAll(/\b(?!02:00:00:00:00:)[0-9a-f]{2}(:[0-9a-f]{2}){5}\b/g, "MAC");

/** Attributes of ports, VLANs, rules and forwarding. */
function bridgeFacts([slaves, vlans, rules, forwarding]: string[]): Record<string, string> {
  const facts: Record<string, string> = {
    vlans: plain(vlans!.trim()),
    forwarding: forwarding!.trim().replace("\n", " "),
  };
  for (const { ifname, master, linkinfo } of JSON.parse(slaves!.trim() || "[]").filter(
    (one: object) => "ifname" in one,
  )) {
    const { hairpin, isolated, learning, flood, guard } = linkinfo?.info_slave_data ?? {};
    facts[`port ${plain(ifname)}`] = JSON.stringify({ master, hairpin, isolated, learning, flood, guard });
  }
  // Order of tables is that of their making.
  for (const table of rules!.split(/^(?=table )/m).filter((text) => text.trim() !== ""))
    facts[`nft ${table.slice(0, table.indexOf(" {"))}`] = plain(table.trim());
  return facts;
}

/** The world as facts: name to value. MACs the kernel makes up are left out. */
function world(t: Trial, { plugin }: Scenario): Record<string, string> {
  const facts: Record<string, string> = {};
  const isBridge = plugin === "bridge";
  const [picture, ...rest] = t.sh(isBridge ? `${WORLD_SCRIPT}\n${BRIDGE_SCRIPT}` : WORLD_SCRIPT).split(/^#$/m) as [
    string,
    ...string[],
  ];
  const routes = rest.slice(0, 4);
  if (isBridge) Object.assign(facts, bridgeFacts(rest.slice(4)));
  const links = parsePicture(picture);
  for (const [n, ns] of ["", "c1"].entries()) {
    for (const link of links.get(ns) ?? []) facts[`link ${ns || "host"} ${plain(link.name)}`] = describeLink(link);
    for (const family of [4, 6] as const) {
      for (const route of parseRoutes(routes[n * 2 + (family === 4 ? 0 : 1)]!.trim(), family)) {
        if (route.table === "local" || route.dst.startsWith("fe80:") || route.dst.startsWith("ff00:")) continue;
        const { gateways, dev, table, metric, scope, metrics } = route;
        const key = `route ${ns || "host"} ${route.dst} ${gateways.join("+")} ${plain(dev)} ${table}`;
        facts[key] = JSON.stringify({ metric, scope, metrics });
      }
    }
  }
  for (const [path, content] of stateFiles(t.root)) if (path.startsWith(STATE)) facts[`file ${path}`] = content;
  facts.cursors = cursors(`${t.root}${STATE}/net1`);
  return facts;
}

function describeLink({ mac, kind, up, mtu, alias, altnames, data, addresses }: Link): string {
  const given = mac.startsWith("02:00:00:00:00:") ? mac : "made up";
  const held = addresses.filter((a) => a.scope !== "link" || a.cidr.includes(".")).map((a) => `${a.cidr} ${a.scope}`);
  return JSON.stringify({ kind, up, mtu, alias, altnames, mode: data.mode, given, held });
}

/** host-local's notes of the addresses it gave last, which are no state that counts elsewhere. */
function cursors(dir: string): string {
  if (!existsSync(dir)) return "";
  const names = readdirSync(dir).filter((name) => name.startsWith("last_reserved_ip."));
  return names
    .sort()
    .map((name) => `${name} ${readFileSync(`${dir}/${name}`, "latin1").trim()}`)
    .join("\n");
}

/** A result with sorted members and without the MAC of a link the kernel named. */
function comparable(stdout: string): string {
  try {
    const result = JSON.parse(stdout);
    for (const item of result.interfaces ?? []) {
      if (!item.mac?.startsWith("02:00:00:00:00:")) delete item.mac;
      item.name = plain(item.name);
    }
    if (result.dns !== undefined && Object.keys(result.dns).length === 0) delete result.dns;
    return canonical(result) ?? "";
  } catch {
    return stdout;
  }
}

/** ADD, CHECK, DEL, DEL; stops after a failed ADD and one DEL. */
export function observe(t: Trial, s: Scenario): Step[] {
  t.sh(s.setup);
  const steps: Step[] = [];
  const set = { CNI_IFNAME: s.ifname, CNI_ARGS: s.args };
  const call = (command: string, conf: Config) => {
    const run = t.call(command, conf, { set, plugin: s.plugin });
    const ok = run.status === 0;
    let said = ok ? comparable(run.stdout) : run.stdout;
    if (!ok) {
      try {
        const { code, msg } = JSON.parse(run.stdout);
        said = `${code}: ${msg}`;
      } catch {
        said = `exit ${run.status}: ${run.stdout}${run.stderr}`;
      }
    }
    steps.push({ command, ok, said, world: world(t, s) });
    return run;
  };
  steps.push({ command: "set-up", ok: true, said: "", world: world(t, s) });
  const added = call("ADD", s.conf);
  let conf = s.conf;
  if (added.status === 0) {
    conf = { ...s.conf, prevResult: JSON.parse(added.stdout) };
    call("CHECK", conf);
    call("DEL", conf);
  }
  call("DEL", conf);
  return steps;
}
