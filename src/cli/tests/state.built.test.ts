// leases, devices, gc and doctor on a node with pods, dead namespaces and leases of the Go plugin.
import { spawn, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { collect, findGarbage, type Garbage } from "../node/garbage.ts";
import { lookAtNode, poolsOf } from "../node/node.ts";
import { call, enterNode, sh } from "./node.ts";
import { run } from "./run.ts";

beforeAll(enterNode);

const NETWORKS = "/var/lib/cni/networks";
const RECORDS = "/var/lib/cni/podnic/host-device";
const go = { bin: "/usr/lib/cni" };

const pool = { type: "host-local", ranges: [[{ subnet: "198.18.77.0/28" }]] };
const device = (name: string, more = {}) => ({ type: "host-device", name: "net", device: name, ...more });

/** A veth, a pod that has it, and the pod's lease. */
function pod(name: string): void {
  sh(`ip link add ${name} type veth peer name ${name}p; ip netns add ${name}`);
  call("ADD", device(name, { ipam: pool }), { container: `c-${name}`, netns: `/run/netns/${name}` });
}

// biome-ignore lint/suspicious/noExplicitAny: answers for programs, whatever is in them
function json(...args: string[]): any {
  const { stdout, stderr } = run([...args, "--json"]);
  try {
    return JSON.parse(stdout);
  } catch {
    throw new Error(`${args.join(" ")}: ${stdout}${stderr}`);
  }
}

const leasesOf = (network: string): string[] =>
  readdirSync(`${NETWORKS}/${network}`).filter((name) => /^[\d.:a-f]+$/.test(name) && name !== "lock");

beforeEach(() => {
  sh(`for ns in $(ip netns list | cut -d' ' -f1); do [ $ns = pod ] || ip netns del $ns; done
      rm -rf /var/lib/cni/* /etc/cni/*
      for link in $(ls /sys/class/net); do ip link del $link 2>/dev/null || true; done
      nft flush ruleset`);
});

it("takes away more leases than a function may have arguments", () => {
  const lease = { kind: "lease" as const, network: "net", containerId: "c", interface: "net1", address: "", why: "" };
  const garbage = Array<Garbage>(200_000).fill({ ...lease, directory: `${NETWORKS}/none` });
  expect(collect(garbage)).toHaveLength(200_000);
});

describe("podnic leases", () => {
  it("knows ranges, sizes and holders of a Go directory", () => {
    mkdirSync("/etc/cni/net.d");
    const ipam = {
      type: "host-local",
      ranges: [
        [{ subnet: "198.18.77.0/28", rangeStart: "198.18.77.4", rangeEnd: "198.18.77.9" }],
        [{ subnet: "2001:db8::/64" }],
      ],
    };
    writeFileSync(
      "/etc/cni/net.d/10.conf",
      JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "macvlan", ipam }),
    );
    call("ADD", { type: "host-local", ipam }, { ...go, container: "c1" });
    call("ADD", { type: "host-local", ipam }, { ...go, container: "c2" });
    const [found] = json("leases");
    expect(found).toMatchObject({
      network: "net",
      directory: `${NETWORKS}/net`,
      ranges: ["198.18.77.4-198.18.77.9", "2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"],
      used: 4,
    });
    // The gateway of the second range is in it, that of the first is not.
    expect(found.size).toBe(6 + 2 ** 64 - 2);
    expect(found.leases.map((lease: { address: string }) => lease.address)).toEqual([
      "198.18.77.4",
      "198.18.77.5",
      "2001:db8::2",
      "2001:db8::3",
    ]);
    expect(found.leases[1]).toMatchObject({ containerId: "c2", interface: "net1", life: "unknown" });
    const { stdout } = run(["leases"]);
    expect(stdout).toContain("2^64");
    expect(stdout).toContain("198.18.77.5");
  });

  it("takes excluded addresses and the gateway off, each once", () => {
    mkdirSync("/etc/cni/net.d");
    const ipam = { ...pool, exclude: ["198.18.77.0/30", "198.18.77.9"] };
    writeFileSync(
      "/etc/cni/net.d/10.conf",
      JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "macvlan", ipam }),
    );
    call("ADD", { type: "host-local", ipam });
    // 14 addresses, of which .1 (the gateway) to .3 and .9 are not handed out.
    expect(json("leases")[0]).toMatchObject({ size: 10, used: 1, free: 9 });
  });

  it("passes over nothing that blocks an address", () => {
    mkdirSync(`${NETWORKS}/net`, { recursive: true });
    writeFileSync(`${NETWORKS}/net/198.18.77.3`, "");
    writeFileSync(`${NETWORKS}/net/198.18.77.4`, "somebody wrote this");
    writeFileSync(`${NETWORKS}/net/198.18.77.5`, "old-container");
    writeFileSync(`${NETWORKS}/net/last_reserved_ip.0`, "198.18.77.5");
    const [{ leases, used, size }] = json("leases");
    expect(used).toBe(3);
    expect(size).toBeUndefined();
    expect(leases.map(({ life, containerId }: { life: string; containerId: string }) => [life, containerId])).toEqual([
      ["gone", ""], // it names nobody, and no pod has the address
      ["unknown", ""],
      ["unknown", "old-container"],
    ]);
  });

  it("looks where it is told, and filters", () => {
    sh("mkdir -p /run/other/net /run/other/second; touch /run/other/net/lock /run/other/second/lock");
    expect(json("leases", "--data-dir", "/run/other").map((one: { network: string }) => one.network)).toEqual([
      "net",
      "second",
    ]);
    expect(json("leases", "--data-dir", "/run/other", "--network", "second")).toHaveLength(1);
    expect(run(["leases"]).stdout).toBe("no pools\n");
  });
});

