// A kernel's network as far as podnic asks about it: links, addresses and routes of a few namespaces, behind rtnetlink messages.

import { type AddressMessage, readAddress, writeAddress } from "../../../src/netlink/address.ts";
import { Bytes, Writer } from "../../../src/netlink/bytes.ts";
import * as c from "../../../src/netlink/constants.ts";
import { type LinkAttributes, readLink, writeLink } from "../../../src/netlink/link.ts";
import { type RouteMessage, readRoute, writeRoute } from "../../../src/netlink/route.ts";
import { EEXIST, EINVAL, ENODEV, Errno } from "./errno.ts";

export interface SimulatedLink {
  index: number;
  namespace: number;
  flags: number;
  attributes: LinkAttributes;
}

const HEADER = 16;
const EOPNOTSUPP = 95;
const ESRCH = 3;
const EADDRNOTAVAIL = 99;

/** That each of the two namespaces has for the other one. */
const OTHER_NUMBER = 0;

/** A message with a number of a namespace: struct rtgenmsg, NETNSA_NSID. */
function numberOf(number: number): Uint8Array {
  const bytes = new Bytes(12);
  bytes.u16[2] = 8;
  bytes.u16[3] = c.NETNSA_NSID;
  bytes.u32[2] = number;
  return bytes.u8;
}

function macOf(last: number): Uint8Array {
  return new Uint8Array([2, 0, 0, 0, 0, last]);
}

/** A message with its header. */
function message(type: number, flags: number, sequence: number, port: number, payload: Uint8Array): Uint8Array {
  const writer = new Writer(HEADER + payload.length);
  writer.reserve(HEADER + payload.length);
  writer.u32[0] = HEADER + payload.length;
  writer.u16[2] = type;
  writer.u16[3] = flags;
  writer.u32[2] = sequence;
  writer.u32[3] = port;
  writer.u8.set(payload, HEADER);
  return writer.written().slice();
}

/** The route to the subnet of an address, which the kernel makes with it. */
function connected({ namespace, message: { family, prefixLength, index, attributes } }: Network["addresses"][number]): {
  namespace: number;
  message: RouteMessage;
} {
  const bytes = attributes.local ?? attributes.address ?? new Uint8Array(0);
  const dst = bytes.map((byte, n) => byte & (0xff00 >> Math.min(8, Math.max(0, prefixLength - 8 * n))));
  const numbers = { family, dstLength: prefixLength, srcLength: 0, tos: 0, table: c.RT_TABLE_MAIN, flags: 0 };
  const kinds = { protocol: c.RTPROT_KERNEL, scope: c.RT_SCOPE_LINK, type: c.RTN_UNICAST };
  return { namespace, message: { ...numbers, ...kinds, attributes: { dst, oif: index } } };
}

export class Network {
  readonly links: SimulatedLink[] = [];
  readonly addresses: { namespace: number; message: AddressMessage }[] = [];
  readonly routes: { namespace: number; message: RouteMessage }[] = [];
  #next = 1;
  /** The namespace that a descriptor is. */
  readonly #namespaceOf: (fd: number) => number;

  constructor(namespaceOf: (fd: number) => number) {
    this.#namespaceOf = namespaceOf;
  }

  add(namespace: number, flags: number, attributes: LinkAttributes): SimulatedLink {
    const index = this.#next++;
    const link = {
      index,
      namespace,
      flags,
      attributes: { mtu: 1500, txqlen: 1000, operstate: 6, address: macOf(index), ...attributes },
    };
    this.links.push(link);
    return link;
  }

