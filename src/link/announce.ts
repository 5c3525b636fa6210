// Announces addresses to the neighbours, with gratuitous ARP requests and unsolicited neighbour advertisements that leave through the
// interface itself. If such a packet leaves through another interface of the pod (as sriov-cni's advertisements do), it poisons the neighbour
// tables of that network.
import { AF_INET, AF_INET6, AF_PACKET, SOCK_CLOEXEC, SOCK_DGRAM, SOCK_RAW } from "../host/constants.ts";
import { type Fd, host } from "../host/host.ts";
import { type Address, formatAddress } from "../ip/address.ts";
import { parseMac } from "../ip/mac.ts";
import { equalAddresses, prefixContains } from "../ip/range.ts";
import { log } from "../log.ts";
import { Bytes, utf8 } from "../netlink/bytes.ts";
import {
  IFA_F_OPTIMISTIC,
  IFA_F_TENTATIVE,
  NLM_F_CREATE,
  NLM_F_EXCL,
  NTF_USE,
  NUD_PERMANENT,
  RTM_NEWNEIGH,
} from "../netlink/constants.ts";
import { writeNeighbour } from "../netlink/neighbour.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { listAddresses } from "./address.ts";
import { waitCarrier } from "./carrier.ts";
import { inNamespace, type NetNs } from "./namespace.ts";
import type { AddressSpec } from "./spec.ts";

const ROUNDS = 2;
const ETH_P_ARP = 0x0806;
const IPPROTO_ICMPV6 = 58;
const SOL_SOCKET = 1;
const SO_BINDTODEVICE = 25;
const IPV6_MULTICAST_IF = 17;
const IPV6_MULTICAST_HOPS = 18;
const SOL_IPV6 = 41;
const BROADCAST = new Uint8Array([255, 255, 255, 255, 255, 255]);
const ALL_NODES: Address = {
  family: 6,
  bytes: new Uint8Array([0xff, 0x02, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1]),
};

/**
 * Gratuitous ARP requests (three, a second apart, from the kernel) or unsolicited neighbour advertisements (two) for each address,
 * from the interface itself. Never fails.
 */
export function announceAddresses(pod: NetNs, index: number, name: string, mac: string, ips: AddressSpec[]): void {
  try {
    const rest = beginAnnouncing(pod.route, index, name, mac, ips);
    if (rest.length < ips.length) pod.route.runEach();
    announceByPackets(pod, index, name, mac, rest);
  } catch (error) {
    log("info", `cannot announce the addresses of ${name}`, { cause: String(error) });
  }
}

/** Characters of an address of six bytes, as a Link has it. */
const ETHERNET = "00:00:00:00:00:00".length;

/**
 * The requests to the kernel alone, as part of a batch: whether one is refused does not matter. Returns the addresses that are left for
 * announceByPackets.
 */
export function beginAnnouncing(
  route: RouteSocket,
  index: number,
  name: string,
  mac: string,
  ips: AddressSpec[],
): AddressSpec[] {
  // Both protocols as sent here are Ethernet's; IPoIB has 20-byte addresses.
  if (ips.length === 0 || mac.length !== ETHERNET) return [];
  return ips.filter((ip) => {
    if (!isProbed(ip, ips)) return true;
    beginProbe(route, index, name, ip.address.address);
    return false;
  });
}

/** What beginAnnouncing has left. Never fails. */
export function announceByPackets(pod: NetNs, index: number, name: string, mac: string, rest: AddressSpec[]): void {
  const hardware = rest.length === 0 ? undefined : parseMac(mac);
  if (hardware === undefined) return;
  try {
    // Before the wait for carrier: a tentative address does not become usable meanwhile.
    const usable = usableAddresses(pod, index, name, rest);
    if (usable.length === 0 || !waitCarrier(pod.route, index)) return;
    inNamespace(pod, () => {
      for (const address of usable) {
        if (address.family === 4) announceIpv4(index, hardware, address);
        else announceIpv6(index, name, hardware, address);
      }
    });
  } catch (error) {
    log("info", `cannot announce the addresses of ${name}`, { cause: String(error) });
  }
}

/**
 * True for IPv4 addresses that the kernel asks for from themselves when asked to find them: that is an ARP announcement. It takes
 * the first address in whose subnet the wanted one lies.
 */
function isProbed({ address: wanted }: AddressSpec, ips: AddressSpec[]): boolean {
  if (wanted.address.family !== 4) return false;
  const source = ips.find(({ address }) => prefixContains(address, wanted.address));
  return source !== undefined && equalAddresses(source.address.address, wanted.address);
}

