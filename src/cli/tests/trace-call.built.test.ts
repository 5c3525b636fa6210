// PODNIC_TRACE: a plugin that a runtime starts writes its requests to the kernel to a file of the administrator.
import { spawnSync } from "node:child_process";
import { existsSync, linkSync, mkdirSync, readFileSync, rmSync, statSync, symlinkSync, writeFileSync } from "node:fs";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { build, podnic } from "./executable.ts";

const FILE = "/var/log/cni-trace.log";
const macvlan = "/run/bin/macvlan";

function call(command: string, config: object, env: Record<string, string> = { PODNIC_TRACE: FILE }) {
  const cni = { CNI_COMMAND: command, CNI_CONTAINERID: "c1", CNI_NETNS: "/run/netns/pod", CNI_IFNAME: "net1" };
  const input = JSON.stringify({ cniVersion: "1.0.0", name: "lan", type: "macvlan", ...config });
  const { status, stdout, stderr } = spawnSync(macvlan, [], { encoding: "utf8", input, env: { ...cni, ...env } });
  return { status, stdout, stderr };
}

const trace = () => readFileSync(FILE, "utf8");

beforeAll(() => {
  build();
  enterSandbox();
  mkdirSync("/run/bin");
  sh(`mount -t tmpfs tmpfs /var/log; cp ${podnic} ${macvlan}`);
  sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
}, 120_000);

beforeEach(() => rmSync(FILE, { force: true }));

test("an ADD that fails: what was asked, what the kernel said, what was answered", () => {
  const { status } = call("ADD", { master: "missing0" });
  expect(status).toBe(1);
  expect(trace()).toMatch(
    /^# podnic trace\n\[\d+\] \S+Z macvlan ADD CONTAINERID=c1 IFNAME=net1 NETNS=\/run\/netns\/pod\n/,
  );
  expect(trace()).toMatch(/^\[\d+\] >\? ip link show missing0$/m);
  expect(trace()).toMatch(/^\[\d+\] < {2}NLMSG_ERROR seq \d+: -19 ENODEV/m);
  expect(trace()).toMatch(/^\[\d+\] {4}answers \{.*"code"/m);
  expect(statSync(FILE).mode & 0o777).toBe(0o600);
});

test("calls follow each other in the file; the child that sends a DEL is heard; the answers are the same", () => {
  const added = call("ADD", { master: "up0" });
  expect(added).toMatchObject({ status: 0, stderr: "" });
  expect(JSON.parse(added.stdout).interfaces[0].name).toBe("net1");
  expect(call("DEL", { master: "up0" })).toEqual({ status: 0, stdout: "", stderr: "" });
  expect(trace().match(/ macvlan (ADD|DEL) /g)).toEqual([" macvlan ADD ", " macvlan DEL "]);
  expect(trace()).toContain(">  ip link add ");
  expect(trace().split(" macvlan DEL ")[1]).toMatch(/> {2}ip (-n \S+ )?link del net1/);
});

test("without the variable, and for the words of a configuration, there is no file", () => {
  call(
    "ADD",
    { master: "missing0", PODNIC_TRACE: FILE, args: { PODNIC_TRACE: FILE } },
    { CNI_ARGS: `IgnoreUnknown=1;PODNIC_TRACE=${FILE}` },
  );
  expect(existsSync(FILE)).toBe(false);
});

const outside = "/root/cni-trace.log";
const makeFile = (path: string, mode: number, text = "") => writeFileSync(path, text, { mode });
test.each([
  ["a file that others may read", FILE, "its mode must be 0600", () => makeFile(FILE, 0o644)],
  ["a log", FILE, "does not begin with # podnic trace", () => makeFile(FILE, 0o600, '{"time":1}\n')],
  ["a link", FILE, "link", () => symlinkSync("/run/victim", FILE)],
  [
    "a second name",
    FILE,
    "has more than one hard link",
    () => {
      makeFile("/var/log/other.log", 0o600);
      linkSync("/var/log/other.log", FILE);
    },
  ],
  ["a place where no log may lie", outside, "is outside the directories", () => {}],
  ["no absolute path", "1", "absolute path|is outside", () => {}],
])("%s is not written to, and the call goes on", (_, file, why, prepare) => {
  prepare();
  const before = existsSync(FILE) ? trace() : "";
  const { status, stderr } = call("ADD", { master: "missing0" }, { PODNIC_TRACE: file });
  expect(status).toBe(1);
  expect(stderr).toMatch(new RegExp(`warning: not traced PODNIC_TRACE="[^"]+" cause=".*(${why})`));
  expect(existsSync(FILE) ? trace() : "").toBe(before);
  expect([outside, "/run/victim"].filter((path) => existsSync(path))).toEqual([]);
});
