// `scripts/train.ts PLUGINS`: makes the usual calls of a node with these plugins, in a sandbox. The build runs this with executables that record
// which of their allocations each call reads or writes (scripts/build/plan.ts). It checks only that the calls succeed.
import { spawnSync } from "node:child_process";
import { mkdirSync, symlinkSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { argv } from "node:process";
import { hasKind } from "./bench/world.ts";
import { manifest } from "./build/paths.ts";
import { enterSandbox, hideState, sh } from "./sandbox.ts";

/**
 * The plugins' directory in the sandbox. It has a fixed name, because what a call looks up depends on the text of CNI_PATH, and the build's own
 * directory has a random name.
 */
const plugins = "/run/plugins";

function call(plugin: string, command: string, config: object, netns = "", refusable = false): string {
  const env = {
    ...process.env,
    CNI_COMMAND: command,
    CNI_CONTAINERID: "trained",
    CNI_NETNS: netns,
    CNI_IFNAME: "eth0",
    CNI_PATH: plugins,
  };
  const input = JSON.stringify(config);
  const { status, stdout, stderr } = spawnSync(join(plugins, plugin), { env, input, encoding: "utf8" });
  if (status !== 0 && !refusable) throw new Error(`training: ${plugin} ${command} failed: ${stdout}${stderr}`);
  return stdout;
}

const static4 = { type: "static", addresses: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }] };
const hostLocal = { type: "host-local", ranges: [[{ subnet: "10.2.0.0/24" }]], routes: [{ dst: "0.0.0.0/0" }] };

/**
 * With this many rounds, what a call reads by chance, or because it had to wait, does not count as usual (SELDOM in scripts/build/plan.ts). Otherwise
 * two builds could differ. For the same reason, all MAC addresses are fixed.
 */
const ROUNDS = 4;
const ADDRESSES = ["02:00:00:00:00:01", "02:00:00:00:00:02", "02:00:00:00:00:03"] as const;

function attachment(type: string, keys: object, ipam: object): void {
  const netns = "/run/netns/pod";
  const config = { cniVersion: "1.0.0", name: `network-${type}`, type, ...keys, ipam };
  const prevResult = JSON.parse(call(type, "ADD", config, netns));
  call(type, "CHECK", { ...config, prevResult }, netns);
  call(type, "DEL", config, netns);
}

/** Makes a PCI tree in which `card` is the interface of a virtual function, and `peer` that of its physical function. */
function makeFunction(): string {
  const [pf, vf] = ["0000:01:00.0", "0000:01:10.0"];
  const devices = "/sys/bus/pci/devices";
  sh("mount", "-t", "tmpfs", "podnic", "/sys");
  mkdirSync(`${devices}/${pf}/net/peer`, { recursive: true });
  mkdirSync(`${devices}/${vf}/net/card`, { recursive: true });
  writeFileSync(`${devices}/${pf}/sriov_numvfs`, "1\n");
  symlinkSync(`../${vf}`, `${devices}/${pf}/virtfn0`);
  symlinkSync(`../${pf}`, `${devices}/${vf}/physfn`);
  symlinkSync("../../drivers/vf", `${devices}/${vf}/driver`);
  return vf;
}

function onMaster(type: string): void {
  const keys = { master: "card", ...(type === "macvlan" ? { runtimeConfig: { mac: ADDRESSES[2] } } : {}) };
  sh("ip", "link", "set", "card", "up");
  for (let round = 0; round < ROUNDS; round++) {
    if (hasKind(type)) {
      if (type === "macvlan") attachment(type, keys, {});
      attachment(type, keys, hostLocal);
      continue;
    }
    // A kernel without this kind of link reports this only when everything is ready for the link. There is no DEL, because it would look for the
    // interface in all namespaces of the machine, and these differ between builds.
    call(
      type,
      "ADD",
      { cniVersion: "1.0.0", name: `network-${type}`, type, ...keys, ipam: hostLocal },
      "/run/netns/pod",
      true,
    );
  }
}

/** The usual calls of each plugin, in order. sriov is last, because its calls hide the real /sys. */
const usual: { [plugin: string]: () => void } = {
  "host-device": () => {
    call("host-device", "VERSION", { cniVersion: "1.0.0" });
    for (let round = 0; round < ROUNDS; round++)
      for (const ipam of [{}, static4, hostLocal]) attachment("host-device", { device: "card" }, ipam);
  },
  macvlan: () => onMaster("macvlan"),
  ipvlan: () => onMaster("ipvlan"),
  // Different runs of its calls write to different allocations, but builds must be equal.
  bridge: () => {},
  // The other plugins call these.
  static: () => {},
  "host-local": () => {},
  sriov() {
    const deviceID = makeFunction();
    for (let round = 0; round < ROUNDS; round++) attachment("sriov", { deviceID }, hostLocal);
  },
};

function main(): void {
  const untrained = manifest().plugins.filter((name) => usual[name] === undefined);
  if (untrained.length > 0) throw new Error(`scripts/train.ts has no usual calls of ${untrained.join(", ")}`);
  hideState();
  mkdirSync(plugins);
  sh("mount", "--bind", argv[2]!, plugins);
  sh("ip", "netns", "add", "pod");
  // Every kernel supports veth. One end stands for a card.
  const [card, peer] = ADDRESSES;
  sh("ip", "link", "add", "card", "address", card, "type", "veth", "peer", "name", "peer", "address", peer);
  sh("ip", "link", "set", "peer", "up");
  for (const calls of Object.values(usual)) calls();
}

if (enterSandbox("scripts/train.ts")) main();
