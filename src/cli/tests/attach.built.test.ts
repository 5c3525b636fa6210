// Compares podnic add, check and del with cnitool, which they replace.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { chmodSync, existsSync, linkSync, mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { beforeAll, beforeEach, describe, expect, test } from "vitest";
import { enterSandbox, ipJson, sh } from "../../testing/sandbox.ts";
import { build, execute, podnic } from "./executable.ts";

const CONF = "/run/conf";
const BIN = "/run/bin";
const cnitool = join(process.cwd(), ".cache/go-clients/cnitool");
const ID = `cnitool-${createHash("sha512").update("/run/netns/pod").digest("hex").slice(0, 20)}`;

const pool = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]], routes: [{ dst: "203.0.113.0/24" }] };
const blue = { type: "macvlan", master: "up0", capabilities: { mac: true, ips: true }, ipam: pool };

function write(file: string, config: object): void {
  writeFileSync(join(CONF, file), JSON.stringify(config));
}

/** A third-party plugin, which records its input. */
function stranger(answer: string): void {
  const script = `#!/bin/sh\nenv | grep ^CNI_ | sort >/run/$CNI_COMMAND.env\ncat >/run/$CNI_COMMAND.stdin\n${answer}\n`;
  writeFileSync(join(BIN, "stranger"), script);
  chmodSync(join(BIN, "stranger"), 0o755);
}

function run(verb: string, ...more: string[]) {
  return execute([verb, "blue", "pod", "--ifname", "net1", "--conf-dir", CONF, "--path", BIN, ...more]);
}

function leases(): string[] {
  const dir = "/var/lib/cni/networks/blue";
  return existsSync(dir) ? readdirSync(dir).filter((name) => name.includes(".100.")) : [];
}

/** The note on stderr if a network is given by its name. */
const WHICH = `podnic: network "blue" is defined in ${CONF}/10-blue.conflist\n`;

beforeAll(() => {
  build();
  enterSandbox();
  mkdirSync("/var/lib/cni", { recursive: true });
  sh(
    "mount -t tmpfs tmpfs /var/lib/cni; ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up",
  );
  for (const dir of [CONF, BIN]) mkdirSync(dir);
  sh(`cp ${podnic} ${BIN}/podnic`);
  for (const name of ["macvlan", "host-local"]) linkSync(join(BIN, "podnic"), join(BIN, name));
}, 120_000);

beforeEach(() => {
  sh("ip -n pod link del net1 2>/dev/null || true; rm -rf /var/lib/cni/*");
  for (const name of readdirSync(CONF)) sh(`rm ${CONF}/${name}`);
  write("10-blue.conflist", { cniVersion: "1.0.0", name: "blue", plugins: [blue] });
});

