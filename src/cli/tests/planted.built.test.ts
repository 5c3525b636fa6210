// Runs the operator's commands under strace, on a node where an attacker has planted files that have an effect when they are opened. The
// commands must check each of them (O_PATH), and must not open it.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, beforeEach, expect, test } from "vitest";
import { enterNode, sh } from "./node.ts";

const podnic = resolve("dist/podnic");
const work = mkdtempSync(join(tmpdir(), "podnic-planted-"));
const trace = join(work, "trace");
afterAll(() => rmSync(work, { recursive: true, force: true }));

/** For every kind of state and configuration, one name that a command reads. */
const PLACES = [
  "/var/lib/cni/networks/net/10.0.0.2",
  "/var/lib/cni/networks/net/last_reserved_ip.0",
  "/var/lib/cni/networks/net/lock",
  "/var/lib/cni/networks/planted",
  "/var/lib/cni/podnic/host-device/planted.json",
  "/var/lib/cni/podnic/sriov/planted.json",
  "/var/lib/cni/podnic/sriov-left/planted.json",
  "/var/lib/cni/sriov/planted-eth0",
  "/var/lib/cni/sriov/pci/0000:00:1f.7",
  "/var/lib/cni/results/planted-eth0",
  "/var/lib/cni/multus/results/planted-eth0",
  "/var/lib/cni/cache/results/planted-eth0",
  "/etc/cni/net.d/20-planted.conf",
  "/etc/cni/net.d/30-planted.conflist",
  "/etc/cni/multus/net.d/20-planted.json",
  "/run/cni/podnic/planted",
  "/run/cni/tuning/planted",
  "/run/netns/planted",
  "/run/docker/netns/planted",
  "/run/podnic/host-local/planted",
  "/run/podnic/bridge/planted.lock",
  "/opt/cni/bin/macvlan",
];
const NAMED = ["/run/case/planted.yaml", "/run/case/planted.conf"];

const KINDS: [string, (path: string) => string][] = [
  ["FIFOs", (path) => `mkfifo ${path}`],
  ["device nodes", (path) => `mknod ${path} c 1 11`],
  ["block device nodes", (path) => `mknod ${path} b 7 200`],
  ["sockets", (path) => `perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0);bind(S,sockaddr_un("${path}"))'`],
];

const COMMANDS = [
  ["leases"],
  ["devices", "--all"],
  ["status"],
  ["doctor"],
  ["gc", "--all", "--dry-run"],
  ["gc", "--all"],
  ["gc", "net"],
  ...NAMED.flatMap((path) => [
    ["validate", path],
    ["explain", path],
    ["add", path, "--netns", "/run/netns/planted"],
  ]),
  ["validate", "net"],
  ["doctor", "--fix", "--yes"],
];

beforeAll(() => {
  enterNode();
  sh("mkdir -p /opt/cni/bin; mount -t tmpfs -o mode=755 tmpfs /opt/cni/bin");
});

beforeEach(() => {
  sh("rm -rf /var/lib/cni/* /etc/cni/* /opt/cni/bin/* /run/podnic /run/cni /run/case /run/docker /run/netns/planted");
  // Also create valid files, so that the commands do not stop early.
  sh(`mkdir -p /etc/cni/net.d /var/lib/cni/networks/net; printf 'c1\\r\\neth0' >/var/lib/cni/networks/net/10.0.0.9
      echo '{"cniVersion":"1.0.0","name":"net","type":"macvlan","master":"lo","ipam":{"type":"host-local","subnet":"10.0.0.0/24"}}' >/etc/cni/net.d/10.conf`);
});

/** Runs podnic, and returns the system calls that open one of the paths without O_PATH. */
function opened(args: string[], paths: string[]): { ended: boolean; opens: string[] } {
  const argv = ["-f", "-y", "-o", trace, "-e", "trace=open,openat,openat2,execve,execveat", podnic, ...args];
  const { signal } = spawnSync("strace", argv, { timeout: 20_000, stdio: ["ignore", "pipe", "pipe"] });
  const opens = readFileSync(trace, "utf8")
    .split("\n")
    .filter((line) => /\b(open(at2?)?|execve(at)?)\(/.test(line) && !/O_PATH|O_EXCL|O_DIRECTORY/.test(line))
    // Ignore plugins with the same name in another directory.
    .filter((line) => !line.includes("/usr/lib/cni/") && !line.includes(`execve("${podnic}"`))
    .filter((line) =>
      paths.some((path) => line.includes(`${path.slice(path.lastIndexOf("/") + 1)}"`) || line.includes(`${path}>`)),
    );
  return { ended: signal === null, opens };
}

test.each(KINDS)(
  "%s are not opened",
  (_, make) => {
    const paths = [...PLACES, ...NAMED];
    for (const path of paths) sh(`mkdir -p ${path.slice(0, path.lastIndexOf("/"))}; ${make(path)}`);
    for (const args of COMMANDS) {
      expect([args, opened(args, paths)]).toEqual([args, { ended: true, opens: [] }]);
    }
  },
  120_000,
);

test("what is good is opened, and seen", () => {
  expect(opened(["leases"], ["/var/lib/cni/networks/net/10.0.0.9"]).opens).not.toEqual([]);
});
