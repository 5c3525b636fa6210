// podnic gc removes what is left over from a network's deleted pods, and nothing else.
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, readFileSync, statSync, utimesSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { collect, findGarbage, type Garbage } from "../node/garbage.ts";
import { lookAtNode, poolsOf } from "../node/node.ts";
import { call, endPods, enterNode, sh } from "./node.ts";
import { run } from "./run.ts";
import { device, emptyNode, go, json, leasesOf, NETWORKS, pod, pool, RECORDS } from "./state.ts";

beforeAll(enterNode);
beforeEach(emptyNode);

it("takes away more leases than a function may have arguments", () => {
  const lease = { kind: "lease" as const, network: "net", containerId: "c", interface: "net1", address: "", why: "" };
  const garbage = Array<Garbage>(200_000).fill({ ...lease, directory: `${NETWORKS}/none` });
  expect(collect(garbage)).toHaveLength(200_000);
});

describe("podnic gc", () => {
  it("takes away what is gone of this network, and nothing else", () => {
    pod("blue");
    pod("grey");
    call("ADD", { type: "host-local", ipam: pool }, { ...go, container: "nobody-knows" });
    endPods("grey");
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
    endPods("grey", "gone");
    expect(json("gc", "--all", "--dry-run")).toHaveLength(4);
    const done: { network: string; done: boolean }[] = json("gc", "--all");
    expect(done.map((one) => `${one.network} ${one.done}`).sort()).toEqual([
      ...["net true", "net true"],
      ...["other true", "other true"],
    ]);
    expect([leasesOf("net"), leasesOf("other")]).toEqual([["198.18.77.3"], []]);
    expect(run(["gc", "--all"])).toMatchObject({ status: 0, stdout: "Nothing is left over.\n" });
  });

  it("says what it cannot judge: a record that cannot be read is an error, a lease without a trace is not", () => {
    pod("blue");
    sh("mkdir -p /var/lib/cni/networks/net && printf 'c-x\r\nnet1' >/var/lib/cni/networks/net/198.18.77.9");
    const unknown = run(["gc", "--all"]);
    expect(unknown).toMatchObject({ status: 0, stdout: "Nothing is left over.\n" });
    expect(unknown.stderr).toContain("1 lease was left unchanged");
    sh(`echo '{' >${RECORDS}/net:c-y:net1.json`);
    const damaged = run(["gc", "--all"]);
    expect(damaged).toMatchObject({ status: 1, stdout: "" });
    expect(damaged.stderr).toContain(`${RECORDS}/net:c-y:net1.json is not a valid record`);
    expect(run(["gc", "net"]).status).toBe(1);
    sh(`mv ${RECORDS}/net:c-y:net1.json ${RECORDS}/other:c-y:net1.json`);
    expect(run(["gc", "net"]).status).toBe(0);
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
    // Two results that gc must keep: libcni's for the same attachment, and podnic's for a network with a plugin that may need it for DEL.
    const kept = JSON.parse(readFileSync(`${results}/${grey.name}`, "utf8"));
    writeFileSync(`${results}/a`, JSON.stringify({ ...kept, writer: undefined }));
    sh(`mkdir ${results}/directory; mkfifo ${results}/fifo; ln -s nowhere ${results}/link`);
    const chained = { ...list, plugins: [...list.plugins, { type: "portmap" }] };
    const config = Buffer.from(JSON.stringify(chained)).toString("base64");
    writeFileSync(`${results}/b`, JSON.stringify({ ...kept, config }));
    endPods("grey");
    expect(run(["gc", "--network", "net"]).status).toBe(0);
    expect(readdirSync(results).sort()).toEqual(["a", "b", "directory", "fifo", "link", green.name].sort());
    expect(leasesOf("net")).toHaveLength(1);
  });

  it("--every goes on until it is told to end, and says only what it did", async () => {
    pod("grey");
    endPods("grey");
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

  /** Creates a lease from before the boot, whose container nothing on the node refers to. */
  function oldLease(): void {
    mkdirSync(`${NETWORKS}/net`, { recursive: true });
    writeFileSync(`${NETWORKS}/net/198.18.77.3`, "old\r\nnet1");
    utimesSync(`${NETWORKS}/net/198.18.77.3`, 1e9, 1e9);
  }

  // The runtime can have its own mount namespace, and the clock can have been wrong when the pod started.
  it("keeps one of these that a pod without a path has", () => {
    oldLease();
    const holder = sh(`ip netns add far; ip link add veth9 type veth peer name net1 netns far
      ip -n far address add 198.18.77.3/24 dev net1; sleep 60 9</run/netns/far >/dev/null 2>&1 & echo $!
      for i in $(seq 200); do [ "$(cat /proc/$!/comm)" = sleep ] && break; sleep 0.02; done
      umount -l /run/netns/far; rm /run/netns/far`);
    expect(run(["gc", "net"]).status).toBe(0);
    expect(run(["leases", "--network", "net"]).stdout).toContain("a network namespace without a path has this address");
    expect(leasesOf("net")).toEqual(["198.18.77.3"]);
    sh(`kill ${holder.trim()}; for i in $(seq 100); do ip link show veth9 >/dev/null 2>&1 || break; sleep 0.02; done`);
    expect(run(["gc", "net"]).status).toBe(0);
    expect(leasesOf("net")).toEqual([]);
  });

  it("releases one of these whose address a process has in a user namespace of its own", () => {
    oldLease();
    const own = "ip link add net1 type veth peer name far; ip address add 198.18.77.3/24 dev net1";
    const process = sh(`unshare -Urn sh -c '${own}; exec sleep 60' >/dev/null 2>&1 & echo $!
      for i in $(seq 200); do [ "$(cat /proc/$!/comm)" = sleep ] && break; sleep 0.02; done`);
    expect(run(["gc", "net"]).status).toBe(0);
    expect(leasesOf("net")).toEqual([]);
    sh(`kill ${process}`);
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
    // First with a visible process of the pod, and then without one.
    for (const then of ["kill $(cat /run/sleeper)", "true"]) {
      const said = sh(`${unshare} sh -c '${inside}' 2>&1`);
      if (then === "true" || unshare.includes("p")) expect(said).toMatch(/cannot tell which pods still exist.*\n1\n$/s);
      expect(said).not.toMatch(/restored|released|removed/);
      expect({ records: readdirSync(RECORDS), leases: leasesOf("net") }).toEqual(before);
      expect(sh("ip -n blue link show net1")).toContain("net1");
      sh(then);
    }
  });

  it.each([
    ["with a pod of its own in its /run", "umount -l /run/netns/*; mount -t tmpfs tmpfs /run; ip netns add own"],
    ["without /run/netns", "umount -l /run/netns/*; mount -t tmpfs tmpfs /run"],
  ])("takes away nothing of the node's in a container %s, and says that it cannot tell", (_where, prepare) => {
    pod("blue");
    const before = { records: readdirSync(RECORDS), leases: leasesOf("net") };
    // The pod can also have a path with a process ID, which means another process in the container.
    const said = sh(`unshare -mpf --mount-proc sh -c '${prepare}; dist/podnic gc --all; echo $?' 2>&1`);
    expect(said).toMatch(/cannot tell which pods still exist.*\n1\n$/s);
    expect(said).not.toMatch(/restored|released|removed|Nothing/);
    expect({ records: readdirSync(RECORDS), leases: leasesOf("net") }).toEqual(before);
    // If the directory contains a namespace of one of the node's pods, it is the node's directory.
    pod("grey");
    endPods("grey");
    expect(sh("unshare -mpf --mount-proc sh -c 'dist/podnic gc --all; echo $?' 2>&1")).toMatch(/released.*\n0\n$/s);
    expect(leasesOf("net")).toEqual(before.leases);
  });

  it("keeps the lease of a device that it cannot give back", () => {
    pod("grey");
    const [record] = readdirSync(RECORDS).filter((name) => name.endsWith(".json"));
    endPods("grey");
    // Replace the lock file with a directory, so that gc cannot lock it.
    const before = leasesOf("net");
    sh(`rm -f ${RECORDS}/lock; mkdir ${RECORDS}/lock`);
    const { status, stdout } = run(["gc", "--all"]);
    expect([status, stdout]).toEqual([1, expect.stringContaining("the container's device might still exist")]);
    expect([leasesOf("net"), readdirSync(RECORDS).includes(record!)]).toEqual([before, true]);
    sh(`rmdir ${RECORDS}/lock`);
    expect(run(["gc", "--all"]).status).toBe(0);
    expect(leasesOf("net")).toEqual([]);
  });

  it("keeps all leases of a container whose device it cannot give back, of whichever network", () => {
    pod("grey");
    call("ADD", { type: "host-local", name: "two", ipam: pool }, { ...go, container: "c-grey" });
    call("ADD", { type: "host-local", name: "two", ipam: pool }, { ...go, container: "c-blue" });
    sh(`sed -i s/net1/net2/ ${NETWORKS}/two/198.*; mkdir -p /var/lib/cni/results`);
    for (const containerId of ["c-grey", "c-blue"]) {
      const kept = { kind: "cniCacheV1", networkName: "two", containerId, ifName: "net2", netns: "/run/netns/grey" };
      writeFileSync(`/var/lib/cni/results/two-${containerId}-net2`, JSON.stringify(kept));
    }
    endPods("grey");
    sh(`rm -f ${RECORDS}/lock; mkdir ${RECORDS}/lock`);
    expect(run(["gc", "--all"]).status).toBe(1);
    expect(leasesOf("two")).toEqual(["198.18.77.2"]);
    expect(leasesOf("net")).toHaveLength(1);
    sh(`rmdir ${RECORDS}/lock; rm -r /var/lib/cni/results`);
  });

  it("fails and says so when something cannot be taken away", () => {
    pod("grey");
    endPods("grey");
    sh(`rm -f ${NETWORKS}/net/lock; mkdir ${NETWORKS}/net/lock`);
    const { status, stdout } = run(["gc", "--network", "net"]);
    expect(stdout).toContain("not done: ");
    expect(status).toBe(1);
    expect(leasesOf("net")).toEqual(["198.18.77.2"]);
  });

  it("ends an attachment whose device came back without a DEL, and leaves the running pod its lease", () => {
    pod("grey");
    pod("blue");
    sh("ip -n grey link set net1 netns $$; ip link set net1 name grey mtu 1400");
    expect(json("devices", "--all").find(({ name }: { name: string }) => name === "grey")).toMatchObject({
      state: "lost",
    });
    expect(run(["doctor"]).stdout).toMatch(/device grey .*: it returned without a DEL/);
    expect(json("gc", "net", "--dry-run")).toMatchObject([{ device: "grey", why: "it returned without a DEL" }]);
    expect(json("gc", "net")).toMatchObject([{ kind: "device", device: "grey", containerId: "c-grey", done: true }]);
    expect(sh("cat /sys/class/net/grey/mtu").trim()).toBe("1500");
    expect(readdirSync(RECORDS).filter((name) => name.endsWith(".json"))).toEqual(["net:c-blue:net1.json"]);
    expect(leasesOf("net")).toHaveLength(2);
    expect(run(["gc", "net"])).toMatchObject({ status: 0, stdout: "Nothing of network net is left over.\n" });
  });

  it("keeps no namespace of a living pod open", () => {
    const pods = ["grey", "blue", "third"];
    for (const name of pods) pod(name);
    const node = lookAtNode();
    expect(findGarbage(node, poolsOf(node))).toEqual([]);
    const open = readdirSync("/proc/self/fd").map(
      (fd) => statSync(`/proc/self/fd/${fd}`, { throwIfNoEntry: false })?.ino,
    );
    expect(pods.filter((name) => open.includes(statSync(`/run/netns/${name}`).ino))).toEqual([]);
  });

  it("does not touch what came back to life between the look and the taking", () => {
    pod("grey");
    endPods("grey");
    const node = lookAtNode();
    const found = findGarbage(node, poolsOf(node)).filter(({ kind }) => kind === "device");
    expect(found).toMatchObject([{ device: "grey", containerId: "c-grey" }]);
    sh(`rm ${NETWORKS}/net/198.18.77.2`);
    pod("grey");
    expect(collect(found)).toEqual([
      { garbage: found[0], error: "its pod is running again, so it was left unchanged" },
    ]);
    expect(sh("ip -n grey link show net1")).toContain("net1");
    expect(readdirSync(RECORDS).filter((name) => name.endsWith(".json"))).toHaveLength(1);
  });

  it("gives a device that came back all but its name, when another one has that by now", () => {
    pod("grey");
    sh("ip -n grey link set net1 netns $$");
    endPods("grey");
    sh("ip link set net1 mtu 1400; ip link add grey type veth peer name other");
    const { status, stderr } = run(["gc", "--network", "net"]);
    expect([status, stderr]).toEqual([0, expect.stringContaining("the host has another device with this name")]);
    expect(readdirSync(RECORDS).filter((name) => name.endsWith(".json"))).toEqual([]);
    const [spare] = JSON.parse(sh("ip -j link show")).filter(
      ({ ifalias }: { ifalias?: string }) => ifalias === "[was grey]",
    );
    expect(spare).toMatchObject({ ifname: `dev${spare.ifindex}`, mtu: 1500 });
    expect(json("devices", "--all").find(({ name }: { name: string }) => name === spare.ifname)).toMatchObject({
      state: "virtual",
      why: 'was "grey", but another device now has that name',
    });
    expect(run(["status"]).stdout).toContain(`device ${spare.ifname}: was "grey"`);
  });

  it("leaves alone what another network namespace of the node lent, and says so", () => {
    pod("grey");
    sh("ip -n grey link set net1 netns $$ name moved; ip netns add other");
    endPods("grey");
    const away = (line: string): string => sh(`ip netns exec other dist/podnic ${line} 2>&1; echo status $?`);
    expect(away("gc --all || true")).toContain("from a different network namespace");
    expect(away("doctor --fix --yes || true")).toContain("from a different network namespace");
    expect(readdirSync(RECORDS).filter((name) => name.endsWith(".json"))).toHaveLength(1);
    expect(run(["gc", "--all"])).toMatchObject({ status: 0, stdout: expect.stringContaining("restored") });
    expect(sh("ip link show grey")).toContain("grey");
  });

  it("on a node that is a container: forgets the loans from before its restart, once a device is lent in its new namespace", () => {
    pod("blue");
    pod("grey");
    sh("ip netns add node; ip netns del grey; ip -n node link add new type veth peer name newp; ip netns add pod2");
    const inNode = (command: string) => sh(`ip netns exec node ${command}`);
    // This gc does not see all processes of the machine.
    const gc = () => inNode("unshare --mount --pid --fork --mount-proc dist/podnic gc --all 2>&1 || true");
    const records = () => readdirSync(RECORDS).filter((name) => name.endsWith(".json"));
    expect(gc()).toContain(
      "In that case, the pod's DEL removes the record. podnic gc also removes it when a new pod has a device",
    );
    expect(records()).toHaveLength(2);
    writeFileSync("/run/second.json", JSON.stringify({ cniVersion: "1.0.0", ...device("new", { name: "second" }) }));
    const request = "CNI_COMMAND=ADD CNI_CONTAINERID=c-new CNI_NETNS=/run/netns/pod2 CNI_IFNAME=net1 CNI_PATH=dist/cni";
    inNode(`env ${request} dist/cni/host-device </run/second.json`);
    expect(gc()).not.toContain("not done");
    expect(records()).toEqual(["net:c-blue:net1.json", "second:c-new:net1.json"]);
    expect(sh("ip -n blue link show net1")).toContain("net1");
  });

  it("waits for the kernel to end the pod's namespace", () => {
    pod("grey");
    sh("sleep 0.7 9</run/netns/grey >/dev/null 2>&1 & sleep 0.1; ip netns del grey");
    expect(json("gc", "net").map(({ done }: { done: boolean }) => done)).toEqual([true, true]);
    // The kernel deletes the other end a moment after the device.
    sh("while ip link show greyp 2>/dev/null; do sleep 0.02; done");
    pod("grey");
    sh("sleep 0.7 9</run/netns/grey >/dev/null 2>&1 & sleep 0.1; ip netns del grey");
    call("DEL", device("grey", { ipam: pool }), { container: "c-grey", netns: "/run/netns/grey" });
    expect([leasesOf("net"), readdirSync(RECORDS).filter((name) => name.endsWith(".json"))]).toEqual([[], []]);
  });

  it("does not call restored what died with its namespace", () => {
    pod("grey");
    endPods("grey");
    const { status, stdout } = run(["gc", "--network", "net"]);
    expect([status, stdout]).toEqual([0, expect.stringContaining("the device no longer exists")]);
    expect(stdout).not.toContain("restored");
  });
});
