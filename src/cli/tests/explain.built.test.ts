// podnic explain changes nothing, and a following ADD takes exactly the listed steps.
import { spawnSync } from "node:child_process";
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { build, execute, podnic } from "./executable.ts";

const CONF = "/run/conf";

interface Step {
  kind: string;
  text: string;
}

interface Explained {
  parts: { plugin: string; steps: Step[] }[];
  result?: { ips?: { address: string }[]; interfaces?: { name: string; mac: string; sandbox: string }[] };
  refusal?: { code: number; msg: string; details: string };
  unknown?: string;
}

const pool = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]], routes: [{ dst: "203.0.113.0/24" }] };
const both = {
  type: "static",
  addresses: [
    { address: "192.0.2.5/24", gateway: "192.0.2.1" },
    { address: "2001:db8::5/64", gateway: "2001:db8::1" },
  ],
  routes: [{ dst: "0.0.0.0/0" }, { dst: "::/0" }, { dst: "10.0.0.0/8", gw: "192.0.2.9", mtu: 1400, priority: 50 }],
};
const fixed = { type: "macvlan", master: "up0", mac: "02:00:5e:10:00:01" };

/** The name of all networks in this file is blue. */
function write(...plugins: object[]): string {
  const file = `${CONF}/blue.conflist`;
  writeFileSync(file, JSON.stringify({ cniVersion: "1.1.0", name: "blue", plugins }));
  return file;
}

function explain(file: string, ...more: string[]): Explained & { status: number } {
  const { status, stdout, stderr } = execute(["explain", file, "--json", "--netns", "pod", ...more]);
  expect(stderr).toBe("");
  return { status, ...JSON.parse(stdout)[0] };
}

const steps = ({ parts }: Explained, kind: string) =>
  parts.flatMap((part) => part.steps.filter((step) => step.kind === kind).map(({ text }) => text));

function add() {
  return execute(["add", "blue", "pod", "--conf-dir", CONF, "--trace"]);
}

/** The requests that change something, in the words of the trace. */
const told = (stderr: string) => stderr.split("\n").flatMap((line) => (line.startsWith(">  ") ? [line.slice(3)] : []));

/** The state of everything that an ADD can change. */
function picture(): string {
  const ip = (line: string) => sh(`ip ${line}; ip -n pod ${line}`);
  const files = sh("find /run /var/lib/cni -xdev -printf '%p %y %m %s %T@ %i\\n' | sort");
  return [ip("-d link"), ip("addr"), ip("route show table all"), ip("-6 route show table all"), files].join("\n");
}

beforeAll(() => {
  build();
  enterSandbox();
  mkdirSync("/var/lib/cni", { recursive: true });
  mkdirSync(CONF);
  // Disable link-local addresses, because the kernel adds and changes them at any time, also while a test compares states.
  sh(`mount -t tmpfs tmpfs /var/lib/cni; echo 1 >/proc/sys/net/ipv6/conf/default/addr_gen_mode
    for pair in "up0 up1" "dev5 dev6"; do set -- $pair; ip link add $1 type veth peer name $2; ip link set $2 up; done
    ip link set up0 up; ip link set dev5 address 02:00:5e:10:00:05`);
}, 120_000);

beforeEach(() => {
  execute(["del", "blue", "pod", "--conf-dir", CONF]);
  sh("ip -n pod link del eth0 2>/dev/null || true; rm -rf /var/lib/cni/* /run/podnic /run/cni");
  // After a device has returned, the kernel takes a while to update the state of its other end.
  sh("for n in $(seq 200); do ip -o link show dev6 | grep -q LOWERLAYERDOWN && break; sleep 0.05; done");
});

