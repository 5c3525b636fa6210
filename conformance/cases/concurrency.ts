// Calls at the same time, and calls that are killed.
import { type CaseTable, Mismatch, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import { quote } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import { LIMITS, POLICY } from "./stubs.ts";

/** n attachments, each with its container and namespace. */
function crowd(t: Trial, n: number): { conf: Config; set: Record<string, string> }[] {
  const names = Array.from({ length: n }, (_, i) => `k${i}`);
  t.sh(names.map((name) => `ip netns add ${name}; ip -n ${name} link set lo up`).join("\n"));
  return names.map((name) => ({ conf: t.l3(), set: { CNI_CONTAINERID: name, CNI_NETNS: `/run/netns/${name}` } }));
}

/** Kills the plugin after a delay; what the call printed is of no interest. */
const killed = (t: Trial, command: string, conf: Config, ms: number, signal = "KILL") => {
  const wrap = `exec 3<&0; "$1" <&3 >/dev/null 2>&1 & p=$!; sleep ${ms / 1000}; kill -${signal} $p 2>/dev/null; wait $p; exit 0`;
  t.call(command, conf, { wrap });
};

const clean = (t: Trial, conf: Config, before: ReturnType<Trial["picture"]>, what: string) => {
  const run = t.call("DEL", conf);
  if (run.status !== 0) throw new Mismatch("DEL is OK", `${what}: ${describeRun(run)}`);
  t.unchangedSince(before, what, false);
};

/** Both calls, the second `seconds` after the first. @return their exit statuses */
function overlapping(
  t: Trial,
  [first, second]: readonly [string, string],
  stdin: Config,
  set: Record<string, string>,
  seconds: number,
): string {
  t.write("/run/case/both.json", JSON.stringify(stdin));
  const call = (command: string): string => {
    const env = Object.entries(t.environment(command, set)).map(([key, value]) => quote(`${key}=${value}`));
    return `env -i ${env.join(" ")} ${quote(`${t.settings.bin}/${t.typeOf(stdin)}`)} </run/case/both.json >/dev/null 2>&1`;
  };
  return t
    .sh(`one=0; two=0; ${call(first)} & sleep ${seconds}; ${call(second)} || two=$?; wait $! || one=$?; echo $one $two`)
    .trim();
}

export const concurrency: CaseTable = {
  perMain: [
    row("CON-01", "S", "C-012", "40 ADDs at once: all OK, 40 distinct addresses", (t) => {
      const runs = t.parallel(crowd(t, 40).map(({ conf, set }) => ({ command: "ADD", stdin: conf, set })));
      const addresses = new Set(
        runs.map((run) => {
          if (run.status !== 0) throw new Mismatch("OK", describeRun(run));
          return JSON.parse(run.stdout).ips[0].address as string;
        }),
      );
      t.equal(addresses.size, 40, "distinct addresses");
      t.leaseCount(40);
    }),
    row("CON-02", "S", "C-012", "40 DELs at once: all OK, pool empty", (t) => {
      const all = crowd(t, 40);
      t.parallel(all.map(({ conf, set }) => ({ command: "ADD", stdin: conf, set })));
      t.leaseCount(40);
      for (const run of t.parallel(all.map(({ conf, set }) => ({ command: "DEL", stdin: conf, set }))))
        t.silentRun(run);
      t.leaseCount(0);
    }),
    row("CON-03", "H", "C-041", "6 ADDs of one attachment at once: exactly one OK", (t) => {
      const conf = t.l3();
      const runs = t.parallel(Array.from({ length: 6 }, () => ({ command: "ADD", stdin: conf })));
      t.equal(runs.filter((run) => run.status === 0).length, 1, "successes");
      t.leaseCount(1);
      t.present("eth0");
    }),
    row(
      "CON-04",
      "H",
      "a bounded wait, then code 11",
      "the pool's lock held by another process: E(11)",
      (t) => {
        const conf = t.l3();
        t.write(POLICY, LIMITS);
        t.sh("mkdir -p /var/lib/cni/networks/net1; : >/var/lib/cni/networks/net1/lock");
        t.holdLock("/var/lib/cni/networks/net1/lock");
        t.refused("ADD", conf, [11], { timeoutMs: 14_000 });
      },
      { needs: ["program:flock"] },
    ),
    row(
      "CON-05",
      "S",
      "C-081: DEL repairs a killed ADD",
      "SIGKILL at 40 points of ADD, then DEL: OK, nothing left",
      (t) => {
        const conf = t.l3();
        const before = t.picture();
        for (let n = 0; n < 40; n++) {
          killed(t, "ADD", conf, 0.3 + n * 0.7);
          clean(t, conf, before, `killed after ${0.3 + n * 0.7} ms`);
        }
      },
    ),
    row("CON-06", "H", "C-081", "SIGTERM at 10 points of ADD, then DEL: OK, nothing left", (t) => {
      const conf = t.l3();
      const before = t.picture();
      for (let n = 0; n < 10; n++) {
        killed(t, "ADD", conf, 0.5 + n * 2.5, "TERM");
        clean(t, conf, before, `terminated after ${0.5 + n * 2.5} ms`);
      }
    }),
    row("CON-07", "S", "C-082", "SIGKILL at 10 points of DEL, DEL again: OK, nothing left", (t) => {
      const conf = t.l3();
      const before = t.picture();
      for (let n = 0; n < 10; n++) {
        t.add(conf);
        killed(t, "DEL", conf, 0.5 + n * 2.5);
        clean(t, conf, before, `killed after ${0.5 + n * 2.5} ms`);
      }
    }),
    row(
      "CON-08",
      "H",
      "C-012",
      "10 ADDs at once that want one address: exactly one OK, the others touch nothing (F11)",
      (t) => {
        const runs = t.parallel(
          crowd(t, 10).map(({ conf, set }) => ({
            command: "ADD",
            stdin: conf,
            set: { ...set, CNI_ARGS: "IgnoreUnknown=1;IP=198.51.100.77" },
          })),
        );
        const good = runs.filter((run) => run.status === 0);
        t.equal(good.length, 1, "successes");
        t.equal(JSON.parse(good[0]!.stdout).ips[0].address.split("/")[0], "198.51.100.77", "address");
        t.leaseCount(1);
      },
    ),
    row(
      "CON-09",
      "S",
      "C-110: GC takes nothing from a valid attachment",
      "SIGKILL at 10 points of GC, GC again: OK (F3)",
      (t) => {
        const valid = [{ containerID: "k0", ifname: "eth0" }];
        const [one, two] = crowd(t, 2) as [
          { conf: Config; set: Record<string, string> },
          { conf: Config; set: Record<string, string> },
        ];
        const conf = { ...one.conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": valid };
        t.add({ ...one.conf, cniVersion: "1.1.0" }, { set: one.set, ns: "k0" });
        for (let n = 0; n < 10; n++) {
          t.add({ ...two.conf, cniVersion: "1.1.0" }, { set: two.set, ns: "k1" });
          killed(t, "GC", conf, 0.5 + n * 2.5);
          t.silentRun(t.call("GC", conf, { set: { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" } }));
          t.leaseCount(1);
          t.present("eth0", "k0");
          t.sh("ip -n k1 link del eth0 2>/dev/null || true");
        }
      },
      { needs: ["spec:1.1.0"] },
    ),
    row(
      "CON-10",
      "H",
      "a runtime that gave up on an ADD sends DEL while the ADD still works",
      "DEL while ADD waits for its IPAM plugin: both OK, and neither interface nor address is left",
      (t) => {
        const address = "198.51.100.77";
        const result = JSON.stringify({ cniVersion: "1.0.0", ips: [{ address: `${address}/24` }] });
        // A pool of one file.
        const slow = `#!/bin/sh\ncase $CNI_COMMAND in ADD) >/run/case/${address}; sleep 1; echo '${result}';; DEL) rm -f /run/case/${address};; esac\n`;
        t.write("/run/case/bin/slow", slow, 0o755);
        const conf: Config = { ...t.l3(), ipam: { type: "slow" } };
        const set = { CNI_PATH: "/run/case/bin" };
        t.equal(overlapping(t, ["ADD", "DEL"], conf, set, 0.4), "0 0", "exit statuses");
        t.equal(t.sh("ip -n c1 -br link show eth0 2>/dev/null || true"), "", "the interface");
        t.equal(t.sh(`ls /run/case/${address} 2>/dev/null || true`), "", "the address");
      },
    ),
    row(
      "CON-11",
      "S",
      "a pod holds the lock of its own namespace",
      "flock on CNI_NETNS by another process: ADD and DEL OK within 6 s",
      (t) => {
        t.holdLock("/run/netns/c1");
        t.add(t.l2(), { timeoutMs: 6000 });
        t.silent("DEL", t.l2(), { timeoutMs: 6000 });
      },
      { needs: ["program:flock"] },
    ),
  ],
  fixed: [],
};
