// What a confined call can still do on a real kernel. Special builds of the plugins try it (src/entry/escape.ts).
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { host } from "../host/host.ts";
import type { LinuxHost } from "../host/linux.ts";

const EACCES = "13";
const EPERM = "1";
const EXDEV = "18";
/** What no call is allowed to do, and the kernel's error. */
const FORBIDDEN: Record<string, string> = {
  "make a file": EACCES,
  "append to a file": EACCES,
  "append by a link in the state": EACCES,
  "write other state": EACCES,
  "make a directory": EACCES,
  "move state out": EACCES,
  "link a file into the state": EXDEV,
  "make a symbolic link in the state": EACCES,
  "make a device node in the state": EACCES,
  "set a sysctl of the kernel": EACCES,
  "run a program": EACCES,
  mount: EPERM,
  "give a file away": EPERM,
  "see the parent's namespaces": EACCES,
  "signal the parent": EPERM,
  "connect by TCP": EACCES,
  "remove a file": EACCES,
  "change the root": EPERM,
};
const ALLOWED = ["write state", "set a sysctl of the network"];

const dir = mkdtempSync(join(tmpdir(), "podnic-escape-"));
const podnic = join(dir, "podnic");

beforeAll(() => {
  const build = ["scripts/ts.mjs", "scripts/build.ts", "--entry", "src/entry/escape.ts", "--output", podnic];
  const { status, stderr } = spawnSync("node", build, { encoding: "utf8" });
  if (status !== 0) throw new Error(stderr);
  mkdirSync(join(dir, "cni"));
  for (const name of ["macvlan", "host-device", "host-local"]) symlinkSync("../podnic", join(dir, "cni", name));
  writeFileSync(join(dir, "cni/stub"), STUB, { mode: 0o755 });
}, 300_000);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** A third-party IPAM plugin. It records its rights in a place to which podnic itself is not allowed to write. */
const STUB = `#!/bin/sh
grep -E 'NoNewPrivs|CapEff' /proc/self/status >>/var/lib/escape/$CNI_COMMAND
[ "$CNI_COMMAND" = ADD ] && echo '{"cniVersion":"1.0.0","ips":[{"address":"198.51.100.9/24"}]}'
exit 0
`;

/** A shell script that creates a device, a pod and a directory outside of the state, in private namespaces. */
const WORLD = `
mount --make-rprivate /; mount -t tmpfs t /run; mount -t tmpfs t /var/lib
mkdir -p /run/netns /var/lib/cni /var/lib/escape/mountpoint
echo victim >/var/lib/escape/victim; mkdir /var/lib/cni/networks
echo own >/var/lib/cni/networks/own; ln -s /var/lib/escape /var/lib/cni/networks/out
ip link set lo up; ip netns add pod
ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up
export CNI_CONTAINERID=c CNI_IFNAME=eth0 CNI_NETNS=/run/netns/pod CNI_PATH=${dir}/cni
call() { echo "$2" | CNI_COMMAND=$1 ${dir}/cni/${"$"}{PLUGIN:-macvlan}; }
`;
/** Contains a path, because podnic does not use Landlock for a host-local call without one. */
const HOST_LOCAL = { type: "host-local", dataDir: "/var/lib/cni/networks", ranges: [[{ subnet: "198.51.100.0/24" }]] };

function play(script: string, env: Record<string, string> = {}): { stdout: string; stderr: string; status: number } {
  const { stdout, stderr, status } = spawnSync("unshare", ["-mn", "sh", "-ec", WORLD + script], {
    encoding: "utf8",
    env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", ...env },
  });
  return { stdout, stderr, status: status ?? -1 };
}

const config = (ipam: object) =>
  JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "macvlan", master: "up0", ipam });

/** The outcome of each attempt: "done", or an errno. */
function outcomes(command: string, env: Record<string, string> = {}): Record<string, string> {
  const first = command === "ADD" ? "" : `ESCAPE_DIR= call ADD '${config(HOST_LOCAL)}' >/dev/null 2>&1;`;
  const { stderr } = play(`${first} ESCAPE_DIR=/var/lib/escape call ${command} '${config(HOST_LOCAL)}'`, env);
  return Object.fromEntries([...stderr.matchAll(/^escape: (.*): (.*)$/gm)].map(([, name, outcome]) => [name, outcome]));
}

/** These tests need a kernel with Landlock. */
const hasLandlock = (() => {
  try {
    return (host as LinuxHost).call("landlock_create_ruleset", "", null, 0, 1) >= 6;
  } catch {
    return false;
  }
})();

