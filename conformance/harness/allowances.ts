// Differences from the Go plugins that are meant. Each names its item in docs/differences.md and is as narrow as
// it can be: most compare what is left when exactly the named part is taken out.
import type { Step } from "./observe.ts";
import { isOld, type Result } from "./result.ts";
import type { Scenario } from "./scenario.ts";
import { canonical } from "./trial.ts";

type World = Readonly<Record<string, string>>;

export interface Difference {
  readonly scenario: Scenario;
  readonly step: string;
  /** "exit status", "result", or the fact of the world that differs. */
  readonly what: string;
  readonly ours: string;
  readonly theirs: string;
  readonly a: Step;
  readonly b: Step;
  /** Our world after the set-up, before any call. */
  readonly start: World;
}

interface Allowance {
  /** The bold words of its item in docs/differences.md. */
  readonly entry: string;
  readonly holds: (d: Difference) => boolean;
}

const RESTORED = "A failed ADD is undone";

/** Whether nothing of the attachment is left on our side. */
function clean(d: Difference): boolean {
  const link = `link c1 ${d.scenario.ifname}`;
  const held = Object.entries(d.a.world).some(([key, value]) => key.startsWith("file ") && value.includes("ctr-1"));
  return !held && d.a.world[link] === d.start[link];
}

/** Both results with a change applied, compared. */
function sameAfter(d: Difference, change: (result: Result) => void): boolean {
  if (d.what !== "result") return false;
  const [x, y] = [d.ours, d.theirs].map((text) => {
    const result = JSON.parse(text) as Result;
    change(result);
    return canonical(result);
  });
  return x === y;
}

/** Both facts about a link with a change applied, compared. */
function sameLink(d: Difference, change: (link: Record<string, unknown>) => void): boolean {
  if (!d.what.startsWith("link ") || d.ours === "absent" || d.theirs === "absent") return false;
  const [x, y] = [d.ours, d.theirs].map((text) => {
    const link = JSON.parse(text) as Record<string, unknown>;
    change(link);
    return canonical(link);
  });
  return x === y;
}

const newFields = (result: Result) => {
  for (const item of result.interfaces ?? []) {
    delete item.mtu;
    delete item.pciID;
  }
};

const oldRoutes = (result: Result) => {
  newFields(result);
  if (result.cniVersion !== "1.1.0")
    for (const [n, { dst, gw }] of (result.routes ?? []).entries()) {
      result.routes![n] = gw === undefined ? { dst } : { dst, gw };
    }
};

const succeeds = (d: Difference, step: string) => d.step === step && d.what === "exit status" && d.a.ok;

/** Addresses asked for in two of the three places. */
function hasWishes({ scenario: { conf, args } }: Difference): boolean {
  const given = [args, conf.args, conf.runtimeConfig].filter((one) => one !== undefined);
  return given.length > 1;
}

/** All next hops to the destination of a route, by the device and table of that. */
function gatewaysTo({ world }: Step, route: string): string {
  const [, , dst, , dev, table] = route.split(" ");
  const alike = Object.keys(world)
    .map((key) => key.split(" "))
    .filter((key) => key[0] === "route" && key[1] === "c1" && key[2] === dst);
  const same = alike.filter((key) => key[4] === dev && key[5] === table);
  return same
    .flatMap((key) => key[3]!.split("+"))
    .sort()
    .join(" ");
}

