// Delegates are real processes: shell scripts that record how they are called.

import {
  chmodSync,
  closeSync,
  existsSync,
  mkdtempSync,
  openSync,
  readFileSync,
  renameSync,
  rmSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { assumePolicy } from "../config/policy.ts";
import * as validation from "../config/validate.ts";
import { Failure } from "../errors.ts";
import { installHost } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { formatPrefix } from "../ip/address.ts";
import { plugins } from "../plugins.ts";
import { Transaction } from "../transaction.ts";
import { parseArgs } from "./args.ts";
import { codeOf } from "./failure.ts";
import { delWithIpam, gcWithIpam, ipamAdd, ipamRun } from "./ipam.ts";
import type { Call, Plugin } from "./plugin.ts";
import { registerPlugins } from "./registry.ts";

let bin = "";

beforeEach(() => {
  bin = mkdtempSync(join(tmpdir(), "podnic-delegate-"));
  installHost(new NodeHost());
});

afterEach(() => rmSync(bin, { recursive: true }));

/** `behaviour` is a piece of shell that runs on ADD; other commands succeed. */
function stub(behaviour: string): void {
  const script = `#!/bin/sh\necho "$CNI_COMMAND" >>${bin}/calls\ncat >${bin}/stdin\nenv >${bin}/env\nif [ "$CNI_COMMAND" = ADD ]; then\n${behaviour}\nfi\n`;
  writeFileSync(join(bin, "stub"), script);
  chmodSync(join(bin, "stub"), 0o755);
}

const calls = () => (existsSync(`${bin}/calls`) ? readFileSync(`${bin}/calls`, "utf8").trim().split("\n") : []);

function call(version = "1.0.0"): Call {
  const raw = { cniVersion: version, name: "net", type: "x", ipam: { type: "stub" } };
  return {
    command: "ADD",
    attachment: { network: "net", containerId: "c", ifName: "eth0" },
    netns: "/x",
    args: parseArgs("", [], true),
    path: [bin],
    config: raw,
    stdin: new TextEncoder().encode(` ${JSON.stringify(raw)}\n`),
    raw,
    version,
    prevResult: undefined,
    validAttachments: [],
    transaction: new Transaction(),
    ignored: [],
  };
}

function add(behaviour: string, version?: string) {
  stub(behaviour);
  const of = call(version);
  return { result: ipamAdd(of), call: of };
}

function failed(behaviour: string): Failure {
  stub(behaviour);
  const of = call();
  try {
    ipamAdd(of);
  } catch (error) {
    if (!(error instanceof Failure)) throw error;
    expect(calls()).toEqual(["ADD"]);
    expect(of.transaction.rollback()).toEqual([]);
    expect(calls()).toEqual(["ADD", "DEL"]);
    return error;
  }
  throw new Error("accepted");
}

const say = (value: unknown) => `cat <<'END'\n${JSON.stringify(value)}\nEND\n`;
const good = { cniVersion: "1.0.0", ips: [{ address: "198.51.100.7/24", gateway: "198.51.100.1" }] };

test("the delegate gets the unchanged environment and configuration", () => {
  const { result, call: of } = add(say(good));
  expect(result.ips.map(({ address }) => formatPrefix(address))).toEqual(["198.51.100.7/24"]);
  expect(readFileSync(`${bin}/stdin`)).toEqual(Buffer.from(of.stdin));
  // The environment with which this process was started, without later changes to Node's process.env.
  const own = readFileSync("/proc/self/environ", "latin1").split("\0");
  const plain = own.filter((variable) => /^(?!CNI_|_=|PWD=|SHLVL=|OLDPWD=)\w+=[^\n]*$/.test(variable));
  expect(plain).not.toEqual([]);
  expect(readFileSync(`${bin}/env`, "latin1").split("\n")).toEqual(expect.arrayContaining(plain));
  of.transaction.commit();
  for (const command of ["CHECK", "DEL", "GC", "STATUS"] as const) ipamRun(of, command);
  expect(calls()).toEqual(["ADD", "CHECK", "DEL", "GC", "STATUS"]);
});

test.each([
  [{ ...good, cniVersion: "0.4.0", ips: [{ version: "6", address: "198.51.100.7/24" }] }, "1.0.0"],
  [{ cniVersion: "0.2.0", ip4: { ip: "198.51.100.7/24" } }, "1.0.0"],
  [{ ...good, cniVersion: "1.1.0" }, "0.2.0"],
  [{ ...good, cniVersion: "" }, "1.0.0"],
  [{ ips: good.ips, interfaces: [{ name: "x" }] }, "1.0.0"],
])("%j for a config of %s is a result", (value, version) => {
  const { result } = add(say(value), version);
  expect(result.ips.map(({ address }) => formatPrefix(address))).toEqual(["198.51.100.7/24"]);
  expect(result.interfaces).toEqual([]);
});

test.each([
  ["garbage", "echo garbage", 999, 'plugin "stub" exited with status 0 but printed no result'],
  ["nothing", "true", 999, "exited with status 0 but printed no result"],
  ["two documents", `${say(good)}\n${say(good)}`, 999, "exited with status 0 but printed no result"],
  ["null", "echo null", 999, "something that is not a CNI result"],
  ["a list", "echo []", 999, "something that is not a CNI result"],
  ["no addresses", "echo {}", 7, "IPAM plugin returned missing IP config"],
  ["an error and exit 0", say({ code: 11, msg: "busy", details: "d" }), 11, "busy"],
  ["an error", `${say({ code: 107, msg: "m", details: "d", cniVersion: "1.0.0" })}exit 1`, 107, "m"],
  ["no word", "exit 1", 999, 'plugin "stub" failed with exit status 1'],
  ["another status", "exit 77", 999, "exit status 77"],
  ["garbage and a status", "echo garbage; exit 3", 999, "exit status 3"],
  ["a result and a status", `${say(good)}exit 1`, 999, "exit status 1"],
  ["a code that is a text", `${say({ code: "11", msg: "m" })}exit 1`, 999, "m"],
  ["a negative code", `${say({ code: -1, msg: "m" })}exit 1`, 999, "m"],
  ["a fraction", `${say({ code: 1.5, msg: "m" })}exit 1`, 999, "m"],
  ["a code without a message", `${say({ code: 50 })}exit 1`, 50, "failed without a message"],
  ["null and a status", "echo null; exit 1", 999, "exit status 1"],
  ["an error with text behind it", `${say({ code: 11, msg: "m" })}echo x; exit 1`, 999, "exit status 1"],
  ["SIGKILL", "kill -9 $$", 999, "was killed by SIGKILL"],
  ["SIGSEGV", "kill -11 $$", 999, "was killed by SIGSEGV"],
  ["an unknown version", say({ ...good, cniVersion: "9.9.9" }), 999, "something that is not a CNI result"],
  ["a version that is a number", say({ ...good, cniVersion: 1 }), 999, "something that is not a CNI result"],
  ["no prefix length", say({ ips: [{ address: "198.51.100.7" }] }), 999, "something that is not a CNI result"],
  [
    "a gateway of the other family",
    say({ ips: [{ address: "198.51.100.7/24", gateway: "2001:db8::1" }] }),
    7,
    "gateway of different families",
  ],
  ["the whole Internet", say({ ips: [{ address: "198.51.100.7/0" }] }), 999, "the whole Internet"],
  ["no address", say({ ips: [{ address: "0.0.0.0/8" }] }), 999, "unspecified address"],
  ["multicast", say({ ips: [{ address: "224.0.0.5/24" }] }), 999, "multicast"],
  ["name server", say({ ...good, dns: { nameservers: ["1.1.1.1\noptions x"] } }), 999, "returned the name server"],
  ["domain", say({ ...good, dns: { domain: "a\nnameserver 6.6.6.6" } }), 999, "returned the DNS domain"],
  ["search", say({ ...good, dns: { search: ["ok", "a b"] } }), 999, "returned the search domain"],
  ["option", say({ ...good, dns: { options: ["a\u0000b"] } }), 999, "returned the DNS option"],
  ["loopback", say({ ips: [{ address: "::1/128" }] }), 999, "loopback"],
  ["the same twice", say({ ips: [good.ips[0], good.ips[0]] }), 999, "twice"],
  [
    "a next hop of the other family",
    say({ ...good, routes: [{ dst: "192.0.2.0/24", gw: "2001:db8::1" }] }),
    7,
    "next hop is of the other family",
  ],
  ["more than 1 MiB", "head -c 2000000 /dev/zero", 999, "wrote more than 1048576 bytes"],
])("%s is an error, and DEL follows once", (_, behaviour, code, message) => {
  const error = failed(behaviour);
  expect(codeOf(error)).toBe(code);
  expect(error.message).toContain(message);
});

test("one that cannot be started is named, and not undone", () => {
  stub("true");
  writeFileSync(join(bin, "stub"), "#!/nonexistent/interpreter\n");
  const of = call();
  expect(() => ipamAdd(of)).toThrow('plugin "stub" could not be started');
  expect(of.transaction.rollback()).toEqual([]);
  expect(calls()).toEqual([]);
});

test("one that is being written is tried again, for a while", () => {
  stub(say(good));
  const writer = openSync(join(bin, "stub"), "r+");
  const start = Date.now();
  try {
    ipamRun(call(), "DEL");
    throw new Error("ran");
  } catch (error) {
    expect(error).toMatchObject({ kind: "try again", message: 'plugin "stub" is still being written to disk' });
  } finally {
    closeSync(writer);
  }
  expect(Date.now() - start).toBeGreaterThan(1500);
  expect(Date.now() - start).toBeLessThan(10_000);
});

test("300 addresses are fine", () => {
  const ips = Array.from({ length: 300 }, (_, at) => ({ address: `10.0.${1 + (at >> 7)}.${1 + (at & 127)}/16` }));
  expect(add(say({ ips })).result.ips).toHaveLength(300);
});

test.each([
  ["dhcp", undefined, 90_000],
  ["stub", undefined, 30_000],
  ["dhcp", 5000, 5000],
])("%s with delegateTimeout %s has %i ms", (name, configured, expected) => {
  stub("");
  renameSync(`${bin}/stub`, `${bin}/${name}`);
  const limits: number[] = [];
  const host = new NodeHost();
  host.run = (command) => {
    limits.push(command.timeout);
    return { status: 0, signal: 0, stdout: new Uint8Array(0), killed: "timeout" };
  };
  installHost(host);
  assumePolicy(configured === undefined ? {} : { delegateTimeout: configured });
  const of = call();
  of.config = { ...of.config, ipam: { type: name } };
  expect(() => ipamAdd(of)).toThrow(`did not finish within ${expected} ms`);
  expect(limits).toEqual([expected]);
  assumePolicy({});
});

test.each([
  [90_000, "timeout", 5000],
  [200, "timeout", 89_800],
  [200, "signal", 5000],
] as const)(
  "the undo of an ADD that took %i ms until its %s has what is left of 90 s, and 5 s at least: %i ms",
  (taken, why, left) => {
    stub("");
    renameSync(`${bin}/stub`, `${bin}/dhcp`);
    const limits: number[] = [];
    const host = new NodeHost();
    let now = 1000;
    host.monotonic = () => now;
    host.run = (command) => {
      limits.push(command.timeout);
      now += taken;
      return { status: 0, signal: 0, stdout: new Uint8Array(0), killed: limits.length === 1 ? why : "timeout" };
    };
    installHost(host);
    const of = call();
    of.config = { ...of.config, ipam: { type: "dhcp" } };
    expect(() => ipamAdd(of)).toThrow(
      why === "signal" ? "podnic received SIGTERM or SIGINT" : "did not finish within 90000 ms",
    );
    expect(of.transaction.rollback()).toEqual([expect.stringContaining(`did not finish within ${left} ms`)]);
    expect(limits).toEqual([90_000, left]);
  },
);

describe("DEL", () => {
  const del = (netns: string, remove: () => void) => {
    stub("true");
    const of: Call = { ...call(), command: "DEL", netns };
    delWithIpam(of, remove);
  };
  // Restore the table of plugins, because all tests of a worker share it.
  afterAll(() => registerPlugins(plugins));

  const failing = () => {
    throw new Failure("failed", "the interface stays");
  };

  test("asks a delegate while the interface is there: dhcp sends its release over it", () => {
    let before: string[] = [];
    del("/run/netns/none", () => {
      before = calls();
    });
    expect([before, calls()]).toEqual([["DEL"], ["DEL"]]);
  });

  test("asks no delegate about a pod that may still run, unless its interface is known to be gone", () => {
    symlinkSync("loop", `${bin}/loop`);
    expect(() => del(`${bin}/loop`, failing)).toThrow("the interface stays");
    expect(calls()).toEqual([]);
    del(`${bin}/loop`, () => {});
    expect(calls()).toEqual(["DEL"]);
  });

  test("releases our own leases last, and not when the interface stays", () => {
    const order: string[] = [];
    const plugin = { name: "mine", kind: "ipam", del: () => order.push("released") } as unknown as Plugin;
    registerPlugins([...plugins, plugin]);
    const of = { ...call(), command: "DEL", netns: "" } as Call;
    of.config = { ...of.config, ipam: { type: "mine" } };
    of.ipam = { plugin, call: of };
    expect(() => delWithIpam(of, failing)).toThrow("the interface stays");
    expect(order).toEqual([]);
    delWithIpam(of, () => void order.push("removed"));
    expect(order).toEqual(["removed", "released"]);
  });

  test("GC leaves the leases of what it could not take back", () => {
    const seen: unknown[] = [];
    const plugin = {
      name: "mine",
      kind: "ipam",
      knownArgs: [],
      gc: (of: Call) => seen.push(of.validAttachments),
    } as unknown as Plugin;
    const valid = { containerId: "valid", ifName: "eth0" };
    const of = { ...call(), command: "GC", validAttachments: [valid] } as Call;
    of.config = { ...of.config, ipam: { type: "mine" } };
    const kept = { containerId: "kept", ifName: "eth0" };
    registerPlugins([...plugins, { ...plugin, schema: "" }]);
    vi.spyOn(validation, "readWhatIsValid").mockImplementation(() => ({ config: {}, problems: [] }) as never);
    gcWithIpam(of, [kept]);
    expect(seen).toEqual([[valid, kept]]);
    stub("true");
    const foreign = { ...call(), command: "GC", validAttachments: [valid] } as Call;
    const input = () => JSON.parse(readFileSync(`${bin}/stdin`, "utf8"));
    gcWithIpam(foreign, [kept]);
    const [named, stays] = ["valid", "kept"].map((containerID) => ({ containerID, ifname: "eth0" }));
    const both = { "cni.dev/valid-attachments": [named, stays], "cni.dev/attachments": [named, stays] };
    expect([calls(), input()]).toEqual([["GC"], { ...foreign.raw, ...both }]);
    gcWithIpam({ ...foreign }, []);
    expect([calls(), input()]).toEqual([["GC", "GC"], foreign.raw]);
  });
});
