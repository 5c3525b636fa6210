// What a device's settings are after it was with a pod and came back.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { BPF_DROP, BPF_TCX, XDP_DROP } from "../../../conformance/harness/xdp.ts";
import { host, SystemError } from "../../host/host.ts";
import { IFF_UP } from "../../netlink/constants.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { getLink } from "../link.ts";
import { moveLink } from "../move.ts";
import { IPV4, IPV6, restoreSettings, USUAL4, USUAL6 } from "../settings.ts";
import { restoreLink, snapshotOnHost } from "../snapshot.ts";

const { own, pod } = enterSandbox();
const { route } = own;

beforeEach(() => sh("ip link add d0 type veth peer name p; ip link set d0 up; ip link set p up"));
afterEach(() => sh("ip link del p"));

/** The device goes to the pod as eth0, `inPod` happens to it there, and it comes back. */
function travel(inPod = "true"): void {
  const link = getLink(route, "d0")!;
  // As from a record.
  const saved = JSON.parse(JSON.stringify(snapshotOnHost(route, link)));
  const moved = moveLink(own, pod, link, "eth0", { up: true });
  sh(inPod);
  restoreLink(route, moveLink(pod, own, getLink(pod.route, moved.index)!, "d0", {}), saved);
}

const sysctls = () => sh("cd /proc/sys/net; grep -r . ipv4/conf/d0 ipv6/conf/d0 2>/dev/null | sort").split("\n");

it("names every sysctl that the kernel's answer has, in its order", () => {
  const files = (family: string) => sh(`ls /proc/sys/net/${family}/conf/d0`).trim().split("\n");
  const known = (names: string[]) => [...names.filter((name) => name !== ""), "mc_forwarding"].sort();
  expect(files("ipv4")).toEqual(known(IPV4));
  // Not in the answer: those, which are no numbers or newer than what it has.
  const others = ["force_forwarding", "ra_honor_pio_life", "ra_honor_pio_pflag", "regen_min_advance", "stable_secret"];
  const answered = files("ipv6").filter((name) => !others.includes(name));
  expect(answered).toEqual(known(IPV6).filter((name) => files("ipv6").includes(name)));
});

it("every writable sysctl is restored, whatever the namespace's defaults are", () => {
  // Each differs from the default by one, where the kernel takes that.
  sh(`cd /proc/sys/net; for file in ipv4/conf/d0/* ipv6/conf/d0/*; do
      case $file in */mtu|*/stable_secret|*/addr_gen_mode|*/disable_ipv6) continue;; esac
      value=$(cat $file 2>/dev/null) || continue
      { echo $((value + 1)) >$file || echo $((value - 1)) >$file || true; } 2>/dev/null
    done; sysctl -qw net.ipv6.conf.d0.mtu=1400 net.ipv4.conf.default.arp_ignore=2 net.ipv6.conf.d0.ra_defrtr_metric=4000000000`);
  const before = sysctls();
  travel("sysctl -qw net.ipv4.conf.default.rp_filter=1");
  const after = sysctls();
  // Not in the kernel's answer.
  const elsewhere = /force_forwarding|ra_honor_pio|regen_min_advance/;
  expect(before.filter((line) => !after.includes(line) && !elsewhere.test(line))).toEqual([]);
  expect(before.length).toBeGreaterThan(80);
});

it("what is as usual comes back too, where the host's defaults have become others", () => {
  const before = sysctls();
  sh(
    "sysctl -qw net.ipv4.conf.default.arp_ignore=2 net.ipv6.conf.default.accept_ra=2 net.ipv6.conf.default.hop_limit=9",
  );
  travel();
  expect(sysctls()).toEqual(before);
  sh(
    "sysctl -qw net.ipv4.conf.default.arp_ignore=0 net.ipv6.conf.default.accept_ra=1 net.ipv6.conf.default.hop_limit=64",
  );
});

it("records have what differs from the usual, of all that the kernel's answer has names for", () => {
  expect([USUAL4.length, USUAL6.length]).toEqual([IPV4.length, IPV6.length]);
  sh("sysctl -qw net.ipv4.conf.d0.arp_ignore=1 net.ipv6.conf.d0.hop_limit=65");
  const { conf4 = [], conf6 = [] } = snapshotOnHost(route, getLink(route, "d0")!).settings!;
  const places = (pairs: number[]) => pairs.filter((_, i) => i % 2 === 0);
  expect(conf4).toEqual(expect.arrayContaining([IPV4.indexOf("arp_ignore"), 1]));
  expect(places(conf6)).toContain(IPV6.indexOf("hop_limit"));
  expect(conf4.length + conf6.length).toBeLessThan(16);
});

it("disable_ipv6, and a secret for addresses", () => {
  sh("sysctl -qw net.ipv6.conf.d0.stable_secret=2001:db8::5 net.ipv6.conf.d0.disable_ipv6=1");
  const before = sysctls();
  travel("ip netns exec pod sysctl -qw net.ipv6.conf.eth0.disable_ipv6=0");
  expect(sysctls()).toEqual(before);
  expect(sh("ip -6 address show dev d0")).toBe("");
});