/**
 * Lets the kernel look for our own addresses, as `ip neigh add ADDRESS dev DEV use`: three requests, now and after one and two
 * seconds, so that one that meets a switch port not yet forwarding is not the last. A packet socket would cost ADD 10 ms: closing it
 * waits for an RCU grace period (measured).
 */
function beginProbe(route: RouteSocket, index: number, name: string, address: Address): void {
  const operation = () => `ip neigh add ${formatAddress(address)} dev ${name} use`;
  writeNeighbour(route.begin(operation, RTM_NEWNEIGH, NLM_F_CREATE | NLM_F_EXCL), {
    family: AF_INET,
    index,
    state: NUD_PERMANENT,
    flags: NTF_USE,
    attributes: { destination: address.bytes },
  });
}

/** Without IPv6 addresses that are still tentative: they must not be the source of a packet (RFC 4862, 5.4). */
function usableAddresses(pod: NetNs, index: number, name: string, ips: AddressSpec[]): Address[] {
  const addresses = ips.map((ip) => ip.address.address);
  if (!addresses.some((address) => address.family === 6)) return addresses;
  const actual = listAddresses(pod.route, index, 6, name);
  return addresses.filter((address) => {
    if (address.family === 4) return true;
    const found = actual.find((candidate) => equalAddresses(candidate.address, address));
    return found !== undefined && ((found.flags & IFA_F_TENTATIVE) === 0 || (found.flags & IFA_F_OPTIMISTIC) !== 0);
  });
}

function withSocket(fd: Fd, use: (fd: Fd) => void): void {
  try {
    use(fd);
  } finally {
    host.close(fd);
  }
}

/** ARP request for our own address to everybody (RFC 5227, 3: an ARP announcement). */
function announceIpv4(index: number, mac: Uint8Array, address: Address): void {
  const packet = new Uint8Array(28);
  packet.set([0, 1, 8, 0, 6, 4, 0, 1]);
  packet.set(mac, 8);
  packet.set(address.bytes, 14);
  packet.set(BROADCAST, 18);
  packet.set(address.bytes, 24);
  // struct sockaddr_ll: family, protocol, ifindex, hatype, pkttype, halen, address.
  const to = new Bytes(20);
  to.u16[0] = AF_PACKET;
  to.u8.set([ETH_P_ARP >> 8, ETH_P_ARP & 0xff], 2);
  to.u32[1] = index;
  to.u8[11] = 6;
  to.u8.set(BROADCAST, 12);
  // Protocol 0: nothing is received on it.
  withSocket(host.socket(AF_PACKET, SOCK_DGRAM | SOCK_CLOEXEC, 0), (fd) => {
    for (let round = 0; round < ROUNDS; round++) host.send(fd, packet, to.u8);
  });
}

/** struct sockaddr_in6. */
function socketAddress(address: Address, scope: number): Uint8Array {
  const bytes = new Bytes(28);
  bytes.u16[0] = AF_INET6;
  bytes.u8.set(address.bytes, 8);
  bytes.u32[6] = scope;
  return bytes.u8;
}

function option(fd: Fd, level: number, name: number, value: number): void {
  const bytes = new Bytes(4);
  bytes.u32[0] = value;
  host.setsockopt(fd, level, name, bytes.u8);
}

/** Unsolicited neighbour advertisement to all nodes: override flag, target link-layer address, hop limit 255 (RFC 4861, 7.2.6). */
function announceIpv6(index: number, name: string, mac: Uint8Array, address: Address): void {
  // The kernel fills in the checksum on raw ICMPv6 sockets.
  const packet = new Uint8Array(32);
  packet.set([136, 0, 0, 0, 0x20]);
  packet.set(address.bytes, 8);
  packet.set([2, 1], 24);
  packet.set(mac, 26);
  withSocket(host.socket(AF_INET6, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_ICMPV6), (fd) => {
    host.setsockopt(fd, SOL_SOCKET, SO_BINDTODEVICE, utf8(name));
    option(fd, SOL_IPV6, IPV6_MULTICAST_IF, index);
    option(fd, SOL_IPV6, IPV6_MULTICAST_HOPS, 255);
    host.bind(fd, socketAddress(address, index));
    for (let round = 0; round < ROUNDS; round++) host.send(fd, packet, socketAddress(ALL_NODES, index));
  });
}
