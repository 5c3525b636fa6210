import { describe, expect, test } from "vitest";
import { instructionsOf } from "./node.ts";
import { strays } from "./strays.ts";

const bare = [
  'host nic0 mtu 1400 up 02:00:00:00:00:01 alias "rack nic0"',
  "of host nic0: flags 1002 qlen 1000 group 0 promiscuity 0 master none",
  "of host nic0: ipv4 4=1 5=1",
  "host up0 mtu 1500 up",
  "route host ipv4/24 dev up0 to 192.0.2.0",
  "sysctl ipv4/ip_forward 0",
  "sysctl ipv4/conf/all/accept_redirects 1",
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
      "nft chain postrouting {",
      "sysctl ipv4/ip_forward 1",
      "sysctl ipv4/conf/all/accept_redirects 0",
    ];
    expect(strays(bare, now, [])).toEqual([]);
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
    "sysctl ipv4/conf/all/arp_ignore 1",
  ])("a stray is found: %s", (line) => {
    expect(strays(bare, [...bare, line], [])).toEqual([`left over: ${line}`]);
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