describe("podnic devices", () => {
  it("says who has a device, and which one is lost", () => {
    pod("blue");
    pod("grey");
    const blue = json("devices").find((one: { name: string }) => one.name === "blue");
    expect(blue).toMatchObject({
      state: "pod",
      why: "",
      interface: { name: "net1", namespace: "/run/netns/blue" },
      holder: {
        by: "host-device",
        network: "net",
        containerId: "c-blue",
        interface: "net1",
        namespace: "/run/netns/blue",
      },
    });
    sh("ip netns del grey");
    const grey = json("devices").find((one: { name: string }) => one.name === "grey");
    expect(grey).toMatchObject({ state: "lost", why: expect.stringContaining("its namespace is gone") });
    expect(run(["devices"]).stdout).toMatch(/grey .* lost /);
  });

  it("finds a device that came back under the pod's name", () => {
    pod("blue");
    sh("ip -n blue link set net1 netns $$");
    const blue = json("devices").find((one: { name: string }) => one.name === "blue");
    expect(blue).toMatchObject({ state: "lost", interface: { name: "net1", namespace: "" } });
  });

  it("shows what software made only when asked", () => {
    sh("ip link add v0 type veth peer name v1");
    // Whatever this machine has besides.
    const states = (...args: string[]): string[] =>
      json("devices", ...args)
        .filter(({ name }: { name: string }) => ["lo", "v0", "v1"].includes(name))
        .map(({ name, state }: { name: string; state: string }) => `${name} ${state}`);
    expect(states()).toEqual([]);
    expect(states("--all")).toEqual(["lo node", "v0 virtual", "v1 virtual"]);
  });
});

