// The directories that a configuration's paths may use if the node's policy does not list any, and the directories that they may never use.

export interface Root {
  readonly path: string;
  /**
   * True if others than the administrator create files and directories here. Below such a root, podnic enters only directories that only the
   * administrator can have created (config/place.ts). Below the administrator's own roots, podnic creates missing directories.
   */
  readonly shared: boolean;
}

const own = (...paths: string[]): Root[] => paths.map((path) => ({ path, shared: false }));
const shared = (...paths: string[]): Root[] => paths.map((path) => ({ path, shared: true }));

/** The directories in which users of the Go plugins keep these files. */
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

/** Trees that a configuration's path must not enter, grouped by the reason. */
export const forbidden: readonly { why: string; below: string; names: string }[] = [
  {
    why: "mounts and writable files of containers and virtual machines, and the sockets and scratch files of their runtimes",
    below: "/run",
    names:
      "buildkit cilium containerd containers crio cri-dockerd.sock crun docker firecracker-containerd flannel garden gvisor host incus k0s k3s kata-containers kubevirt kubevirt-private libpod libvirt lxc lxd microk8s nerdctl netns podman podnic rke2 runc runsc sbx secrets shm snap snapd sysbox user vc youki",
  },
  {
    why: "root file systems, images, volumes and emptyDirs of containers and virtual machines, and what writes them",
    below: "/var/lib",
    names:
      "buildah buildkit buildkitd ceph containerd containers cri-dockerd crio docker ecs flatpak incus k0s k3s kata-containers kubelet kubevirt libpod libvirt longhorn lxc lxcfs lxd machines microk8s minikube nerdctl nomad openebs osd podman portables rancher rkt rook snapd sysbox waydroid",
  },
  {
    why: "what the system's own programs read or run",
    below: "/run",
    names:
      "NetworkManager binfmt.d confexts credentials dbus environment.d extensions initramfs lock modprobe.d modules-load.d motd.d mount netplan network ostree polkit-1 sudo sysctl.d systemd sysusers.d tmpfiles.d udev",
  },
  {
    why: "what the system's own programs read or run",
    below: "/var/lib",
    names:
      "NetworkManager amazon apt cloud confexts dkms dpkg etcd extensions google ignition initramfs-tools pam polkit-1 private rpm selinux sss sudo systemd waagent",
  },
  {
    why: "state of podnic, of other plugins and of libcni, and OpenShift's second directory of plugins",
    below: "/var/lib/cni",
    names: "bin cache flannel multus podnic results sriov",
  },
  {
    why: "state of podnic and of another plugin, and the socket of another",
    below: "/run/cni",
    names: "dhcp.sock podnic tuning",
  },
  { why: "what pods log", below: "/var/log", names: "containers pods" },
];

const never = new Set(forbidden.flatMap(({ below, names }) => names.split(" ").map((name) => `${below}/${name}`)));

/**
 * The forbidden tree that contains `path`, which has no links; undefined: there is none. Ignores trees that are `root` or contain it, because
 * the administrator can allow them.
 */
export function forbiddenTree(path: string, root: string): string | undefined {
  for (let end = root.length; end < path.length; ) {
    end = path.indexOf("/", end + 1);
    if (end < 0) end = path.length;
    const tree = path.slice(0, end);
    if (never.has(tree)) return tree;
  }
  return undefined;
}

/** True if the path is the directory itself or below it. */
export function isBelow(path: string, directory: string): boolean {
  return path.startsWith(directory) && (path.length === directory.length || path[directory.length] === "/");
}
