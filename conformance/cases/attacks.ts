// What somebody tries who may write configurations, or is root in a pod: to reach, through a plugin that is root on the node, what is
// not his. One case or more for each kind; SECURITY.md says which promise each of them shows.
import { type CaseTable, type MainCase, row } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { quote } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import { conf, hl, RANGES } from "./attacks-shared.ts";

const RECORDS = "/var/lib/cni/podnic/host-device";

/** Runs the call in the background of the case, and `meanwhile` when it has begun. Demands that the call, which waits, outlasts it. */
function beside(t: Trial, command: string, stdin: Config, set: Record<string, string>, meanwhile: () => void): void {
  const env = Object.entries(t.environment(command, set)).map(([key, value]) => quote(`${key}=${value}`));
  t.write("/run/case/beside.json", JSON.stringify(stdin));
  const plugin = quote(`${t.settings.bin}/${t.typeOf(stdin)}`);
  const call = `env -i ${env.join(" ")} ${plugin} </run/case/beside.json`;
  t.sh(`{ ${call}; echo "exit $?" >/run/case/beside.end; } >/run/case/beside.out 2>&1 & sleep 0.5`);
  meanwhile();
  const end = t.sh("if cd /run/case && [ -e beside.end ]; then cat beside.end beside.out; fi");
  t.equal(end, "", `the end of the other ${command}`);
}

const UPPERS = 12;

/** A device in c2, whose pod has made interfaces on it in a namespace of its own. */
function stacked(t: Trial): Config {
  const mine = { cniVersion: "1.0.0", name: "mine", type: "host-device", device: t.freshDevice() };
  t.netns("c3");
  t.add(mine, { set: { CNI_CONTAINERID: "mallory", CNI_NETNS: t.netns("c2") }, ns: "c2" });
  const lines = `for i in $(seq ${UPPERS}); do echo "link add link eth0 netns c3 name m$i type macvlan mode bridge"; done`;
  // One that is moved there gives c2 a number for c3.
  t.sh(`ip -n c2 link add link eth0 name m0 type macvlan mode bridge; ip -n c2 link set m0 netns c3; ip -n c3 link del m0
    ${lines} | ip -n c2 -batch -`);
  return mine;
}

/** A call that removes these, one after the other, stops in between: it can have no lock then that other devices need. */
function stoppedBetween(t: Trial, command: string, stdin: Config, set: Record<string, string>): void {
  const victim = { cniVersion: "1.0.0", name: "other", type: "host-device", device: t.freshDevice() };
  const env = Object.entries(t.environment(command, set)).map(([key, value]) => quote(`${key}=${value}`));
  const plugin = quote(`${t.settings.bin}/${t.typeOf(stdin)}`);
  t.write("/run/case/stop.json", JSON.stringify(stdin));
  t.write(
    "/run/case/stop.sh",
    `echo $$ >/run/case/stop.pid; exec env -i ${env.join(" ")} ${plugin} </run/case/stop.json`,
  );
  t.sh(`cd /run/case; { s=0; sh stop.sh >stop.out 2>&1 || s=$?; echo "exit $s" >stop.end; } >/dev/null 2>&1 &
    until [ $(ip -n c3 -o link show type macvlan | wc -l) -lt ${UPPERS} ] || [ -e stop.end ]; do sleep 0.002; done
    kill -STOP $(cat stop.pid) || true`);
  const left = t.sh("ip -n c3 -o link show type macvlan | wc -l").trim();
  t.add(victim, { timeoutMs: 4000 });
  t.silent("DEL", victim, { timeoutMs: 4000 });
  t.sh("cd /run/case; kill -CONT $(cat stop.pid) || true; until [ -e stop.end ]; do sleep 0.01; done");
  t.equal(t.sh("cat /run/case/stop.end"), "exit 0\n", `the other ${command}`);
  t.equal(t.sh("ip -n c3 -o link show type macvlan | wc -l"), "0\n", "interfaces of the pod");
  t.equal(Number(left) > 0 && Number(left) < UPPERS, true, `it stopped in between (${left} interfaces left)`);
}

/** Refused at once, and a DEL with it succeeds: nothing was done that it could undo. */
const endless = (id: string, plugin: string, type: string): MainCase =>
  row(
    id,
    "H",
    "H1: ipam.type starts no chain of interface plugins",
    `${plugin} with ipam.type ${type}: E within 3 s, and DEL ends`,
    (t) => {
      const keys = plugin === "host-device" ? { device: t.freshDevice() } : { master: "up0" };
      const stdin = { cniVersion: "1.1.0", name: "net1", type: plugin, ...keys, ipam: { type } };
      t.refused("ADD", stdin, [7], { timeoutMs: 3000 });
      t.error(t.call("STATUS", stdin, { timeoutMs: 3000 }));
      t.silent("DEL", stdin, { timeoutMs: 3000 });
    },
    { needs: [`plugin:${plugin}`] },
  );

