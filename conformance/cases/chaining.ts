// Chains: what a plugin does with the result of the one before it.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { Result } from "../harness/result.ts";
import { ANY, type Codes, type Trial } from "../harness/trial.ts";

const tuning = { needs: ["plugin:tuning"] };

/** A veth eth0 in the container and a result that describes it, as an earlier plugin would leave them. */
function earlier(t: Trial, cniVersion = "1.0.0"): Result {
  t.sh("ip -n c1 link add eth0 type veth peer name other; ip -n c1 link set eth0 up; ip -n c1 link set other up");
  t.sh("ip -n c1 address add 198.51.100.9/24 dev eth0");
  const mac = t.link("eth0")!.mac;
  const version = cniVersion.startsWith("0.") ? { version: "4" } : {};
  return {
    cniVersion,
    interfaces: [{ name: "eth0", mac, sandbox: "/run/netns/c1" }],
    ips: [{ ...version, address: "198.51.100.9/24", gateway: "198.51.100.1", interface: 0 }],
    routes: [{ dst: "203.0.113.0/24" }],
    dns: { nameservers: ["192.0.2.53"] },
  };
}

const chained = (prevResult: unknown, extra: Config = {}): Config => ({
  cniVersion: "1.0.0",
  name: "net1",
  type: "tuning",
  ...(prevResult === undefined ? {} : { prevResult }),
  ...extra,
});

const output = (t: Trial, conf: Config): Result => {
  const run = t.call("ADD", conf);
  t.expect(run.status === 0, "OK", describeRun(run));
  return JSON.parse(run.stdout) as Result;
};

const refuses = (id: string, tag: Tag, label: string, prevResult: unknown, codes: Codes): MainCase =>
  row(
    id,
    tag,
    "C-120",
    `tuning with prevResult ${label}: E`,
    (t) => {
      t.error(t.call("ADD", chained(prevResult)), codes);
    },
    tuning,
  );

const withoutVersion = (id: string, cniVersion: string | undefined): MainCase =>
  row(
    id,
    "S",
    "C-122: assumed to be the configuration's",
    `prevResult without cniVersion, configuration ${cniVersion ?? "without one"}: OK`,
    (t) => {
      const old = cniVersion === undefined || cniVersion === "0.2.0";
      const { cniVersion: _, ...prev } = earlier(t, cniVersion);
      const prevResult = old ? { ip4: { ip: "198.51.100.9/24" } } : prev;
      output(t, chained(prevResult, { cniVersion }));
    },
    tuning,
  );

const sameList = (a: unknown, b: unknown) => JSON.stringify(a) === JSON.stringify(b);

