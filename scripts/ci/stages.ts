// Every stage, in the order in which they start.
import { existsSync } from "node:fs";
import { join } from "node:path";
import { cache } from "../build/paths.ts";
import {
  conformanceCount,
  differentialCount,
  faultsCount,
  fuzzCount,
  interleaveCount,
  powercutCount,
  soakCount,
  vitestCount,
} from "./count.ts";
import { conformance, deviations, guest, inGuest, reportOf, type Stage, type Tier, ts, vitest } from "./stage.ts";

const always: Tier[] = ["quick", "push", "full"];
const pushed: Tier[] = ["push", "full"];

const debianPlugins = "/usr/lib/cni";
const currentPlugins = join(cache, "go-plugins/1.9.1");
const peer = ["--peer", debianPlugins];
/** Cases that reach each plugin, delegation, input and output. The other cases are refusals, which use the same paths of the native layer. */
const nativePaths = ["--case", "ADD,B-36,B-5,B-85,CHK,DEL,DLG,GC,HD,HL,IN,IO,KEY,MV,SEC,ST"];
/** For slow builds of the executable. */
const slow = ["--limit", "120"];
/** With a garbage collection at each allocation, a call takes seconds. */
const fewPaths = ["--case", "HDX,HLX,STX,MVX-0,DEL"];
/** Some cases of every plugin. Node takes 0.1 s to start, and the executable without a snapshot runs the same code. The full tier runs more. */
const onNode = ["--case", "ADD,DEL,GC,HDX,MVX,HLX,STX,SEC"];
/** Cases that need neither the kernel's network nor ioctls on namespaces, which qemu-user does not support. */
const emulated = ["--main", ",", "--case", "ADD,GC,STA,SEC,HL-,HLX,ST-,STX"];
/** Cases for the main plugin, with host-device as the main plugin: the same calls, but the device must be returned. */
const hostDevice = ["--main", "host-device", "--case", "ADD,CFG,CHK,CHN,DEL,DLG,GC,IN,IO,NSP,SEC,STA"];
/** Cases that depend on the kernel and run on this machine. A guest runs all device cases: npm run kernels -- 4.18-like. */
const oldKernel = [
  "--old-kernel",
  "--main",
  "macvlan",
  "--case",
  "HDI-30,HDX-0,HDX-23,HDX-25,HDX-41,HDX-42,HDX-47,MVX-01,MVX-04,MVX-07,B-26,B-36,B-42,B-51d,B-63,B-83a,B-91s,DLG-0,ND-92",
];
/** Cases for the main plugin, with bridge, whose results have more interfaces. The full tier runs all of them. */
const bridge = ["--main", "bridge", "--case", "ADD,CHK,DEL,GC-3"];
/** Groups in which the Go plugins deviate most. The lists of deviations change only if a case changes. The full tier checks the whole lists. */
const fewDeviations = ["--case", "ADD,ATK,CHK,DEL,HD-,HL-,MV-"];
const moreDeviations = ["--case", "ADD,ATK,B-1,B-2,B-3,CHK,DEL,HD-,HL-,MV-"];
/**
 * Cases for what this machine's kernel may lack: ipvlan and VLANs of bridges. Does not include 100 simultaneous ADDs, which take minutes. The full
 * tier runs the whole suite.
 */
const guestCases = "--main ipvlan --case IV-,IVX,VRT-2,VRT-3,VRT-4,VSN,GDE-04,B-37,B-39a,B-45,B-49";
const suiteInGuest = (cases: string, limit: number): string =>
  `node scripts/ts.mjs conformance/main.ts --bin dist/cni --jobs 2 --limit ${limit} ${cases} --report "$PODNIC_VM_OUT/suite.json"`;
/** Tries every `every`-th point. */
const guestFaults = (plugin: string, every: number): string =>
  `node scripts/ts.mjs conformance/faults/main.ts --plugin ${plugin} --mode kill --every ${every} --json "$PODNIC_VM_OUT/faults-${plugin}.json"`;
/** Clients that need ipvlan, vrf or VLANs of bridges. */
const guestClients = "CNITOOL-ipvlan,CHAIN-vrf-macvlan-1.9.1,CHAIN-sbr-ipvlan-1.9.1,CHAIN-tuning-ipvlan-1.9.1,NAD";
const clusterInGuest = `node scripts/ts.mjs conformance/cluster/main.ts --report "$PODNIC_VM_OUT/cluster.json"`;
const clientsInGuest = `node scripts/ts.mjs conformance/clients/main.ts --bin dist/cni --case ${guestClients} --report "$PODNIC_VM_OUT/clients.json"`;
const sriovInGuest = (cases: string): string =>
  `node scripts/ts.mjs conformance/main.ts --bin dist/cni --jobs 2 --limit 120 --case ${cases} --report "$PODNIC_VM_OUT/sriov.json"`;
