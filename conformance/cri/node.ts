// A node with containerd in namespaces of its own: everything it writes is in memory and goes with it.

import { type ChildProcess, execFileSync, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import {
  closeSync,
  existsSync,
  mkdirSync,
  openSync,
  readdirSync,
  readFileSync,
  rmdirSync,
  writeFileSync,
} from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { tar } from "../../scripts/release/tar.ts";
import { Cri } from "./cri.ts";

export const BIN = "/opt/cni/bin";
export const PAUSE = "localhost/pause:1";
export const SOCKET = "/run/containerd.sock";
const LOG = "/run/c/log";
/** Milliseconds that it may take to start, on a busy machine. */
const START = process.env.PODNIC_VM === undefined ? 30_000 : 300_000;

function sh(script: string): string {
  return execFileSync("sh", ["-ec", script], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] });
}

/** Parent of the cgroups of this node, which are the machine's: named after a process, so that a later run finds what is left over. */
export const CGROUP = `podnic-cri-${process.env.PODNIC_CRI_OUTSIDE ?? process.pid}`;

/** Directories of plugins, state and networks as a node has them: the Go plugins, and a bridge as its network. */
export function makeNode(): void {
  // crun refuses a machine that has both versions of cgroups: those of the first are taken, where the limits are.
  sh(`if mountpoint -q /sys/fs/cgroup/unified; then umount /sys/fs/cgroup/unified; fi
    mount --make-rshared /
    for dir in /run /opt /var/lib/cni /etc/cni /tmp; do
      # Not over the checkout, which may be in one of them.
      case "$PWD/" in "$dir"/*) continue ;; esac
      mkdir -p $dir; mount -t tmpfs -o mode=755 tmpfs $dir
    done
    mkdir -p ${BIN} /etc/cni/net.d /run/netns; cp /usr/lib/cni/* ${BIN}/
    ip link set lo up; ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up`);
  const ipam = { type: "host-local", ranges: [[{ subnet: "192.0.2.0/24" }]] };
  writeNetwork("50-bridge", { type: "bridge", bridge: "cni0", ipam });
}

export function writeNetwork(file: string, plugin: object): void {
  const list = { cniVersion: "1.0.0", name: file, plugins: [plugin] };
  writeFileSync(`/etc/cni/net.d/${file}.conflist`, JSON.stringify(list));
}

/** In the form of `docker save`: a program that waits, for the containers that hold pods' namespaces. */
function pauseImage(): Buffer {
  const busybox = readFileSync(sh("command -v busybox").trim());
  const layer = tar([{ name: "busybox", mode: 0o755, data: busybox }]);
  const config = { architecture: "amd64", os: "linux", config: { Entrypoint: ["/busybox", "sleep", "86400"] } };
  const manifest = [{ Config: "config.json", RepoTags: [PAUSE], Layers: ["layer.tar"] }];
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  const rootfs = { type: "layers", diff_ids: [`sha256:${createHash("sha256").update(layer).digest("hex")}`] };
  return tar([
    { name: "config.json", mode: 0o644, data: json({ ...config, rootfs }) },
    { name: "layer.tar", mode: 0o644, data: layer },
    { name: "manifest.json", mode: 0o644, data: json(manifest) },
  ]);
}

/** Where a containerd is on the node, and how it makes the containers' file systems. */
interface Place {
  /** For its configuration, state and log. */
  directory: string;
  socket: string;
  root: string;
  snapshotter: "native" | "overlayfs";
  networks: string;
  /** The program that starts containers. */
  runtime: string;
  /** Directory that says where registries are; there need not be one. */
  registries: string;
}

const PLACE: Place = {
  ...{ directory: "/run/c", socket: SOCKET, root: "/run/c/root", snapshotter: "native" },
  ...{ networks: "/etc/cni/net.d", runtime: "/usr/bin/crun", registries: "/run/c/registries" },
};

