import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Fd, host, installHost } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { openParent, openPlace, readResolvFile } from "./place.ts";
import { confinePath } from "./policy.ts";

let root = "";

/** A host whose /etc/resolv.conf is a file of this test. */
class TestNode extends NodeHost {
  override open(path: string, flags: number, mode?: number, dir?: Fd, resolve = 0): Fd {
    return super.open(path === "/etc/resolv.conf" ? `${root}/etc-resolv` : path, flags, mode, dir, resolve);
  }
}

beforeEach(() => {
  root = fs.mkdtempSync(join(tmpdir(), "podnic-place-"));
  installHost(new TestNode());
});
afterEach(() => fs.rmSync(root, { recursive: true }));

const create = { mode: 0o755 };
const open = (path: string) => host.close(openPlace("dataDir", confinePath("dataDir", path), create)!);
const refused = (path: string, why: string) => {
  const before = fs.readdirSync(root, { recursive: true });
  const error = expect.objectContaining({ kind: "invalid config", message: expect.stringContaining(why) });
  expect(() => open(path)).toThrow(error);
  expect(fs.readdirSync(root, { recursive: true })).toEqual(before);
};

test("what only root can have made is entered, and what is missing in it is made", () => {
  open(`${root}/a/b`);
  expect(fs.statSync(`${root}/a/b`).mode & 0o777).toBe(0o755);
  expect(openPlace("dataDir", confinePath("dataDir", `${root}/none`))).toBeUndefined();
});

// C1: the link belongs to root, and is in a directory that belongs to root and that nobody else can write to. A container's root can create this.
test("no link is followed below a root, whoever made it", () => {
  fs.mkdirSync(`${root}/elsewhere`);
  fs.symlinkSync(`${root}/elsewhere`, `${root}/link`);
  refused(`${root}/link`, "contains a symbolic link");
  refused(`${root}/link/x`, "contains a symbolic link");
});

test("a directory that others can write, or that is theirs, is not entered", () => {
  fs.mkdirSync(`${root}/open`);
  for (const mode of [0o777, 0o1777, 0o775]) {
    fs.chmodSync(`${root}/open`, mode);
    refused(`${root}/open/x`, "is writable by other users");
  }
  fs.chmodSync(`${root}/open`, 0o755);
  fs.chownSync(`${root}/open`, 12345, 0);
  refused(`${root}/open/x`, "belongs to another user");
});

test("nor another file system", () => {
  expect(() => open("/run/../proc/x")).toThrow("outside the directories");
  fs.writeFileSync(`${root}/file`, "");
  refused(`${root}/file/x`, "something that is not a directory");
});

test("directly below a root that others share, only cni… is made", () => {
  expect(() => open("/tmp/podnic-nosuch-directory/x")).toThrow("does not exist");
  expect(fs.existsSync("/tmp/podnic-nosuch-directory")).toBe(false);
});

