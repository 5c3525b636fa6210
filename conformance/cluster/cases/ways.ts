// Ways to podnic that are not a pod's sandbox: the quick start as a person types it, a driver that calls plugins from its own container,
// a runtime that asks for STATUS.
import { copyFileSync, mkdirSync, readdirSync, readFileSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { BIN, Containerd } from "../../cri/node.ts";
import { attached, type Case, lan, leavesNothing } from "../case.ts";
import { type Cluster, equal, expect, until } from "../cluster.ts";
import { image } from "../images.ts";
import { leases, link, NET_D, sh } from "../node.ts";
import { IP_POOLS, RESERVATIONS } from "../store.ts";
import { functions } from "./guides.ts";

const PAGE = "docs/quick-start.md";

/** What a reader saves and types: files by name, and command lines in their order. */
export function quickStart(page: string): { files: Map<string, string>; commands: string[] } {
  const saved = page.matchAll(/Save (?:this|the following [a-z ]+) as `([^`]+)`[\s\S]*?```yaml\n([\s\S]*?)```/g);
  const files = new Map([...saved].map(([, name, text]) => [name!, text!]));
  const blocks = [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```/gm)].filter(([, language]) => language === "");
  const commands = blocks.flatMap(([, , text]) => text!.split("\n")).filter((line) => line.trim() !== "");
  return { files, commands };
}

/** Not typed on the node: the run does it before. */
const BEFORE = /^npm run image /;

async function typed(cluster: Cluster): Promise<void> {
  const { files, commands } = quickStart(readFileSync(PAGE, "utf8"));
  expect(files.size === 2 && commands.length > 10, `${PAGE} has two files and its commands`, commands);
  const directory = "/run/quick";
  mkdirSync(directory);
  for (const [name, text] of files) writeFileSync(join(directory, name), text);
  mkdirSync(join(directory, "dist"));
  symlinkSync(cluster.places.image, join(directory, "dist/podnic-image.tar"));
  symlinkSync(join(process.cwd(), "deploy"), join(directory, "deploy"));
  await cluster.uninstallPodnic();
  const outputs = new Map<string, string>();
  const exports = commands.filter((line) => line.startsWith("export "));
  for (const command of commands.filter((line) => !BEFORE.test(line))) {
    const { status, output } = await cluster.command([...exports, command].join("\n"), directory);
    console.log(`  $ ${command}\n${output.trim().replaceAll(/^/gm, "    ")}`);
    equal(status, 0, `exit status of: ${command}\n${output}`);
    outputs.set(command, output);
  }
  const said = (beginning: string) => [...outputs].find(([command]) => command.startsWith(beginning))![1];
  expect(/inet 198\.51\.100\.1\d\d\/24/.test(said("kubectl exec web")), "net1 has an address of the pool", outputs);
  const status = JSON.parse(said("kubectl get pod web")) as { name: string; interface: string; ips: string[] }[];
  equal(
    status.find((one) => one.interface === "net1")?.ips,
    leases("lan"),
    "address in the network-status: the one lease",
  );
  expect(
    new RegExp(`^lan .*${leases("lan")[0]} .* net1 .* alive`, "m").test(said("podnic leases")),
    "the lease",
    outputs,
  );
  expect(/ip link add link ens5 .* type macvlan/.test(said("podnic explain")), "what an ADD would do", outputs);
  expect(said("kubectl describe").includes("AddedInterface"), "describe shows the event", said("kubectl describe"));
  await attached(cluster, "web", "net1", "default/lan");
  await cluster.delete("web");
  equal(leases("lan"), [], "leases");
}

/** As the chart of dra-driver-sriov has it: privileged, on the host's network, with three directories of the node and no others. */
const DRIVER = `
apiVersion: v1
kind: Pod
metadata: { name: driver }
spec:
  hostNetwork: true
  containers:
    - name: plugin
      image: localhost/driver:1
      command: [sleep, infinity]
      securityContext: { privileged: true }
      volumeMounts:
        - { name: cni-state, mountPath: /var/lib/cni }
        - { name: netns, mountPath: /var/run/netns, mountPropagation: HostToContainer }
        - { name: cni-bin, mountPath: /opt/cni/bin }
  volumes:
    - { name: cni-state, hostPath: { path: /var/lib/cni } }
    - { name: netns, hostPath: { path: /var/run/netns } }
    - { name: cni-bin, hostPath: { path: /opt/cni/bin } }
`;

const lists = {
  // Not on ens6: the veth that stands for that card needs the node's policy, which this container does not have.
  macvlan: { ...lan(), master: "vf1", ipam: { type: "host-local", ranges: [[{ subnet: "203.0.113.0/24" }]] } },
  "host-device": {
    ...{ type: "host-device", device: "vf0" },
    ipam: { type: "static", addresses: [{ address: "203.0.113.200/24" }] },
  },
};

