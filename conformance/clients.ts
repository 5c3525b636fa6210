// Real clients that drive the plugins: cnitool, Multus thin without Kubernetes, podman with its CNI backend.
//   node scripts/ts.mjs conformance/clients.ts --bin DIR [--clients .cache/go-clients]
// A client that is not installed is reported as not run, never as passed.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import { Mismatch } from "./harness/case.ts";
import { brief, describeRun, type Run, runIn } from "./harness/invoke.ts";
import type { Config } from "./harness/mains.ts";
import { openNamespaces } from "./harness/namespaces.ts";
import { probe } from "./harness/probe.ts";
import type { ResultInterface } from "./harness/result.ts";
import { SYSTEM_PATH } from "./harness/sandbox.ts";
import { Trial } from "./harness/trial.ts";

interface Places {
  readonly bin: string;
  readonly clients: string;
}

type Env = Record<string, string>;

const NET = "/etc/cni/net.d";
const POOL = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]], routes: [{ dst: "203.0.113.0/24" }] };

function good(run: Run, what: string): Run {
  if (run.status !== 0) throw new Mismatch(`${what} succeeds`, describeRun(run));
  return run;
}

/** One verb of cnitool; what it printed is shown. */
function cnitool(t: Trial, p: Places, verb: string, more: Env = {}): Run {
  const env = { PATH: SYSTEM_PATH, NETCONFPATH: NET, CNI_PATH: p.bin, ...more };
  const run = runIn(t.ns, [`${p.clients}/cnitool`, verb, "net1", "/run/netns/c1"], { env });
  console.log(`    cnitool ${verb}: exit ${run.status} ${brief((run.stdout || run.stderr).trim())}`);
  return run;
}

/** add, check, status, del of a list with one plugin, with CNI_ARGS and capability arguments. */
function withCnitool(t: Trial, p: Places, plugin: Config): void {
  const list = {
    cniVersion: "1.1.0",
    name: "net1",
    plugins: [{ ...plugin, capabilities: { mac: true, ips: true }, ipam: POOL }],
  };
  t.write(`${NET}/net1.conflist`, JSON.stringify(list));
  const before = t.picture();
  const more: Env = {
    CNI_IFNAME: "net1",
    CNI_ARGS: "IgnoreUnknown=1;K8S_POD_NAME=foo",
    CAP_ARGS: '{"ips":["198.51.100.55/24"],"bogus":1}',
  };
  good(cnitool(t, p, "status", more), "status");
  const result = JSON.parse(good(cnitool(t, p, "add", more), "add").stdout);
  t.equal(result.ips[0].address, "198.51.100.55/24", "address");
  good(cnitool(t, p, "check", more), "check");
  t.sh("ip -n c1 address flush dev net1");
  t.expect(cnitool(t, p, "check", more).status !== 0, "check fails without the address", "it passed");
  good(cnitool(t, p, "del", more), "del");
  good(cnitool(t, p, "del", more), "del again");
  t.leaseCount(0);
  t.unchangedSince(before, "", false);
}

/** gc removes what its cache holds; a list without attachments must not be taken for an empty one. */
function garbage(t: Trial, p: Places): void {
  const list = { cniVersion: "1.1.0", name: "net1", plugins: [{ type: "macvlan", master: "up0", ipam: POOL }] };
  t.write(`${NET}/net1.conflist`, JSON.stringify(list));
  good(cnitool(t, p, "add"), "add");
  t.write("/var/lib/cni/networks/net1/198.51.100.200", "somebody\r\neth0");
  const run = cnitool(t, p, "gc");
  const held = [...t.leases().keys()];
  t.expect(
    held.includes("198.51.100.200"),
    "a lease that nobody called stale stays",
    `${held.join(" ")}; ${describeRun(run)}`,
  );
}

const MULTUS_ENV: Env = { CNI_CONTAINERID: "ctr-1", CNI_NETNS: "/run/netns/c1", CNI_IFNAME: "eth0", CNI_ARGS: "" };

