// Chained plugins of the Go set after ours: what they do to our interface is in the kernel, CHECK of the whole chain holds with it,
// and DEL takes all of it back.
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { type Client, cnitool, good, kernelOf, MAINS, type Places, POOL, writeList } from "./client.ts";

export interface GoSet {
  /** As in the ids of the cases. */
  readonly version: string;
  readonly dir: string;
  /** The newest version its plugins speak. */
  readonly spec: string;
}

interface Effect {
  readonly plugin: string;
  readonly expected: string;
  readonly conf: (main: string) => Config;
  readonly needs?: readonly string[];
  /** Why CHECK of the chain cannot hold, if so. */
  readonly noCheck?: (go: GoSet) => string | undefined;
  /** Demands the effect while the container has the network. */
  readonly seen: (t: Trial, main: string) => void;
}

const ADDRESS = "198.51.100.2";
const TUNED_MAC = "02:00:00:00:00:77";

const EFFECTS: readonly Effect[] = [
  {
    plugin: "tuning",
    expected: "MTU, promiscuity, a sysctl and (not ipvlan) the MAC are set on our interface",
    conf: (main) => ({
      ...{ sysctl: { "net.ipv4.conf.eth0.arp_filter": "1" }, mtu: 1400, promisc: true },
      // An ipvlan has its master's MAC.
      ...(main === "ipvlan" ? {} : { mac: TUNED_MAC }),
    }),
    seen: (t, main) => {
      const link = t.link("eth0");
      t.equal([link?.mtu, link?.promiscuous], [1400, true], "MTU, promiscuity");
      if (main !== "ipvlan") t.equal(link?.mac, TUNED_MAC, "MAC");
      const value = t.sh("ip netns exec c1 cat /proc/sys/net/ipv4/conf/eth0/arp_filter").trim();
      t.equal(value, "1", "sysctl");
    },
  },
  {
    plugin: "sbr",
    expected: "our routes move to a table of their own, which a rule on our address selects",
    conf: () => ({}),
    seen: (t) => {
      const rules = t.sh("ip -n c1 rule");
      const table = new RegExp(`from ${ADDRESS} lookup (\\d+)`).exec(rules)?.[1];
      t.expect(table !== undefined, `a rule from ${ADDRESS}`, rules);
      const routes = t.routes().filter((r) => r.table === table);
      t.expect(
        routes.some((r) => r.dst === "203.0.113.0/24"),
        `our route in table ${table}`,
        routes.map((r) => r.dst).join(" "),
      );
    },
  },
  {
    plugin: "vrf",
    expected: "our interface is in a VRF",
    conf: () => ({ vrfname: "blue" }),
    needs: ["kernel:vrf"],
    noCheck: ({ version }) => (version === "1.1.1" ? "it moves no routes; the kernel drops them" : undefined),
    seen: (t) => {
      t.equal(t.link("eth0")?.master, "blue", "master of eth0");
      t.equal(t.link("blue")?.kind, "vrf", "kind of blue");
    },
  },
  {
    plugin: "bandwidth",
    expected: "without limits our result is passed on",
    conf: () => ({}),
    noCheck: () =>
      "its own CHECK wants a veth to the host, with or without limits, and fails after the Go macvlan alike",
    seen: (t) => t.present("eth0"),
  },
];

function chain(t: Trial, p: Places, go: GoSet, main: string, effect: Effect): void {
  const ours = { ...MAINS[main]!(t), ipam: POOL };
  writeList(t, go.spec, [ours, { type: effect.plugin, ...effect.conf(main) }]);
  const before = t.picture();
  const also = [go.dir];
  const result = JSON.parse(good(cnitool(t, p, "add", { also }), "add").stdout);
  t.equal(result.ips[0].address, `${ADDRESS}/24`, "address of the chain's result");
  effect.seen(t, main);
  const reason = effect.noCheck?.(go);
  if (reason === undefined) good(cnitool(t, p, "check", { also }), "check");
  else console.log(`    no check: ${effect.plugin} ${go.version}: ${reason}`);
  good(cnitool(t, p, "del", { also }), "del");
  t.leaseCount(0);
  t.unchangedSince(before, "", false);
}

const LIMITS = { ingressRate: 8_000_000, ingressBurst: 8_000_000, egressRate: 8_000_000, egressBurst: 8_000_000 };

/** The Go bandwidth shapes the host's end of a veth only, so ptp with our host-local is the chain in which it has something to shape. */
function shaped(t: Trial, p: Places, go: GoSet): void {
  writeList(t, go.spec, [
    { type: "ptp", ipam: POOL },
    { type: "bandwidth", ...LIMITS },
  ]);
  const before = t.picture();
  const also = [go.dir];
  const result = JSON.parse(good(cnitool(t, p, "add", { also }), "add").stdout);
  const host = result.interfaces.find((i: { sandbox?: string }) => (i.sandbox ?? "") === "").name;
  const queues = t.sh("tc qdisc show");
  t.expect(new RegExp(`qdisc tbf .* dev ${host} `).test(queues), `tbf on ${host}`, queues);
  good(cnitool(t, p, "del", { also }), "del");
  t.leaseCount(0);
  t.unchangedSince(before, "", false);
}

/** With limits bandwidth refuses our interface as it refuses that of the Go macvlan, and DEL then takes everything back. */
function notShaped(t: Trial, p: Places, go: GoSet): void {
  writeList(t, go.spec, [
    { ...MAINS.macvlan!(t), ipam: POOL },
    { type: "bandwidth", ...LIMITS },
  ]);
  const before = t.picture();
  const also = [go.dir];
  const theirs = cnitool(t, { ...p, bin: go.dir }, "add");
  cnitool(t, { ...p, bin: go.dir }, "del");
  t.unchangedSince(before, "the Go plugins", false);
  const ours = cnitool(t, p, "add", { also });
  t.expect(ours.status !== 0, "bandwidth refuses", describeRun(ours));
  t.equal(ours.stderr.trim(), theirs.stderr.trim(), "what it says after the Go macvlan");
  good(cnitool(t, p, "del", { also }), "del");
  t.leaseCount(0);
  t.unchangedSince(before, "", false);
}

/** Cases with the chained plugins of one Go set. */
export function chainedClients(go: GoSet): Client[] {
  const base = (plugin: string) => ["client:cnitool", `file:${go.dir}/${plugin}`];
  const effects = EFFECTS.flatMap((effect) =>
    Object.keys(MAINS).map(
      (main): Client => ({
        id: `CHAIN-${effect.plugin}-${main}-${go.version}`,
        expected: effect.expected,
        needs: [...base(effect.plugin), ...kernelOf(main), ...(effect.needs ?? [])],
        run: (t, p) => chain(t, p, go, main, effect),
      }),
    ),
  );
  return [
    ...effects,
    {
      id: `CHAIN-bandwidth-ptp-${go.version}`,
      expected: "ptp with our host-local: the host's end of the veth is shaped",
      needs: [...base("bandwidth"), `file:${go.dir}/ptp`, "program:tc", "kernel:ifb", "kernel:tbf"],
      run: (t, p) => shaped(t, p, go),
    },
    {
      id: `CHAIN-bandwidth-limits-${go.version}`,
      expected: "with limits it refuses our macvlan as it refuses the Go macvlan, and DEL takes everything back",
      needs: [...base("bandwidth"), `file:${go.dir}/macvlan`, "kernel:macvlan"],
      run: (t, p) => notShaped(t, p, go),
    },
  ];
}