it("queue length, sizes, group and broadcast address are restored", () => {
  sh(
    "ip link set d0 txqueuelen 77 group 7 gso_max_size 32768 gso_max_segs 9 gro_max_size 20000 broadcast ff:ff:ff:ff:ff:f0",
  );
  const show = () => sh("ip -d link show dev d0 | sed 's/^[0-9]*: //'");
  const before = show();
  travel(
    "ip -n pod link set eth0 txqueuelen 5 group 9 gso_max_size 65536 gso_max_segs 8 gro_max_size 30000 broadcast ff:ff:ff:ff:ff:00",
  );
  expect(show()).toBe(before);
});

it("a pod's XDP program is removed, the host's is kept", () => {
  const attach = (ip: string, name: string) =>
    `${ip} perl -e '${XDP_DROP}' $(${ip} cat /sys/class/net/${name}/ifindex)`;
  const prog = () => /prog\/xdp id (\d+)/.exec(sh("ip -d link show dev d0"))?.[1];
  travel(attach("ip netns exec pod", "eth0"));
  expect(prog()).toBeUndefined();
  sh(attach("", "d0"));
  const host = prog();
  expect(host).toMatch(/\d/);
  travel();
  expect(prog()).toBe(host);
  travel(attach("ip netns exec pod", "eth0"));
  expect(prog()).toBeUndefined();
});

it("a pod's programs of tcx are taken off, those of the host are not", (t) => {
  const index = (ip: string, name: string) => `$(${ip} cat /sys/class/net/${name}/ifindex)`;
  const attach = (ip: string, name: string, how: string) =>
    sh(`${ip} perl -e '${BPF_DROP}' ${index(ip, name)} ${how} >/dev/null`);
  const count = () => Number(sh(`perl -e '${BPF_TCX}' ${index("", "d0")} 2>/dev/null || echo -1`));
  if (count() < 0) t.skip("this kernel has no tcx");
  travel(`ip netns exec pod perl -e '${BPF_DROP}' ${index("ip netns exec pod", "eth0")} 46`);
  expect(count()).toBe(0);
  attach("", "d0", "46");
  attach("", "d0", "47 hold");
  const { settings } = snapshotOnHost(route, getLink(route, "d0")!);
  expect(settings!.tcx).toHaveLength(2);
  travel(`ip netns exec pod perl -e '${BPF_DROP}' ${index("ip netns exec pod", "eth0")} 47`);
  expect(count()).toBe(2);
  expect(snapshotOnHost(route, getLink(route, "d0")!).settings!.tcx).toEqual(settings!.tcx);
});

it.each(["EPERM", "EACCES"])("where bpf(2) ends in %s, the log says that nobody has looked for programs", (code) => {
  const { settings } = snapshotOnHost(route, getLink(route, "d0")!);
  const real = host.bpf.bind(host);
  host.bpf = () => {
    throw new SystemError("bpf", 1, code, "not permitted", "");
  };
  const lines = vi.spyOn(host, "write");
  try {
    expect(snapshotOnHost(route, getLink(route, "d0")!).settings!.tcx).toBeUndefined();
    expect(restoreSettings(route, getLink(route, "d0")!.index, "d0", settings!)).toBe(true);
    const said = lines.mock.calls.map(([, data]) => host.decode(data)).filter((line) => line.includes("(tcx)"));
    expect(said).toHaveLength(2);
    expect(said[0]).toContain('device="d0"');
  } finally {
    lines.mockRestore();
    host.bpf = real;
  }
});

it("a device whose programs cannot be found out stays down", () => {
  sh("ip link set d0 up");
  const saved = snapshotOnHost(route, getLink(route, "d0")!);
  const real = host.bpf.bind(host);
  host.bpf = () => {
    throw new SystemError("bpf", 5, "EIO", "broken", "");
  };
  const isUp = () => (getLink(route, "d0")!.flags & IFF_UP) !== 0;
  try {
    restoreLink(route, getLink(route, "d0")!, saved);
    expect(isUp()).toBe(false);
  } finally {
    host.bpf = real;
  }
  restoreLink(route, getLink(route, "d0")!, saved);
  expect(isUp()).toBe(true);
});

it("a device that cannot come up yet is not dormant once it can", () => {
  sh("ip link add m0 link d0 type macvlan mode bridge; ip link set m0 up");
  const link = getLink(route, "m0")!;
  const saved = snapshotOnHost(route, link);
  // As in a pod. Another one has its address then.
  sh(`ip link set m0 mode dormant; ip link set m0 state dormant; ip link set m0 mode default; ip link set m0 down
    ip link add m1 link d0 address ${link.mac} type macvlan mode bridge; ip link set m1 up`);
  restoreLink(route, getLink(route, "m0")!, saved);
  expect(getLink(route, "m0")!.flags & IFF_UP).toBe(0);
  sh("ip link del m1; ip link set m0 up");
  expect(sh("cat /sys/class/net/m0/operstate").trim()).toBe("up");
});