/** libcni (cnitool) in a container that has the plugins' directory, the namespaces and /var/lib/cni, and nothing else of the node. */
async function driver(cluster: Cluster, plugins: Record<string, object>): Promise<Driver> {
  const busybox = sh("command -v busybox").trim();
  const texts = Object.entries(plugins).map(([name, plugin]) => [
    `conf/${name}.conflist`,
    JSON.stringify({ cniVersion: "1.0.0", name: `dra-${name}`, plugins: [plugin] }),
  ]);
  image("/run/driver.tar", ["localhost/driver:1"], {
    files: { "bin/busybox": busybox, "bin/cnitool": join(cluster.places.clients, "cnitool") },
    texts: { ...Object.fromEntries(texts), "var/run/.keep": "" },
    links: { "bin/sleep": "busybox", "bin/env": "busybox" },
    config: {
      Env: ["PATH=/bin", "CNI_PATH=/opt/cni/bin", "NETCONFPATH=/conf", "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=claimed"],
    },
  });
  cluster.runtime.import("/run/driver.tar");
  cluster.apply(DRIVER);
  await cluster.running("driver");
  return (verb, name) => cluster.exec("driver", `cnitool ${verb} dra-${name} /var/run/netns/claim`);
}

type Driver = (verb: "add" | "check" | "del", name: string) => Promise<string>;

async function fromContainer(cluster: Cluster): Promise<void> {
  const tool = await driver(cluster, lists);
  sh("ip link add vf0 address 02:00:00:00:0a:01 type veth peer name vf1 address 02:00:00:00:0a:02; ip link set vf1 up");
  await leavesNothing(cluster, async () => {
    sh("ip netns add claim");
    for (const name of Object.keys(lists)) {
      await tool("add", name);
      expect(sh("ip -n claim address show eth0").includes("203.0.113."), `${name}: an address in the pod`);
      await tool("check", name);
      await tool("del", name);
      await tool("del", name);
    }
    // The pod ends without a DEL, and its namespace with it. The driver's DEL comes late, with a path that leads nowhere.
    await tool("add", "host-device");
    sh("ip netns del claim");
    await tool("del", "host-device");
    // A virtual function would be back on the node; a veth goes with its namespace.
    expect(
      link("vf0") === undefined || link("vf0")!.address === "02:00:00:00:0a:01",
      "vf0: gone with a veth's namespace, or itself",
    );
    sh(
      "ip link show vf0 >/dev/null 2>&1 || { ip link add vf0 address 02:00:00:00:0a:01 type veth peer name vf1 address 02:00:00:00:0a:02; ip link set vf1 up; }",
    );
    sh("rm -rf /run/netns/claim");
  });
  await cluster.delete("driver");
  sh("ip link del vf0");
}

/** The driver's own plugin, on a function of the guest's card: the container sees the card because it is privileged and on the host's network. */
async function sriovFromContainer(cluster: Cluster): Promise<void> {
  const [address] = await functions(cluster, "dra/sriov");
  const ipam = { type: "static", addresses: [{ address: "203.0.113.201/24" }] };
  const settings = { vlan: 100, spoofchk: "off", mac: "02:00:00:00:0b:01" };
  const tool = await driver(cluster, { sriov: { type: "sriov", deviceID: address, ...settings, ipam } });
  const names = () => readdirSync(`/sys/bus/pci/devices/${address}/net`);
  const [before, card] = [names(), sh("ip -d link show eth0")];
  const returned = (after: string) => {
    equal(names(), before, `the function after ${after}: its name, on the node`);
    equal(sh("ip -d link show eth0"), card, `the card after ${after}`);
  };
  await leavesNothing(cluster, async () => {
    sh("ip netns add claim");
    await tool("add", "sriov");
    equal(names(), [], "names of the function on the node while the pod has it");
    const inside = sh("ip -n claim address show eth0");
    expect(inside.includes("203.0.113.201/24") && inside.includes(settings.mac), "addresses in the pod", inside);
    const set = sh("ip -d link show eth0");
    expect(/vf 0 .*02:00:00:00:0b:01.*vlan 100.*spoof checking off/.test(set), "the function on its card", set);
    await tool("check", "sriov");
    await tool("del", "sriov");
    returned("DEL");
    await tool("del", "sriov");
    returned("a second DEL");
    // The pod ends without a DEL: the kernel brings the function back, with what the pod had set, and the driver's DEL comes late.
    await tool("add", "sriov");
    sh("ip netns del claim");
    expect((await until(60, () => names()[0])) !== undefined, "the function is back on the node");
    await tool("del", "sriov");
    returned("a late DEL, without the namespace");
    sh("rm -rf /run/netns/claim");
  });
  await cluster.delete("driver");
}