// One path for each known runtime, from its manual or source. A list that was derived from roots.ts would prove nothing.
test.each([
  [
    "containerd",
    "/run/containerd/io.containerd.runtime.v2.task/k8s.io/x/rootfs/d",
    "/var/lib/containerd/x/snapshots/1/fs",
  ],
  ["containerd's shims", "/var/run/containerd/x", "/run/vc/sbs/x", "/run/kata-containers/shared"],
  [
    "CRI-O, podman",
    "/run/containers/storage/overlay-containers/x/userdata/shm/d",
    "/var/lib/containers/storage/overlay",
  ],
  ["CRI-O", "/run/crio/x", "/var/lib/crio/x"],
  ["podman", "/run/podman/x", "/run/libpod/x", "/var/lib/podman/x", "/run/netns/x"],
  ["docker", "/run/docker/runtime-runc", "/var/lib/docker/overlay2/x/merged/d", "/var/lib/cri-dockerd/x"],
  ["buildkit", "/run/buildkit/x", "/var/lib/buildkit/x", "/var/lib/buildkitd/x"],
  ["nerdctl, buildah", "/var/lib/nerdctl/x", "/var/lib/buildah/x"],
  ["kubelet", "/var/lib/kubelet/pods/x/volumes/kubernetes.io~empty-dir/v"],
  ["k3s, rke2", "/run/k3s/containerd/x", "/var/lib/rancher/k3s/agent/containerd/x", "/var/lib/rancher/rke2/agent"],
  ["k0s", "/run/k0s/containerd/x", "/var/lib/k0s/containerd/x"],
  ["microk8s, snap", "/run/snapd/x", "/var/lib/snapd/x", "/run/microk8s/x"],
  [
    "LXC, LXD, incus",
    "/run/lxc/x",
    "/var/lib/lxc/x/rootfs",
    "/var/lib/lxd/x",
    "/run/incus/x",
    "/var/lib/incus/storage-pools",
  ],
  ["systemd-nspawn", "/var/lib/machines/x", "/var/lib/portables/x", "/run/systemd/nspawn"],
  ["libvirt", "/run/libvirt/x", "/var/lib/libvirt/images", "/var/lib/libvirt/qemu"],
  ["KubeVirt", "/run/kubevirt/x", "/run/kubevirt-private/x"],
  ["low-level runtimes", "/run/runc/x", "/run/crun/x", "/run/runsc/x", "/run/youki/x", "/run/sysbox/x"],
  ["Amazon, Nomad", "/var/lib/ecs/x", "/run/firecracker-containerd/x", "/var/lib/nomad/alloc"],
  ["storage", "/var/lib/rook/x", "/var/lib/longhorn/x", "/var/lib/openebs/x", "/var/lib/ceph/x", "/var/lib/osd/x"],
  [
    "systemd",
    "/run/systemd/system",
    "/run/udev/rules.d",
    "/run/extensions/x",
    "/var/lib/confexts/x",
    "/run/tmpfiles.d",
  ],
  ["cloud-init", "/var/lib/cloud/scripts/per-boot", "/var/lib/waagent/x"],
  ["NetworkManager", "/run/NetworkManager/system-connections", "/var/lib/NetworkManager/x"],
  ["podnic", "/var/lib/cni/podnic/host-device", "/run/podnic/host-local"],
  ["CNI", "/var/lib/cni/sriov/x", "/var/lib/cni/results", "/run/cni/tuning/x"],
  ["CNI, and what it runs", "/run/cni/podnic/ipvlan", "/run/cni/dhcp.sock", "/var/lib/cni/bin/x"],
])("no path enters what %s has", (_, ...paths) => {
  for (const path of paths) {
    expect(() => openPlace("dataDir", confinePath("dataDir", path)), path).toThrow("containers or other programs use");
    expect(() => confinePath("logFile", `${path}/x.log`), path).toThrow(/containers or other programs use|outside the/);
    const other = `/run/x${path}`;
    expect(() => confinePath("dataDir", other), other).not.toThrow();
  }
});

test("of NetworkManager and systemd the resolv.conf is read", () => {
  for (const path of ["/run/NetworkManager/resolv.conf", "/run/systemd/resolve/stub-resolv.conf"])
    expect(() => confinePath("resolvConf", path)).not.toThrow();
  expect(() => confinePath("resolvConf", "/run/systemd/system/resolv")).toThrow("containers or other programs use");
});

test.each(["/var/log/wtmp", "/run/nologin", "/var/log/pods/a/0.log", "/run/systemd/system/sshd.service"])(
  "logFile %s is refused",
  (path) =>
    expect(() => openParent("logFile", confinePath("logFile", path))).toThrow(
      expect.objectContaining({ kind: "invalid config" }),
    ),
);

test("the node's resolv.conf is followed, as systemd makes it; another link and another name are not", () => {
  fs.writeFileSync(`${root}/resolv.conf`, "nameserver 192.0.2.1");
  fs.symlinkSync("resolv.conf", `${root}/etc-resolv`);
  expect(host.decode(readResolvFile("/etc/resolv.conf", 100)!)).toBe("nameserver 192.0.2.1");
  expect(host.decode(readResolvFile(`${root}/resolv.conf`, 100)!)).toBe("nameserver 192.0.2.1");
  expect(() => readResolvFile(`${root}/etc-resolv`, 100)).toThrow("symbolic links");
  expect(() => readResolvFile(`${root}/secret`, 100)).toThrow('"resolv" in its name');
});