const chainOnly: readonly MainCase[] = [
  row(
    "CHN-01",
    "S",
    "C-120, C-121",
    "tuning: output equivalent to prevResult",
    (t) => {
      const prevResult = earlier(t);
      t.equal(output(t, chained(prevResult)), prevResult, "result");
    },
    tuning,
  ),
  row(
    "CHN-02",
    "H",
    "C-121",
    "tuning: unknown fields of prevResult preserved",
    (t) => {
      const prevResult = { ...earlier(t), "org.example/x": 1 };
      t.equal(output(t, chained(prevResult)), prevResult, "result");
    },
    tuning,
  ),
  row(
    "CHN-03",
    "S",
    "C-121",
    "tuning: the fields of 1.1.0 preserved",
    (t) => {
      const prev = earlier(t, "1.1.0");
      prev.interfaces![0]!.mtu = 1500;
      prev.routes = [{ dst: "203.0.113.0/24", mtu: 1400, advmss: 1300, priority: 5, table: 7, scope: 0 }];
      t.equal(output(t, chained(prev, { cniVersion: "1.1.0" })), prev, "result");
    },
    { needs: ["plugin:tuning", "spec:1.1.0:tuning"] },
  ),
  refuses("CHN-04a", "G", "absent", undefined, [7, 999]),
  refuses("CHN-04b", "G", "null", null, [7, 999]),
  row(
    "CHN-05",
    "G",
    "C-120",
    "tuning with prevResult {}: OK or E",
    (t) => {
      const run = t.call("ADD", chained({}));
      if (run.status !== 0) t.error(run);
    },
    tuning,
  ),
  refuses("CHN-06a", "S", '"x"', "x", [6, 7, 999]),
  refuses("CHN-06b", "S", "[]", [], [6, 7, 999]),
  ...["1.0.0", "0.4.0", "0.2.0", undefined].map((v, n) => withoutVersion(`CHN-07${"abcd"[n]}`, v)),
  row(
    "CHN-08",
    "H",
    "V10",
    'tuning: 0.4.0 with ips lacking version: "4" in the output',
    (t) => {
      const prev = earlier(t, "0.4.0");
      delete prev.ips![0]!.version;
      t.equal(output(t, chained(prev, { cniVersion: "0.4.0" })).ips?.[0]?.version, "4", "version");
    },
    tuning,
  ),
  row(
    "CHN-09",
    "H",
    "C-122",
    "tuning: prevResult of 0.4.0 for 1.0.0: converted, or E",
    (t) => {
      const run = t.call("ADD", chained(earlier(t, "0.4.0")));
      if (run.status !== 0) t.error(run);
    },
    tuning,
  ),
  row(
    "CHN-10",
    "H",
    "C-122",
    'tuning: prevResult with cniVersion "": as absent',
    (t) => {
      output(t, chained({ ...earlier(t), cniVersion: "" }));
    },
    tuning,
  ),
  row(
    "CHN-11",
    "S",
    "C-140",
    "tuning: a bad address in prevResult: E",
    (t) => {
      const prev = earlier(t);
      prev.ips![0]!.address = "bad";
      t.error(t.call("ADD", chained(prev)));
    },
    tuning,
  ),
  row(
    "CHN-12",
    "S",
    "C-121",
    "tuning changes the MAC: only of the container's interface",
    (t) => {
      const prev = earlier(t);
      prev.interfaces!.push({ name: "eth0", mac: "02:00:00:00:00:05" });
      const result = output(t, chained(prev, { mac: "02:00:00:00:00:44" }));
      t.equal(
        result.interfaces?.map((i) => i.mac),
        ["02:00:00:00:00:44", "02:00:00:00:00:05"],
        "MACs",
      );
    },
    tuning,
  ),
  row(
    "CHN-13",
    "H",
    "C-121",
    "tuning changes the MTU under 1.1.0: in the output",
    (t) => {
      const prev = earlier(t, "1.1.0");
      prev.interfaces![0]!.mtu = 1500;
      t.equal(output(t, chained(prev, { cniVersion: "1.1.0", mtu: 1400 })).interfaces?.[0]?.mtu, 1400, "mtu");
    },
    { needs: ["plugin:tuning", "spec:1.1.0:tuning"] },
  ),
  row(
    "CHN-15",
    "S",
    "C-120",
    "loopback with prevResult: pass-through",
    (t) => {
      const prevResult = earlier(t);
      const run = t.call("ADD", chained(prevResult, { type: "loopback" }), { set: { CNI_IFNAME: "lo" } });
      t.expect(
        run.status === 0 && sameList(JSON.parse(run.stdout).ips, prevResult.ips),
        "the ips of prevResult",
        describeRun(run),
      );
    },
    { needs: ["plugin:loopback"] },
  ),
  row(
    "CHN-16",
    "G",
    "loopback works on lo alone",
    "CNI_IFNAME=eth7: lo is up, or E(4)",
    (t) => {
      t.sh("ip -n c1 link set lo down");
      const run = t.call("ADD", { cniVersion: "1.0.0", name: "lo", type: "loopback" }, { set: { CNI_IFNAME: "eth7" } });
      if (run.status === 0) t.expect(t.link("lo")?.up === true, "lo up", "down");
      else t.error(run, [4]);
    },
    { needs: ["plugin:loopback"] },
  ),
  ...["portmap", "bandwidth", "firewall", "sbr"].map((type, n) =>
    row(
      `CHN-17${"abcd"[n]}`,
      "S",
      "C-091",
      `${type}: CHECK without prevResult: E`,
      (t) => {
        t.error(t.call("CHECK", chained(undefined, { type, capabilities: { portMappings: true } })));
      },
      { needs: [`plugin:${type}`] },
    ),
  ),
  row(
    "CHN-18",
    "S",
    "C-061",
    "bandwidth ADD without limits and prevResult: an answer in JSON",
    (t) => {
      const run = t.call("ADD", chained(undefined, { type: "bandwidth" }));
      t.error(run, [7, 999]);
    },
    { needs: ["plugin:bandwidth"] },
  ),
  ...["portmap", "firewall", "sbr"].map((type, n) =>
    row(
      `CHN-19${"abc"[n]}`,
      "G",
      "C-120",
      `${type} ADD without prevResult: E`,
      (t) => {
        t.error(t.call("ADD", chained(undefined, { type })), ANY);
      },
      { needs: [`plugin:${type}`] },
    ),
  ),
];

/** What an earlier plugin of the chain reports: an interface and an address of its own. */
const PREVIOUS: Result = {
  cniVersion: "1.0.0",
  interfaces: [
    { name: "br0", mac: "02:00:00:00:00:01" },
    { name: "eth9", mac: "02:00:00:00:00:02", sandbox: "/run/netns/c1" },
  ],
  ips: [{ address: "192.0.2.77/24", interface: 1 }],
  routes: [{ dst: "192.0.2.128/25" }],
  dns: { nameservers: ["192.0.2.53"] },
};

