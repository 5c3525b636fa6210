// The node that calls find: two namespaces, an uplink, a device to hand over, a card with virtual functions, a delegate.
import { AF_INET } from "../../../src/host/constants.ts";
import * as c from "../../../src/netlink/constants.ts";
import { NODE, POD, type World } from "./world.ts";

export const POD_PATH = "/var/run/netns/pod";
export const DEVICE = "eth1";
export const DEVICE_PCI = "0000:00:05.0";
export const PF = "0000:af:00.0";
export const VF = "0000:af:06.1";
/** Of an IPAM plugin that is none of podnic's. */
export const DELEGATE = "other-ipam";
export const UP = c.IFF_UP | c.IFF_RUNNING | c.IFF_LOWER_UP;

function mac(last: number): Uint8Array {
  return new Uint8Array([2, 0, 0, 0, 0, last]);
}

function vfInfo(vf: number) {
  return {
    mac: { vf, address: mac(0x10 + vf) },
    vlan: { vf, vlan: 0, qos: 0 },
    vlanList: [{ vf, vlan: 0, qos: 0, protocol: 0x8100 }],
    rate: { vf, min: 0, max: 0 },
    spoofchk: { vf, setting: 1 },
    linkState: { vf, state: 0 },
    trust: { vf, setting: 0 },
  };
}

function route(oif: number, dst?: [Uint8Array, number], gateway?: Uint8Array) {
  return {
    family: AF_INET,
    dstLength: dst?.[1] ?? 0,
    srcLength: 0,
    tos: 0,
    table: 254,
    protocol: 3,
    scope: gateway === undefined ? 253 : 0,
    type: 1,
    flags: 0,
    attributes: { table: 254, oif, ...(dst && { dst: dst[0] }), ...(gateway && { gateway }) },
  };
}

/** Links, addresses and routes. */
function furnishNetwork({ network }: World): void {
  for (const namespace of [NODE, POD]) network.add(namespace, UP | c.IFF_LOOPBACK, { name: "lo", mtu: 65536 });
  const uplink = network.add(NODE, UP, { name: "eth0", parentDevice: "0000:00:04.0" });
  const device = network.add(NODE, UP, { name: DEVICE, altnames: ["enp0s5"], parentDevice: DEVICE_PCI });
  network.add(NODE, UP, { name: "pf0", parentDevice: PF, vfInfo: [vfInfo(0), vfInfo(1)] });
  network.add(NODE, 0, { name: "vf1", parentDevice: VF });
  const address = (index: number, last: number) => ({
    family: AF_INET,
    prefixLength: 24,
    flags: 0x80,
    scope: 0,
    index,
    attributes: { address: new Uint8Array([192, 0, 2, last]), local: new Uint8Array([192, 0, 2, last]), flags: 0x80 },
  });
  network.addresses.push({ namespace: NODE, message: address(uplink.index, 2) });
  network.addresses.push({ namespace: NODE, message: address(device.index, 3) });
  network.routes.push({ namespace: NODE, message: route(uplink.index, undefined, new Uint8Array([192, 0, 2, 1])) });
  network.routes.push({ namespace: NODE, message: route(device.index, [new Uint8Array([198, 51, 100, 0]), 24]) });
}

function furnishSysfs({ files, encode }: World): void {
  const pci = "/sys/bus/pci/devices";
  const put = (path: string, text: string) => files.put(path, encode(text));
  const link = (target: string, path: string) => files.symlink(target, path, files.root);
  for (const driver of ["igbvf", "virtio-pci"]) files.putDirectory(`/sys/bus/pci/drivers/${driver}`);
  put(`${pci}/${PF}/sriov_numvfs`, "2\n");
  files.putDirectory(`${pci}/${PF}/net/pf0`);
  for (const n of [0, 1]) {
    const vf = `0000:af:06.${n}`;
    files.putDirectory(`${pci}/${vf}/net/vf${n}`);
    link(`../${vf}`, `${pci}/${PF}/virtfn${n}`);
    link(`../${PF}`, `${pci}/${vf}/physfn`);
    link("../../drivers/igbvf", `${pci}/${vf}/driver`);
  }
  files.putDirectory(`${pci}/${DEVICE_PCI}/net/${DEVICE}`);
  link("../../drivers/virtio-pci", `${pci}/${DEVICE_PCI}/driver`);
  for (const [name, address] of [
    [DEVICE, DEVICE_PCI],
    ["vf1", VF],
    ["pf0", PF],
  ]) {
    put(`/sys/class/net/${name}/address`, "02:00:00:00:00:04\n");
    link(`../../../bus/pci/devices/${address}`, `/sys/class/net/${name}/device`);
  }
}

export function furnish(world: World): void {
  const { files, encode } = world;
  for (const directory of [
    "/tmp",
    "/var/lib/cni",
    "/var/log",
    "/run/netns",
    "/etc/cni/net.d",
    "/namespaces",
    "/proc",
  ]) {
    files.putDirectory(directory);
  }
  files.symlink("/run", "/var/run", files.root);
  for (const namespace of [NODE, POD]) {
    files.put(`/namespaces/${namespace}`, new Uint8Array(0)).namespace = namespace;
  }
  files.link("/namespaces/2", files.root, "/run/netns/pod", files.root);
  files.put("/proc/sys/kernel/random/boot_id", encode("11111111-2222-3333-4444-555555555555\n"));
  files.put(`/opt/cni/bin/${DELEGATE}`, new Uint8Array(0)).mode |= 0o755;
  furnishSysfs(world);
  furnishNetwork(world);
}
