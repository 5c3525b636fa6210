// One holder process per case: it sits in private mount, network, PID, UTS and IPC namespaces. Everything a case does
// is entered into them with nsenter; when the holder's stdin closes (also when we are killed) the kernel ends the lot.
import { type ChildProcess, spawn } from "node:child_process";

// A directory that this machine does not have must not be created on it: the parent is then shadowed by a tmpfs
// of links to what was there.
const SETUP = `
set -e
mount -t sysfs sysfs /sys 2>/dev/null || true
shadow() {
  if [ -d "$1" ]; then mount -t tmpfs -o mode=755 tmpfs "$1"; return; fi
  parent=\${1%/*}
  mkdir -p "/run/.below$parent"
  mount --bind "$parent" "/run/.below$parent"
  mount -t tmpfs -o mode=755 tmpfs "$parent"
  ln -s "/run/.below$parent"/* "$parent"/
  mkdir "$1"
  mount -t tmpfs -o mode=755 tmpfs "$1"
}
mount -t tmpfs -o mode=755 tmpfs /run
mkdir /run/netns /run/cni
shadow /var/lib/cni
shadow /etc/cni
ip link set lo up
ip link add up0 type veth peer name up1
ip link set up0 up
ip link set up1 up
ip netns add c1
ip -n c1 link set lo up
echo ready
# Orphans become its children; ignored, they do not stay as zombies. A node's process 1 does as much. (A trap of dash does not outlive exec.)
exec env --ignore-signal=CHLD cat >/dev/null
`;

export interface Namespaces {
  /** PID of the holder, in the namespaces of the harness. */
  readonly pid: number;
  /** Arguments of nsenter that lead into the namespaces. */
  readonly enter: readonly string[];
  close(): Promise<void>;
}

/** Makes the namespaces of one case. Rejects with the set-up's own words when this machine refuses. */
export async function openNamespaces(): Promise<Namespaces> {
  const flags = ["--mount", "--net", "--pid", "--uts", "--ipc", "--fork", "--kill-child", "--mount-proc"];
  const holder = spawn("unshare", [...flags, "--", "sh", "-c", SETUP], { stdio: ["pipe", "pipe", "pipe"] });
  const gone = new Promise<void>((resolve) => holder.once("exit", () => resolve()));
  await ready(holder);
  const ns = `/proc/${holder.pid}/ns`;
  return {
    pid: holder.pid!,
    enter: [
      `--mount=${ns}/mnt`,
      `--net=${ns}/net`,
      `--uts=${ns}/uts`,
      `--ipc=${ns}/ipc`,
      `--pid=${ns}/pid_for_children`,
    ],
    async close() {
      holder.stdin!.end();
      await gone;
    },
  };
}

function ready(holder: ChildProcess): Promise<void> {
  return new Promise((resolve, reject) => {
    let said = "";
    holder.once("error", reject);
    holder.stderr!.on("data", (chunk) => {
      said += chunk;
    });
    holder.stdout!.once("data", () => resolve());
    holder.once("exit", () => reject(new Error(`cannot make namespaces: ${said.trim()}`)));
  });
}
