// With a real API server and kubelet: what a person sees, and what only they do.
import { attached, type Case, lan, leavesNothing } from "../case.ts";
import { type Cluster, equal, expect } from "../cluster.ts";
import { NODE, SECOND } from "../node.ts";
import type { Item } from "../objects.ts";
import { startSecond } from "../real/second.ts";
import { NODES, PODS } from "../store.ts";
import { many } from "./requests.ts";

/** Shows what the commands print. */
async function asPerson(cluster: Cluster, commands: string[]): Promise<Map<string, string>> {
  const outputs = new Map<string, string>();
  for (const command of commands) {
    const { status, output } = await cluster.command(command);
    console.log(`  $ ${command}\n${output.trim().replaceAll(/^/gm, "    ")}`);
    equal(status, 0, `exit status of: ${command}\n${output}`);
    outputs.set(command, output);
  }
  return outputs;
}

/** The page that the issue asks for: printed, and looked at for the network. */
async function shown(cluster: Cluster): Promise<void> {
  cluster.network("seen", lan());
  await leavesNothing(cluster, async () => {
    cluster.pod("seen", "seen");
    await cluster.running("seen");
    const status = await attached(cluster, "seen", "net1", "default/seen");
    const annotation = "-o jsonpath='{.metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/network-status}'";
    const outputs = await asPerson(cluster, [
      "kubectl get nodes -o wide",
      "kubectl get pods -A -o wide",
      "kubectl describe pod seen",
      `kubectl get pod seen ${annotation}`,
      "kubectl exec seen -- ip addr show net1",
    ]);
    const [address] = status.ips!;
    expect(
      outputs.get("kubectl describe pod seen")!.includes(`Add net1 [${address}/24] from default/seen`),
      "the event",
    );
    expect(outputs.get(`kubectl get pod seen ${annotation}`)!.includes(`"${address}"`), "the annotation");
    expect(outputs.get("kubectl exec seen -- ip addr show net1")!.includes(`inet ${address}/24`), "the interface");
    await cluster.delete("seen");
  });
}

/** podnic and Multus come to the new node by their DaemonSets, and a pod there has the network of one on the first node. */
async function twoNodes(cluster: Cluster): Promise<void> {
  const { kept, places } = cluster;
  const { programs, image } = places;
  const pool = (rangeStart: string, rangeEnd: string) => ({
    ...{ type: "host-local", ranges: [[{ subnet: "198.51.100.0/24", rangeStart, rangeEnd }]] },
  });
  cluster.network("near", lan({ ipam: pool("198.51.100.50", "198.51.100.59") }));
  cluster.network("far", lan({ ipam: pool("198.51.100.60", "198.51.100.69") }));
  const other = startSecond({ kept, programs, image });
  try {
    await cluster.nodeReady(SECOND.name);
    for (const name of ["podnic", "kube-multus-ds"]) await cluster.daemonSet(name, 2);
    await leavesNothing(cluster, async () => {
      cluster.pod("here", "near", NODE);
      cluster.pod("there", "far", SECOND.name);
      await Promise.all(["here", "there"].map((name) => cluster.running(name)));
      await asPerson(cluster, ["kubectl get nodes -o wide", "kubectl get pods -A -o wide"]);
      const here = await attached(cluster, "here", "net1", "default/near");
      const there = await attached(cluster, "there", "net1", "default/far");
      equal([here.ips, there.ips], [["198.51.100.50"], ["198.51.100.60"]], "addresses");
      for (const [pod, to] of [
        ["here", there],
        ["there", here],
      ] as const)
        await cluster.exec(pod, `ping -c 2 -W 5 ${to.ips![0]}`);
      await cluster.delete("here", "there");
    });
  } finally {
    other.kill("SIGKILL");
    const { store } = cluster.api;
    const left = (pod: Item) => (pod.spec as { nodeName?: string }).nodeName === SECOND.name;
    for (const node of store.list(NODES).filter(({ metadata }) => metadata.name === SECOND.name)) store.remove(node);
    for (const pod of store.list(PODS).filter(left)) store.remove(pod);
  }
}

export const realCases: Case[] = [
  {
    id: "shown",
    only: "real",
    expected: "kubectl get, describe and exec show a pod's network: event, network-status, interface",
    needs: ["kernel:macvlan", "program:kubectl"],
    run: shown,
  },
  {
    id: "thirty-pods",
    only: "real",
    expected: "thirty pods at once, two networks each: all different addresses, nothing is left",
    needs: ["kernel:macvlan"],
    run: (cluster) => many(cluster, 30),
  },
  {
    id: "two-nodes",
    only: "real",
    expected:
      "a second node joins: podnic and Multus come to it by their DaemonSets; a pod on each node, and each reaches the other over the LAN",
    needs: ["kernel:macvlan"],
    own: true,
    image: true,
    run: twoNodes,
  },
];
