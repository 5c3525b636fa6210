// Plugins that are wrong on purpose, in a short run: it has to find what they change.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";

const dist = resolve("dist/cni");
let dir: string;

function soak(...args: string[]): { status: number | null; said: string } {
  const run = spawnSync("node", ["scripts/ts.mjs", "conformance/soak/main.ts", ...args], { encoding: "utf8" });
  return { status: run.status, said: run.stdout + run.stderr };
}

beforeAll(() => {
  dir = mkdtempSync("/tmp/podnic-wrong-");
  mkdirSync(`${dir}/cni`);
  for (const plugin of ["host-local", "static"]) symlinkSync(`${dist}/${plugin}`, `${dir}/cni/${plugin}`);
  const wrong = (plugin: string, command: string, script: string): void =>
    writeFileSync(
      `${dir}/cni/${plugin}`,
      `#!/bin/sh\n${dist}/${plugin} || exit\n[ $CNI_COMMAND != ${command} ] || { ${script}; } >/dev/null 2>&1\nexit 0\n`,
      { mode: 0o755 },
    );
  wrong(
    "macvlan",
    "ADD",
    `nft add table ip left; ip rule add from 192.0.2.4 table 7 priority 77; ip route replace 203.0.113.0/24 dev up0
    ip link set up0 txqueuelen 77; iptables-legacy -A INPUT -s 192.0.2.9 -j DROP
    touch /run/podnic/host-local/t.left /var/lib/cni/podnic.lock; in="ip -n \${CNI_NETNS##*/}"
    $in link set $CNI_IFNAME down; $in address add 198.18.0.2/16 dev lo; $in link add extra type veth peer extra2`,
  );
  wrong(
    "bridge",
    "ADD",
    `nft add rule inet cni_plugins_masquerade masq_checks accept
    in="ip -n \${CNI_NETNS##*/}"; $in route flush table main; [ $CNI_IFNAME = eth0 ] || $in link del net1`,
  );
  wrong(
    "host-device",
    "DEL",
    `for n in 0 1 2 3 4 5 6 7; do ip link set nic$n txqueuelen 77 arp off; ip addr add 192.0.2.1/32 dev nic$n scope link; done
    ip neigh replace 192.0.2.77 lladdr 02:00:00:00:00:99 dev up0 nud permanent`,
  );
});
afterAll(() => rmSync(dir, { recursive: true, force: true }));

test("what wrong plugins change is found, while pods live and at the end", { timeout: 120_000 }, () => {
  // With this seed, the first two pods have devices.
  const short = ["--seed", "53", "--minutes", "0.05", "--least", "8", "--most", "16", "--count", "0"];
  const { status, said } = soak("--bin", `${dir}/cni`, ...short);
  for (const line of [
    "wrong: left over: table host family 2 left",
    "wrong: left over: rule host ipv4 from /32",
    "wrong: left over: route host ipv4/24 dev up0",
    "wrong: left over: of host up0: flags 1002 qlen 77",
    "wrong: left over: xtables host ip filter",
    "wrong: left over: nft accept",
    "wrong: left over: file /run/podnic/host-local/t.left",
    "wrong: left over: file /var/lib/cni/podnic.lock",
    "\nleft over: xtables host ip filter",
    "\nleft over: file /run/podnic/host-local/t.left",
    "\nleft over: nft table ip left",
    "\nleft over: route host ipv4/24 dev up0",
  ])
    expect(said).toContain(line);
  for (const line of [
    "left over: pod\\d+ (eth0|net1) mtu 1500 down",
    "missing: pod\\d+ (eth0|net1) mtu 1500 up",
    "left over: pod\\d+ lo mtu 65536 up .* 198.18.0.2/16",
    "left over: pod\\d+ extra ",
    "missing: route pod\\d+ ipv4/16 dev eth0",
  ])
    expect(said).toMatch(new RegExp(`\nwrong: in a pod: ${line}`));
  expect(said).toMatch(/\nleft over: of host nic\d: flags 1082 qlen 77/);
  expect(status).toBe(1);
});

test("a plugin whose ADD fails always is wrong, and the run ends", { timeout: 60_000 }, () => {
  const fails = `${dir}/fails`;
  mkdirSync(fails);
  for (const plugin of ["macvlan", "bridge", "host-device", "host-local", "static"])
    writeFileSync(`${fails}/${plugin}`, "#!/bin/sh\n[ $CNI_COMMAND != ADD ] || { echo {}; exit 1; }\n", {
      mode: 0o755,
    });
  const { status, said } = soak("--bin", fails, "--minutes", "0.05", "--least", "2", "--most", "4", "--count", "0");
  expect(said).toMatch(/\nwrong: ADD of pod\d+ in \w+: 1 /);
  expect(status).toBe(1);
});

describe('a DEL that says "try again later"', () => {
  const short = ["--seed", "2", "--minutes", "0.05", "--jobs", "1", "--least", "2", "--most", "4", "--count", "0"];
  const saying = (name: string, when: string): string => {
    const plugins = `${dir}/${name}`;
    mkdirSync(plugins);
    for (const plugin of ["macvlan", "bridge", "host-device", "host-local", "static"])
      writeFileSync(
        `${plugins}/${plugin}`,
        `#!/bin/sh\nasked=${plugins}/$CNI_CONTAINERID.$CNI_IFNAME
        if [ $CNI_COMMAND = DEL ] && ${when}; then touch $asked; echo '{"code":11,"msg":"x"}'; exit 1; fi\nexec ${dist}/${plugin}\n`,
        { mode: 0o755 },
      );
    return plugins;
  };

  test("is repeated while the pod's namespace is being deleted", { timeout: 60_000 }, () => {
    const once = saying("once", "[ ! -e $asked -a ! -e /run/netns/$CNI_CONTAINERID ]");
    const { status, said } = soak("--bin", once, ...short);
    expect(said).toMatch(/"repeated":[1-9]/);
    expect(said).toContain("0 wrong, 0 left over");
    expect(status).toBe(0);
  });

  test("is wrong while the namespace exists", { timeout: 60_000 }, () => {
    const { status, said } = soak("--bin", saying("alive", "[ -e /run/netns/$CNI_CONTAINERID ]"), ...short);
    expect(said).toMatch(/\nwrong: DEL of pod\d+ in \w+: 1 /);
    expect(said).toContain('"repeated":0');
    expect(status).toBe(1);
  });

  test("is wrong when it never ends", { timeout: 90_000 }, () => {
    const { status, said } = soak("--bin", saying("never", "[ ! -e /run/netns/$CNI_CONTAINERID ]"), ...short);
    expect(said).toMatch(/\nwrong: DEL of pod\d+ in \w+: 1 /);
    expect(said).toMatch(/"repeated":[1-9]/);
    expect(status).toBe(1);
  });
});

describe("what cannot be done is refused", () => {
  test.each([
    [["--least", "5", "--most", "2"], "--least 5 is more than --most 2"],
    [["--jobs", "0"], "at least 1"],
    [["--minutes", "abc"], "not negative"],
    [["--bin", "/tmp"], "no macvlan in /tmp"],
    [["--json", "/nonexistent/x.json"], "cannot be written"],
    [["--least", "1", "--forget", "2"], "--forget 2 is more than --least 1"],
  ])("%j", { timeout: 60_000 }, (args, line) => {
    const { status, said } = soak("--minutes", "0", ...args);
    expect(said).toContain(line);
    expect(status).toBe(2);
  });
});