function multus(t: Trial, p: Places, command: string, delegates: readonly Config[]): Run {
  const conf = {
    cniVersion: "1.0.0",
    name: "mn",
    type: "multus",
    cniDir: "/run/cni/multus",
    binDir: p.bin,
    logLevel: "error",
    delegates,
  };
  const env = { PATH: SYSTEM_PATH, ...MULTUS_ENV, CNI_COMMAND: command, CNI_PATH: `${p.clients}:${p.bin}` };
  const run = runIn(t.ns, [`${p.clients}/multus`], { env, input: JSON.stringify(conf) });
  console.log(`    multus ${command}: exit ${run.status} ${brief((run.stdout || run.stderr).trim())}`);
  return run;
}

const delegates = (t: Trial): Config[] => [
  { cniVersion: "1.0.0", name: "def", type: "macvlan", master: "up0", ipam: POOL },
  {
    cniVersion: "1.0.0",
    name: "dev",
    type: "host-device",
    device: t.freshDevice(),
    ipam: { type: "static", addresses: [{ address: "10.0.10.93/24" }] },
  },
  { cniVersion: "1.0.0", name: "more", type: "macvlan", master: "up0", mode: "bridge", ipam: POOL },
];

function threeInterfaces(t: Trial, p: Places): void {
  const list = delegates(t);
  const before = t.picture();
  good(multus(t, p, "ADD", list), "ADD");
  for (const name of ["eth0", "net1", "net2"]) t.present(name);
  good(multus(t, p, "DEL", list), "DEL");
  t.unchangedSince(before, "", false);
}

function thirdFails(t: Trial, p: Places): void {
  const list = delegates(t);
  list[2] = { ...list[2], master: "nosuch0" };
  const before = t.picture();
  t.expect(multus(t, p, "ADD", list).status !== 0, "ADD fails", "it succeeded");
  // Multus keeps its own note of the delegates until DEL.
  t.sh("rm -rf /run/cni/multus");
  t.unchangedSince(before, "", false);
}

/** DEL of a pod whose configuration has changed and whose namespace is gone: Multus has the delegates in its own cache. */
function fromCache(t: Trial, p: Places): void {
  const list = delegates(t);
  const before = t.picture();
  const result = JSON.parse(good(multus(t, p, "ADD", list), "ADD").stdout) as { interfaces: ResultInterface[] };
  t.equal(result.interfaces[0]?.name, "eth0", "interface of the result");
  t.sh("ip netns del c1");
  good(multus(t, p, "DEL", [{ ...list[0], name: "changed" }]), "DEL without the namespace");
  t.leaseCount(0, "def");
  t.leaseCount(0, "more");
  t.expect((before.files.size ?? 0) === 0, "no state before", [...before.files.keys()]);
}

const PODMAN = "podman --root /run/p/root --runroot /run/p/runroot --storage-driver vfs";

/** podman with its CNI backend: an image made of busybox, a container on a macvlan network that pings the host's side. */
function podman(t: Trial, p: Places): void {
  const pool = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]], dataDir: "/run/cni/pool" };
  const list = { cniVersion: "0.4.0", name: "podnicnet", plugins: [{ type: "macvlan", master: "up0", ipam: pool }] };
  t.write("/run/p/net/podnic.conflist", JSON.stringify(list));
  t.write(
    "/run/p/containers.conf",
    `[network]\nnetwork_backend="cni"\ncni_plugin_dirs=["${p.bin}"]\nnetwork_config_dir="/run/p/net"\n` +
      `[engine]\ncgroup_manager="cgroupfs"\nevents_logger="none"\nruntime="crun"\n`,
  );
  // crun looks at the cgroups' file system; the sandbox's fresh /sys has none.
  const script = `mount -t cgroup2 none /sys/fs/cgroup; ip address add 198.51.100.1/24 dev up1
    mkdir -p /run/lock /run/p/rootfs/bin; cp "$(command -v busybox)" /run/p/rootfs/bin/
    tar -C /run/p/rootfs -c . | ${PODMAN} import - made:here >/run/p/log 2>&1
    ${PODMAN} run --rm --cgroups=disabled --network podnicnet made:here /bin/busybox sh -c \
      '/bin/busybox ip address show eth0; /bin/busybox ping -c 2 -W 2 198.51.100.1' 2>&1`;
  const env = { PATH: SYSTEM_PATH, HOME: "/run/p", CONTAINERS_CONF: "/run/p/containers.conf" };
  const run = runIn(t.ns, ["sh", "-ec", script], { env, timeoutMs: 60_000 });
  console.log(`    podman run: exit ${run.status} ${brief(run.stdout.trim())}`);
  t.expect(good(run, "podman run").stdout.includes("bytes from 198.51.100.1"), "an answer to ping", run.stdout);
  t.expect(run.stdout.includes("198.51.100.2/24"), "the address of the pool", run.stdout);
  t.equal(t.sh("ls /run/cni/pool/podnicnet").split(/\s+/).filter(Boolean), ["last_reserved_ip.0", "lock"], "leases");
  t.equal(
    t
      .links("")
      .map((l) => l.name)
      .sort(),
    ["lo", "up0", "up1"],
    "links of the host",
  );
}

