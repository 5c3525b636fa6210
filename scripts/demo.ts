// `npm run demo`: connects two pods to one switch. dist/cni/host-device moves two cards into the pods and out again, once with each IPAM plugin.
import { spawnSync } from "node:child_process";
import { readdirSync } from "node:fs";
import { join } from "node:path";
import { dist } from "./build/paths.ts";
import { enterSandbox, hideState, sh } from "./sandbox.ts";

interface Pod {
  name: string;
  /** The card of the host that becomes the pod's eth0. */
  device: string;
  config: object;
}

interface Answer {
  ips?: { address: string; gateway?: string }[];
  interfaces?: { name: string; mac: string; mtu?: number }[];
  msg?: string;
  details?: string;
}

const print = (text = "") => console.log(text);

function row(what: string, who: string, text: string, milliseconds?: number): void {
  const time = milliseconds === undefined ? "" : `${milliseconds.toFixed(1).padStart(6)} ms`;
  print(`  ${what.padEnd(6)} ${who.padEnd(6)} ${text.padEnd(52)} ${time}`);
}

/** Calls the plugin as a container runtime does. */
function call(command: string, pod: Pod, prevResult?: Answer): { answer: Answer; milliseconds: number } {
  const env = {
    PATH: process.env.PATH,
    CNI_COMMAND: command,
    CNI_CONTAINERID: `demo-${pod.name}`,
    CNI_NETNS: `/run/netns/${pod.name}`,
    CNI_IFNAME: "eth0",
    CNI_PATH: join(dist, "cni"),
  };
  const input = JSON.stringify({ ...pod.config, ...(prevResult === undefined ? {} : { prevResult }) });
  const start = process.hrtime.bigint();
  const { status, stdout, stderr } = spawnSync(join(dist, "cni", "host-device"), { env, input, encoding: "utf8" });
  const milliseconds = Number(process.hrtime.bigint() - start) / 1e6;
  const answer: Answer = stdout === "" ? {} : JSON.parse(stdout);
  if (status !== 0)
    throw new Error(`${command} for ${pod.name} failed: ${answer.msg ?? ""} ${answer.details ?? ""}\n${stderr}`);
  return { answer, milliseconds };
}

function network(name: string, device: string, ipam: object): object {
  return { cniVersion: "1.0.0", name, type: "host-device", device, ipam };
}

function ping(from: Pod, address: string): void {
  const seen = sh("ip", "netns", "exec", from.name, "ping", "-c", "3", "-i", "0.05", "-W", "2", address);
  const average = Number(/= [\d.]+\/([\d.]+)\//.exec(seen)?.[1]);
  row("ping", from.name, `3 of ${/(\d+) received/.exec(seen)?.[1]} answered by ${address}`, average);
}

function describe(device: string): string {
  const [link] = JSON.parse(sh("ip", "-j", "link", "show", "dev", device)) as { address: string; mtu: number }[];
  return `${device}, ${link!.address}, mtu ${link!.mtu}`;
}

/** Runs ADD, ping, CHECK and DEL for both pods. Throws if anything is wrong. */
function show(title: string, pods: [Pod, Pod], afterAdd: () => void): void {
  print(`\n${title}`);
  const before = pods.map((pod) => describe(pod.device));
  const results = pods.map((pod) => {
    const { answer, milliseconds } = call("ADD", pod);
    row("ADD", pod.name, `${pod.device} -> eth0, ${answer.ips?.map((ip) => ip.address).join(" ")}`, milliseconds);
    return answer;
  });
  afterAdd();
  const address = (i: number) => results[i]!.ips![0]!.address.split("/")[0]!;
  ping(pods[0], address(1));
  ping(pods[1], address(0));
  pods.forEach((pod, i) => {
    row("CHECK", pod.name, "everything is as it was set up", call("CHECK", pod, results[i]).milliseconds);
  });
  pods.forEach((pod, i) => {
    const { milliseconds } = call("DEL", pod, results[i]);
    const after = describe(pod.device);
    if (after !== before[i]) throw new Error(`DEL left ${after}, it was ${before[i]}`);
    row("DEL", pod.name, `eth0 -> ${after}`, milliseconds);
  });
}

function main(): void {
  hideState();
  // podnic refuses a veth whose other end is in a pod, because it serves that pod. So each card is connected to a switch on the node.
  sh("ip", "link", "add", "switch", "up", "type", "bridge");
  for (const end of [0, 1]) {
    sh("ip", "link", "add", `card${end}`, "type", "veth", "peer", "name", `cable${end}`);
    sh("ip", "link", "set", "dev", `cable${end}`, "up", "master", "switch");
  }
  for (const name of ["blue", "green"]) sh("ip", "netns", "add", name);
  print(
    "Two pods, blue and green. card0 and card1 stand for two network cards of the host, with a cable each to one switch.",
  );
  print(
    "Times are from the start of the plugin's process to its end, as seen from Node; most of them is the kernel moving a device.",
  );

  const fixed = (address: string) => ({ type: "static", addresses: [{ address }] });
  show(
    "host-device with static: the addresses are in the configuration",
    [
      { name: "blue", device: "card0", config: network("fixed", "card0", fixed("10.99.0.1/24")) },
      { name: "green", device: "card1", config: network("fixed", "card1", fixed("10.99.0.2/24")) },
    ],
    () => {},
  );

  const pool = { type: "host-local", ranges: [[{ subnet: "10.98.0.0/24" }]] };
  const leases = () => readdirSync("/var/lib/cni/networks/pool").filter((name) => name.startsWith("10."));
  show(
    "host-device with host-local: the addresses come from a pool on this node",
    [
      { name: "blue", device: "card0", config: network("pool", "card0", pool) },
      { name: "green", device: "card1", config: network("pool", "card1", pool) },
    ],
    () => row("lease", "", `/var/lib/cni/networks/pool: ${leases().join(", ")}`),
  );
  if (leases().length > 0) throw new Error(`DEL left leases: ${leases().join(", ")}`);
  print("\nLeases are given back, both cards are back on the host as they were. Nothing is left of this demo.");
}

if (enterSandbox("scripts/demo.ts")) {
  try {
    main();
  } catch (error) {
    console.error(`demo: ${error instanceof Error ? error.message : error}`);
    process.exitCode = 1;
  }
}
