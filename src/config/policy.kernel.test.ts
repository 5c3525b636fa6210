import { chmodSync, chownSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeEach, expect, test, vi } from "vitest";
import type { Fd } from "../host/host.ts";

const directory = mkdtempSync(join(tmpdir(), "podnic-policy-"));
const file = join(directory, "podnic.json");
afterAll(() => rmSync(directory, { recursive: true }));

/** Loads all modules again, because a process reads the policy only once. The test's file replaces the node's policy. */
async function load(text?: string) {
  if (text !== undefined) {
    writeFileSync(file, text);
    chmodSync(file, 0o644);
  }
  vi.resetModules();
  const { installHost } = await import("../host/host.ts");
  const { NodeHost } = await import("../host/node/host.ts");
  class TestNode extends NodeHost {
    override open(path: string, flags: number, mode?: number, dir?: Fd, resolve?: number): Fd {
      return super.open(path === "/etc/cni/podnic.json" ? file : path, flags, mode, dir, resolve);
    }
  }
  installHost(new TestNode());
  return import("./policy.ts");
}

beforeEach(() => rmSync(file, { force: true }));

test("without a file the defaults hold", async () => {
  const { policy } = await load();
  expect(policy()).toMatchObject({ devices: { allow: [], deny: [] }, delegateTimeout: undefined, lockTimeout: 10_000 });
});

test("a file adds to them", async () => {
  const { policy, confinePath } = await load(
    '{"devices":{"allow":["eth1"]},"paths":{"dataDir":["/srv/cni/"]},"delegateTimeout":5000}',
  );
  expect(policy()).toMatchObject({ devices: { allow: ["eth1"], deny: [] }, delegateTimeout: 5000 });
  expect(() => confinePath("dataDir", "/srv/cni/a")).not.toThrow();
  expect(() => confinePath("dataDir", "/var/lib/cni/networks")).not.toThrow();
  expect(() => confinePath("logFile", "/srv/cni/a")).toThrow();
});

test("bridges: without a list all are allowed, and an empty list allows none", async () => {
  expect((await load("{}")).policy().bridges).toEqual({
    names: undefined,
    gateways: undefined,
    filterVlans: [],
    forceAddress: [],
  });
  const given = await load('{"bridges":{"names":[],"gateways":["10.88.0.0/16","::ffff:10.9.0.0/112"]}}');
  const { names, gateways } = given.policy().bridges;
  expect([names, gateways?.map(({ address, length }) => `${[...address.bytes].join(".")}/${length}`)]).toEqual([
    [],
    ["10.88.0.0/16", "10.9.0.0/16"],
  ]);
});

test("a directory that a file adds may be used itself, and its parent may not", async () => {
  const { confinePath } = await load('{"paths":{"dataDir":["/srv/cni/leases"]}}');
  expect(() => confinePath("dataDir", "/srv/cni/leases/")).not.toThrow();
  for (const path of ["/srv/cni", "/srv/cni/leases2", "/var/lib"]) {
    expect(() => confinePath("dataDir", path)).toThrow("outside the directories");
  }
});

test("what a file that is ignored might have allowed is not refused for good", async () => {
  const { confinePath, relaxPolicy } = await load("{");
  relaxPolicy();
  expect(() => confinePath("dataDir", "/var/lib/cni/networks")).not.toThrow();
  expect(() => confinePath("dataDir", "/srv/cni/leases")).toThrow(expect.objectContaining({ kind: "try again" }));
  expect(() => confinePath("dataDir", "/var/lib/../../etc")).toThrow(
    expect.objectContaining({ kind: "invalid config" }),
  );
});

test("a character that two reads share is whole", async () => {
  const head = '{"devices":{"allow":["';
  // The host reads at most 16 KiB at once.
  const { policy } = await load(`${" ".repeat(16_383 - head.length)}${head}é"]}}`);
  expect(policy().devices.allow).toEqual(["é"]);
});

test.each([
  ["not JSON", "{", "is not JSON"],
  ["a wrong type", '{"delegateTimeout":"5"}', "delegateTimeout must be a whole number"],
  ["too long a time", '{"delegateTimeout":200000}', "must be at most 110000"],
  ["an address for a subnet", '{"bridges":{"gateways":["10.88.0.1"]}}', "bridges.gateways[0]"],
  ["a relative directory", '{"paths":{"dataDir":["x"]}}', "paths.dataDir[0]"],
])("%s stops an ADD and not a DEL", async (_, text, message) => {
  const { policy } = await load(text);
  expect(policy).toThrow(message);
  const lenient = await load(text);
  lenient.relaxPolicy();
  expect(lenient.policy().delegateTimeout).toBeUndefined();
});