const networks: [string, object[]][] = [
  ["macvlan with host-local", [{ ...fixed, ipam: pool }]],
  ["macvlan in mode private with both families", [{ ...fixed, mode: "private", mtu: 1400, ipam: both }]],
  ["macvlan without addresses", [fixed]],
  [
    "macvlan, a second address in one subnet",
    [{ ...fixed, ipam: { type: "static", addresses: [{ address: "192.0.2.5/24" }, { address: "192.0.2.6/24" }] } }],
  ],
  [
    "macvlan, IPv6 at once",
    [{ ...fixed, dad: "skip", ipam: { type: "static", addresses: [{ address: "2001:db8::7/64" }] } }],
  ],
  ["host-device with both families", [{ type: "host-device", device: "dev5", ipam: both }]],
  ["host-device with host-local", [{ type: "host-device", device: "dev5", ipam: pool }]],
];

describe.each(networks)("%s", (_, plugins) => {
  test("nothing is changed, and add does what was said", () => {
    const file = write(...plugins);
    const before = picture();
    const explained = explain(file);
    expect(picture()).toBe(before);
    expect(explained.refusal).toBeUndefined();
    expect(explained.status).toBe(0);

    const { stdout, stderr, status } = add();
    expect(status, stderr).toBe(0);
    expect(steps(explained, "kernel")).toEqual(told(stderr));
    expect(explained.result).toEqual(JSON.parse(stdout));
    for (const text of steps(explained, "file")) {
      const [verb, path] = text.split(/ +/);
      if (verb !== "update") expect(existsSync(path!), text).toBe(true);
    }
    for (const text of steps(explained, "sysctl")) {
      const [key, value] = text.split(" ").at(-1)!.split("=");
      expect(sh(`ip netns exec pod cat /proc/sys/${key}`).trim(), text).toBe(value);
    }
  });
});

