// What outlives the node, and what outlives podnic: starts of the node with pods on it, and other plugins put in the place of those that
// made the pods' interfaces.
import { attached, attachments, type Case, lan, leavesNothing } from "../case.ts";
import { type Cluster, equal, expect } from "../cluster.ts";
import { leases, link, links, sh } from "../node.ts";

const PODS = ["first", "second", "third"];
const card = (device: string) => ({
  ...{ cniVersion: "1.0.0", type: "host-device", device },
  ipam: { type: "host-local", ranges: [[{ subnet: "203.0.113.0/24" }]] },
});

async function populate(cluster: Cluster): Promise<void> {
  cluster.network("lan", lan());
  cluster.network("card", card("dev1"));
  for (const name of PODS) cluster.pod(name, "lan, lan");
  cluster.pod("holder", "card");
  await Promise.all([...PODS, "holder"].map((name) => cluster.running(name)));
  equal(leases("lan").length, 2 * PODS.length, "leases before");
}

/** The same pods, in new sandboxes: each has its networks again, and nothing is left of the old ones. */
async function again(cluster: Cluster): Promise<void> {
  equal(leases("lan").length, 2 * PODS.length, "leases that the start found");
  const card = link("dev1")!.address;
  await cluster.resume();
  await Promise.all([...PODS, "holder"].map((name) => cluster.running(name)));
  // Multus' shim reports success for a DEL that comes before its daemon has started: that DEL reached no plugin. The timer's gc is for this.
  if (cluster.flavour === "thick") {
    const { status, output } = await cluster.command("/opt/cni/bin/podnic gc --all");
    equal(status, 0, `exit status of podnic gc: ${output}`);
  }
  const held = PODS.flatMap((name) => attachments(cluster, name)).flatMap(({ ips }) => ips!);
  equal(leases("lan"), held.sort(), "leases: those of the pods that run, and no others");
  for (const name of PODS) await attached(cluster, name, "net1", "default/lan");
  const status = await attached(cluster, "holder", "net1", "default/card");
  equal([status.mac, leases("card")], [card, status.ips], "MAC address of the card in its pod, and its lease");
  await cluster.delete(...PODS, "holder");
  equal(link("dev1")?.address, card, "MAC address of dev1, back on the node");
  const left = cluster.remains().filter((line) => /\/(lan|card)[/-]/.test(line));
  equal(left, [], "what is left of the networks");
}

/** Pods that Debian's Go plugins made, and podnic deletes; and pods that podnic made before it was installed once more. */
async function upgrade(cluster: Cluster): Promise<void> {
  cluster.network("up-lan", lan());
  cluster.network("up-card", card("card0"));
  // Without a record of its own podnic takes back a virtual device only if no wire of it leads into a namespace: this one's does not.
  const mac = "02:00:00:00:09:01";
  await leavesNothing(cluster, async () => {
    sh(`ip link add card0 address ${mac} up type veth peer name card1; ip link set card1 up`);
    cluster.installPlugins("/usr/lib/cni");
    cluster.pod("old", "up-lan, up-card");
    await cluster.running("old");
    await cluster.reinstallPodnic();
    await attached(cluster, "old", "net1", "default/up-lan");
    equal(attachments(cluster, "old")[1]?.mac, mac, "MAC address of net2");
    cluster.pod("new", "up-lan");
    await cluster.running("new");
    const all = [...attachments(cluster, "old").slice(0, 1), ...attachments(cluster, "new")].flatMap(({ ips }) => ips!);
    equal(leases("up-lan"), all.sort(), "leases of both");
    await cluster.reinstallPodnic();
    await cluster.delete("old", "new");
    expect(link("card0") !== undefined, "card0 is back on the node", links());
    equal(link("card0")?.address, mac, "MAC address of card0");
    // The Go plugin keeps no record of the rest: the card comes back down.
    sh("ip link del card0");
  });
}

/** podnic is installed again and again while pods come and go. */
async function busyUpgrade(cluster: Cluster): Promise<void> {
  cluster.network("busy", lan());
  const failed = cluster.kubelet.failures.length;
  await leavesNothing(cluster, async () => {
    const names = Array.from({ length: 6 }, (_, i) => `busy-${i}`);
    for (const name of names) cluster.pod(name, "busy, busy");
    const pods = Promise.all(names.map((name) => cluster.running(name)));
    for (let i = 0; i < 10; i++) await cluster.reinstallPodnic();
    await pods;
    const gone = cluster.delete(...names);
    for (let i = 0; i < 10; i++) await cluster.reinstallPodnic();
    await gone;
  });
  const texts = cluster.kubelet.failures.slice(failed).filter((text) => !text.includes("deadline exceeded"));
  equal(texts, [], "attempts that failed while podnic was installed");
}

export const restartCases: Case[] = [
  {
    id: "reboot",
    expected:
      "the plug of a node with pods is pulled: after the next start all pods have their networks, and no old lease is left",
    needs: ["kernel:macvlan"],
    restart: { kind: "reboot", before: populate },
    run: again,
  },
  {
    id: "container-restart",
    expected: "the same on a node that is a container: same boot ID, new cards, namespaces gone, state kept",
    needs: ["kernel:macvlan"],
    restart: { kind: "container", before: populate },
    run: again,
  },
  {
    id: "upgrade",
    expected: "pods that the Go plugins of Debian made go on and are deleted by podnic; the card comes back",
    needs: ["kernel:macvlan"],
    own: true,
    run: upgrade,
  },
  {
    id: "upgrade-busy",
    expected: "podnic is installed twenty times while pods come and go: no pod fails, nothing is left",
    needs: ["kernel:macvlan"],
    own: true,
    run: busyUpgrade,
  },
];