/** Pairs of plugins that need what this machine's kernel or hardware may lack. */
const interleaveInGuest = `node scripts/ts.mjs conformance/interleave/main.ts --pair ipvlan --pair function --one 30 --two 20 --kill 20 --json "$PODNIC_VM_OUT/interleave.json"`;
/** Removes the device during ADD, for the plugins that the kernel stage cannot run. */
const goneInGuest = `npx vitest run --project kernel src/plugin/gone-midway.kernel.test.ts -t "ipvlan|sriov" --reporter=default --reporter=json --outputFile.json="$PODNIC_VM_OUT/gone.json"`;
const fewSchedules = ["--one", "3", "--two", "2", "--kill", "2"];
/** Some cases of sriov on real functions. The full tier runs the rest, and the kill matrix. */
const fewSriov = "SRV-01,SRV-02,SRV-04,SRV-08,SRV-10,SRB-01";

const faults = (name: string, plugins: string, more: string[], tiers: Tier[], limit: number): Stage => ({
  name,
  tiers,
  command: ts(
    ...["conformance/faults/main.ts", "--bin", "dist/cni", "--plugin", plugins, ...more],
    ...["--json", reportOf(name)],
  ),
  count: faultsCount,
  limit,
});

const powercut = (name: string, more: string[], tiers: Tier[], limit: number): Stage => ({
  name,
  tiers,
  command: ts("conformance/powercut/main.ts", "--bin", "dist/cni", ...more, "--json", reportOf(name)),
  count: powercutCount,
  limit,
});

/** Starts and stops pods for some time. */
const soak = (name: string, more: string[], tiers: Tier[], limit: number): Stage => ({
  name,
  tiers,
  command: ts("conformance/soak/main.ts", "--bin", "dist/cni", ...more, "--json", reportOf(name)),
  count: soakCount,
  limit,
});

const interleave = (name: string, more: string[], tiers: Tier[], limit: number): Stage => ({
  name,
  tiers,
  command: ts("conformance/interleave/main.ts", "--bin", "dist/cni", ...more, "--json", reportOf(name)),
  count: interleaveCount,
  limit,
});

/** Fuzzes each target, two at a time. */
const fuzz = (name: string, length: string[], tiers: Tier[], limit: number): Stage => ({
  name,
  tiers,
  command: ts("conformance/fuzz/main.ts", ...length, ...["--jobs", "2", "--report", reportOf(name)]),
  count: fuzzCount,
  limit,
  alone: true,
});

/** Measures the operator's commands on a node where somebody has filled podnic's state. */
const hostile = (name: string, files: string, tiers: Tier[], limit: number): Stage => ({
  name,
  tiers,
  command: ts("conformance/hostile/main.ts", "--files", files, "--report", reportOf(name)),
  count: conformanceCount,
  limit,
});

