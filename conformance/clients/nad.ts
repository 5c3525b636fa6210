// OpenShift Virtualization's guide: its NetworkAttachmentDefinition as it stands, added to pods on a bridge that filters VLANs.
import { readFileSync } from "node:fs";
import { Mismatch } from "../harness/case.ts";
import { describeRun, type Run } from "../harness/invoke.ts";
import type { Result } from "../harness/result.ts";
import { SYSTEM_PATH } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import type { Client, Places } from "./client.ts";

const FILE = "examples/openshift-cnv-bridge.yaml";

/** The virtual machines' addresses are their own business: the network has no IPAM. */
const pods = [
  { name: "blue", mac: "02:00:00:00:00:51", address: "10.61.0.2" },
  { name: "green", mac: "02:00:00:00:00:52", address: "10.61.0.3" },
  { name: "red", mac: "02:00:00:00:00:53", address: "10.61.0.4" },
] as const;
type Pod = (typeof pods)[number];

function podnic(t: Trial, { bin }: Places, command: "add" | "del", file: string, { name, mac }: Pod): Run {
  const more = ["--ifname", "net1", "--container-id", name, "--args", `IgnoreUnknown=true;MAC=${mac}`, "--path", bin];
  const run = t.run([`${bin}/../podnic`, command, file, name, ...more], { env: { PATH: SYSTEM_PATH }, input: "" });
  if (run.status !== 0) throw new Mismatch(`${command} of ${name} succeeds`, describeRun(run));
  return run;
}

function ping(t: Trial, from: string, to: string): boolean {
  return t.sh(`ip netns exec ${from} ping -n -c 2 -i 0.3 -W 1 ${to} 2>&1 || true`).includes("bytes from");
}

function guide(t: Trial, p: Places): void {
  const text = readFileSync(FILE, "utf8");
  t.write("/run/case/nad.yaml", text);
  t.write(
    "/run/case/other.yaml",
    text.replace('"vlan": 1', '"vlan": 20').replaceAll("bridge-network", "other-network"),
  );
  t.sh("ip link add br1 address 02:00:00:00:00:b0 up type bridge vlan_filtering 1");
  const fileOf = ({ name }: Pod) => (name === "red" ? "/run/case/other.yaml" : "/run/case/nad.yaml");
  for (const pod of pods) {
    t.netns(pod.name);
    const result = JSON.parse(podnic(t, p, "add", fileOf(pod), pod).stdout) as Result;
    const [bridge, port, inside] = result.interfaces ?? [];
    t.equal(
      [result.cniVersion, bridge?.name, inside?.name, inside?.mac],
      ["0.3.1", "br1", "net1", pod.mac],
      "the result",
    );
    t.expect(/^veth[0-9a-f]{8}$/.test(port?.name ?? ""), "a port called veth…", String(port?.name));
    t.equal(result.ips ?? [], [], "addresses");
    t.equal(t.link("net1", pod.name)?.mac, pod.mac, `MAC address of ${pod.name}`);
    t.sh(`ip -n ${pod.name} address add ${pod.address}/24 dev net1; ip -n ${pod.name} link set net1 up`);
  }
  const [blue, green, red] = pods;
  t.expect(ping(t, "blue", green.address), "green answers blue", "it does not");
  t.expect(
    !ping(t, "blue", red.address) && !ping(t, "red", blue.address),
    "VLAN 20 and VLAN 1 do not hear each other",
    "they do",
  );
  t.sh("ip -n green link set net1 address 02:00:00:00:00:99; ip -n blue neigh flush all");
  t.expect(!ping(t, "green", blue.address), "green is cut off with another MAC address", "blue answers it");
  t.sh(`ip -n green link set net1 address ${green.mac}; ip -n blue neigh flush all`);
  t.expect(ping(t, "green", blue.address), "green is heard again with its own", "it is not");
  for (const pod of pods) podnic(t, p, "del", fileOf(pod), pod);
  t.equal(t.links("").filter(({ master }) => master === "br1").length, 0, "ports of br1");
}

export const nadClients: Client[] = [
  {
    id: "NAD-cnv-bridge",
    expected:
      "two pods in VLAN 1 talk, one that changes its MAC is cut off, another VLAN hears nothing; names, MACs and result as the guide's",
    needs: ["program:ping", "kernel:vlan_filtering"],
    run: guide,
    limitMs: 400_000,
  },
];
