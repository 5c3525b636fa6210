// Each platform's guide: its NetworkAttachmentDefinitions and pods, byte for byte as in examples/.
import { readFileSync } from "node:fs";
import { attached, type Case, leavesNothing } from "../case.ts";
import { type Cluster, equal, expect } from "../cluster.ts";
import { leases, link } from "../node.ts";

const guide = (name: string) => readFileSync(`examples/${name}.yaml`, "utf8");

/** A pod of an example on its network; what is on the node is as before when it is gone. */
async function tanzu(cluster: Cluster): Promise<void> {
  const created = cluster.apply(guide("tkg-macvlan"));
  await leavesNothing(cluster, async () => {
    await cluster.running("macvlan-pod");
    const status = await attached(cluster, "macvlan-pod", "net1", "default/macvlan-conf");
    equal(status.ips, ["192.168.1.200"], "the first address of the range");
    equal(leases("macvlan-conf"), ["192.168.1.200"], "leases");
    await cluster.delete("macvlan-pod");
    cluster.api.delete(created[0]!);
    await Promise.resolve();
  });
}

async function oracle(cluster: Cluster): Promise<void> {
  const before = link("ens5")!;
  const created = cluster.apply(guide("oke-vm-host-device"));
  await cluster.running("pod-node1");
  expect(link("ens5") === undefined, "ens5 is no longer on the node", link("ens5"));
  const status = await attached(cluster, "pod-node1", "net1", "default/sriov-vm-node1");
  equal([status.ips, status.mac], [["10.0.10.93"], before.address], "address and MAC address");
  const elsewhere = cluster.get("pod-node2");
  equal(elsewhere.status, undefined, "the pod of the other node is left alone");
  await cluster.delete("pod-node1");
  const after = link("ens5");
  equal([after?.address, after?.mtu], [before.address, before.mtu], "ens5 back on the node");
  for (const item of created.filter(({ kind }) => kind !== "Pod")) cluster.api.delete(item);
  cluster.api.store.remove(elsewhere);
}

async function amazon(cluster: Cluster): Promise<void> {
  cluster.apply(guide("eks-ipvlan"));
  await leavesNothing(cluster, async () => {
    await cluster.running("ipvlan-pod");
    const [status] = cluster.networkStatus("ipvlan-pod").filter((one) => one.interface === "net1");
    equal([status?.ips, status?.mac], [["100.64.30.10"], link("ens6")!.address], "address, and the card's MAC address");
    await cluster.delete("ipvlan-pod");
  });
}

export const guideCases: Case[] = [
  {
    id: "guide-tanzu",
    expected: "examples/tkg-macvlan.yaml: net1 with the range's first address, answers the LAN; nothing is left",
    needs: ["kernel:macvlan"],
    push: true,
    run: tanzu,
  },
  {
    id: "guide-oracle-vm",
    expected: "examples/oke-vm-host-device.yaml: ens5 with its MAC address in the pod, and back on the node after it",
    push: true,
    run: oracle,
  },
  {
    id: "guide-amazon",
    expected: "examples/eks-ipvlan.yaml: net1 with the card's MAC address; nothing is left",
    needs: ["kernel:ipvlan"],
    run: amazon,
  },
  {
    id: "guide-openshift-bridge",
    expected: "examples/openshift-cnv-bridge.yaml: a port of br1 in VLAN 1",
    needs: ["kernel:vlan_filtering", "the node of the cluster has no bridge br1 yet: see client case NAD-cnv-bridge"],
    run: async () => {},
  },
  {
    id: "guide-oracle-metal",
    expected: "examples/oke-baremetal-sriov.yaml: a virtual function that the device plugin gave",
    needs: ["needs virtual functions and the SR-IOV device plugin: see case SRV-03, in the guest, without a cluster"],
    run: async () => {},
  },
  {
    id: "guide-openshift-sriov",
    expected:
      "examples/openshift-sriov.yaml: a virtual function with the MAC address and the address that the pod asks for",
    needs: ["needs virtual functions and the SR-IOV device plugin: see cases SRV, in the guest, without a cluster"],
    run: async () => {},
  },
];
