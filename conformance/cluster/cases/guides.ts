// Each platform's guide: its NetworkAttachmentDefinitions and pods, byte for byte as in examples/.
import { existsSync, readFileSync, readlinkSync, writeFileSync } from "node:fs";
import { basename } from "node:path";
import { parseAllDocuments } from "yaml";
import { attached, attachments, type Case, leavesNothing } from "../case.ts";
import { type Cluster, equal, expect, type NetworkStatus, until } from "../cluster.ts";
import { Devices } from "../devices.ts";
import type { Kubelet } from "../kubelet.ts";
import { leases, link, links, sh } from "../node.ts";
import type { Draft } from "../objects.ts";
import { NETWORKS } from "../store.ts";

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
  const { phase = "Pending" } = (elsewhere.status ?? {}) as { phase?: string };
  equal(phase, "Pending", "the pod of the other node is left alone");
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

async function openshiftBridge(cluster: Cluster): Promise<void> {
  sh(
    "ip link add br1 up type bridge vlan_filtering 1; ip netns add far; ip link add fa up master br1 type veth peer name fb netns far",
  );
  sh("ip -n far address add 192.0.2.99/24 dev fb; ip -n far link set fb up");
  // The guide's resource is a number on the node, without devices: Multus asks for them, and there are none.
  (cluster.kubelet as Kubelet).devices = await Devices.start({});
  const created = cluster.apply(guide("openshift-cnv-bridge"));
  await leavesNothing(cluster, async () => {
    await cluster.running("bridge-pod");
    const [status] = attachments(cluster, "bridge-pod");
    equal([status?.name, status?.interface], ["default/bridge-network", "net1"], "network-status");
    const names = links().map(({ ifname }) => ifname);
    const port = names.find((name) => name.startsWith("veth") && isPortOf(name, "br1"))!;
    const vlans = JSON.parse(sh(`bridge -j vlan show dev ${port}`)) as { vlans: object[] }[];
    equal(vlans[0]?.vlans, [{ vlan: 1, flags: ["PVID", "Egress Untagged"] }], "VLANs of the pod's port");
    // The bridge itself checks, where the kernel can: the port is locked, and only the pod's address is on it.
    const shown = sh(`bridge -d link show dev ${port}`);
    expect(shown.includes("locked on"), "the port is locked", shown);
    const entries = sh(`bridge fdb show brport ${port}`);
    expect(new RegExp(`^${status!.mac} .*static`, "m").test(entries), "the pod's MAC address is pinned to it", entries);
    await cluster.delete("bridge-pod");
    expect(!sh("bridge fdb show").includes(status!.mac!), "the pinned address is gone", sh("bridge fdb show"));
  });
  cluster.api.delete(created[0]!);
  sh("ip link del br1; ip netns del far");
}

const isPortOf = (name: string, bridge: string) => sh(`ip -j link show ${name}`).includes(`"master":"${bridge}"`);

const CARD = "/sys/class/net/eth0/device";

/** Three virtual functions of the card, which the device plugin's stand-in gives away under this name. */
export async function functions(cluster: Cluster, resource: string): Promise<string[]> {
  if (readFileSync(`${CARD}/sriov_numvfs`, "utf8").trim() === "0") writeFileSync(`${CARD}/sriov_numvfs`, "3");
  const addresses = [0, 1, 2].map((i) => basename(readlinkSync(`${CARD}/virtfn${i}`)));
  await until(60, () => (addresses.every((one) => existsSync(`/sys/bus/pci/devices/${one}/net`)) ? true : undefined));
  (cluster.kubelet as Kubelet).devices = await Devices.start({ [resource]: addresses });
  return addresses;
}

/** What the annotation says of the function, and which one the container was told to have. */
async function given(cluster: Cluster, pod: string): Promise<string> {
  const [status] = attachments(cluster, pod) as (NetworkStatus & { "device-info"?: { type: string; pci: object } })[];
  const address = (await cluster.exec(pod, "env")).match(/^PCIDEVICE_\w+=(.*)$/m)![1]!;
  equal(status?.["device-info"]?.pci, { "pci-address": address }, "device-info in the network-status");
  return address;
}

