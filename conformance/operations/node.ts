// Inside the QEMU guest: makes the node of docs/operations.md, runs the commands on it and writes what they said to a file.
//   node scripts/ts.mjs conformance/operations/node.ts OUTPUT
// A card with four virtual functions. Pod blue has one of them, pod green another; pod grey's namespace has gone without DEL.
// A lease is left of the time before the last boot, and one configuration is broken.
import { spawnSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { shown } from "./commands.ts";

export interface Said {
  stdout: string;
  stderr: string;
  status: number;
}

const podnic = join(process.cwd(), "dist/podnic");
const env = { ...process.env, PATH: `/run/bin:${process.env.PATH}` };

function sh(script: string): Said {
  const { status, stdout, stderr, error } = spawnSync("sh", ["-c", script], { encoding: "utf8", env, cwd: "/root" });
  if (error !== undefined) throw error;
  return { status: status ?? -1, stdout, stderr };
}

function must(script: string): void {
  const { status, stdout, stderr } = sh(script);
  if (status !== 0) throw new Error(`${script}\n${stdout}${stderr}`);
}

const pool = { type: "host-local", ranges: [[{ subnet: "192.0.2.0/28" }]] };
const configurations: { [file: string]: object | string } = {
  "10-fast.conflist": {
    cniVersion: "1.0.0",
    name: "fast",
    plugins: [{ type: "sriov", deviceID: "0000:01:10.0", vlan: 100, ipam: pool }],
  },
  "20-wire.conf": {
    cniVersion: "1.0.0",
    name: "wire",
    type: "host-device",
    device: "eth0v2",
    ipam: { ...pool, ranges: undefined, subnet: "198.51.100.0/24" },
  },
  "30-lan.conf":
    '{\n  "cniVersion": "1.0.0",\n  "name": "lan",\n  "type": "macvlan",\n  "master": "eth0",\n  "mode": "brige"\n}\n',
};

/** A pod, its network and device, as a device plugin and a runtime would say it. */
interface Pod {
  name: string;
  containerId: string;
  network: "fast" | "wire";
  deviceID: string;
}

const id = (start: string) => start.padEnd(64, "0123456789abcdef");
const pods: readonly Pod[] = [
  { name: "blue", containerId: id("b1e"), network: "fast", deviceID: "0000:01:10.0" },
  { name: "green", containerId: id("9ee"), network: "wire", deviceID: "0000:01:10.4" },
  { name: "grey", containerId: id("92e"), network: "fast", deviceID: "0000:01:10.2" },
];

function makeCard(): void {
  must(`ip link set eth0 up
    echo 4 >/sys/class/net/eth0/device/sriov_numvfs
    udevadm settle 2>/dev/null || sleep 0.5
    for vf in 0 1 2 3; do
      pci=0000:01:10.$((vf * 2))
      name=$(ls /sys/bus/pci/devices/$pci/net)
      ip link set $name down && ip link set $name name eth0v$vf
    done`);
  giveAddresses();
}

/** The driver of a VF takes what its PF gave it whenever it resets, which may come late: until all have kept ours for a while. */
function giveAddresses(): void {
  must(`kept=0
    for i in $(seq 100); do
      kept=$((kept + 1))
      for vf in 0 1 2 3; do
        grep -q 02:00:00:00:01:0$vf /sys/class/net/eth0v$vf/address && continue
        kept=0
        ip link set eth0v$vf address 02:00:00:00:01:0$vf
      done
      [ $kept = 4 ] && exit 0
      sleep 0.2
    done
    echo the virtual functions do not keep their addresses; exit 1`);
}

function makeFiles(): void {
  must(`mount -t tmpfs -o mode=755 tmpfs /etc/cni 2>/dev/null || { mkdir -p /etc/cni && mount -t tmpfs -o mode=755 tmpfs /etc/cni; }
    mkdir -p /opt /var/lib/cni && mount -t tmpfs tmpfs /opt && mount -t tmpfs -o mode=755 tmpfs /var/lib/cni
    mkdir -p /run/bin /run/netns /opt/cni/bin /etc/cni/net.d && ln -s ${podnic} /run/bin/podnic
    for name in host-device host-local loopback macvlan; do cp /usr/lib/cni/$name /opt/cni/bin/; done`);
  for (const [file, content] of Object.entries(configurations)) {
    const text = typeof content === "string" ? content : `${JSON.stringify(content, null, 2)}\n`;
    writeFileSync(`/etc/cni/net.d/${file}`, text);
  }
}

function add({ name, containerId, network, deviceID }: Pod): void {
  must(`ip netns add ${name}`);
  const list = configurations[network === "fast" ? "10-fast.conflist" : "20-wire.conf"] as { plugins?: object[] };
  const plugin = list.plugins?.[0] ?? list;
  const config = { cniVersion: "1.0.0", name: network, ...plugin, ...(network === "fast" ? { deviceID } : {}) };
  const call = spawnSync(podnic, {
    env: {
      ...env,
      CNI_COMMAND: "ADD",
      CNI_CONTAINERID: containerId,
      CNI_NETNS: `/run/netns/${name}`,
      CNI_IFNAME: "net1",
      CNI_PATH: "/opt/cni/bin",
    },
    input: JSON.stringify(config),
    encoding: "utf8",
  });
  if (call.status !== 0) throw new Error(`ADD for ${name}: ${call.stdout}${call.stderr}`);
}

/** The namespace of a pod ends, and nobody calls DEL. */
function kill(name: string): void {
  must(
    `ip netns del ${name}; for i in $(seq 50); do ls /sys/bus/pci/devices/0000:01:10.2/net | grep -q . && exit 0; sleep 0.1; done; exit 1`,
  );
}

function main(output: string): void {
  makeCard();
  makeFiles();
  for (const pod of pods) add(pod);
  kill("grey");
  // A node that lost power: the lease of a pod of the time before.
  must(
    `printf '${id("01d")}\\r\\nnet1' >/var/lib/cni/networks/wire/198.51.100.9 && touch -d 2020-02-02 /var/lib/cni/networks/wire/198.51.100.9`,
  );
  mkdirSync("/root", { recursive: true });
  const said = shown.map(({ command, before = "" }) => {
    if (before !== "") must(before);
    return sh(command);
  });
  writeFileSync(output, JSON.stringify(said));
}

main(process.argv[2]!);