export const chaining: CaseTable = {
  perMain: [
    row(
      "CHN-14",
      "S",
      "C-120, 5.1 reading 9: interface plugins append",
      "prevResult's entries kept, own appended with shifted index",
      (t) => {
        const { hostInterfaces } = t.main;
        const result = output(t, t.l3({ cniVersion: "1.0.0", prevResult: PREVIOUS }));
        t.equal(
          result.interfaces?.filter((_, at) => at < 2 || at >= 2 + hostInterfaces).map((i) => i.name),
          ["br0", "eth9", "eth0"],
          "interfaces",
        );
        t.equal(
          result.ips?.map((ip) => [ip.address, ip.interface]),
          [
            ["192.0.2.77/24", 1],
            ["198.51.100.2/24", 2 + hostInterfaces],
          ],
          "ips",
        );
        t.equal(result.dns, PREVIOUS.dns, "dns");
      },
    ),
    row(
      "CHN-21",
      "S",
      "C-091 to C-093: CHECK and DEL of a later plugin in a chain",
      "with the final result: OK",
      (t) => {
        const conf = t.l3({ cniVersion: "1.0.0", prevResult: PREVIOUS });
        const prevResult = output(t, conf);
        const own = { ...prevResult, ips: prevResult.ips!.filter((ip) => ip.address !== "192.0.2.77/24"), routes: [] };
        t.silent("CHECK", { ...conf, prevResult: own });
        t.silent("DEL", { ...conf, prevResult });
        t.gone();
        t.leaseCount(0);
      },
    ),
    row(
      "CHN-22",
      "S",
      "C-121: later plugins work on our result",
      "tuning after MAIN: MAC and sysctl set, CHECK and DEL of both OK",
      (t) => {
        const conf = t.l3({ cniVersion: "1.0.0" });
        const first = t.add(conf);
        const mac = "02:00:00:00:00:66";
        const sysctl = { "net.ipv4.conf.eth0.arp_filter": "1" };
        const late = chained(first, { mac, sysctl });
        const last = output(t, late);
        t.equal(last.interfaces?.[t.main.hostInterfaces]?.mac, mac, "mac");
        t.silent("CHECK", { ...conf, prevResult: last });
        t.silent("CHECK", { ...late, prevResult: last });
        t.silent("DEL", { ...late, prevResult: last });
        t.silent("DEL", { ...conf, prevResult: last });
        t.gone();
      },
      { ...tuning, only: ["macvlan", "host-device"] },
    ),
    row(
      "CHN-23",
      "S",
      "C-121: later plugins work on our result",
      "sbr after MAIN: routes in its table, DEL of both OK",
      (t) => {
        const conf = t.l3({ cniVersion: "1.0.0" }, { routes: [{ dst: "203.0.113.0/24" }] });
        const first = t.add(conf);
        const late = chained(first, { type: "sbr" });
        const last = output(t, late);
        t.expect(
          t.routes().some((r) => r.table !== "main" && r.table !== "local" && r.dev === "eth0"),
          "a route in a table of its own",
          "none",
        );
        t.silent("DEL", { ...late, prevResult: last });
        t.silent("DEL", { ...conf, prevResult: last });
        t.gone();
      },
      { needs: ["plugin:sbr"] },
    ),
    row(
      "CHN-24",
      "S",
      "C-121: later plugins work on our result",
      "bandwidth after MAIN needs a host veth: its refusal is its own",
      (t) => {
        const conf = t.l3({ cniVersion: "1.0.0" });
        const late = chained(t.add(conf), { type: "bandwidth" });
        t.equal(output(t, late).interfaces?.[t.main.hostInterfaces]?.name, "eth0", "interface");
      },
      { needs: ["plugin:bandwidth"] },
    ),
    row(
      "CHN-25",
      "S",
      "C-121: later plugins work on our result",
      "vrf after MAIN: enslaved, DEL of both OK",
      (t) => {
        const conf = t.l3({ cniVersion: "1.0.0" });
        const late = chained(t.add(conf), { type: "vrf", vrfname: "blue" });
        const last = output(t, late);
        t.equal(t.link("eth0")?.master, "blue", "master of eth0");
        t.silent("DEL", { ...late, prevResult: last });
        t.silent("DEL", { ...conf, prevResult: last });
        t.gone();
      },
      { needs: ["plugin:vrf", "kernel:vrf"] },
    ),
  ],
  fixed: chainOnly,
};