describe("bridge", () => {
  const bridged = { type: "bridge", bridge: "br9", ipMasq: true, macspoofchk: true, macspoofchkBackend: "nftables" };
  const add = (name: string, more = {}, from = {}): void => {
    sh(`ip netns add ${name}`);
    const options = { container: `c-${name}`, netns: `/run/netns/${name}`, ...from };
    const result = JSON.parse(call("ADD", { ...bridged, ipam: pool, ipMasqBackend: "nftables", ...more }, options));
    mkdirSync("/var/lib/cni/results", { recursive: true });
    const cached = {
      kind: "cniCacheV1",
      containerId: `c-${name}`,
      ifName: "net1",
      networkName: "net",
      netns: options.netns,
      result,
    };
    writeFileSync(`/var/lib/cni/results/net-c-${name}-net1`, JSON.stringify(cached));
  };

  it("ports are devices, and what it left is found and taken away, podnic's and the Go plugin's", () => {
    sh("nft flush ruleset");
    for (const name of ["blue", "grey"]) add(name);
    add("brown", {}, { bin: resolve(".cache/go-plugins/1.9.1") });
    const ports = () => json("devices").filter(({ driver }: { driver: string }) => driver === "veth");
    const port = (container: string) => ({
      ...{
        bridge: "br9",
        state: "pod",
        why: "port of br9",
        interface: { name: "net1", namespace: `/run/netns/${container.slice(2)}` },
      },
      holder: { by: "bridge", network: "net", containerId: container, interface: "net1" },
    });
    // Nothing says whose the Go plugin's are.
    const named = ports().filter(({ holder }: { holder?: object }) => holder !== undefined);
    const byContainer = (a: { holder: { containerId: string } }, b: { holder: { containerId: string } }) =>
      a.holder.containerId < b.holder.containerId ? -1 : 1;
    expect(named.sort(byContainer)).toMatchObject([port("c-blue"), port("c-grey")]);
    sh("ip netns del grey; ip netns del brown; sleep 1");
    const rules = (): string[] =>
      json("gc", "--all", "--dry-run")
        .filter(({ kind }: { kind: string }) => kind === "rules")
        .map(({ what, containerId }: { what: string; containerId: string }) => `${containerId} ${what}`)
        .sort();
    const left = ["c-brown ipMasq", "c-brown macspoofchk", "c-grey ipMasq", "c-grey macspoofchk"];
    expect(rules()).toEqual(left);
    expect(run(["doctor"]).stdout).toContain(
      "rules macspoofchk of container c-grey (net1, network net): there is no port veth",
    );
    expect(json("gc", "--all").every(({ done }: { done: boolean }) => done)).toBe(true);
    expect(rules()).toEqual([]);
    const ruleset = sh("nft list ruleset");
    expect(ruleset).toContain("c-blue");
    expect(ruleset).not.toMatch(/c-grey|c-brown/);
  });

  it("doctor looks at the bridges that configurations name", () => {
    mkdirSync("/etc/cni/net.d");
    const write = (name: string, more: object) =>
      writeFileSync(
        `/etc/cni/net.d/${name}.conf`,
        JSON.stringify({ cniVersion: "1.0.0", name, type: "bridge", ...more }),
      );
    sh("ip link add br8 type bridge; ip link add br7 up type bridge; ip link add no8 type veth peer name no9");
    write("down", { bridge: "br8" });
    write("new", { bridge: "br6" });
    write("none", { bridge: "no8" });
    write("vlan", { bridge: "br7", vlan: 5 });
    const found = json("doctor").findings.filter(({ about }: { about: string }) => about === "bridges");
    const texts = found.map(({ level, found: text }: { level: string; found: string }) => `${level} ${text}`);
    expect(texts.slice(0, 4)).toEqual([
      'error network "down": bridge "br8" is down: network is down',
      'ok network "new": the first ADD creates bridge br6',
      'error network "none": "no8" already exists but is not a bridge',
      'error network "vlan": bridge "br7" does not filter VLANs',
    ]);
    expect(found[3].cure).toContain("vlan_filtering 1");
  });
});