const stateDirectory = (id: string, dataDir: string, name: string): MainCase =>
  row(
    id,
    "H",
    "H2: the state of plugins is no pool",
    `dataDir ${dataDir} of network ${name}: E within 3 s, nothing made`,
    (t) => {
      t.sh(`mkdir -p ${dataDir}/${name}`);
      t.refused("ADD", conf(t, { dataDir }, { name }), [7], { timeoutMs: 3000 });
      t.equal(t.sh(`ls -A ${dataDir}/${name}`), "", "the directory");
      t.silent("DEL", conf(t, { dataDir }, { name }), { timeoutMs: 3000 });
    },
    hl,
  );

/** Where a network that somebody else writes is to have its leases; then the victim takes an address and gives it back. */
const insidePool = (id: string, what: string, dataDir: string, name: string, victims?: string): MainCase =>
  row(
    id,
    "H",
    "H2: a network does not get in the way of another's pool",
    `dataDir ${dataDir} of network ${name}, ${what}: E(7), nothing made; the other network's only address is its`,
    (t) => {
      const range = [[{ subnet: "10.1.0.0/30", rangeStart: "10.1.0.2", rangeEnd: "10.1.0.2" }]];
      const own = victims === undefined ? {} : { dataDir: victims };
      const victim = conf(t, { ...own, ranges: range }, { name: "victim" });
      const stdin = conf(t, { dataDir, ranges: range }, { name });
      t.refused("ADD", stdin, [7]);
      t.equal(t.sh(`ls -A ${dataDir}/${name} 2>/dev/null || echo none`), "none\n", "the directory");
      t.silent("DEL", stdin);
      const run = t.call("ADD", victim);
      t.equal(run.status, 0, "the other network's ADD");
      t.silent("DEL", victim);
    },
    hl,
  );