describe("by hand", () => {
  test("add, check, del", () => {
    const added = run("add", "--cap-args", '{"mac":"02:00:5e:10:00:07","bogus":1}');
    expect(added.stderr).toBe(WHICH);
    const result = JSON.parse(added.stdout);
    expect(result.interfaces).toMatchObject([{ name: "net1", mac: "02:00:5e:10:00:07", sandbox: "/run/netns/pod" }]);
    expect(ipJson("-n pod link show net1")[0].address).toBe("02:00:5e:10:00:07");
    expect(leases()).toEqual(["198.51.100.2"]);
    expect(readFileSync("/var/lib/cni/networks/blue/198.51.100.2", "utf8")).toBe(`${ID}\r\nnet1`);
    expect(run("check")).toEqual({ status: 0, stdout: "", stderr: WHICH });
    sh("ip -n pod addr flush dev net1");
    expect(run("check").status).toBe(1);
    expect(run("del")).toEqual({ status: 0, stdout: "", stderr: WHICH });
    expect(leases()).toEqual([]);
    expect(readdirSync("/var/lib/cni/results")).toEqual([]);
    expect(run("del").status).toBe(0);
  });

  test("a result that libcni kept before 0.8, which is the result alone, is understood", () => {
    run("add");
    const [kept] = readdirSync("/var/lib/cni/results");
    const file = join("/var/lib/cni/results", kept!);
    writeFileSync(file, JSON.stringify(JSON.parse(readFileSync(file, "utf8")).result));
    // CHECK would fail without a prevResult.
    expect(run("check")).toEqual({ status: 0, stdout: "", stderr: WHICH });
    expect(run("del").status).toBe(0);
    expect(readdirSync("/var/lib/cni/results")).toEqual([]);
  });

  test("a plugin's error is said once, without its code; as a document with --json", () => {
    run("add");
    const again = run("add");
    expect(again.status).toBe(1);
    expect(again.stderr.match(/already exists/g)).toHaveLength(1);
    expect(again.stderr).not.toMatch(/code \d/);
    expect(JSON.parse(run("add", "--json").stdout)).toMatchObject({ code: 999, cniVersion: "1.1.0" });
    expect(leases()).toEqual(["198.51.100.2"]);
  });

  test("what makes no sense is refused before anything is done", () => {
    write("00-broken.conflist", {});
    expect(execute(["add", "blou", "pod", "--conf-dir", CONF]).stderr).toContain('did you mean "blue"?');
    expect(run("add", "--args", "A").status).toBe(2);
    expect(run("add", "--cap-args", "[").status).toBe(2);
    expect(run("add", "--ifname", "a/b").stderr).toContain("CNI_IFNAME");
    expect(execute(["add", "blue"]).status).toBe(2);
    expect(leases()).toEqual([]);
  });

  test("plugins of others get what a runtime gives, in both directions of the list", () => {
    stranger('[ "$CNI_COMMAND" != ADD ] || sed "s/.*\\"prevResult\\"://; s/}$//" /run/ADD.stdin');
    write("10-blue.conflist", { cniVersion: "1.0.0", name: "blue", plugins: [blue, { type: "stranger", a: 1 }] });
    // Plugins accept "=" in a value, because Multus writes it.
    const { stdout, stderr } = run("add", "--args", "IgnoreUnknown=1;K8S_POD_NAME=foo=bar;");
    expect(stderr).toBe(WHICH);
    expect(JSON.parse(stdout).ips[0].address).toBe("198.51.100.2/24");
    expect(readFileSync("/run/ADD.env", "utf8").trim().split("\n")).toEqual([
      "CNI_ARGS=IgnoreUnknown=1;K8S_POD_NAME=foo=bar",
      "CNI_COMMAND=ADD",
      `CNI_CONTAINERID=${ID}`,
      "CNI_IFNAME=net1",
      "CNI_NETNS=/run/netns/pod",
      `CNI_PATH=${BIN}`,
    ]);
    stranger("exit 3");
    const failed = run("del");
    expect(failed.status).toBe(1);
    expect(JSON.parse(readFileSync("/run/DEL.stdin", "utf8"))).toMatchObject({
      name: "blue",
      a: 1,
      prevResult: JSON.parse(stdout),
    });
    // The macvlan is deleted anyway, and everything that a repeated DEL needs still exists.
    expect(leases()).toEqual([]);
    expect(readdirSync("/var/lib/cni/results")).toEqual([`blue-${ID}-net1`]);
    stranger("exit 0");
    expect(run("del").status).toBe(0);
    expect(readdirSync("/var/lib/cni/results")).toEqual([]);
  });
});

/** podnic prints which file it read; cnitool does not. */
const silent = expect.stringMatching(/^(podnic: network "blue" is defined in \S+\n)?$/);