  /** Answers the messages of one send, each with one datagram. */
  answer(namespace: number, data: Uint8Array): Uint8Array[] {
    const bytes = Bytes.from(data);
    const out: Uint8Array[] = [];
    for (let at = 0; at + HEADER <= data.length; at += (bytes.u32[at >> 2]! + 3) & ~3) {
      const size = bytes.u32[at >> 2]!;
      if (size < HEADER) throw new Error(`podnic sent a message of ${size} bytes`);
      out.push(this.#answerOne(namespace, bytes, at, at + size));
    }
    return out;
  }

  #answerOne(namespace: number, bytes: Bytes, at: number, end: number): Uint8Array {
    const type = bytes.u16[(at >> 1) + 2]!;
    const flags = bytes.u16[(at >> 1) + 3]!;
    const sequence = bytes.u32[(at >> 2) + 2]!;
    const port = bytes.u32[(at >> 2) + 3]!;
    const dump = (flags & c.NLM_F_DUMP) === c.NLM_F_DUMP;
    try {
      const items = this.#serve(namespace, type, flags, dump, bytes, at + HEADER, end);
      if (items.length === 0 && !dump) return message(c.NLMSG_ERROR, 0x100, sequence, port, new Uint8Array(20));
      const parts = items.map(([kind, payload]) => message(kind, dump ? c.NLM_F_MULTI : 0, sequence, port, payload));
      if (dump) parts.push(message(c.NLMSG_DONE, c.NLM_F_MULTI, sequence, port, new Uint8Array(4)));
      const all = new Uint8Array(parts.reduce((sum, part) => sum + part.length, 0));
      let to = 0;
      for (const part of parts) {
        all.set(part, to);
        to += part.length;
      }
      return all;
    } catch (error) {
      if (!(error instanceof Errno)) throw error;
      const refusal = new Bytes(20);
      refusal.u32[0] = -error.number >>> 0;
      return message(c.NLMSG_ERROR, 0x100, sequence, port, refusal.u8);
    }
  }