interface Client {
  readonly name: string;
  readonly program: string;
  readonly run: (t: Trial, p: Places) => void;
}

const CLIENTS: readonly Client[] = [
  {
    name: "cnitool with macvlan",
    program: "cnitool",
    run: (t, p) => withCnitool(t, p, { type: "macvlan", master: "up0" }),
  },
  {
    name: "cnitool with host-device",
    program: "cnitool",
    run: (t, p) => withCnitool(t, p, { type: "host-device", device: t.freshDevice() }),
  },
  {
    name: "cnitool with ipvlan",
    program: "cnitool",
    run: (t, p) => withCnitool(t, p, { type: "ipvlan", master: "up0" }),
  },
  { name: "cnitool gc", program: "cnitool", run: garbage },
  { name: "Multus: three interfaces in one pod", program: "multus", run: threeInterfaces },
  { name: "Multus: a failing third delegate rolls the others back", program: "multus", run: thirdFails },
  { name: "Multus: DEL from its cache, the namespace gone", program: "multus", run: fromCache },
  { name: "podman with its CNI backend", program: "podman", run: podman },
];

/** Where a client is installed: what scripts/go-clients built, or a Debian package. */
function installed(client: Client, places: Places): boolean {
  if (client.program !== "podman") return existsSync(`${places.clients}/${client.program}`);
  return ["podman", "crun", "busybox"].every((name) => existsSync(`/usr/bin/${name}`) || existsSync(`/bin/${name}`));
}

async function runClient(client: Client, places: Places): Promise<string> {
  const ns = await openNamespaces();
  try {
    client.run(new Trial(ns, { bin: places.bin, root: "", spec: "1.0.0", main: undefined, versions: {} }), places);
    return "passed";
  } catch (error) {
    return `failed: ${(error as Error).message}`;
  } finally {
    await ns.close();
  }
}

async function main(): Promise<void> {
  const program = new Command("clients")
    .description("Drives the plugins by real clients, each in namespaces of its own.")
    .requiredOption("--bin <dir>", "plugins under test")
    .option("--clients <dir>", "where scripts/go-clients put the clients", ".cache/go-clients");
  const options = program.parse().opts<{ bin: string; clients: string }>();
  const places = { bin: resolve(options.bin), clients: resolve(options.clients) };
  const { kinds } = await probe(places.bin, undefined);
  const count = { passed: 0, failed: 0, "not run": 0 };
  for (const client of CLIENTS) {
    console.log(client.name);
    let outcome: string;
    if (!installed(client, places)) {
      const how = client.program === "podman" ? "apt-get install podman crun busybox-static" : "scripts/go-clients";
      outcome = `not run: no ${client.program} (${how})`;
    } else if (client.name.includes("ipvlan") && !kinds.includes("ipvlan"))
      outcome = "not run: this kernel has no ipvlan";
    else outcome = await runClient(client, places);
    console.log(`  ${outcome}`);
    count[outcome.split(":")[0] as keyof typeof count]++;
  }
  console.log(`${count.passed} passed, ${count.failed} failed, ${count["not run"]} not run`);
  process.exitCode = count.failed === 0 ? 0 : 1;
}

await main();