export const attacks: CaseTable = {
  perMain: [],
  fixed: [
    row(
      "ATK-H2a",
      "H",
      "what a tenant keeps busy makes nobody else wait",
      "host-device: a pool whose lock is held does not delay an ADD and a DEL with another pool",
      (t) => {
        const device = () => t.freshDevice();
        const of = (name: string, dataDir: string): Config => ({
          cniVersion: "1.0.0",
          name,
          type: "host-device",
          device: device(),
          ipam: { type: "host-local", dataDir, ...RANGES },
        });
        t.sh("mkdir -p /run/cni/busy/mine; : >/run/cni/busy/mine/lock");
        t.holdLock("/run/cni/busy/mine/lock");
        const victim = of("other", "/run/cni/free");
        const mallory = { CNI_CONTAINERID: "mallory", CNI_NETNS: t.netns("c2") };
        beside(t, "ADD", of("mine", "/run/cni/busy"), mallory, () => {
          t.add(victim, { timeoutMs: 4000 });
          t.silent("DEL", victim, { timeoutMs: 4000 });
        });
      },
      { needs: ["plugin:host-device", "plugin:host-local", "program:flock"] },
    ),
    ...(
      [
        ["m", "of a device without a record", `rm -f ${RECORDS}/*.json; ip -n c2 link set eth0 alias ""`, false],
        ["n", "of a device that its pod renamed", "ip -n c2 link set eth0 down name mine", false],
        ["o", "of a device without a record, with prevResult", `rm -f ${RECORDS}/*.json`, true],
      ] as const
    ).map(([letter, what, after, withResult]) =>
      row(
        `ATK-H2${letter}`,
        "H",
        "what a tenant keeps busy makes nobody else wait",
        `host-device: a DEL ${what}, whose pool's lock is held, does not delay an ADD and a DEL with another pool`,
        (t) => {
          const of = (name: string, dataDir: string): Config => ({
            cniVersion: "1.0.0",
            name,
            type: "host-device",
            device: t.freshDevice(),
            ipam: { type: "host-local", dataDir, ...RANGES },
          });
          const mine = of("mine", "/run/cni/busy");
          const victim = of("other", "/run/cni/free");
          const mallory = { CNI_CONTAINERID: "mallory", CNI_NETNS: t.netns("c2") };
          const prevResult = t.add(mine, { set: mallory, ns: "c2" });
          t.sh(after);
          t.holdLock("/run/cni/busy/mine/lock");
          beside(t, "DEL", withResult ? { ...mine, prevResult } : mine, mallory, () => {
            t.add(victim, { timeoutMs: 4000 });
            t.silent("DEL", victim, { timeoutMs: 4000 });
          });
        },
        { needs: ["plugin:host-device", "plugin:host-local", "program:flock"] },
      ),
    ),
    row(
      "ATK-H2l",
      "H",
      "what a tenant keeps busy makes nobody else wait",
      "host-device: 400 interfaces that the pod made on the device: DEL within 4 s",
      (t) => {
        const stdin = { cniVersion: "1.0.0", name: "net1", type: "host-device", device: t.freshDevice() };
        t.add(stdin);
        t.sh(
          `for i in $(seq 400); do echo "link add link eth0 name m$i type macvlan mode bridge"; done | ip -n c1 -batch -`,
        );
        t.silent("DEL", stdin, { timeoutMs: 4000 });
        t.equal(t.sh("ip -n c1 -o link show type macvlan"), "", "interfaces of the pod");
      },
      { needs: ["plugin:host-device"] },
    ),
    row(
      "ATK-H2p",
      "H",
      "what a tenant keeps busy makes nobody else wait",
      "host-device: a DEL that removes interfaces which the pod made in another namespace delays no ADD of another device",
      (t) => stoppedBetween(t, "DEL", stacked(t), { CNI_CONTAINERID: "mallory", CNI_NETNS: "/run/netns/c2" }),
      { needs: ["plugin:host-device", "kernel:macvlan"] },
    ),
    row(
      "ATK-H2q",
      "H",
      "what a tenant keeps busy makes nobody else wait",
      "host-device: nor does an ADD that removes them, of a device which came back without a DEL",
      (t) => {
        const mine = stacked(t);
        t.sh("ip -n c2 link set eth0 netns $$");
        stoppedBetween(t, "ADD", mine, { CNI_CONTAINERID: "next", CNI_NETNS: t.netns("c4") });
      },
      { needs: ["plugin:host-device", "kernel:macvlan"] },
    ),
    endless("ATK-H1a", "macvlan", "macvlan"),
    endless("ATK-H1b", "macvlan", "host-device"),
    endless("ATK-H1c", "host-device", "macvlan"),
    endless("ATK-H1d", "host-device", "host-device"),
    endless("ATK-H1e", "macvlan", "podnic"),
    endless("ATK-H1f", "macvlan", "podnic-host-device"),
    endless("ATK-H1g", "host-device", "ipvlan"),
    endless("ATK-H1i", "macvlan", "ptp"),
    endless("ATK-H1j", "host-device", "multus"),
    row(
      "ATK-H1h",
      "H",
      "H1: a chain that another plugin closes ends too",
      "an IPAM plugin that starts macvlan again: E, run once",
      (t) => {
        const loop = `#!/bin/sh\necho "$CNI_COMMAND" >>/run/case/loops\nexec ${t.settings.bin}/macvlan\n`;
        t.write("/run/case/bin/loop", loop, 0o755);
        const stdin = { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "up0", ipam: { type: "loop" } };
        const run = t.call("ADD", stdin, { set: { CNI_PATH: "/run/case/bin" }, timeoutMs: 4000 });
        t.error(run);
        const loops = t
          .read("/run/case/loops")
          .split("\n")
          .filter((line) => line === "ADD").length;
        t.equal(loops, 1, "ADDs of the IPAM plugin");
      },
      { needs: ["plugin:macvlan"] },
    ),
    stateDirectory("ATK-H2b", "/var/lib/cni/podnic", "host-device"),
    stateDirectory("ATK-H2c", "/var/lib/cni", "sriov"),
    stateDirectory("ATK-H2d", "/var/lib/cni", "results"),
    stateDirectory("ATK-H2e", "/run/podnic", "host-local"),
    insidePool("ATK-H2f", "as its lock", "/var/lib/cni/networks/victim", "lock"),
    insidePool("ATK-H2g", "as a directory above it", "/var/lib/cni/networks/victim/lock", "mine"),
    insidePool("ATK-H2h", "as the address handed out last", "/var/lib/cni/networks/victim", "last_reserved_ip.0"),
    insidePool("ATK-H2i", "as an address", "/var/lib/cni/networks/victim", "10.1.0.2"),
    insidePool("ATK-H2j", "as an address of a pool elsewhere", "/run/cni/pools/victim", "10.1.0.2", "/run/cni/pools"),
    insidePool("ATK-H2k", "as the directory of all pools", "/var/lib/cni", "networks"),
  ],
};