export const stages: Stage[] = [
  { name: "check", tiers: always, command: ["npm", "run", "-s", "check"], limit: 5 },
  vitest("unit", ["unit", "process"], ["quick"], 5, vitestCount),
  vitest("unit", ["unit", "process"], pushed, 5, vitestCount, "PODNIC_UNIT=whole"),
  { name: "build", tiers: ["quick"], command: ts("scripts/build.ts"), limit: 10, alone: true },
  { name: "build", tiers: pushed, command: ts("scripts/build.ts", "--variants"), limit: 10, alone: true },
  {
    name: "build arm64",
    tiers: pushed,
    command: ts("scripts/build.ts", "--target", "linux-arm64"),
    limit: 5,
    alone: true,
  },
  {
    name: "build s390x",
    tiers: ["full"],
    command: ts("scripts/build.ts", "--target", "linux-s390x"),
    limit: 5,
    needs: [join(cache, "s390x/usr/bin/qemu-s390x"), "scripts/setup full"],
    alone: true,
  },
  {
    name: "build riscv64",
    tiers: ["full"],
    command: ts("scripts/build.ts", "--target", "linux-riscv64"),
    limit: 5,
    needs: [join(cache, "riscv64/usr/bin/qemu-riscv64"), "scripts/setup full"],
    alone: true,
  },
  {
    name: "build ppc64le",
    tiers: ["full"],
    command: ts("scripts/build.ts", "--target", "linux-ppc64le"),
    limit: 5,
    needs: [join(cache, "ppc64le/usr/bin/qemu-ppc64le"), "scripts/setup full"],
    alone: true,
  },
  // The push tier builds a release, too (release.built.test.ts), but without the parts that only this stage builds.
  {
    name: "release, all architectures",
    tiers: ["full"],
    command: ts("scripts/release.ts", "--output", join(cache, "release")),
    limit: 10,
    needs: [join(cache, "s390x/usr/bin/qemu-s390x"), "scripts/setup full"],
    alone: true,
  },
  { name: "build podnic-node", tiers: pushed, command: ts("scripts/build-pkg.ts"), limit: 3, alone: true },
  { name: "image", tiers: pushed, command: ts("scripts/image.ts"), limit: 5, alone: true },
  { name: "guest", tiers: pushed, command: [guest, "--", "conformance/vm/selftest"], limit: 8 },
  vitest("kernel", ["kernel*"], always, 10, vitestCount),
  vitest("built", ["built"], pushed, 20, vitestCount),
  {
    name: "worlds",
    tiers: pushed,
    command: [
      ...["env", "WORLDS=10000", "npx", "vitest", "run", "--project", "unit", "src/link/tests/worlds.test.ts"],
      ...["--reporter=default", "--reporter=json", `--outputFile.json=${reportOf("worlds")}`],
    ],
    count: vitestCount,
    limit: 5,
  },
  conformance("conformance", "dist/cni", peer, always, 15),
  conformance("conformance host-device", "dist/cni", [...peer, ...slow, ...hostDevice], always, 15),
  conformance("conformance bridge", "dist/cni", [...peer, ...slow, ...bridge], ["push"], 15),
  conformance("conformance like 4.18", "dist/cni", [...slow, ...oldKernel], pushed, 5),
  // Guests come first: each uses one of the machine's processors alone, and they take longest.
  inGuest("conformance in the guest", "suite.json", conformanceCount, suiteInGuest(guestCases, 300), ["push"], 20),
  // Tries every third point; the full tier tries every point.
  faults("faults", "host-device,macvlan", ["--mode", "kill", "--every", "3"], ["push"], 25),
  {
    name: "allocations",
    tiers: ["full"],
    command: ts("conformance/faults/allocations.ts", "--points", "150", "--json", reportOf("allocations")),
    count: faultsCount,
    limit: 120,
  },
  inGuest("sriov in the guest", "sriov.json", conformanceCount, sriovInGuest(fewSriov), ["push"], 20, "2"),
  conformance("conformance sanitize", "dist/variants/sanitize/cni", [...peer, ...slow, ...nativePaths], pushed, 25),
  inGuest("faults in the guest", "faults-ipvlan.json", faultsCount, guestFaults("ipvlan", 60), ["push"], 15),
  conformance("conformance gc-stress", "dist/variants/gc-stress/cni", [...peer, ...slow, ...fewPaths], pushed, 20),
  inGuest("clients in the guest", "clients.json", conformanceCount, clientsInGuest, pushed, 15),
  conformance("conformance no-snapshot", "dist/variants/no-snapshot/cni", [...peer, ...slow, ...onNode], ["push"], 20),
  conformance(
    "conformance no-snapshot",
    "dist/variants/no-snapshot/cni",
    [...peer, ...slow, ...nativePaths],
    ["full"],
    20,
  ),
  deviations("1.1.1", debianPlugins, ["push"], fewDeviations),
  deviations("1.1.1", debianPlugins, ["full"], []),
  deviations("1.9.1", currentPlugins, ["push"], moreDeviations, [currentPlugins, "scripts/go-plugins"]),
  deviations("1.9.1", currentPlugins, ["full"], [], [currentPlugins, "scripts/go-plugins"]),
  {
    name: "differential",
    tiers: pushed,
    command: ts(
      // A fixed seed, so that two runs of one commit agree. Without --seed, each run uses another seed.
      ...["conformance/differential.ts", "--bin", "dist/cni", "--seed", "729182", "--report", reportOf("differential")],
      ...["--count", "300"],
      ...["--peer", existsSync(currentPlugins) ? currentPlugins : debianPlugins],
    ),
    count: differentialCount,
    limit: 15,
  },
  {
    name: "honesty",
    tiers: pushed,
    command: ts("conformance/honesty.ts", "--bin", "dist/cni", "--report", reportOf("honesty")),
    count: conformanceCount,
    limit: 10,
  },
  conformance("conformance podnic-node", "dist/pkg/cni", [...peer, ...slow, ...onNode], ["push"], 10),
  conformance("conformance arm64", "dist/linux-arm64/emulated", [...slow, ...emulated], pushed, 10),
  conformance("conformance s390x", "dist/linux-s390x/emulated", [...slow, ...emulated], ["full"], 10),
  conformance("conformance riscv64", "dist/linux-riscv64/emulated", [...slow, ...emulated], ["full"], 10),
  conformance("conformance ppc64le", "dist/linux-ppc64le/emulated", [...slow, ...emulated], ["full"], 10),
  {
    name: "clients",
    tiers: pushed,
    command: ts("conformance/clients/main.ts", "--bin", "dist/cni", "--report", reportOf("clients")),
    count: conformanceCount,
    limit: 10,
  },
  {
    name: "containerd",
    tiers: pushed,
    command: ts("conformance/cri/main.ts", "--report", reportOf("containerd")),
    count: conformanceCount,
    limit: 3,
  },
  {
    name: "cluster",
    tiers: ["push"],
    command: ts("conformance/cluster/main.ts", "--push", "--report", reportOf("cluster")),
    count: conformanceCount,
    limit: 4,
  },
  // The first run builds Multus thick and containerd 2.
  {
    name: "cluster, whole",
    tiers: ["full"],
    command: ["scripts/cluster", "--report", reportOf("cluster, whole")],
    count: conformanceCount,
    limit: 60,
  },
  inGuest("cluster in the guest", "cluster.json", conformanceCount, clusterInGuest, ["full"], 50, "2"),
  { name: "instructions", tiers: ["push"], command: ts("scripts/bench/instructions.ts"), limit: 5 },
  // Every eighth point, and every twelfth.
  faults("errors", "host-device,macvlan", ["--ipam", "host-local", "--mode", "error", "--every", "8"], ["push"], 15),
  faults("faults of bridge", "bridge", ["--ipam", "host-local", "--every", "12"], ["push"], 10),
  // Some of the schedules with one change, which find most errors. They are the same in each run. Leaves out doctor and install, which make thousands
  // of system calls.
  interleave("interleave", ["--except", "doctor", "--except", "install", ...fewSchedules], ["push"], 10),
  powercut("power cuts", ["--fs", "ext4", "--without", "none", "--calls", "16", "--looks", "16"], ["push"], 8),
  soak("pods that come and go", ["--minutes", "0.5", "--least", "30", "--most", "120"], ["push"], 5),
  { name: "refusals", tiers: always, command: ts("conformance/refusals/main.ts"), limit: 5 },
  hostile("hostile state", "2000", ["push"], 5),
  { name: "install", tiers: ["push"], command: ts("conformance/install/main.ts", "--rounds", "60"), limit: 8 },
  { name: "operations", tiers: pushed, command: ts("conformance/operations/main.ts"), limit: 12 },
  { name: "demo", tiers: pushed, command: ["scripts/demo"], limit: 5, alone: true },
  // The first run compiles the engine. Inputs are random only in the full tier, so that the result of a push depends only on its changes.
  fuzz("fuzz", ["--repeatable"], pushed, 15),

  // --- the full tier: hours
  {
    name: "worlds on the kernel, a hundred",
    tiers: ["full"],
    command: [
      ...["env", "KERNEL_WORLDS=100", "npx", "vitest", "run", "--project", "built", "plugins/host-device/worlds"],
      ...["--reporter=default", "--reporter=json", `--outputFile.json=${reportOf("worlds on the kernel, a hundred")}`],
    ],
    count: vitestCount,
    limit: 20,
  },
  fuzz("fuzz, an hour", ["--seconds", "3600"], ["full"], 240),
  interleave("interleave, more", ["--two", "1500", "--kill", "300"], ["full"], 240),
  inGuest("interleave in the guest", "interleave.json", interleaveCount, interleaveInGuest, ["full"], 240, "1"),
  powercut("power cuts, all file systems", [], ["full"], 240),
  soak("pods that come and go, an hour", ["--minutes", "60"], ["full"], 120),
  faults("faults, whole", "host-device,macvlan", ["--mode", "kill"], ["full"], 60),
  faults("errors, whole", "host-device,macvlan", ["--mode", "error"], ["full"], 120),
  faults("faults of bridge, whole", "bridge", [], ["full"], 60),
  conformance("conformance bridge, whole", "dist/cni", [...peer, ...slow, "--main", "bridge"], ["full"], 30),
  inGuest("suite in the guest, whole", "suite.json", conformanceCount, suiteInGuest("", 600), ["full"], 120),
  inGuest("sriov in the guest, whole", "sriov.json", conformanceCount, sriovInGuest("SR"), ["full"], 60, "2"),
  inGuest("gone during ADD, in the guest", "gone.json", vitestCount, goneInGuest, ["full"], 60, "1"),
  inGuest("faults of ipvlan, whole", "faults-ipvlan.json", faultsCount, guestFaults("ipvlan", 1), ["full"], 90),
  inGuest("faults of sriov, whole", "faults-sriov.json", faultsCount, guestFaults("sriov", 1), ["full"], 180, "2"),
  conformance("conformance podnic-node, whole", "dist/pkg/cni", [...peer, ...slow], ["full"], 60),
  hostile("hostile state, whole", "100000", ["full"], 30),
  {
    name: "install, 1000 times",
    tiers: ["full"],
    command: ts("conformance/install/main.ts", "--rounds", "1000"),
    limit: 60,
  },
];
