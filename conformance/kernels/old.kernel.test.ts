// The old kernel has to be old, or cases that pass on it say nothing.
import { execFileSync, spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readdirSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, describe, expect, it } from "vitest";
import { OLD_SHELL, onOldKernel } from "../harness/old-kernel.ts";

const empty = mkdtempSync(join(tmpdir(), "podnic-old-"));
const old = onOldKernel(empty);
afterAll(() => {
  rmSync(empty, { recursive: true });
  rmSync(old, { recursive: true });
});

/** What a script says, in namespaces of its own. */
function run(shell: string, script: string): string {
  const lines = `ip link add up0 type veth peer name up1\n${script}`;
  return execFileSync("unshare", ["-mn", shell, "-c", `(${lines}) 2>&1; true`], { encoding: "utf8" }).trim();
}
const onOld = (script: string) => run(join(old, OLD_SHELL), script);
const onNew = (script: string) => run("/bin/sh", script);

/** Each number's errno, or 0. */
const perl = (...calls: string[]) =>
  `perl -MSocket -e '$x = "\\0" x 256; ${calls.map((call) => `$! = 0; ${call}; print $! + 0, " "`).join(";")}'`;
const BRIDGE = "ip link add br0 type bridge; ip link set up1 master br0";

describe("what Linux 4.18 does not have", () => {
  it.each([
    ["openat2, close_range, pidfd_open, clone3, faccessat2, statmount", [437, 436, 434, 435, 439, 457]],
    ["Landlock, fsopen, fsmount", [444, 445, 446, 430, 432]],
  ])("%s: ENOSYS", (_, numbers) => {
    const answers = onOld(perl(...numbers.map((number) => `syscall(${number}, -1, -1, -1, -1, -1)`)));
    expect(answers.split(" ")).toEqual(numbers.map(() => "38"));
  });

  it("strict checking: ENOPROTOOPT", () => {
    const script = perl(
      "socket(S, 16, 3, 0)",
      'setsockopt(S, 270, 11, pack("i", 1))',
      'setsockopt(S, 270, 12, pack("i", 1))',
      "getsockopt(S, 1, 71)",
    );
    expect(onOld(script)).toMatch(/^\d+ 0 92 92$/);
    expect(onNew(script)).toMatch(/^\d+ 0 0 /);
  });

  it("BPF links and tcx: EINVAL", () => {
    const query = '$q = pack("L16", 1, 46); syscall(321, 16, $q, 64)';
    expect(onOld(perl("syscall(321, 31, $x, 64)", query))).toBe("22 22");
  });

  it.each([
    ["alternative names", "ip link property add dev up0 altname p0", /not supported/],
    ["nexthop objects", "ip nexthop", /not supported/],
    [
      "NAT in the family inet",
      "nft 'add table inet t; add chain inet t c { type nat hook output priority 0; }'",
      /No such/,
    ],
  ])("%s: refused", (_, script, expected) => {
    expect(onOld(script)).toMatch(expected);
    expect(onNew(script)).not.toMatch(expected);
  });

  it.each([
    [
      "a macvlan's queue length",
      "ip link add link up0 name p0 type macvlan bcqueuelen 77; ip -d link show p0",
      "bcqueuelen 77",
    ],
    ["locked ports", `${BRIDGE}; bridge link set dev up1 locked on; bridge -d link show`, "locked on"],
    ["newer settings of ports", `${BRIDGE}; ip -d link show up1`, "locked off"],
    ["sizes of offloads", "ip -d link show up0", "gro_max_size"],
    ["MTU limits", "ip -d link show up0", "maxmtu"],
  ])("%s: ignored in requests, absent from answers", (_, script, word) => {
    expect(onOld(script)).not.toContain(word);
    expect(onOld(script)).toContain("mtu 1500");
    expect(onNew(script)).toContain(word);
  });
});

describe("--old-kernel that cannot be had: exit 2, and why in one line", () => {
  const suite = (bin: string, env: NodeJS.ProcessEnv = process.env) => {
    const args = ["scripts/ts.mjs", "conformance/main.ts", "--bin", bin, "--old-kernel", "--case", "HDX-20"];
    const { status, stderr } = spawnSync(process.execPath, args, { encoding: "utf8", env });
    return [status, stderr];
  };
  it("for a directory that it made itself", () => {
    expect(suite(old)).toEqual([2, `conformance: --old-kernel: ${old} is a directory that --old-kernel made\n`]);
  });
  it("without gcc", () => {
    const why = "cannot compile old.c: spawnSync gcc ENOENT";
    expect(suite(empty, { ...process.env, PATH: "/nonexistent" })).toEqual([2, `conformance: --old-kernel: ${why}\n`]);
  });
});

it("its directory has what the plugins' directory has, after each run", () => {
  const bin = mkdtempSync(join(tmpdir(), "podnic-old-"));
  const made: string[] = [];
  try {
    writeFileSync(join(bin, "a"), "");
    symlinkSync("/nonexistent", join(bin, "b"));
    for (const gone of [undefined, undefined, "a"]) {
      if (gone !== undefined) rmSync(join(bin, gone));
      const dir = onOldKernel(bin);
      made.push(dir);
      for (const place of [dir, join(dir, ".real")])
        expect(readdirSync(place).filter((name) => !name.startsWith("."))).toEqual(readdirSync(bin));
    }
  } finally {
    for (const dir of [bin, ...made]) rmSync(dir, { recursive: true, force: true });
  }
});

it("each plugins' directory has one of its own", () => {
  const bins = ["a/b", "a-b"].map((name) => join(empty, name));
  const made = bins.map((bin) => {
    mkdirSync(bin, { recursive: true });
    return onOldKernel(bin);
  });
  for (const dir of made) rmSync(dir, { recursive: true, force: true });
  expect(new Set(made).size).toBe(2);
});

describe("what it has", () => {
  it.each([
    ["isolated ports", `${BRIDGE}; bridge link set dev up1 isolated on; bridge -d link show`, "isolated on"],
    ["addresses and routes", "ip address add 192.0.2.1/24 dev up0; ip link set up0 up; ip route", "192.0.2.0/24"],
    [
      "NAT in the family ip",
      "nft 'add table ip t; add chain ip t c { type nat hook output priority 0; }; list ruleset'",
      "type nat",
    ],
  ])("%s", (_, script, word) => expect(onOld(script)).toContain(word));

  it("the program's own process, arguments and end", () => {
    const shell = join(old, OLD_SHELL);
    const { status, stdout } = spawnSync(shell, ["-c", 'echo "$1 $PPID"; exit 7', "sh", "word"], { encoding: "utf8" });
    expect([status, stdout]).toEqual([7, `word ${process.pid}\n`]);
    expect(spawnSync(shell, ["-c", "kill -TERM $$"]).signal).toBe("SIGTERM");
  });
});