  #serve(
    namespace: number,
    type: number,
    flags: number,
    dump: boolean,
    bytes: Bytes,
    at: number,
    end: number,
  ): [type: number, payload: Uint8Array][] {
    switch (type) {
      case c.RTM_GETLINK:
        return this.#getLink(namespace, dump, bytes, at, end);
      case c.RTM_NEWLINK:
        this.#newLink(namespace, flags, bytes, at, end);
        return [];
      case c.RTM_DELLINK:
        this.#forget(this.#find(namespace, bytes, at, end));
        return [];
      case c.RTM_NEWLINKPROP:
      case c.RTM_DELLINKPROP:
        return this.#properties(namespace, type, bytes, at, end);
      case c.RTM_GETADDR:
        return this.addresses
          .filter((each) => each.namespace === namespace)
          .map(({ message }) => [c.RTM_NEWADDR, write((writer) => writeAddress(writer, message))]);
      case c.RTM_NEWADDR:
        return this.#newAddress(namespace, readAddress(bytes, at, end, true));
      case c.RTM_DELADDR:
        return this.#removeOne(
          this.addresses,
          namespace,
          EADDRNOTAVAIL,
          readAddress(bytes, at, end).index,
          (m) => m.index,
        );
      case c.RTM_GETROUTE:
        return [...this.routes, ...(dump ? this.addresses.map(connected) : [])]
          .filter((each) => each.namespace === namespace)
          .slice(0, dump ? undefined : 1)
          .map(({ message }) => [c.RTM_NEWROUTE, write((writer) => writeRoute(writer, message))]);
      case c.RTM_NEWROUTE:
        this.routes.push({ namespace, message: readRoute(bytes, at, end, true) });
        return [];
      case c.RTM_GETNSID:
        return [[c.RTM_NEWNSID, numberOf(OTHER_NUMBER)]];
      case c.RTM_DELROUTE:
        return this.#removeOne(this.routes, namespace, ESRCH, readRoute(bytes, at, end).table, (m) => m.table);
      default:
        if (dump) return [];
        if (type === c.RTM_NEWNEIGH) return [];
        throw new Errno(EOPNOTSUPP);
    }
  }

  #removeOne<M>(
    list: { namespace: number; message: M }[],
    namespace: number,
    missing: number,
    key: number,
    of: (message: M) => number,
  ): [] {
    const found = list.findIndex((each) => each.namespace === namespace && of(each.message) === key);
    if (found < 0) throw new Errno(missing);
    list.splice(found, 1);
    return [];
  }

  #find(namespace: number, bytes: Bytes, at: number, end: number): SimulatedLink {
    const { index, attributes } = readLink(bytes, at, end);
    const name = attributes.name ?? attributes.altname ?? "";
    const found = this.links.find(
      (link) => link.namespace === namespace && (index !== 0 ? link.index === index : this.#isNamed(link, name)),
    );
    if (found === undefined) throw new Errno(ENODEV);
    return found;
  }

  #isNamed({ attributes }: SimulatedLink, name: string): boolean {
    return attributes.name === name || attributes.altnames?.includes(name) === true;
  }

  #getLink(namespace: number, dump: boolean, bytes: Bytes, at: number, end: number): [number, Uint8Array][] {
    const links = dump
      ? this.links.filter((link) => link.namespace === namespace)
      : [this.#find(namespace, bytes, at, end)];
    const { extMask = 0 } = readLink(bytes, at, end).attributes;
    return links.map(({ index, flags, attributes: { vfInfo, ...attributes } }) => {
      const shown =
        vfInfo !== undefined && (extMask & c.RTEXT_FILTER_VF) !== 0 ? { ...attributes, vfInfo } : attributes;
      return [c.RTM_NEWLINK, write((writer) => writeLink(writer, index, flags, 0, shown))];
    });
  }

  #newLink(namespace: number, flags: number, bytes: Bytes, at: number, end: number): void {
    // What a veth or a bridge is made with is read only when all is kept.
    const { index, flags: bits, change, attributes } = readLink(bytes, at, end, (flags & c.NLM_F_CREATE) !== 0);
    const { netNsFd, name } = attributes;
    const target = netNsFd === undefined ? namespace : this.#namespaceOf(netNsFd);
    const isNew = index === 0 || ((flags & c.NLM_F_EXCL) !== 0 && !this.links.some((link) => link.index === index));
    if ((flags & c.NLM_F_CREATE) !== 0 && isNew) {
      if (name !== undefined && this.links.some((link) => link.namespace === target && this.#isNamed(link, name)))
        throw new Errno(EEXIST);
      if (
        attributes.link !== undefined &&
        !this.links.some((link) => link.namespace === namespace && link.index === attributes.link)
      )
        throw new Errno(ENODEV);
      const { netNsFd: _, extMask: _mask, ...kept } = attributes;
      const link = this.add(target, c.IFF_LOWER_UP | (bits & change), kept);
      if (index !== 0) link.index = index;
      if (kept.link !== undefined && target !== namespace) link.attributes.linkNetnsid = OTHER_NUMBER;
      const peer = kept.linkInfo?.kind === "veth" ? kept.linkInfo.data?.peer : undefined;
      if (peer !== undefined) this.#addPeer(link, namespace, peer);
      return;
    }
    const link = this.#find(namespace, bytes, at, end);
    const taken = this.links.some(
      (other) => other !== link && other.namespace === target && name !== undefined && this.#isNamed(other, name),
    );
    if (taken) throw new Errno(EEXIST);
    if (target !== namespace) {
      this.#withdraw(link);
      link.namespace = target;
      link.flags &= ~c.IFF_UP;
    }
    this.#change(link, attributes);
    link.flags = (link.flags & ~change) | (bits & change);
    if ((link.flags & c.IFF_UP) !== 0) link.flags |= c.IFF_RUNNING | c.IFF_LOWER_UP;
  }

  /** The other end of a veth. */
  #addPeer(link: SimulatedLink, namespace: number, { netNsFd, ...attributes }: LinkAttributes): void {
    const target = netNsFd === undefined ? namespace : this.#namespaceOf(netNsFd);
    const linkInfo = { kind: "veth" };
    const peer = this.add(target, c.IFF_LOWER_UP, { ...attributes, linkInfo, link: link.index });
    Object.assign(link.attributes, { linkInfo, link: peer.index });
    if (target === link.namespace) return;
    for (const end of [link, peer]) end.attributes.linkNetnsid = OTHER_NUMBER;
  }

  #change(link: SimulatedLink, { netNsFd: _, extMask: _mask, vfInfo, ...changed }: LinkAttributes): void {
    Object.assign(link.attributes, changed);
    if (changed.alias === "") delete link.attributes.alias;
    for (const vf of vfInfo ?? []) {
      const number =
        Object.values(vf).find((value) => value !== undefined && "vf" in value)?.vf ?? vf.vlanList?.[0]?.vf;
      const found = number === undefined ? undefined : link.attributes.vfInfo?.[number];
      if (found === undefined) throw new Errno(EINVAL);
      Object.assign(found, vf);
    }
  }

  #properties(namespace: number, type: number, bytes: Bytes, at: number, end: number): [] {
    const link = this.#find(namespace, bytes, at, end);
    const given = readLink(bytes, at, end).attributes.altnames ?? [];
    const rest = (link.attributes.altnames ?? []).filter((name) => !given.includes(name));
    link.attributes.altnames = type === c.RTM_NEWLINKPROP ? [...rest, ...given] : rest;
    return [];
  }

  #newAddress(namespace: number, added: AddressMessage): [] {
    if (!this.links.some((link) => link.namespace === namespace && link.index === added.index)) throw new Errno(ENODEV);
    const text = String(added.attributes.local ?? added.attributes.address);
    const same = ({ message }: { message: AddressMessage }) =>
      message.index === added.index && String(message.attributes.local ?? message.attributes.address) === text;
    if (this.addresses.some((each) => each.namespace === namespace && same(each))) throw new Errno(EEXIST);
    this.addresses.push({ namespace, message: added });
    return [];
  }

  #withdraw(link: SimulatedLink): void {
    for (const list of [this.addresses]) {
      for (let at = list.length - 1; at >= 0; at--) if (list[at]!.message.index === link.index) list.splice(at, 1);
    }
    for (let at = this.routes.length - 1; at >= 0; at--)
      if (this.routes[at]!.message.attributes.oif === link.index) this.routes.splice(at, 1);
  }

  #forget(link: SimulatedLink): void {
    this.#withdraw(link);
    this.links.splice(this.links.indexOf(link), 1);
    const { linkInfo, link: peerIndex } = link.attributes;
    const peer = this.links.find(({ index, attributes }) => index === peerIndex && attributes.link === link.index);
    if (linkInfo?.kind === "veth" && peer !== undefined) this.#forget(peer);
  }

  /** What there is, for comparison. */
  describe(): string {
    const links = this.links.map(({ index, namespace, flags, attributes }) => {
      const { vfInfo, ...rest } = attributes;
      const own = Object.entries(rest).map(([name, value]) => `${name}=${value}`);
      return `${namespace}: ${index} ${flags & c.IFF_UP} ${own.sort().join(" ")} ${JSON.stringify(vfInfo)}`;
    });
    const addresses = this.addresses.map(({ namespace, message: { index, prefixLength, attributes } }) => {
      return `${namespace}: ${index} ${attributes.local ?? attributes.address}/${prefixLength}`;
    });
    const routes = this.routes.map(({ namespace, message: { table, dstLength, attributes } }) => {
      const { dst, gateway, oif } = attributes;
      return `${namespace}: ${attributes.table ?? table} ${dst}/${dstLength} ${gateway} ${oif}`;
    });
    return [...links.sort(), ...addresses.sort(), ...routes.sort()].join("\n");
  }
}

function write(fill: (writer: Writer) => void): Uint8Array {
  const writer = new Writer(1024);
  fill(writer);
  return writer.written().slice();
}
