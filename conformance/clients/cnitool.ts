// cnitool 1.3: every verb, with each interface plugin and each IPAM plugin, CNI_ARGS and capability arguments.

import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { type Client, cnitool, type Env, good, kernelOf, MAINS, type Places, POOL, writeList } from "./client.ts";

const STATIC = { type: "static", addresses: [], routes: [{ dst: "203.0.113.0/24" }] };
const IPAMS: Readonly<Record<string, Config>> = { "host-local": POOL, static: STATIC };

/** What a runtime asks for: an address by capability, and for macvlan a MAC. */
function wishes(main: string): Env {
  const mac = main === "macvlan" ? { mac: "02:00:00:00:00:55" } : {};
  return {
    CNI_IFNAME: "net1",
    CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=foo",
    CAP_ARGS: JSON.stringify({ ips: ["198.51.100.55/24"], ...mac, bogus: 1 }),
  };
}

function allVerbs(t: Trial, p: Places, main: string, ipam: Config): void {
  const plugin = { ...MAINS[main]!(t), capabilities: { mac: true, ips: true }, ipam };
  writeList(t, "1.1.0", [plugin]);
  const before = t.picture();
  const env = wishes(main);
  good(cnitool(t, p, "status", { env }), "status");
  const result = JSON.parse(good(cnitool(t, p, "add", { env }), "add").stdout);
  t.equal(result.ips[0].address, "198.51.100.55/24", "address");
  const link = t.link("net1");
  t.equal(
    link?.addresses.filter((a) => a.cidr.includes(".")).map((a) => a.cidr),
    ["198.51.100.55/24"],
    "addresses",
  );
  if (main === "macvlan") t.equal(link?.mac, "02:00:00:00:00:55", "MAC");
  t.expect(
    t.routes().some((r) => r.dst === "203.0.113.0/24" && r.dev === "net1"),
    "the route",
    "it is not there",
  );
  good(cnitool(t, p, "check", { env }), "check");
  t.sh("ip -n c1 address flush dev net1");
  t.expect(cnitool(t, p, "check", { env }).status !== 0, "check fails without the address", "it passed");
  good(cnitool(t, p, "del", { env }), "del");
  good(cnitool(t, p, "del", { env }), "del again");
  t.leaseCount(0);
  t.unchangedSince(before, "", false);
}

/** CNI_ARGS alone: host-local's IP, and an unknown pair without IgnoreUnknown. */
function byArgs(t: Trial, p: Places): void {
  writeList(t, "1.1.0", [{ ...MAINS.macvlan!(t), ipam: POOL }]);
  const before = t.picture();
  const refused = cnitool(t, p, "add", { env: { CNI_ARGS: "K8S_POD_NAME=foo" } });
  t.expect(refused.status !== 0, "an unknown pair is refused", describeRun(refused));
  t.unchangedSince(before);
  const env = { CNI_ARGS: "IgnoreUnknown=1;IP=198.51.100.66;MAC=02:00:00:00:00:66" };
  const result = JSON.parse(good(cnitool(t, p, "add", { env }), "add").stdout);
  t.equal(result.ips[0].address, "198.51.100.66/24", "address");
  t.equal(t.link("eth0")?.mac, "02:00:00:00:00:66", "MAC");
  good(cnitool(t, p, "del", { env }), "del");
  t.unchangedSince(before);
}

/** gc deletes what its cache holds. cnitool hands plugins no list of attachments: that must not be taken for an empty one. */
function garbage(t: Trial, p: Places): void {
  writeList(t, "1.1.0", [{ ...MAINS.macvlan!(t), ipam: POOL }]);
  good(cnitool(t, p, "add"), "add");
  t.write("/var/lib/cni/networks/net1/198.51.100.200", "somebody\r\neth0");
  const run = cnitool(t, p, "gc");
  t.gone("eth0");
  const held = [...t.leases().keys()].join(" ");
  t.expect(held === "198.51.100.200", "only the lease that nobody called stale", `${held}; ${describeRun(run)}`);
}

/** status says that a pool is used up, and does not fail: a runtime would report the node as not ready for it. */
function usedUp(t: Trial, p: Places): void {
  const ipam = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/30" }]] };
  writeList(t, "1.1.0", [{ ...MAINS.macvlan!(t), ipam }]);
  good(cnitool(t, p, "status"), "status");
  good(cnitool(t, p, "add"), "add");
  const full = cnitool(t, p, "status");
  good(full, "status of a full pool");
  const warning = "no IP addresses available";
  t.expect(describeRun(full).includes(warning), "a warning when no address is left", describeRun(full));
  good(cnitool(t, p, "del"), "del");
  good(cnitool(t, p, "status"), "status after del");
}

const tool = (id: string, expected: string, main: string, run: Client["run"]): Client => ({
  id: `CNITOOL-${id}`,
  expected,
  needs: ["client:cnitool", ...kernelOf(main)],
  run,
});

export const cnitoolClients: readonly Client[] = [
  ...Object.keys(MAINS).flatMap((main) =>
    Object.entries(IPAMS).map(([ipam, conf]) =>
      tool(`${main}-${ipam}`, "status, add, check, del: done, noticed, undone", main, (t, p) =>
        allVerbs(t, p, main, conf),
      ),
    ),
  ),
  tool("args", "CNI_ARGS reach plugin and IPAM; an unknown pair is refused", "macvlan", byArgs),
  tool("gc", "gc removes what cnitool knows and nothing it did not name", "macvlan", garbage),
  tool("status", "status warns that no address is left, and succeeds", "macvlan", usedUp),
];