describe.runIf(existsSync(cnitool))("with cnitool", () => {
  const tool = (verb: string) =>
    execute([verb, "blue", "/run/netns/pod"], { NETCONFPATH: CONF, CNI_PATH: BIN, CNI_IFNAME: "net1" }, cnitool);

  test.each([
    ["cnitool checks and deletes what podnic added", run, tool],
    ["podnic checks and deletes what cnitool added", tool, run],
  ])("%s", (_, first, second) => {
    const added = first("add");
    expect(added).toMatchObject({ stderr: silent });
    const [name] = readdirSync("/var/lib/cni/results");
    const kept = JSON.parse(readFileSync(`/var/lib/cni/results/${name}`, "utf8"));
    expect(name).toBe(`blue-${ID}-net1`);
    expect(kept).toMatchObject({ kind: "cniCacheV1", containerId: ID, netns: "/run/netns/pod", ifName: "net1" });
    expect(JSON.parse(Buffer.from(kept.config, "base64").toString())).toMatchObject({ name: "blue" });
    expect(second("check")).toMatchObject({ status: 0, stderr: silent });
    expect(second("del")).toMatchObject({ status: 0, stderr: silent });
    expect(leases()).toEqual([]);
    expect(readdirSync("/var/lib/cni/results")).toEqual([]);
  });
});

test("del does its work although the results cannot be read", () => {
  writeFileSync("/var/lib/cni/results", "");
  const { status, stderr } = run("add");
  expect(status).toBe(1);
  expect(stderr).toContain("cannot store the result in /var/lib/cni/results: ");
  expect(stderr).toContain("ADD created the interface, which remains until DEL");
  const deleted = run("del");
  expect(deleted.status).toBe(0);
  expect(deleted.stderr).toContain("the cached result of ADD cannot be read");
  expect(deleted.stderr).toContain("the cached result of ADD cannot be removed");
  expect(sh("ip -n pod -br link")).not.toContain("net1");
  expect(leases()).toEqual([]);
});

test("check says that there was no add", () => {
  const { status, stderr } = run("check");
  expect(status).toBe(1);
  expect(stderr).toContain('there is no cached result for network "blue" as net1 in /run/netns/pod');
});

test("a plugin of others can lock the namespace after ours, as sbr does", () => {
  write("10-blue.conflist", { cniVersion: "1.0.0", name: "blue", plugins: [blue, { type: "stranger" }] });
  stranger('flock -w 1 "$CNI_NETNS" true || exit 1\necho \'{"cniVersion":"1.0.0"}\'');
  expect(run("add").status).toBe(0);
  expect(run("del").status).toBe(0);
});

test("a plugin of others that prints no result is named; none of ours is to blame", () => {
  write("10-blue.conflist", { cniVersion: "1.0.0", name: "blue", plugins: [{ type: "stranger" }] });
  for (const answer of ["echo hello", "echo '[1]'", ""]) {
    stranger(answer);
    const { status, stderr } = run("add");
    expect(status).toBe(1);
    expect(stderr).toContain('plugin "stranger" exited with status 0 but printed no result');
    expect(stderr).not.toContain("bug in podnic");
  }
});

test("an IPAM plugin of ours needs no file, whatever place of the list it has", () => {
  write("10-blue.conflist", { cniVersion: "1.0.0", name: "blue", plugins: [{ type: "host-local", ipam: pool }] });
  const { status, stdout } = run("add", "--path", "/run/empty");
  expect(status).toBe(0);
  expect(JSON.parse(stdout).ips).toMatchObject([{ address: "198.51.100.2/24" }]);
  expect(run("del", "--path", "/run/empty").status).toBe(0);
  expect(leases()).toEqual([]);
});

test("a single configuration is a list of one", () => {
  write("10-blue.conflist", { cniVersion: "1.0.0", name: "other", plugins: [blue] });
  write("20-blue.conf", { cniVersion: "1.0.0", name: "blue", ...blue });
  expect(run("add").status).toBe(0);
  expect(run("check").status).toBe(0);
  expect(run("del").status).toBe(0);
});