describe("podnic gc", () => {
  it("takes away what is gone of this network, and nothing else", () => {
    pod("blue");
    pod("grey");
    call("ADD", { type: "host-local", ipam: pool }, { ...go, container: "nobody-knows" });
    sh("ip netns del grey");
    const before = { records: readdirSync(RECORDS), leases: leasesOf("net") };
    expect(json("gc", "--network", "net", "--dry-run").map(({ kind }: { kind: string }) => kind)).toEqual([
      "device",
      "lease",
    ]);
    expect({ records: readdirSync(RECORDS), leases: leasesOf("net") }).toEqual(before);
    expect(run(["gc", "--network", "other"])).toMatchObject({
      status: 2,
      stderr: expect.stringMatching(/no network "other" on this node.*Networks here: net\./s),
    });
    expect({ records: readdirSync(RECORDS), leases: leasesOf("net") }).toEqual(before);

    const done = json("gc", "net");
    expect(done).toMatchObject([
      { kind: "device", device: "grey", containerId: "c-grey", done: true },
      { kind: "lease", address: "198.18.77.3", containerId: "c-grey", done: true },
    ]);
    expect(leasesOf("net").sort()).toEqual(["198.18.77.2", "198.18.77.4"]);
    expect(readdirSync(RECORDS).filter((name) => name.endsWith(".json"))).toEqual(["net:c-blue:net1.json"]);
    expect(sh("ip -n blue link show net1")).toContain("net1");
    const file = join(mkdtempSync(join(tmpdir(), "podnic-gc-")), "any.conf");
    writeFileSync(file, JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "host-device", device: "grey" }));
    for (const same of [["net"], ["--network", "net"], [file]]) {
      const nothing = { status: 0, stdout: "Nothing of network net is left over.\n" };
      expect(run(["gc", ...same])).toMatchObject(nothing);
    }
  });

  it("--all takes away what is gone of every network", () => {
    pod("grey");
    const leases = { type: "host-local", ranges: [[{ subnet: "198.18.78.0/28" }]] };
    sh("ip link add gone type veth peer name gonep; ip netns add gone");
    call("ADD", device("gone", { name: "other", ipam: leases }), { container: "c-gone", netns: "/run/netns/gone" });
    pod("blue");
    sh("ip netns del grey; ip netns del gone");
    expect(json("gc", "--all", "--dry-run")).toHaveLength(4);
    const done: { network: string; done: boolean }[] = json("gc", "--all");
    expect(done.map((one) => `${one.network} ${one.done}`).sort()).toEqual([
      ...["net true", "net true"],
      ...["other true", "other true"],
    ]);
    expect([leasesOf("net"), leasesOf("other")]).toEqual([["198.18.77.3"], []]);
    expect(run(["gc", "--all"])).toMatchObject({ status: 0, stdout: "Nothing is left over.\n" });
  });

  it.each([
    [[]],
    [["--all", "--network", "net"]],
    [["net", "--all"]],
    [["net", "--network", "other"]],
    [["--all", "--every", "0"]],
    [["--all", "--every", "5", "--dry-run"]],
  ])("makes no sense of %j", (args) => expect(run(["gc", ...args])).toMatchObject({ status: 2 }));

  it("removes the results that podnic add kept, and nobody else's", () => {
    mkdirSync("/etc/cni/net.d", { recursive: true });
    const list = { cniVersion: "1.0.0", name: "net", plugins: [{ type: "macvlan", master: "up0", ipam: pool }] };
    writeFileSync("/etc/cni/net.d/net.conflist", JSON.stringify(list));
    sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
    for (const name of ["grey", "green"]) {
      sh(`ip netns add ${name}`);
      expect(run(["add", "net", name])).toMatchObject({ status: 0 });
    }
    const results = "/var/lib/cni/results";
    const [green, grey] = readdirSync(results)
      .map((name) => ({ name, netns: JSON.parse(readFileSync(`${results}/${name}`, "utf8")).netns }))
      .sort((a, b) => (a.netns < b.netns ? -1 : 1)) as { name: string }[] as [{ name: string }, { name: string }];
    // libcni's, of the same attachment; and ours, of a plugin that may need it for its DEL.
    const kept = JSON.parse(readFileSync(`${results}/${grey.name}`, "utf8"));
    writeFileSync(`${results}/a`, JSON.stringify({ ...kept, writer: undefined }));
    const chained = { ...list, plugins: [...list.plugins, { type: "portmap" }] };
    const config = Buffer.from(JSON.stringify(chained)).toString("base64");
    writeFileSync(`${results}/b`, JSON.stringify({ ...kept, config }));
    sh("ip netns del grey");
    expect(run(["gc", "--network", "net"]).status).toBe(0);
    expect(readdirSync(results).sort()).toEqual(["a", "b", green.name].sort());
    expect(leasesOf("net")).toHaveLength(1);
  });

  it("--every goes on until it is told to end, and says only what it did", async () => {
    pod("grey");
    sh("ip netns del grey");
    const child = spawn("dist/podnic", ["gc", "--all", "--every", "1"], { stdio: ["ignore", "pipe", "inherit"] });
    let said = "";
    child.stdout.on("data", (data) => {
      said += data;
    });
    const ended = new Promise((done) => child.on("exit", done));
    for (let i = 0; i < 100 && !said.includes("released"); i++) await new Promise((done) => setTimeout(done, 50));
    expect(leasesOf("net")).toEqual([]);
    expect(child.exitCode).toBe(null);
    child.kill("SIGTERM");
    expect(await ended).toBe(0);
    expect(said.match(/released/g)).toHaveLength(1);
  });

  it("releases leases of the time before the boot", () => {
    mkdirSync(`${NETWORKS}/net`, { recursive: true });
    writeFileSync(`${NETWORKS}/net/198.18.77.3`, "old\r\nnet1");
    utimesSync(`${NETWORKS}/net/198.18.77.3`, 1e9, 1e9);
    writeFileSync(`${NETWORKS}/net/198.18.77.4`, "new\r\nnet1");
    expect(run(["gc", "--network", "net"]).status).toBe(0);
    expect(leasesOf("net")).toEqual(["198.18.77.4"]);
  });

  it("releases leases that name no owner, unless a pod has the address", () => {
    pod("blue");
    for (const address of ["198.18.77.2", "198.18.77.5"]) writeFileSync(`${NETWORKS}/net/${address}`, "");
    expect(run(["doctor"]).stdout).toContain("lease 198.18.77.5");
    expect(run(["gc", "net"]).status).toBe(0);
    expect(leasesOf("net")).toEqual(["198.18.77.2"]);
    call("DEL", device("blue", { ipam: pool }), { container: "c-blue", netns: "/run/netns/blue" });
    expect(run(["gc", "net"]).status).toBe(0);
    expect(leasesOf("net")).toEqual([]);
  });

  it.each([
    ["in a mount namespace", "unshare -m"],
    ["in mount and pid namespaces", "unshare -mpf --mount-proc"],
  ])("takes away nothing of the node's %s of its own, with a /run/netns of its own", (_where, unshare) => {
    pod("blue");
    sh("ip netns exec blue sleep 60 >/dev/null 2>&1 & echo $! >/run/sleeper");
    const before = { records: readdirSync(RECORDS), leases: leasesOf("net") };
    const inside = "mount -t tmpfs tmpfs /run/netns; dist/podnic gc --all; echo $?";
    // With a process of the pod to be seen, and without.
    for (const then of ["kill $(cat /run/sleeper)", "true"]) {
      const said = sh(`${unshare} sh -c '${inside}' 2>&1`);
      if (then === "true" || unshare.includes("p")) expect(said).toMatch(/cannot tell what is left over.*\n1\n$/s);
      expect(said).not.toMatch(/restored|released|removed/);
      expect({ records: readdirSync(RECORDS), leases: leasesOf("net") }).toEqual(before);
      expect(sh("ip -n blue link show net1")).toContain("net1");
      sh(then);
    }
  });

  it("fails and says so when something cannot be taken away", () => {
    pod("grey");
    sh(`ip netns del grey; rm -f ${NETWORKS}/net/lock; mkdir ${NETWORKS}/net/lock`);
    const { status, stdout } = run(["gc", "--network", "net"]);
    expect(stdout).toContain("not done: ");
    expect(status).toBe(1);
    expect(leasesOf("net")).toEqual(["198.18.77.2"]);
  });

  it("does not touch what came back to life between the look and the taking", () => {
    pod("grey");
    sh("ip netns del grey");
    const node = lookAtNode();
    const found = findGarbage(node, poolsOf(node)).filter(({ kind }) => kind === "device");
    expect(found).toMatchObject([{ device: "grey", containerId: "c-grey" }]);
    // The pair dies with the namespace, and some time after it.
    sh(`while ip link show greyp >/dev/null 2>&1; do sleep 0.01; done; rm ${NETWORKS}/net/198.18.77.2`);
    pod("grey");
    expect(collect(found)).toEqual([
      { garbage: found[0], error: "its pod is running again, so it was left unchanged" },
    ]);
    expect(sh("ip -n grey link show net1")).toContain("net1");
    expect(readdirSync(RECORDS).filter((name) => name.endsWith(".json"))).toHaveLength(1);
  });

  it("gives a device that came back all but its name, when another one has that by now", () => {
    pod("grey");
    sh("ip -n grey link set net1 netns $$; ip netns del grey; ip link set net1 mtu 1400");
    sh("ip link add grey type veth peer name other");
    const { status, stderr } = run(["gc", "--network", "net"]);
    expect([status, stderr]).toEqual([0, expect.stringContaining("the host has another device with this name")]);
    expect(readdirSync(RECORDS).filter((name) => name.endsWith(".json"))).toEqual([]);
    const [spare] = JSON.parse(sh("ip -j link show")).filter(({ ifalias }: { ifalias?: string }) => ifalias === "grey");
    expect(spare).toMatchObject({ ifname: `dev${spare.ifindex}`, mtu: 1500 });
    expect(json("devices", "--all").find(({ name }: { name: string }) => name === spare.ifname)).toMatchObject({
      state: "virtual",
      why: 'was "grey", but another device now has that name',
    });
    expect(run(["status"]).stdout).toContain(`device ${spare.ifname}: was "grey"`);
  });

  it("leaves alone what another network namespace of the node lent, and says so", () => {
    pod("grey");
    sh("ip -n grey link set net1 netns $$ name moved; ip netns del grey; ip netns add other");
    const away = (line: string): string => sh(`ip netns exec other dist/podnic ${line} 2>&1; echo status $?`);
    expect(away("gc --all || true")).toContain("was lent by another network namespace");
    expect(away("doctor --fix --yes || true")).toContain("was lent by another network namespace");
    expect(readdirSync(RECORDS).filter((name) => name.endsWith(".json"))).toHaveLength(1);
    expect(run(["gc", "--all"])).toMatchObject({ status: 0, stdout: expect.stringContaining("restored") });
    expect(sh("ip link show grey")).toContain("grey");
  });

  it("does not call restored what died with its namespace", () => {
    pod("grey");
    sh("ip netns del grey; while ip link show greyp >/dev/null 2>&1; do sleep 0.01; done");
    const { status, stdout } = run(["gc", "--network", "net"]);
    expect([status, stdout]).toEqual([0, expect.stringContaining("the device no longer exists")]);
    expect(stdout).not.toContain("restored");
  });
});

