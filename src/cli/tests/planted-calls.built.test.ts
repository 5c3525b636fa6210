// Traces which files a plugin's call opens, and then plants something else under each of these names. The next call must check it (O_PATH) and
// must not open it. Because the list comes from the trace, it includes new files automatically.
import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { enterNode, sh } from "./node.ts";

const bin = resolve("dist/cni");
const work = mkdtempSync(join(tmpdir(), "podnic-calls-"));
const trace = join(work, "trace");
afterAll(() => rmSync(work, { recursive: true, force: true }));
beforeAll(enterNode);

const ipam = {
  type: "host-local",
  dataDir: "/run/cni/pool",
  resolvConf: "/run/systemd/resolve/resolv.conf",
  ranges: [[{ subnet: "198.51.100.0/24" }]],
};
const logs = { logFile: "/run/cni-log/podnic.log", logLevel: "debug" };
const NETWORKS: Record<string, object> = {
  "host-device": { type: "host-device", device: "card", ipam, ...logs },
  bridge: { type: "bridge", bridge: "br9", isGateway: true, ipMasq: true, ipam, ...logs },
};
const COMMANDS = ["ADD", "CHECK", "DEL", "GC", "STATUS"];

/** Creates a node that has everything that a call needs, and nothing from earlier calls. */
function anew(): void {
  sh(`rm -rf /run/cni /run/podnic /run/cni-log /run/systemd /var/lib/cni/* /etc/cni/*
    for dev in card cardp br9; do ip link del $dev 2>/dev/null || true; done; ip netns del pod 2>/dev/null || true
    ip netns add pod; mkdir -p /run/cni-log /run/systemd/resolve; echo nameserver 198.51.100.53 >/run/systemd/resolve/resolv.conf
    ip link add card type veth peer name cardp`);
}

/** Runs a call, which may fail. `wrap` is a command in front of the plugin, such as strace. */
function run(plugin: string, command: string, wrap: string[] = []): { ended: boolean; status: number | null } {
  const more = command === "GC" ? { "cni.dev/valid-attachments": [] } : {};
  const [file = "", ...args] = [...wrap, `${bin}/${plugin}`];
  const { signal, status } = spawnSync(file, args, {
    env: {
      PATH: process.env.PATH,
      CNI_COMMAND: command,
      CNI_CONTAINERID: "c1",
      CNI_NETNS: "/run/netns/pod",
      CNI_IFNAME: "net1",
      CNI_PATH: bin,
    },
    input: JSON.stringify({ cniVersion: "1.1.0", name: "net", prevResult: PREV, ...NETWORKS[plugin], ...more }),
    timeout: 15_000,
  });
  return { ended: signal === null, status };
}
const PREV = { cniVersion: "1.1.0", interfaces: [{ name: "net1", sandbox: "/run/netns/pod" }] };
const STRACE = ["strace", "-f", "-y", "-o", trace, "-e", "trace=open,openat,openat2,execve,execveat"];

/** Creates the state that usually exists before the command: for an ADD, what an earlier pod left. */
function prepare(plugin: string, command: string): void {
  anew();
  run(plugin, "ADD");
  if (command === "ADD") run(plugin, "DEL");
}

const seen = new Set<string>();

interface Open {
  path: string;
  line: string;
}

/** The files in the trace that are not directories, with their paths. */
function opens(): Open[] {
  const found: Open[] = [];
  for (const line of readFileSync(trace, "utf8").split("\n")) {
    const [, dir = "", name = ""] = /open(?:at2?)?\((?:(?:AT_FDCWD|\d+)<([^>]*)>, )?"([^"]*)"/.exec(line) ?? [];
    if (name === "" || line.includes("O_DIRECTORY")) continue;
    // podnic opens a checked file through its descriptor. strace -y prints the file's path.
    const magic = /"\/proc\/(?:self|thread-self)\/fd\/\d+".* = \d+<([^>]*)>/.exec(line);
    found.push({ path: magic?.[1] ?? (name.startsWith("/") ? name : join(dir, name)), line });
  }
  return found.filter(({ path }) => /^\/(?!proc\/|sys\/|dev\/|devices\/|run\/netns\/)./.test(path));
}

const POLICY = "/etc/cni/podnic.json";
/** Files in directories that belong only to root, which every call reads. podnic opens them with O_NONBLOCK, and checks them afterwards. */
const OWN = /^\/etc\/cni\/podnic\.json$|^\/run\/podnic\//;
const isLook = (path: string, line: string): boolean =>
  /O_PATH|O_EXCL|ELOOP/.test(line) || (OWN.test(path) && /O_NONBLOCK\|O_NOFOLLOW/.test(line));

const KINDS: Record<string, (path: string) => string> = {
  "a FIFO": (path) => `mkfifo ${path}`,
  "a link to another's file": (path) => `ln -s /run/foreign ${path}`,
};

test.each(Object.keys(NETWORKS))(
  "what somebody plants under a name that %s opens is looked at first",
  (plugin) => {
    const places = new Map<string, string[]>();
    for (const command of COMMANDS) {
      prepare(plugin, command);
      run(plugin, command, STRACE);
      // A pool's index is named after the inode of its directory.
      const names = opens().map(({ path }) => path.replace(/(host-local)\/[^/]+/, "$1/*"));
      for (const name of names) places.set(name, [...new Set([...(places.get(name) ?? []), command])]);
    }
    // Make sure that the test understands the trace: every call opens these files.
    expect([...places.keys()]).toEqual(expect.arrayContaining([POLICY, "/run/cni-log/podnic.log"]));
    expect([...places.keys()]).toEqual(expect.arrayContaining(["/run/cni/pool/net/198.51.100.2"]));
    sh("echo hunter2 >/run/foreign; chmod 600 /run/foreign");
    for (const [name, commands] of places) {
      if (seen.has(name)) continue;
      seen.add(name);
      for (const [kind, make] of Object.entries(KINDS)) {
        // A FIFO represents everything that is not a regular file (attacks-planted.ts tests each kind).
        for (const command of kind === "a FIFO" ? commands : commands.slice(0, 1)) {
          prepare(plugin, command);
          const path = sh(`echo ${name}`).trim().split(" ")[0]!;
          sh(`mkdir -p ${path.slice(0, path.lastIndexOf("/"))}; rm -rf ${path}; ${make(path)}`);
          const { ended } = run(plugin, command, STRACE);
          const acts = opens().filter((one) => one.path === path || one.path === "/run/foreign");
          const plain = acts.filter(({ line }) => !isLook(path, line)).map(({ line }) => line);
          expect([path, kind, command, ended, plain]).toEqual([path, kind, command, true, []]);
        }
      }
    }
    expect(readFileSync("/run/foreign", "utf8")).toBe("hunter2\n");
  },
  600_000,
);
