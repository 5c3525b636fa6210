// With a real API server and kubelet: what a person sees, and what only they do.
import { attached, type Case, lan, leavesNothing } from "../case.ts";
import { type Cluster, equal, expect } from "../cluster.ts";
import { many } from "./requests.ts";

/** The page that the issue asks for: printed, and looked at for the network. */
async function shown(cluster: Cluster): Promise<void> {
  cluster.network("seen", lan());
  await leavesNothing(cluster, async () => {
    cluster.pod("seen", "seen");
    await cluster.running("seen");
    const status = await attached(cluster, "seen", "net1", "default/seen");
    const annotation = "-o jsonpath='{.metadata.annotations.k8s\\.v1\\.cni\\.cncf\\.io/network-status}'";
    const outputs = new Map<string, string>();
    for (const command of [
      "kubectl get nodes -o wide",
      "kubectl get pods -A -o wide",
      "kubectl describe pod seen",
      `kubectl get pod seen ${annotation}`,
      "kubectl exec seen -- ip addr show net1",
    ]) {
      const { status: exit, output } = await cluster.command(command);
      console.log(`  $ ${command}\n${output.trim().replaceAll(/^/gm, "    ")}`);
      equal(exit, 0, `exit status of: ${command}\n${output}`);
      outputs.set(command, output);
    }
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
];