const ALLOWANCES: readonly Allowance[] = [
  {
    entry: RESTORED,
    holds: (d) => d.step === "ADD" && !d.a.ok && !d.b.ok && d.ours === (d.start[d.what] ?? "absent"),
  },
  {
    entry: "host-device gets the address before it moves the device",
    holds: (d) => d.step === "ADD" && d.what === "cursors" && !d.a.ok && !d.b.ok && d.scenario.plugin === "host-device",
  },
  {
    entry: "DEL and GC tolerate invalid input",
    holds: (d) => d.step === "DEL" && d.what === "exit status" && d.a.ok && clean(d),
  },
  {
    entry: "DEL restores the device's original state",
    holds: (d) => d.step === "DEL" && d.what === "link host dev0" && d.ours === d.start[d.what],
  },
  {
    entry: RESTORED,
    holds: (d) => d.step === "DEL" && d.a.ok && d.ours === (d.start[d.what] ?? (d.what === "cursors" ? "" : "absent")),
  },
  { entry: "Results contain `mtu` and `pciID`", holds: (d) => sameAfter(d, newFields) },
  { entry: "Keys of 1.1.0 do not appear in older results", holds: (d) => sameAfter(d, oldRoutes) },
  {
    entry: "podnic reports the IPAM plugin's `dns`",
    holds: (d) =>
      d.scenario.conf.dns === undefined &&
      sameAfter(d, (result) => {
        oldRoutes(result);
        delete result.dns;
      }),
  },
  {
    entry: "DEL deletes only this attachment's interface",
    holds: (d) =>
      sameLink(d, (link) => {
        if (String(link.alias).startsWith("podnic:")) link.alias = "";
      }),
  },
  {
    entry: "If a gateway is outside every subnet of the interface, podnic makes the routes through it on-link",
    holds: (d) => succeeds(d, "ADD") && /network is unreachable|no route to host/.test(d.theirs),
  },
  {
    entry: "Route attributes are honoured in every version",
    holds: (d) =>
      d.what.startsWith("route c1 ") &&
      isOld(String(d.scenario.conf.cniVersion ?? "0.1.0")) &&
      d.scenario.plugin !== "static",
  },
  {
    entry: "podnic reports the IPAM plugin's `dns`",
    holds: (d) =>
      d.scenario.plugin === "host-device" &&
      d.scenario.conf.ipam === undefined &&
      sameAfter(d, (result) => {
        newFields(result);
        delete result.dns;
      }),
  },
  {
    entry: "IPAM is optional",
    holds: (d) => succeeds(d, "ADD") && d.scenario.plugin === "ipvlan" && d.theirs === "999: no plugin name provided",
  },
  {
    entry: "`args` and `runtimeConfig` take precedence over CNI_ARGS",
    holds: (d) => succeeds(d, "ADD") && hasWishes(d) && /CIDR notation|requested IPs|requested IP/.test(d.theirs),
  },
  {
    entry: "Addresses, MACs, PCI addresses and DNS servers are checked",
    holds: (d) => d.step === "ADD" && d.what === "exit status" && !d.a.ok && /^(7|6): /.test(d.ours) && d.b.ok,
  },
  {
    entry: "A duplicate route, or a route that already exists, is not an error",
    holds: (d) => succeeds(d, "ADD") && d.theirs.includes("file exists"),
  },
  {
    entry: "Two IPv4 routes that differ only in their gateway become one multipath route",
    holds: (d) => d.what.startsWith("route c1 ") && gatewaysTo(d.a, d.what) === gatewaysTo(d.b, d.what),
  },
  {
    entry: "`mtu` and `advmss` of a route are installed",
    holds: (d) => {
      if (!d.what.startsWith("route c1 ") || d.ours === "absent" || d.theirs === "absent") return false;
      const [ours, theirs] = [JSON.parse(d.ours), JSON.parse(d.theirs)];
      const { mtu, advmss, ...rest } = ours.metrics;
      return mtu === 1300 && advmss === 1200 && canonical({ ...ours, metrics: rest }) === canonical(theirs);
    },
  },
  {
    entry: "CHECK compares everything that ADD configured",
    holds: (d) =>
      succeeds(d, "CHECK") && /Expected Route|Failed to find Gateway|static: Failed to match addr/i.test(d.theirs),
  },
];

/** Whether IPAM gave several IPv4 addresses. */
function severalOf4({ said }: Step): boolean {
  const { ips = [] } = JSON.parse(said) as Result;
  return ips.filter(({ address }) => address.includes(".")).length > 1;
}