test.each([
  ["a misspelled key", '{"devices":{"denied":["eth1"]}}', "devices.denied is not a known key"],
  ["a misspelled section", '{"device":{"deny":["eth1"]}}', 'device is not a known key; did you mean "devices"?'],
  ["a key in another case", '{"devices":{"DENY":["eth1"]}}', 'devices.DENY is not a known key; did you mean "deny"?'],
  ["a key of a later version", '{"ports":{}}', "ports is not a known key"],
  ["null for a list", '{"bridges":{"names":null}}', "bridges.names must not be null"],
  ["null for a section", '{"bridges":null}', "bridges must not be null"],
  ["null for an entry", '{"devices":{"deny":[null]}}', "devices.deny[0]"],
  ["a key twice", '{"devices":{"deny":["eth1"],"deny":[]}}', 'the policy has the key "deny" twice'],
  ["a section twice", '{"devices":{"deny":["eth1"]},"dev\\u0069ces":{}}', 'the policy has the key "devices" twice'],
  ["an empty pattern", '{"devices":{"deny":[""]}}', "devices.deny[0] must not be empty"],
  [
    "a pattern with a blank",
    '{"devices":{"deny":["eth1","eth2 "]}}',
    "devices.deny[1] must not begin or end with white",
  ],
  [
    "a control character",
    '{"devices":{"deny":["eth1\\u0000"]}}',
    "devices.deny[0] must not contain control characters",
  ],
  ["an empty directory", '{"paths":{"dataDir":[""]}}', "paths.dataDir[0] must not be empty"],
  ["a PCI address as lspci has it", '{"devices":{"deny":["3b:00.0"]}}', "must be a PCI address with its domain"],
  ["a function's", '{"devices":{"deny":["pf:3b:00.0"]}}', "must be a PCI address with its domain"],
  ...[
    ...["0200.5e10.0001", "02005e100001", "2:0:5e:10:0:1", "2-0-5e-10-0-1", "02:00:5e:10:00", "0000:3b:00", "eth0:1"],
    ...["/h0/", "[h]0", "h0,h1", "h0 h1", "e:th*", "pf:/sys", "x".repeat(128), "mlnxbf17:00", "eth0.5:10", "02-00:10"],
  ].map((entry) => [
    "what matches no device",
    JSON.stringify({ devices: { deny: [entry] } }),
    "must be the name of one",
  ]),
  ["the same of bridges", '{"bridges":{"names":["br0,br1"]}}', "bridges.names[0] must be the name of one interface"],
])("%s in the policy stops an ADD; for a DEL the rest holds", async (_, text, message) => {
  const { policy } = await load(text);
  expect(policy).toThrow(message);
  const lenient = await load(text.replace("{", '{"lockTimeout":300,'));
  lenient.relaxPolicy();
  // A null in a list of names violates the schema, so the whole policy is ignored.
  if (!text.includes("[null]")) expect(lenient.policy().lockTimeout).toBe(300);
  expect(() => lenient.confinePath("dataDir", "/srv/x")).toThrow(expect.objectContaining({ kind: "try again" }));
});

test.each([
  ...["eth1", "enp3s0f0np0-uplink-of-rack-7", "vf*", "dead", "02:00:5e:10:00:01", "02-00-5E-10-00-01", "02:00:5e:*"],
  ...[
    "0000:3b:00.1",
    "10000:3B:00.1",
    "0000:3b:*",
    "pf:eth1",
    "pf:0000:3b:00.0",
    "1-1.2:1.0",
    "MLNXBF17:00",
    "LNRO0005:*",
    "30be0000.ethernet-1:0a",
    "*",
    `${"00:".repeat(19)}01`,
  ],
])("%j is an entry for devices", async (entry) => {
  const { policy } = await load(JSON.stringify({ devices: { deny: [entry] } }));
  expect(policy().devices.deny).toEqual([entry]);
});

test("comments are not keys", async () => {
  const { policy } = await load('{"//":"a","//":"b","_devices":{"deny":null},"devices":{"_why":1,"deny":["eth1"]}}');
  expect(policy().devices.deny).toEqual(["eth1"]);
});

test("a file that others can write, that is not root's, or that is a link is not trusted", async () => {
  const first = await load("{}");
  chmodSync(file, 0o664);
  expect(first.policy).toThrow("is not trusted");
  const second = await load("{}");
  if (process.getuid?.() === 0) {
    chownSync(file, 12345, 0);
    expect(second.policy).toThrow("is not trusted");
  }
  rmSync(file);
  writeFileSync(join(directory, "other"), "{}");
  symlinkSync("other", file);
  const third = await load();
  expect(third.policy).toThrow("symbolic links");
});

test.each([
  "/etc/passwd",
  "/var/lib",
  "/var/lib/",
  "/var/library/x",
  "/var/lib/../../etc",
  "/run/..",
  "run/x",
  "",
  "/proc/self/root/var/lib/x",
  "/tmp/a\0b",
  "//etc/x",
  "/./etc/x",
])("dataDir %j is outside", async (path) => {
  const { confinePath } = await load();
  expect(() => confinePath("dataDir", path)).toThrow("outside the directories");
});

test.each([
  ["dataDir", "/run//x"],
  ["dataDir", "/var/tmp/./x"],
  ["logFile", "/var/log/podnic.log"],
  ["resolvConf", "/etc/resolv.conf"],
  ["kernelpath", "/sys/devices/x"],
  ["dataDir", "/tmp/..x"],
] as const)("%s %j is inside", async (key, path) => {
  const { confinePath } = await load();
  expect(() => confinePath(key, path)).not.toThrow();
});
