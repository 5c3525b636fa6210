// Runs a scenario with one implementation and keeps what can be compared.
import type { Config } from "./mains.ts";
import type { Scenario } from "./scenario.ts";
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

/** The world as facts: name to value. MACs the kernel makes up are left out. */
function world(t: Trial): Record<string, string> {
  const facts: Record<string, string> = {};
  const picture = t.picture();
  for (const ns of ["", "c1"]) {
    for (const link of picture.links.get(ns) ?? []) {
      const given = link.mac.startsWith("02:00:00:00:00:") ? link.mac : "made up";
      const { kind, up, mtu, alias, altnames, data, addresses } = link;
      const held = addresses
        .filter((a) => a.scope !== "link" || a.cidr.includes("."))
        .map((a) => `${a.cidr} ${a.scope}`);
      const mode = data.mode;
      facts[`link ${ns || "host"} ${link.name}`] = JSON.stringify({
        kind,
        up,
        mtu,
        alias,
        altnames,
        mode,
        given,
        held,
      });
    }
    for (const route of t.routes(ns)) {
      if (route.table === "local" || route.dst.startsWith("fe80:") || route.dst.startsWith("ff00:")) continue;
      const { gateways, dev, table, metric, scope, metrics } = route;
      const key = `route ${ns || "host"} ${route.dst} ${gateways.join("+")} ${dev} ${table}`;
      facts[key] = JSON.stringify({ metric, scope, metrics });
    }
  }
  for (const [path, content] of picture.files) if (path.startsWith(STATE)) facts[`file ${path}`] = content;
  const cursors = t.sh(
    `cd ${STATE}/net1 2>/dev/null && for f in last_reserved_ip.*; do [ -f $f ] && echo "$f $(cat $f)"; done; exit 0`,
  );
  facts.cursors = cursors.trim();
  return facts;
}

/** A result with sorted members and without the MAC of a link the kernel named. */
function comparable(stdout: string): string {
  try {
    const result = JSON.parse(stdout);
    for (const item of result.interfaces ?? []) if (!item.mac?.startsWith("02:00:00:00:00:")) delete item.mac;
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
    steps.push({ command, ok, said, world: world(t) });
    return run;
  };
  steps.push({ command: "set-up", ok: true, said: "", world: world(t) });
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