const configuration = ({ directory, socket, root, snapshotter, networks, runtime, registries }: Place) => `version = 2
root = "${root}"
state = "${directory}/state"
disabled_plugins = ["io.containerd.internal.v1.opt"]
[grpc]
  address = "${socket}"
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "${PAUSE}"
  restrict_oom_score_adj = true
  disable_apparmor = true
  [plugins."io.containerd.grpc.v1.cri".containerd]
    snapshotter = "${snapshotter}"
    default_runtime_name = "oci"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.oci]
      runtime_type = "io.containerd.runc.v2"
      [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.oci.options]
        BinaryName = "${runtime}"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "${BIN}"
    conf_dir = "${networks}"
  [plugins."io.containerd.grpc.v1.cri".registry]
    config_path = "${registries}"
`;

export class Containerd {
  readonly cri: Cri;
  readonly #process: ChildProcess;
  readonly #path: string;

  readonly #socket: string;

  private constructor(process: ChildProcess, path: string, socket: string) {
    this.#process = process;
    this.#path = path;
    this.#socket = socket;
    this.cri = new Cri(socket);
  }

  /** `programs`: the directory of containerd, its shim and ctr. */
  static async start(programs: string, more: Partial<Place> = {}): Promise<Containerd> {
    const place = { ...PLACE, ...more };
    const { directory, socket } = place;
    const path = `${programs}:${process.env.PATH}`;
    mkdirSync(directory, { recursive: true });
    writeFileSync(`${directory}/config.toml`, configuration(place));
    const file = `${directory}/log`;
    const log = openSync(file, "w");
    const child = spawn(join(programs, "containerd"), ["--config", `${directory}/config.toml`], {
      env: { ...process.env, PATH: path },
      stdio: ["ignore", log, log],
    });
    closeSync(log);
    const booted = () => existsSync(socket) && readFileSync(file, "utf8").includes("successfully booted");
    for (const end = Date.now() + START; !booted(); await sleep(50))
      if (Date.now() > end || child.exitCode !== null)
        throw new Error(`containerd did not start:\n${readFileSync(file, "utf8").slice(-3000)}`);
    const made = new Containerd(child, path, socket);
    writeFileSync(`${directory}/pause.tar`, pauseImage());
    made.import(`${directory}/pause.tar`);
    return made;
  }

  static log(): string {
    const lines = readFileSync(LOG, "utf8").split("\n");
    return lines
      .filter((line) => /level=(warning|error|fatal)/.test(line))
      .slice(-6)
      .join("\n");
  }

  /** As README.md says it. Returns the names that it got. */
  import(archive: string): string {
    const command = ["-a", this.#socket, "-n", "k8s.io", "images", "import", archive];
    // Not to the reader of the run: what it warns of, cgroups of the first version, is the machine's own.
    const env = { ...process.env, PATH: this.#path };
    return execFileSync("ctr", command, { stdio: ["ignore", "pipe", "pipe"], encoding: "utf8", env });
  }

  stop(): void {
    this.cri.close();
    this.#process.kill("SIGKILL");
  }
}

/** cgroups of this run, and those that a run left which was killed. They are empty: their processes went with their PID namespace. */
export function removeCgroups(root = "/sys/fs/cgroup", own = 0): void {
  for (const place of ["", ...readdirSync(root)].map((name) => join(root, name))) {
    for (const name of list(place)) {
      const owner = /^podnic-cri-(\d+)$/.exec(name)?.[1];
      if (owner !== undefined && (Number(owner) === own || !existsSync(`/proc/${owner}`)))
        removeTree(join(place, name));
    }
  }
}

function list(directory: string): string[] {
  try {
    return readdirSync(directory, { withFileTypes: true })
      .filter((entry) => entry.isDirectory())
      .map(({ name }) => name);
  } catch {
    return [];
  }
}

function removeTree(directory: string): void {
  for (const name of list(directory)) removeTree(join(directory, name));
  try {
    rmdirSync(directory);
  } catch {
    // a process of it is not quite gone: the next run removes it
  }
}