async function oracleMetal(cluster: Cluster): Promise<void> {
  const addresses = await functions(cluster, "oracle.com/sriov");
  const [network, pod] = parseAllDocuments(guide("oke-baremetal-sriov")).map((one) => one.toJS() as Draft);
  cluster.api.store.create(network!, "default");
  const named = (name: string) => ({ ...pod, metadata: { ...pod!.metadata, name } }) as Draft;
  await leavesNothing(cluster, async () => {
    // The guide's pod, a second one, and then the two one after the other: each gets the function that the other one had.
    cluster.api.store.create(pod!, "default");
    await cluster.running("sriov-pod");
    const status = await attached(cluster, "sriov-pod", "net1", "default/sriov-network");
    equal(status.ips, ["10.20.30.1"], "the first address of the subnet");
    const first = await given(cluster, "sriov-pod");
    cluster.api.store.create(named("second"), "default");
    await cluster.running("second");
    const second = await given(cluster, "second");
    equal([first, second], addresses.slice(0, 2), "functions");
    await cluster.delete("sriov-pod");
    cluster.api.store.create(named("third"), "default");
    await cluster.running("third");
    equal(await given(cluster, "third"), first, "the function that the first pod gave back");
    await attached(cluster, "third", "net1", "default/sriov-network");
    await cluster.delete("second", "third");
  });
  equal(leases("sriov-network"), [], "leases");
}

async function vanished(cluster: Cluster): Promise<void> {
  await functions(cluster, "oracle.com/sriov");
  const [network, pod] = parseAllDocuments(guide("oke-baremetal-sriov")).map((one) => one.toJS() as Draft);
  if (cluster.api.store.list(NETWORKS).length === 0) cluster.api.store.create(network!, "default");
  cluster.api.store.create({ ...pod, metadata: { ...pod!.metadata, name: "loses" } }, "default");
  await cluster.running("loses");
  await given(cluster, "loses");
  writeFileSync(`${CARD}/sriov_numvfs`, "0");
  expect(!(await cluster.exec("loses", "ip link")).includes("net1"), "the function is gone from the pod");
  await cluster.delete("loses");
  equal(leases("sriov-network"), [], "leases");
  equal(
    cluster.remains().filter((line) => /podnic|sriov/.test(line)),
    [],
    "records",
  );
  cluster.api.store.create({ ...pod, metadata: { ...pod!.metadata, name: "waits" } }, "default");
  const event = await cluster.failed("waits");
  expect(event.includes("no oracle.com/sriov is left"), "no function is left", event);
  writeFileSync(`${CARD}/sriov_numvfs`, "3");
  await cluster.running("waits");
  await attached(cluster, "waits", "net1", "default/sriov-network");
  await cluster.delete("waits");
  writeFileSync(`${CARD}/sriov_numvfs`, "0");
}

async function openshiftSriov(cluster: Cluster): Promise<void> {
  await functions(cluster, "openshift.io/fastnic");
  // The first document is what the operator reads to write the second one.
  const [, network, pod] = parseAllDocuments(guide("openshift-sriov")).map((one) => one.toJS() as Draft);
  cluster.api.store.create(network!, "default");
  await leavesNothing(cluster, async () => {
    const before = sh("ip -d link show eth0");
    cluster.api.store.create(pod!, "default");
    await cluster.running("fast-pod");
    await given(cluster, "fast-pod");
    const [status] = attachments(cluster, "fast-pod");
    equal([status?.ips, status?.mac], [["192.0.2.10"], "02:23:45:67:89:01"], "address and MAC address");
    const card = sh("ip -d link show eth0");
    expect(
      /vf \d+ .*02:23:45:67:89:01.*vlan 100, qos 3.*spoof checking on/.test(card),
      "the function on its card",
      card,
    );
    await cluster.delete("fast-pod");
    equal(sh("ip -d link show eth0"), before, "the card afterwards");
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
    only: "stand-in",
    expected: "examples/openshift-cnv-bridge.yaml: a port of br1 in VLAN 1, locked to the pod's MAC address",
    needs: ["kernel:vlan_filtering", "kernel:locked_ports"],
    run: openshiftBridge,
  },
  {
    id: "guide-oracle-metal",
    only: "stand-in",
    expected:
      "examples/oke-baremetal-sriov.yaml: a virtual function that the device plugin gave, in the network-status with its address on the bus; the next pod has it again",
    needs: ["guest"],
    run: oracleMetal,
  },
  {
    id: "guide-openshift-sriov",
    expected:
      "examples/openshift-sriov.yaml: a virtual function with the MAC address and the address that the pod asks for",
    only: "stand-in",
    needs: ["guest"],
    run: openshiftSriov,
  },
  {
    id: "function-vanishes",
    only: "stand-in",
    expected:
      "a virtual function that is removed under its pod: the pod can be deleted, nothing is left, and the next pod runs when there are functions again",
    needs: ["guest"],
    run: vanished,
  },
];