/** Makes lines comparable: masks the last byte of a port's MAC address, which is random, and removes the frames of transactions. */
const alike = (lines: string[]): string[] =>
  lines
    .filter((line) => !line.startsWith("nf_tables"))
    .map((line) => line.replace(/(fe(:[0-9a-f]{2}){4}):[0-9a-f]{2}/g, "$1:00"))
    // The kernel assigns the handles of rules, so explain cannot know them.
    .map((line) => line.replace(/:[mj]\d+(,[mj]\d+)*"/, '"'));

test.each([
  // ADD pins a requested address only if the configuration uses the bridge's spoof check.
  [
    "a locked port",
    { macspoofchkBackend: "bridge", isGateway: true, hairpinMode: true },
    "bridge fdb add 02:00:5e:10:00:01 dev veth",
  ],
  [
    "rules of nftables",
    { macspoofchkBackend: "nftables", ipMasq: true, isDefaultGateway: true },
    " ether saddr 02:00:5e:10:00:01 return ",
  ],
])("bridge, %s: nothing is changed, and add does what was said", (_, keys, shows) => {
  sh(
    "ip link del br0 2>/dev/null || true; ip link add br0 address 02:00:5e:10:00:b0 up type bridge; until ip link show br0 | grep -q 'state DOWN'; do sleep 0.1; done",
  );
  const file = write({
    type: "bridge",
    bridge: "br0",
    mac: "02:00:5e:10:00:01",
    macspoofchk: true,
    ipam: pool,
    ...keys,
  });
  // Remove a bridge's timers, because they change continuously.
  const whole = (): string => `${picture().replaceAll(/_timer +[\d.]+/g, "")}${sh("nft list ruleset")}`;
  const before = whole();
  const explained = explain(file);
  expect(whole()).toBe(before);
  expect(explained.refusal).toBeUndefined();
  const { stderr, status } = add();
  expect(status, stderr).toBe(0);
  const said = alike(steps(explained, "kernel"));
  expect(said).toEqual(alike(told(stderr)));
  expect(said.join("\n")).toContain(shows);
  execute(["del", "blue", "pod", "--conf-dir", CONF]);
  sh("ip link del br0; nft flush ruleset");
});

test("a bridge that is yet to be made ignores router advertisements before it is up; who makes rules is told of their numbers", () => {
  sh("ip link del br0 2>/dev/null || true; echo 1 >/proc/sys/net/ipv6/conf/default/accept_ra");
  const { parts } = explain(write({ type: "bridge", bridge: "br0", isGateway: true, ipMasq: true, ipam: pool }));
  const texts = parts[0]!.steps.map(({ text }) => text);
  const ignores = texts.indexOf("sysctl -w net/ipv6/conf/br0/accept_ra=0");
  const up = texts.findIndex((text) => /^ip link set br0 .*up$/.test(text));
  expect(ignores, texts.join("\n")).toBeGreaterThan(-1);
  expect(up, texts.join("\n")).toBeGreaterThan(ignores);
  expect(texts.join("\n")).toContain("the kernel will number this rule");
});

test.each([["pod"], [undefined]])(
  "many networks in one file, each as if it were alone, and nothing changed (--netns %s)",
  (pod) => {
    const netns = pod === undefined ? [] : ["--netns", pod];
    const alone = networks.map(([, plugins]) => {
      const { stdout } = execute(["explain", write(...plugins), "--json", ...netns]);
      return JSON.parse(stdout)[0];
    });
    const items = networks.map(([, plugins]) => ({
      apiVersion: "k8s.cni.cncf.io/v1",
      kind: "NetworkAttachmentDefinition",
      metadata: { name: "blue" },
      spec: { config: JSON.stringify({ cniVersion: "1.1.0", name: "blue", plugins }) },
    }));
    const file = `${CONF}/all.json`;
    writeFileSync(file, JSON.stringify({ apiVersion: "v1", kind: "List", items: [...items, ...items] }));
    const before = picture();
    // Limit the descriptors, to show that explain does not keep any for each network.
    const script = `ulimit -n 40; exec ${podnic} explain ${file} --json ${netns.join(" ")}`;
    const { stdout, stderr } = spawnSync("sh", ["-c", script], { encoding: "utf8" });
    expect(stderr).toBe("");
    expect(JSON.parse(stdout)).toEqual([...alone, ...alone]);
    expect(picture()).toBe(before);
  },
);

/** Whether a call is a query. If strace does not know the socket's family, it prints the type as a number: NEW, DEL, GET, SET, from 16. */
function asksOnly(call: string): boolean {
  const [, type = ""] = /nlmsg_type=(\w+)/.exec(call) ?? [];
  return type.startsWith("RTM_GET") || (type.startsWith("0x") && Number(type) % 4 === 2);
}

test("no call changes anything: every write is to stdout, every message a question", () => {
  const file = write({ ...fixed, ipam: pool });
  const log = "/run/strace";
  const { status } = spawnSync("strace", ["-f", "-o", log, "-s", "200", podnic, "explain", file, "--netns", "pod"]);
  expect(status).toBe(0);
  const calls = readFileSync(log, "utf8").split("\n");
  const name = (call: string) => /^\d+ +(\w+)\(/.exec(call)?.[1] ?? "";
  const changing = [
    "mkdirat",
    "unlinkat",
    "linkat",
    "renameat2",
    "symlinkat",
    "utimensat",
    "fchmod",
    "flock",
    "clone",
    "execve",
  ];
  expect(calls.filter((call) => changing.includes(name(call)) && !call.includes('execve("'))).toEqual([]);
  expect(calls.filter((call) => name(call) === "openat" && /O_(WRONLY|RDWR|CREAT|TRUNC)/.test(call))).toEqual([]);
  expect(calls.filter((call) => name(call) === "write" && !/write\(1,/.test(call))).toEqual([]);
  const messages = calls.filter((call) => name(call) === "sendto");
  expect(messages.length).toBeGreaterThan(2);
  expect(messages.filter((call) => !asksOnly(call))).toEqual([]);
});

describe("what ADD would refuse", () => {
  /** explain reports the same error as add. */
  function refused(...plugins: object[]): string {
    const file = write(...plugins);
    const { status, refusal } = explain(file);
    const { stdout } = execute(["add", "blue", "pod", "--conf-dir", CONF, "--json"]);
    const { code, msg, details } = JSON.parse(stdout);
    expect(refusal).toEqual({ code, msg, details });
    expect(status).toBe(1);
    return msg;
  }

  test("before anything is done", () => {
    expect(refused({ type: "macvlan", master: "up9" })).toContain('failed to lookup master "up9"');
    expect(refused({ type: "macvlan", master: "up0", mode: "brigde" })).toContain("mode must be one of");
    expect(refused({ type: "host-device", device: "dev9" })).toContain("dev9");
  });

  test("a name that is taken, an address that is leased", () => {
    sh("ip -n pod link add eth0 type veth peer name other");
    expect(refused({ ...fixed, ipam: pool })).toContain("already exists");
    sh("ip -n pod link del eth0");
    const one = {
      type: "host-local",
      ranges: [[{ subnet: "198.51.100.0/24", rangeStart: "198.51.100.9", rangeEnd: "198.51.100.9" }]],
    };
    mkdirSync("/var/lib/cni/networks/blue", { recursive: true });
    writeFileSync("/var/lib/cni/networks/blue/198.51.100.9", "somebody\r\neth0");
    expect(refused({ ...fixed, ipam: one })).toContain("no IP addresses available");
  });
});

describe("plugins of others", () => {
  const path = ["--path", CONF];
  const stranger = () => {
    writeFileSync(`${CONF}/stranger`, "#!/bin/sh\ntouch /run/it-ran\n");
    chmodSync(`${CONF}/stranger`, 0o755);
  };

  test("behind ours they are taken to hand on the result; nothing runs them", () => {
    stranger();
    const explained = explain(write({ ...fixed, ipam: pool }, { type: "stranger" }), ...path);
    expect(explained.parts.map(({ plugin }) => plugin)).toEqual(["macvlan", "stranger"]);
    expect(steps(explained, "run")).toEqual([`${CONF}/stranger with CNI_COMMAND=ADD`]);
    expect(explained.result?.ips?.[0]?.address).toBe("198.51.100.2/24");
    expect(existsSync("/run/it-ran")).toBe(false);
  });

  test("as IPAM plugin they make the rest unknown", () => {
    stranger();
    const explained = explain(write({ ...fixed, ipam: { type: "stranger" } }), ...path);
    expect(explained.unknown).toContain("the next steps depend on the output of");
    expect(steps(explained, "kernel")[0]).toMatch(/^ip link add/);
    expect(explained.status).toBe(0);
    expect(existsSync("/run/it-ran")).toBe(false);
  });
});

test("a pod that is not there yet, a definition, a person", () => {
  const file = `${CONF}/net.yaml`;
  const config = JSON.stringify({ cniVersion: "1.0.0", ...fixed, ipam: pool });
  writeFileSync(
    file,
    `apiVersion: k8s.cni.cncf.io/v1\nkind: NetworkAttachmentDefinition\nmetadata:\n  name: green\nspec:\n  config: '${config}'\n`,
  );
  const namespaces = sh("ip netns list; ls -l /proc/self/ns/net");
  const { stdout, status } = execute(["explain", file, "--ifname", "net1"]);
  expect(status).toBe(0);
  expect(stdout).toContain('ADD of network "green" to POD as net1');
  expect(stdout).toMatch(
    / {3}1 {2}kernel {2}ip link add link up0 name net1 index \d{10} netns POD address 02:00:5e:10:00:01 type macvlan mode bridge\n/,
  );
  expect(stdout).toContain("ip -n POD addr add 198.51.100.2/24");
  expect(stdout).toContain('"sandbox": "POD"');
  expect(sh("ip netns list; ls -l /proc/self/ns/net")).toBe(namespaces);
  expect(execute(["explain", `${CONF}/none`]).status).toBe(1);
  expect(execute(["explain"]).status).toBe(2);
});
