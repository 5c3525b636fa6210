// Measures ADD and DEL of sriov in the guest, interleaved with a C program that makes the same requests to the kernel.
//
// conformance/vm/run --counted -- node scripts/ts.mjs scripts/bench/sriov.ts [ROUNDS]

import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { dist, root } from "../build/paths.ts";
import { sh } from "../sandbox.ts";

const work = "/root/bench";
const PF = "eth0";
const DEVICE = "0000:01:10.0";
const rounds = Number(process.argv[2] ?? 20);

interface Sample {
  wall: number;
  cpu: number;
}

function compile(source: string, target: string): void {
  sh(
    "musl-gcc",
    "-O2",
    "-static",
    "-s",
    "-idirafter",
    "/usr/include",
    "-idirafter",
    "/usr/include/x86_64-linux-gnu",
    join(root, source),
    "-o",
    target,
  );
}

function measure(program: string, args: string[], command: string, input: string): Sample {
  const env = {
    CNI_COMMAND: command,
    CNI_CONTAINERID: "bench",
    CNI_NETNS: "/run/netns/pod",
    CNI_IFNAME: "eth0",
    CNI_PATH: join(dist, "cni"),
  };
  const { stdout, stderr } = spawnSync(`${work}/launch`, [input, program, ...args], { env, encoding: "utf8" });
  const [wall, cpu, , status] = stdout.trim().split(" ").map(Number);
  if (status !== 0) throw new Error(`${program} ${command} failed: ${stderr}`);
  return { wall: wall! / 1e6, cpu: cpu! / 1e3 };
}

function median(values: number[]): number {
  return [...values].sort((a, b) => a - b)[Math.floor(values.length / 2)] ?? Number.NaN;
}

function main(): void {
  rmSync(work, { recursive: true, force: true });
  mkdirSync(`${work}/state`, { recursive: true });
  mkdirSync("/run/netns", { recursive: true });
  compile("scripts/bench/launch.c", `${work}/launch`);
  compile("scripts/bench/sriov-floor.c", `${work}/floor`);
  sh(
    "sh",
    "-ec",
    `ip link set ${PF} up; sleep 3; echo 1 >/sys/class/net/${PF}/device/sriov_numvfs; sleep 2; ip netns add pod`,
  );
  const [vf = ""] = sh("ls", `/sys/bus/pci/devices/${DEVICE}/net`).trim().split("\n");
  const input = `${work}/input.json`;
  const config = { cniVersion: "1.0.0", name: "bench", type: "sriov", deviceID: DEVICE, vlan: 100, trust: "on" };
  writeFileSync(input, JSON.stringify(config));
  const who: [name: string, program: string, args: string[]][] = [
    ["podnic", join(dist, "cni/sriov"), []],
    ["kernel floor (C)", `${work}/floor`, [PF, "0", vf]],
  ];
  const samples = new Map<string, Sample[]>();
  for (let round = 0; round <= rounds; round++) {
    for (let turn = 0; turn < who.length; turn++) {
      const [name, program, args] = who[(round + turn) % who.length]!;
      for (const command of ["ADD", "DEL"]) {
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0, 200 + Math.random() * 8);
        const sample = measure(program, args, command, input);
        if (round > 0) samples.set(`${name} ${command}`, [...(samples.get(`${name} ${command}`) ?? []), sample]);
      }
    }
  }
  console.log(
    `${rounds} rounds, interleaved; medians in ms of an emulated machine: only ratios mean anything (conformance/vm/README.md, --counted)`,
  );
  for (const command of ["ADD", "DEL"]) {
    const of = (name: string, key: keyof Sample) =>
      median(samples.get(`${name} ${command}`)!.map((sample) => sample[key]));
    for (const key of ["wall", "cpu"] as const) {
      const [ours, floor] = [of("podnic", key), of("kernel floor (C)", key)];
      console.log(
        `${command} ${key}: podnic ${ours.toFixed(2)}, floor ${floor.toFixed(2)}, ratio ${(ours / floor).toFixed(2)}`,
      );
    }
  }
}

main();