/** podnic's macvlan as the default network, at 1.1.0, under a runtime that calls STATUS. (Debian's crun is too old to run its pods.) */
async function status(cluster: Cluster): Promise<void> {
  const networks = "/run/c2/net.d";
  mkdirSync(networks, { recursive: true });
  const plugin = { ...lan({ master: "late0" }), cniVersion: undefined };
  writeFileSync(
    `${networks}/10-late.conflist`,
    JSON.stringify({ cniVersion: "1.1.0", name: "late", plugins: [plugin] }),
  );
  const place = { directory: "/run/c2", socket: "/run/containerd2.sock", root: "/run/c2/root", networks };
  const runtime = await Containerd.start(cluster.places.programs, place);
  try {
    const { cri } = runtime;
    const before = await cri.networkReady();
    equal(before.ready, false, `NetworkReady without the master (${before.message})`);
    expect(
      before.message.includes('failed to lookup master "late0": Link not found'),
      "podnic's message",
      before.message,
    );
    sh("ip link add late0 up type veth peer name late1; ip link set late1 up");
    const after = await cri.networkReady();
    equal(after, { ready: true, message: "" }, "NetworkReady with it");
  } finally {
    runtime.stop();
    sh("ip link del late0 2>/dev/null || true");
  }
}

/** Another project's IPAM plugin for the whole cluster: podnic runs it as its delegate, and it keeps its pool in the API. */
async function whereabouts(cluster: Cluster): Promise<void> {
  const { programs } = cluster.places;
  for (const name of ["ippools", "overlappingrangeipreservations"])
    cluster.apply(readFileSync(join(programs, `whereabouts.cni.cncf.io_${name}.yaml`), "utf8"));
  copyFileSync(join(programs, "whereabouts"), join(BIN, "whereabouts"));
  sh(
    `chmod 755 ${BIN}/whereabouts; mkdir -p ${NET_D}/whereabouts.d; cp ${cluster.kubeconfig} ${NET_D}/whereabouts.d/kubeconfig`,
  );
  // As its installer writes it.
  const kubernetes = { kubeconfig: `${NET_D}/whereabouts.d/kubeconfig` };
  writeFileSync(`${NET_D}/whereabouts.d/whereabouts.conf`, JSON.stringify({ datastore: "kubernetes", kubernetes }));
  cluster.network("everywhere", lan({ ipam: { type: "whereabouts", range: "203.0.113.64/27" } }));
  const allocations = () =>
    cluster.api.store
      .list(IP_POOLS)
      .flatMap(({ spec }) => Object.values((spec as { allocations: object }).allocations));
  const names = ["anna", "bert", "carl"];
  await leavesNothing(cluster, async () => {
    for (const name of names) cluster.pod(name, "everywhere");
    await Promise.all(names.map((name) => cluster.running(name)));
    const held = await Promise.all(names.map((name) => attached(cluster, name, "net1", "default/everywhere")));
    equal(new Set(held.flatMap(({ ips }) => ips)).size, names.length, "different addresses");
    const pods = (allocations() as { podref: string }[]).map(({ podref }) => podref).sort();
    equal(
      pods,
      names.map((name) => `default/${name}`),
      "pods in the pool of the API",
    );
    await cluster.delete(...names);
    equal([allocations(), cluster.api.store.list(RESERVATIONS)], [[], []], "allocations and reservations afterwards");
  });
}

export const wayCases: Case[] = [
  {
    id: "quick-start",
    expected: `each command of ${PAGE}, in its order, as it is written there (npm run image before the node starts): ends with 0, and shows what the page says`,
    needs: ["kernel:macvlan", "program:kubectl"],
    own: true,
    image: true,
    push: true,
    run: typed,
  },
  {
    id: "status",
    only: "stand-in",
    expected:
      "containerd 2 calls STATUS: NetworkReady is false, with podnic's message, until the default network's master is there",
    needs: ["kernel:macvlan", "file:.cache/go-cluster/containerd"],
    flavours: ["thin"],
    run: status,
  },
  {
    id: "whereabouts",
    expected:
      "whereabouts as IPAM: pods at once get different addresses, its pool in the API has them, and is empty after them",
    needs: ["kernel:macvlan", "file:.cache/go-cluster/whereabouts"],
    run: whereabouts,
  },
  {
    id: "dra",
    expected:
      "macvlan and host-device, called by libcni in a container with /var/lib/cni, namespaces and plugins only: add, check, del",
    needs: ["kernel:macvlan", "file:.cache/go-clients/cnitool"],
    push: true,
    run: fromContainer,
  },
  {
    id: "dra-sriov",
    only: "stand-in",
    expected:
      "sriov on a virtual function, called in the same way, as dra-driver-sriov calls it: add, check, del, a late del; function and card as before",
    needs: ["guest", "file:.cache/go-clients/cnitool"],
    run: sriovFromContainer,
  },
];