describe("podnic doctor", () => {
  it("says, as status and devices do, that a device is not where it should be", () => {
    pod("grey");
    sh("ip -n grey link del net1");
    const said = "interface not found";
    expect(json("devices")).toEqual(
      expect.arrayContaining([expect.objectContaining({ why: expect.stringContaining(said) })]),
    );
    for (const command of ["status", "doctor"]) {
      expect(run([command])).toMatchObject({
        status: 1,
        stdout: expect.stringContaining(`device grey of container c-grey: ${said}`),
      });
    }
  });

  it("finds what pods left, and takes it away when it is told to", () => {
    pod("grey");
    sh("ip netns del grey");
    const state = (): { fixable: boolean; level: string; found: string }[] =>
      json("doctor").findings.filter(({ about }: { about: string }) => about === "state");
    expect(state().map(({ level, fixable }) => [level, fixable])).toEqual([
      ["warning", true],
      ["warning", true],
    ]);
    // No terminal, no --yes: it shows, and does nothing.
    const { status, stdout, stderr } = run(["doctor", "--fix"]);
    expect(status).toBe(1);
    expect(stdout).toContain("To do:");
    expect(stderr).toContain("add --yes");
    expect(leasesOf("net")).toHaveLength(1);
    expect(json("doctor", "--fix", "--yes").fixed).toHaveLength(2);
    expect(leasesOf("net")).toEqual([]);
    expect(state()).toMatchObject([{ level: "ok" }]);
  });

  it("--fix removes files among the records that are none, which every call passes over", () => {
    pod("grey");
    writeFileSync(`${RECORDS}/net:other:net1.json`, '{"key":{"network":"net"},"bootId":"x","data":null}');
    const state = (): string[] =>
      json("doctor")
        .findings.filter(({ about, level }: { about: string; level: string }) => about === "state" && level !== "ok")
        .map(({ found }: { found: string }) => found);
    expect(state()).toEqual([`${RECORDS}/net:other:net1.json is not a valid record`]);
    expect(json("doctor", "--fix", "--yes").fixed).toHaveLength(1);
    expect([state(), readdirSync(RECORDS).filter((name) => name.endsWith(".json"))]).toEqual([
      [],
      ["net:c-grey:net1.json"],
    ]);
  });

  // Of the machine whose processes and cards are seen from a network namespace of its own, as in a node that is a container.
  const cards = readdirSync("/sys/bus/pci/devices").filter((pci) =>
    readFileSync(`/sys/bus/pci/devices/${pci}/class`, "utf8").startsWith("0x02"),
  );
  it.runIf(cards.length > 0).each([[["--pid", "--fork", "--mount-proc"]], [["--mount"]]])(
    "advises nothing about the machine's own card (%j)",
    (namespaces) => {
      const ask = (command: string) => {
        const podnic = ["dist/podnic", command, "--json"];
        return JSON.parse(spawnSync("unshare", [...namespaces, ...podnic], { encoding: "utf8" }).stdout);
      };
      const findings: { about: string; level: string; cure: string; found: string }[] = ask("doctor").findings;
      const about = findings.filter((one) => one.about === "state" && one.level !== "ok");
      const hidden = namespaces.includes("--pid") ? cards : [];
      expect(about.map(({ level, cure }) => [level, cure])).toEqual(hidden.map(() => ["note", ""]));
      const devices: { pci: string; state: string }[] = ask("devices");
      expect(devices.filter(({ pci }) => cards.includes(pci)).map(({ state }) => state)).toEqual(
        cards.map(() => "elsewhere"),
      );
    },
  );

  it("finds a plugin that does not support the version of a list, in which pods could not even be deleted", () => {
    sh("mkdir -p /etc/cni/net.d /run/plugins; cp /usr/lib/cni/tuning /usr/lib/cni/host-local /run/plugins/");
    sh("cp dist/podnic /run/plugins/macvlan; cp dist/podnic /run/plugins/static");
    const list = (cniVersion: string, plugins: object[]): string[] => {
      writeFileSync("/etc/cni/net.d/10-new.conflist", JSON.stringify({ cniVersion, name: "new", plugins }));
      const env = { ...process.env, CNI_PATH: "/run/plugins" };
      const { stdout } = spawnSync("dist/podnic", ["doctor", "--json"], { encoding: "utf8", env });
      const { findings } = JSON.parse(stdout) as { findings: { about: string; level: string; found: string }[] };
      return findings
        .filter(({ level, found }) => level === "error" && found.includes("cniVersion"))
        .map((one) => one.found);
    };
    const ours = { type: "macvlan", master: "up0", ipam: { type: "static", addresses: [{ address: "192.0.2.1/24" }] } };
    expect(list("1.1.0", [ours, { type: "tuning" }])).toEqual([
      expect.stringMatching(
        /10-new.conflist: network "new" has cniVersion 1.1.0, but \/run\/plugins\/tuning supports only .*1\.0\.0:/,
      ),
    ]);
    expect(list("1.1.0", [{ ...ours, ipam: pool }])).toEqual([expect.stringContaining("/run/plugins/host-local")]);
    expect(list("1.0.0", [ours, { type: "tuning" }])).toEqual([]);
    writeFileSync("/run/plugins/mute", "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    expect(list("1.1.0", [ours, { type: "mute" }])).toEqual([]);
  });

  it("finds a broken configuration with its line, and a policy that is not to be trusted", () => {
    sh("mkdir -p /etc/cni/net.d");
    writeFileSync(
      "/etc/cni/net.d/10-good.conf",
      JSON.stringify({
        cniVersion: "1.0.0",
        name: "good",
        type: "host-device",
        device: "d0",
        ipam: { type: "static", addresses: [{ address: "198.18.77.1/24" }] },
      }),
    );
    writeFileSync(
      "/etc/cni/net.d/20-bad.conf",
      '{\n"cniVersion": "1.0.0", "name": "bad",\n"type": "macvlan", "mode": "brige"}',
    );
    writeFileSync("/etc/cni/podnic.json", "{}", { mode: 0o666 });
    sh("chmod 666 /etc/cni/podnic.json");
    // The shipped one: a process reads the policy once.
    const { stdout } = spawnSync("dist/podnic", ["doctor", "--json"], { encoding: "utf8" });
    const { findings } = JSON.parse(stdout);
    const found = (about: string): string[] =>
      findings
        .filter((one: { about: string; level: string }) => one.about === about && one.level === "error")
        .map((one: { found: string }) => one.found);
    expect(found("configurations")).toHaveLength(1);
    expect(found("configurations")[0]).toContain("/etc/cni/net.d/20-bad.conf:3: ");
    expect(found("policy")).toEqual([expect.stringContaining("/etc/cni/podnic.json is not trusted")]);
    for (const { level, cure } of findings) if (level === "error" || level === "warning") expect(cure).not.toBe("");
    expect(readFileSync("/etc/cni/podnic.json", "utf8")).toBe("{}");
  });
});

it("podnic doctor finds a slip of the pen in the policy, and where it is no JSON", () => {
  const policy = (text: string): [level: string, found: string, cure: string][] => {
    writeFileSync("/etc/cni/podnic.json", text, { mode: 0o644 });
    const { stdout } = spawnSync("dist/podnic", ["doctor", "--json"], { encoding: "utf8" });
    const all: { about: string; level: string; found: string; cure: string }[] = JSON.parse(stdout).findings;
    return all.filter(({ about }) => about === "policy").map(({ level, found, cure }) => [level, found, cure]);
  };
  expect(policy('{"devices": {"deney": ["eth0"]}}')).toEqual([
    ["ok", "/etc/cni/podnic.json is valid and in use", ""],
    [
      "warning",
      expect.stringContaining('devices.deney is not a key that any plugin here reads; did you mean "deny"?'),
      expect.stringMatching(/./),
    ],
  ]);
  expect(policy('{\n"devices": }')).toEqual([
    ["error", "/etc/cni/podnic.json is not JSON; every ADD fails", expect.stringContaining("Line 2, column 12: ")],
  ]);
});

it("podnic devices --watch tells of changes until it is interrupted", async () => {
  const child = spawn("dist/podnic", ["devices", "--all", "--watch", "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const names = async (): Promise<string[]> =>
    JSON.parse((await lines.next()).value).map(({ name }: { name: string }) => name);
  const ended = new Promise((done) => child.on("exit", (_status, signal) => done(signal)));
  expect(await names()).not.toContain("w0");
  sh("ip link add w0 type veth peer name w1");
  expect(await names()).toEqual(expect.arrayContaining(["w0", "w1"]));
  child.kill("SIGINT");
  expect(await ended).toBe("SIGINT");
});
