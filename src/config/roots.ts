// Where a path of a configuration may lie when the node's policy says nothing, and where it never may.

export interface Root {
  readonly path: string;
  /**
   * Others than the administrator make files and directories here too: below it only what he alone can have made is entered
   * (config/place.ts). Of his own roots we create what is missing.
   */
  readonly shared: boolean;
}

const own = (...paths: string[]): Root[] => paths.map((path) => ({ path, shared: false }));
const shared = (...paths: string[]): Root[] => paths.map((path) => ({ path, shared: true }));

/** Where the Go plugins' users keep such files. */
export const builtInRoots = {
  dataDir: [
    ...own("/var/lib/cni", "/var/lib/cni/networks", "/run/cni", "/var/run/cni"),
    ...shared("/var/lib", "/run", "/var/run", "/tmp", "/var/tmp"),
  ],
  logFile: shared("/var/log", "/run", "/var/run", "/tmp"),
  resolvConf: [
    ...own("/run/systemd/resolve", "/run/NetworkManager", "/run/resolvconf"),
    ...shared("/etc", "/run", "/var/lib", "/tmp"),
  ],
  kernelpath: own("/sys"),
};

/** Trees that containers, their runtimes or users write, that the system's own programs read, and the state of other plugins. */
const never = new Set([
  ..."containerd containers crio cri-dockerd.sock docker firecracker-containerd host k0s k3s kata-containers libpod"
    .split(" ")
    .map((name) => `/run/${name}`),
  ..."lock lxc netns podman podnic runc crun sbx secrets shm user vc".split(" ").map((name) => `/run/${name}`),
  ..."dbus modprobe.d sudo sysctl.d systemd tmpfiles.d udev".split(" ").map((name) => `/run/${name}`),
  "/run/cni/tuning",
  ..."buildkit containerd containers crio docker ecs incus k0s kata-containers kubelet longhorn lxc lxcfs lxd machines"
    .split(" ")
    .map((name) => `/var/lib/${name}`),
  ..."nomad openebs podman rancher rook".split(" ").map((name) => `/var/lib/${name}`),
  ..."dpkg etcd rpm systemd".split(" ").map((name) => `/var/lib/${name}`),
  ..."cache flannel multus podnic results sriov".split(" ").map((name) => `/var/lib/cni/${name}`),
  "/var/log/containers",
  "/var/log/pods",
]);

/** The tree, below `root`, that a path without links lies in and must not; undefined: none. What the root itself names is allowed. */
export function forbiddenTree(path: string, root: string): string | undefined {
  for (let end = root.length; end < path.length; ) {
    end = path.indexOf("/", end + 1);
    if (end < 0) end = path.length;
    const tree = path.slice(0, end);
    if (never.has(tree)) return tree;
  }
  return undefined;
}

/** The path is the directory, or lies below it. */
export function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory) && (path.length === directory.length || path[directory.length] === "/");
}
