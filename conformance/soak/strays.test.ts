import { describe, expect, test } from "vitest";
import { instructionsOf } from "./node.ts";
import { macvlan, type Pod } from "./pods.ts";
import { linesOfPod, strays, unlikeModel } from "./strays.ts";

const bare = [
  'host nic0 mtu 1400 up 02:00:00:00:00:01 alias "rack nic0"',
  "of host nic0: flags 1002 qlen 1000 group 0 promiscuity 0 master none",
  "of host nic0: ipv4 4=1 5=1",
  "host up0 mtu 1500 up",
  "route host ipv4/24 dev up0 to 192.0.2.0",
  "sysctl ipv4/ip_forward 0",
  "sysctl ipv4/conf/all/accept_redirects 1",
  "sysctl ipv4/conf/all/arp_ignore 0",
  "rule host ipv4 from /0 to /0 table 254",
];

describe("beside the pods that live", () => {
  test("what a bridge and the pods themselves have is no stray", () => {
    const now = [
      ...bare.slice(0, 2),
      "of host nic0: ipv4 1=1 4=1 5=1",
      "host up0 mtu 1500 up",
      "host veth mtu 1500 up",
      "route host ipv4/24 dev up0 to 192.0.2.0",
      "route host ipv4/16 dev br0 type 1 to 198.19.0.0",
      "route pod7 ipv4/0 dev eth0 via 198.19.0.1",
      "table host family 1 cni_plugins_masquerade",
      "nft ip saddr 198.19.0.4 ip daddr != 198.19.0.0/16 masquerade",
      "sysctl ipv4/ip_forward 1",
      "sysctl ipv4/conf/all/accept_redirects 0",
      "rule host ipv4 from /0 to /0 table 254",
    ];
    expect(strays(bare, now, [], ["198.19.0.4"])).toEqual([]);
    expect(strays(bare, now, [], ["198.19.0.5"])).toHaveLength(1);
  });
  test("a device that a pod has is not looked at, one that is at home is", () => {
    const without = bare.slice(3);
    expect(strays(bare, without, ["nic0"])).toEqual([]);
    expect(strays(bare, without, ["nic1"])).toHaveLength(3);
    const changed = bare.map((line) => line.replace("qlen 1000", "qlen 77").replace("flags 1002", "flags 1182"));
    expect(strays(bare, changed, [])[0]).toMatch(/left over: of host nic0: flags 1182 qlen 77/);
  });
  test.each([
    "table host family 2 left",
    "route host ipv4/24 dev up0 type 1 to 203.0.113.0",
    "rule host ipv4 from /32 to /0 table 7",
    "host up9 mtu 1500 up",
    "of host up0: flags 1002 qlen 77",
    "xtables host ip filter, 5 entries, sum 1",
    "neighbour host 192.0.2.77 dev up0",
    "nft accept",
    "file /run/podnic/host-local/t.1",
    "file /var/lib/cni/podnic/host-device/.nic0.tmp",
  ])("a stray is found: %s", (line) => {
    expect(strays(bare, [...bare, line], [])).toEqual([`left over: ${line}`]);
  });
});

describe("in a pod", () => {
  const pod: Pod = {
    ...{ id: "pod7", busy: false, dead: false, lost: false },
    attachments: [{ network: macvlan, ifName: "eth0", result: { ips: [{ address: "198.18.0.4/16" }] } }],
  };
  const now = [...linesOfPod(pod), "rule pod7 ipv4 from /0 to /0 table 254", "of pod7 eth0: flags 1002"];
  test("is what the model has", () => {
    expect(unlikeModel([pod], now, bare)).toEqual([]);
  });
  test("what else there is, or is not, is found", () => {
    const found = (lines: string[]) => unlikeModel([pod], lines, bare);
    expect(found([...now, "pod7 extra mtu 1500 down"])).toEqual(["in a pod: left over: pod7 extra mtu 1500 down"]);
    expect(found([...now, "neighbour pod7 192.0.2.77 dev eth0"])).toHaveLength(1);
    expect(found(now.filter((line) => !line.startsWith("route")))).toHaveLength(1);
    expect(found(now.map((line) => line.replace("1500 up", "1500 down")))).toHaveLength(2);
    expect(found(now.map((line) => line.replace("up 198.18.0.4/16", "up 198.18.0.4/16 198.18.0.5/16")))).toHaveLength(
      2,
    );
    expect(unlikeModel([], now, bare)).not.toEqual([]);
  });
});

describe("instructions", () => {
  test("are those of all processes", () => {
    expect(instructionsOf("==1== Collected : 270000\n==7== x\n==7== Collected : 1700000\n")).toBe(1_970_000);
  });
  test("that nobody counted are no number", () => {
    expect(() => instructionsOf("valgrind: cannot run")).toThrow(/counted nothing/);
  });
});