describe("--trace", () => {
  /** The requests that change something, without the interface's index, which depends on the container ID. */
  const changes = (stderr: string) =>
    stderr
      .split("\n")
      .filter((line) => line.startsWith(">  "))
      .map((line) => line.replace(/(name net1) index [12]\d{9}/, "$1"));

  test("shows what add sends and what the kernel answers", () => {
    const { stderr, stdout } = run("add", "--trace", "--cap-args", '{"mac":"02:00:5e:10:00:07"}');
    JSON.parse(stdout);
    expect(changes(stderr)).toEqual([
      ">  ip link add link up0 name net1 netns pod address 02:00:5e:10:00:07 type macvlan mode bridge",
      ">  ip netns set pod auto",
      `>  ip -n pod link set net1 alias "podnic:blue:${ID}"`,
      ">  ip -n pod addr add 198.51.100.2/24 brd 198.51.100.255 dev net1",
      ">  ip -n pod link set net1 up",
      ">  ip -n pod route prepend 203.0.113.0/24 via 198.51.100.1 dev net1",
      ">  ip -n pod neigh add 198.51.100.2 dev net1 use",
    ]);
    expect(stderr).toContain("NLM_F_REQUEST|NLM_F_ACK|NLM_F_EXCL|NLM_F_CREATE");
    expect(stderr).toContain("    IFLA_ADDRESS 02:00:5e:10:00:07\n");
    expect(stderr).toContain('      IFLA_INFO_KIND "macvlan"\n');
    expect(stderr).toMatch(/IFLA_MACVLAN_MODE \d+ \([a-z]+\)\n/);
    expect(stderr).toMatch(/IFLA_EXT_MASK RTEXT_FILTER_[A-Z_|]+\n/);
    expect(stderr).toMatch(/ifi_flags IFF_UP\|IFF_BROADCAST\|/);
    expect(stderr).toContain("    RTA_GATEWAY 198.51.100.1\n");
    expect(stderr).toMatch(/^< {2}NLMSG_ERROR seq \d+: 0 \(done\)$/m);
    expect(stderr).toMatch(/^< {2}NLMSG_ERROR seq \d+: -19 ENODEV/m);
  });

  test("shows messages when they are sent, also of a call that does not end", () => {
    run("add");
    run("del");
    const add = [podnic, "add", "blue", "pod", "--ifname", "net1", "--conf-dir", CONF, "--trace"];
    const command = ["/var/lib/cni/networks/blue/lock", "timeout", "1", ...add];
    const { stderr } = spawnSync("flock", command, { encoding: "utf8" });
    expect(stderr).toContain(">? ip link show up0");
    expect(run("del").status).toBe(0);
  });

  test("shows the kernel's own words of a refusal, and del's request", () => {
    sh("ip link add br0 type bridge; ip link set up0 master br0");
    try {
      const { stderr, status } = run("add", "--trace");
      expect(status).toBe(1);
      expect(stderr).toMatch(/^< {2}NLMSG_ERROR seq \d+: -16 EBUSY/m);
    } finally {
      sh("ip link del br0");
    }
    run("add");
    expect(changes(run("del", "--trace").stderr)).toEqual([">  ip -n pod link del net1"]);
    expect(sh("ip -n pod -br link")).not.toContain("net1");
  });
});

test.each(["explain", "add", "check", "del"])("%s refuses deep nesting before it costs anything", (verb) => {
  const deep = `{"cniVersion":"1.0.0","name":"blue","type":"macvlan","master":"up0","a":${"[".repeat(40_000)}${"]".repeat(40_000)}}`;
  writeFileSync(join(CONF, "deep.conf"), deep);
  const begin = process.hrtime.bigint();
  const { status, stderr } = execute([verb, join(CONF, "deep.conf"), ...(verb === "explain" ? [] : ["pod"])]);
  const milliseconds = Number((process.hrtime.bigint() - begin) / 1_000_000n);
  expect([status === 0, stderr]).toEqual([false, expect.stringContaining("nested more than 10000 levels deep")]);
  // 40,000 levels took 4.4 s of CPU.
  expect(milliseconds).toBeLessThan(3000);
});
