import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { type Fd, host, installHost } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { openParent, openPlace, readResolvFile } from "./place.ts";
import { confinePath } from "./policy.ts";

let root = "";

/** /etc/resolv.conf is one of ours. */
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

// C1: the link is root's, in a directory of root's that nobody else can write, as root of a container makes it.
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

test.each([
  "/run/containerd/io.containerd.runtime.v2.task/k8s.io/x/rootfs/d",
  "/var/run/containerd/x",
  "/run/containers/storage/overlay-containers/x/userdata/shm/d",
  "/var/lib/kubelet/pods/x/volumes/kubernetes.io~empty-dir/v",
  "/var/lib/cni/podnic/host-device",
  "/var/lib/cni/sriov/x",
  "/var/lib/cni/results",
  "/run/podnic/host-local",
  "/run/systemd/system",
])("%s is refused by its name", (path) => {
  expect(() => openPlace("dataDir", confinePath("dataDir", path))).toThrow("which containers or other programs use");
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
