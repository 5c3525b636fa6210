// Announcements on a real kernel, read by a packet socket at the other end of the cable.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { AF_PACKET, POLLIN, SOCK_CLOEXEC, SOCK_RAW } from "../../host/constants.ts";
import { type Fd, host, installHost } from "../../host/host.ts";
import { Bytes } from "../../netlink/bytes.ts";
import { toHex } from "../../testing/golden.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { spec } from "../../testing/spec.ts";
import { announceAddresses } from "../announce.ts";
import { configureInterface } from "../configure.ts";
import { getLink, setLink } from "../link.ts";

const { own, pod } = enterSandbox();
const MAC = "02:00:00:00:00:aa";
const ETH_P_ALL = 3;

// net1 is announced; eth0 is the pod's other interface, with a default route, where nothing may appear.
beforeEach(() =>
  sh(`ip link add v1 type veth peer name net1 netns pod; ip link add v0 type veth peer name eth0 netns pod
    ip -n pod link set net1 address ${MAC}; ip link set v1 up; ip link set v0 up
    ip -n pod link set eth0 up; ip -n pod addr add 10.0.0.1/8 dev eth0; ip -n pod addr add fd99::1/64 dev eth0 nodad
    ip -n pod route add default via 10.0.0.2; ip -n pod -6 route add default via fd99::2`),
);
afterEach(() => sh("ip link del v1; ip link del v0"));

/** Everything that arrives at an interface of ours. */
function listen(name: string): Fd {
  const fd = host.socket(AF_PACKET, SOCK_RAW | SOCK_CLOEXEC, ETH_P_ALL << 8);
  const address = new Bytes(20);
  address.u16[0] = AF_PACKET;
  address.u8[3] = ETH_P_ALL;
  address.u32[1] = getLink(own.route, name)!.index;
  host.bind(fd, address.u8);
  return fd;
}

/** Frames that have arrived, ARP and neighbour advertisements only, as hex. */
function heard(fd: Fd): string[] {
  const frames: string[] = [];
  const buffer = new Uint8Array(2048);
  while (host.poll([{ fd, events: POLLIN }], 50).length > 0) {
    const frame = buffer.slice(0, host.recv(fd, buffer).size);
    const type = (frame[12]! << 8) | frame[13]!;
    if (type === 0x0806 || (type === 0x86dd && frame[20] === 58 && frame[54] === 136)) frames.push(toHex(frame));
  }
  host.close(fd);
  return frames;
}

const mac = MAC.replaceAll(":", "");
const net1 = () => getLink(pod.route, "net1")!.index;

function announce(ips: string[], dad: "skip" | "wait" = "skip", patience = 0) {
  const wanted = spec(ips, []);
  configureInterface(pod, net1(), "net1", wanted, { dad });
  const [there, elsewhere] = [listen("v1"), listen("v0")];
  announceAddresses(pod, net1(), "net1", MAC, wanted.ips);
  const now = heard(there);
  const after = listen("v1");
  if (patience > 0) host.sleep(patience);
  return { net1: now, eth0: heard(elsewhere), later: heard(after) };
}