/** Those of bridge. Its rules and the addresses of its bridge are facts of the world like any other. */
const OF_BRIDGE: readonly Allowance[] = [
  {
    entry: "The chain of a spoof check has a comment that identifies its attachment",
    holds: (d) =>
      d.what === "nft table bridge nat" && d.ours.replace(/^\t\tcomment "[0-9a-f]{16}-.*\n/gm, "") === d.theirs,
  },
  {
    entry: "CHECK compares what ADD sets up",
    holds: (d) =>
      succeeds(d, "CHECK") && d.scenario.conf.ipam === undefined && d.theirs === "999: no plugin name provided",
  },
  {
    entry: "A bridge that podnic did not create is left as it was",
    holds: (d) => d.step === "ADD" && d.what === "exit status" && / is down: network is down/.test(d.ours) && d.b.ok,
  },
  {
    entry: "ADD gets the addresses first",
    holds: (d) => d.what === "cursors" && !d.scenario.conf.disableContainerInterface && d.theirs === d.start[d.what],
  },
  {
    entry: "Without `mtu`, both ends of the veth pair get the bridge's MTU",
    holds: (d) => {
      const { mtu = 1500 } = JSON.parse(d.a.world["link host br0"] ?? "{}");
      const fit = (link: Record<string, unknown>) => {
        if (link.mtu === 1500) link.mtu = mtu;
        if (String(link.alias).startsWith("podnic:")) link.alias = "";
      };
      return (d.scenario.conf.mtu ?? 0) === 0 && sameLink(d, fit);
    },
  },
  {
    entry: "A pod's `mtu` does not change the bridge",
    holds: (d) => {
      if (!/^link host (br0|cni0)$/.test(d.what) || d.ours === "absent" || d.theirs === "absent") return false;
      const { mtu } = JSON.parse(d.theirs);
      const fit = (link: Record<string, unknown>) => {
        if (link.mtu === mtu) link.mtu = JSON.parse(d.ours).mtu;
        if (String(link.alias).startsWith("podnic:")) link.alias = "";
      };
      return mtu === d.scenario.conf.mtu && mtu < JSON.parse(d.ours).mtu && sameLink(d, fit);
    },
  },
  {
    // Its port is gone, and a bridge without ports has the kernel's MTU.
    entry: RESTORED,
    holds: (d) =>
      d.step === "ADD" &&
      !d.a.ok &&
      !d.b.ok &&
      /^link host (br0|cni0)$/.test(d.what) &&
      d.theirs !== "absent" &&
      JSON.parse(d.theirs).mtu === d.scenario.conf.mtu &&
      sameLink(d, (link) => {
        link.mtu = 1500;
        if (String(link.alias).startsWith("podnic:")) link.alias = "";
      }),
  },
  {
    entry: "`isGateway` does not take over the node's addresses",
    holds: (d) =>
      d.step === "ADD" &&
      d.what === "exit status" &&
      /^7: isGateway: (this node already has|.* is in the subnet) /.test(d.ours) &&
      d.b.ok,
  },
  {
    entry: "Several gateways in one ADD do not conflict",
    holds: (d) => {
      if (succeeds(d, "ADD"))
        return /^999: failed to set bridge addr: "(br0|cni0)" already has an IP/.test(d.theirs) && severalOf4(d.a);
      if (d.scenario.conf.forceAddress !== true || d.scenario.conf.ipam === undefined) return false;
      if (/^route host \S+ {2}(br0|cni0) main$/.test(d.what)) return d.theirs === "absent";
      if (!/^link host (br0|cni0)$/.test(d.what)) return false;
      const other = (JSON.parse(d.theirs === "absent" ? "{}" : d.theirs).held ?? []) as string[];
      return sameLink(d, (link) => {
        if (other.every((address) => (link.held as string[]).includes(address))) link.held = other;
        if (String(link.alias).startsWith("podnic:")) link.alias = "";
      });
    },
  },
];

/** Allowances without an item in docs/differences.md (its text is given): there must be none. */
export function undocumented(text: string): string[] {
  const words = text.replace(/\s+/g, " ");
  return [...ALLOWANCES, ...OF_BRIDGE].map((rule) => rule.entry).filter((entry) => !words.includes(`**${entry}`));
}

/** The item of docs/differences.md that covers the difference; undefined when none does. */
export function allowance(d: Difference): string | undefined {
  const rules = d.scenario.plugin === "bridge" ? [...ALLOWANCES, ...OF_BRIDGE] : ALLOWANCES;
  return rules.find((rule) => rule.holds(d))?.entry;
}