describe.skipIf(!hasLandlock)("a plugin that tries to get out", () => {
  test("is stopped by the kernel", () => {
    const got = outcomes("ADD");
    for (const [name, errno] of Object.entries(FORBIDDEN)) expect([name, got[name]]).toEqual([name, errno]);
    for (const name of ALLOWED) expect([name, got[name]]).toEqual([name, "done"]);
  });

  test("is stopped on DEL as well", () => {
    const got = outcomes("DEL");
    for (const [name, errno] of Object.entries(FORBIDDEN)) expect([name, got[name]]).toEqual([name, errno]);
  });

  test("gets through without the confinement", () => {
    const got = outcomes("ADD", { ESCAPE: "unconfined" });
    // ECONNREFUSED: no process listens on the port.
    expect(got["connect by TCP"]).toBe("111");
    delete got["connect by TCP"];
    for (const name of Object.keys(FORBIDDEN)) {
      if (name !== "connect by TCP") expect([name, got[name]]).toEqual([name, "done"]);
    }
  });
});

/** Each of these once granted access to all of /run: state that does not exist after a boot, and a configuration's directory below /run. */
describe.skipIf(!hasLandlock).each([
  ["state that does not exist yet", '"dataDir":"/var/lib/cni/networks",'],
  ["a dataDir below it", '"dataDir":"/run/cni-x",'],
])("all of /run is not granted for %s", (_, key) => {
  const elsewhere = "mkdir -p /run/elsewhere; echo victim >/run/elsewhere/victim;";

  test.each(["", '"logFile":"/run/a.log",'])("with %j", (log) => {
    const ipam = `{"type":"host-local",${key}"ranges":[[{"subnet":"198.51.100.0/24"}]]}`;
    const conf = `{"cniVersion":"1.0.0","name":"net","type":"macvlan","master":"up0",${log}"ipam":${ipam}}`;
    const { stdout, stderr } = play(
      `${elsewhere} ESCAPE_DIR=/run/elsewhere call ADD '${conf}' >/dev/null || true; ls -d /run/podnic /run/cni-x /run/a.log 2>&1 || true`,
    );
    for (const name of ["make a file", "append to a file", "make a directory", "remove a file"])
      expect(stderr).toContain(`escape: ${name}: ${EACCES}\n`);
    expect(stdout).toContain("/run/podnic");
    expect(stdout.includes("cannot access '/run/cni-x'")).toBe(!key.includes("cni-x"));
    expect(stdout.includes("cannot access '/run/a.log'")).toBe(log === "");
  });
});

test("host-local that names no path gives up capabilities only", () => {
  const { dataDir: _, ...usual } = HOST_LOCAL;
  const { stderr } = play(`ESCAPE_DIR=/var/lib/escape call ADD '${config(usual)}'`);
  for (const [name, outcome] of [
    ["make a file", "done"],
    ["give a file away", EPERM],
    ["change the root", EPERM],
  ])
    expect(stderr).toContain(`escape: ${name}: ${outcome}\n`);
});

test("static is confined whatever it names", () => {
  const ipam = { type: "static", addresses: [{ address: "198.51.100.9/24" }] };
  const { stderr } = play(`ESCAPE_DIR=/var/lib/escape call ADD '${config(ipam)}'`);
  expect(stderr).toContain(`escape: make a file: ${EACCES}\n`);
});

test("an IPAM plugin of others has its caller's rights, and writes where it likes", () => {
  const stub = config({ type: "stub" });
  const { stdout, stderr } = play(
    `call ADD '${stub}' >/dev/null; call DEL '${stub}'; cd /var/lib/escape; cat ADD DEL; grep -E 'NoNewPrivs|CapEff' /proc/self/status`,
  );
  const lines = stdout.trim().split("\n");
  expect(lines, stderr).toHaveLength(6);
  expect(new Set([lines.slice(0, 2), lines.slice(2, 4), lines.slice(4)].map(String)).size).toBe(1);
});

test.each([["/proc/$pod/ns/net"], [""]])("DEL reaches a pod that a runtime names by a process, told %j", (netns) => {
  const device = JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "host-device", device: "up1" });
  const { stdout, stderr, status } = play(`
unshare -n sleep 20 & pod=$!; sleep 0.3
export PLUGIN=host-device
CNI_NETNS=/proc/$pod/ns/net call ADD '${device}' >/dev/null
ip -o link show up1 2>/dev/null && echo "still here"
CNI_NETNS=${netns} call DEL '${device}'
kill $pod; ip -o link show up1 | cut -d: -f2`);
  expect([stdout.trim(), status], stderr).toEqual(["up1@up0", 0]);
});