/** What is heard when addresses are given and announced in one go, and how many sends to the kernel that takes. */
function configureAndAnnounce(ips: string[], dad: "skip" | "always"): { frames: string[]; sends: number } {
  const index = net1();
  const [there, elsewhere] = [listen("v1"), listen("v0")];
  const real = host;
  let sends = 0;
  const send: typeof host.send = (...given) => {
    sends++;
    return real.send(...given);
  };
  installHost(
    new Proxy(real, {
      get(target, key) {
        const value = key === "send" ? send : Reflect.get(target, key, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
  );
  try {
    configureInterface(pod, index, "net1", spec(ips, []), { dad, announce: MAC });
  } finally {
    installHost(real);
  }
  const frames = heard(there);
  expect(heard(elsewhere)).toEqual([]);
  return { frames, sends };
}

describe("announceAddresses", () => {
  const arp = (address: string, target: string) =>
    `ffffffffffff${mac}0806` + `0001080006040001${mac}${address}${target}${address}`;

  it("IPv4: ARP requests for the address from the address, to everybody: now and after a second", () => {
    const { net1: frames, eth0, later } = announce(["192.0.2.5/24"], "skip", 1300);
    expect(frames).toEqual([arp("c0000205", "000000000000")]);
    expect(later).toEqual([arp("c0000205", "000000000000")]);
    expect(eth0).toEqual([]);
  });

  it("IPv4: a second address in the same subnet is not announced in the name of the first", () => {
    const { net1: frames } = announce(["192.0.2.5/24", "192.0.2.6/24", "198.51.100.1/32"]);
    expect([...frames].sort()).toEqual([
      arp("c0000205", "000000000000"),
      arp("c0000206", "ffffffffffff"),
      arp("c0000206", "ffffffffffff"),
      arp("c6336401", "000000000000"),
    ]);
  });

  it("IPv6: two neighbour advertisements from the announced address through the interface itself, and no other", () => {
    const { net1: frames, eth0 } = announce(["2001:db8::5/64"]);
    expect(eth0).toEqual([]);
    expect(frames.length).toBe(2);
    const [frame] = frames;
    const source = "20010db8000000000000000000000005";
    expect(frame!.slice(0, 28)).toBe(`333300000001${mac}86dd`);
    // Payload length 32, ICMPv6, hop limit 255; from the address to all nodes.
    expect(frame!.slice(28 + 8, 28 + 80)).toBe(`00203aff${source}ff020000000000000000000000000001`);
    // Override flag alone, target, its link-layer address.
    expect(frame!.slice(108, 112)).toBe("8800");
    expect(frame!.slice(116)).toBe(`20000000${source}0201${mac}`);
    expect(checksum(frame!)).toBe(0xffff);
  });

  it("several addresses of both families", () => {
    const { net1: frames, eth0 } = announce(["192.0.2.5/24", "192.0.2.6/24", "2001:db8::5/64"]);
    // One by the kernel, two by us for the second of its subnet, two for IPv6.
    expect(frames.length).toBe(5);
    expect(eth0).toEqual([]);
  });

  it("with the addresses: the kernel is asked in the same send", () => {
    expect(configureAndAnnounce(["192.0.2.5/24"], "skip")).toEqual({
      frames: [arp("c0000205", "000000000000")],
      sends: 1,
    });
  });

  it("with the addresses, both families, and after duplicate detection", () => {
    expect(configureAndAnnounce(["192.0.2.5/24", "192.0.2.6/24", "2001:db8::5/64"], "skip").frames.length).toBe(5);
    sh("ip -n pod addr flush dev net1");
    const announced = configureAndAnnounce(["198.51.100.1/24", "2001:db8:1::5/64"], "always").frames;
    const own = announced.filter((frame) => frame.startsWith("333300000001") && frame.includes("20010db80001"));
    expect(announced).toContain(arp("c6336401", "000000000000"));
    expect(own.length).toBe(2);
  });

  it("an address that is still tentative is not announced: that is the kernel's part, after detection", () => {
    expect(announce(["2001:db8::5/64"], "wait").net1).toEqual([]);
  });

  it("a virtual link without carrier is not waited for", () => {
    sh("ip link set v1 down; ip -n pod link set net1 up");
    const started = performance.now();
    announceAddresses(pod, net1(), "net1", MAC, spec(["2001:db8::5/64"], []).ips);
    expect(performance.now() - started).toBeLessThan(150);
  });

  it("an interface without ARP has nobody to tell, and is not waited for", () => {
    sh("ip -n pod link set net1 arp off");
    expect(announce(["192.0.2.5/24"]).net1).toEqual([]);
  });

  it("never fails: link gone, no MAC, a MAC that is not Ethernet's", () => {
    const { ips } = spec(["192.0.2.5/24", "2001:db8::5/64"], []);
    announceAddresses(pod, 0x7ffffff0, "gone", MAC, ips);
    setLink(pod.route, net1(), { up: true });
    for (const address of ["", "nonsense", "00:11:22:33:44:55:66:77"])
      announceAddresses(pod, net1(), "net1", address, ips);
    // A name that is not the link's: refused by the kernel, not by us.
    announceAddresses(pod, net1(), "other", MAC, ips);
  });
});

/** Sum of an ICMPv6 packet with its pseudo-header: all ones when its checksum is right. */
function checksum(frame: string): number {
  const word = (at: number) => Number.parseInt(frame.slice(at * 2, at * 2 + 4), 16);
  let sum = 58 + 32;
  for (let at = 14 + 8; at < 14 + 40 + 32; at += 2) sum += word(at);
  while (sum > 0xffff) sum = (sum & 0xffff) + (sum >> 16);
  return sum;
}
