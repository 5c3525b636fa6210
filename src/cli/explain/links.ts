// Changes links, addresses and attributes of virtual functions only in memory. A request that changes something gets a reply as if it had
// succeeded, and later queries get replies that match the change.
import { concat } from "../../host/concat.ts";
import { AF_INET6, ENODEV } from "../../host/constants.ts";
import { type Fd, type Host, type Received, SystemError } from "../../host/host.ts";
import { readSysctl } from "../../link/sysctl.ts";
import { type AddressMessage, readAddress, writeAddress } from "../../netlink/address.ts";
import type { Unknown } from "../../netlink/attributes.ts";
import { ACCEPT_RA } from "../../netlink/bridge.ts";
import { Writer } from "../../netlink/bytes.ts";
import * as c from "../../netlink/constants.ts";
import { type LinkAttributes, type LinkInfo, type LinkMessage, readLink, writeLink } from "../../netlink/link.ts";
import type { VfAttributes } from "../../netlink/vf.ts";
import { isOfBridge } from "../kernel/bridge-words.ts";
import { words } from "../kernel/ip-words.ts";
import { isFrame, isNft, isQuestion, type Message, splitMessages } from "../kernel/message.ts";
import { DeviceNames } from "../kernel/names.ts";
import { ipIn, netnsName, type Space, type Spaces } from "../kernel/spaces.ts";
import type { Steps } from "./steps.ts";

/** A link whose state in the overlay differs from that in the kernel. */
interface Shadow {
  link: LinkMessage;
  /** undefined: the link has the same addresses as in the kernel, because it has not moved. */
  addresses: AddressMessage[] | undefined;
}

/** Shown instead of the random address that the kernel would choose. */
const SOME_MAC = "02:00:00:00:00:00";
const HANDLE = "the kernel will number this rule; ADD writes the number into the alias of the port";
/** Far above the indices that the kernel assigns. */
const FIRST_INDEX = 0x7000_0000;
const RUNNING = c.IFF_UP | c.IFF_RUNNING | c.IFF_LOWER_UP;

/** What the kernel would report about a bridge port: that it forwards, and that it can be locked (since Linux 5.18). */
const PORT: LinkInfo = {
  slaveKind: "bridge",
  unknown: [
    {
      type: c.IFLA_INFO_SLAVE_DATA,
      value: new Uint8Array([5, 0, c.IFLA_BRPORT_STATE, 0, 3, 0, 0, 0, 5, 0, c.IFLA_BRPORT_LOCKED, 0, 0, 0, 0, 0]),
    },
  ],
};

/** What the kernel would report about a new link's IPv6 settings: whether it accepts router advertisements. */
function settings(): Unknown[] {
  const acceptRa = readSysctl("net/ipv6/conf/default/accept_ra");
  if (acceptRa === undefined) return [];
  const conf = new Uint32Array(ACCEPT_RA + 1);
  conf[ACCEPT_RA] = Number(acceptRa);
  const attribute = (type: number, value: Uint8Array): Uint8Array =>
    concat([new Uint8Array(Uint16Array.of(value.length + 4, type).buffer), value]);
  const value = attribute(AF_INET6, attribute(c.IFLA_INET6_CONF, new Uint8Array(conf.buffer)));
  return [{ type: c.IFLA_AF_SPEC, value }];
}

/** The default VLAN of a new bridge's ports. */
const PVID = { type: c.IFLA_BR_VLAN_DEFAULT_PVID, value: new Uint8Array([1, 0]) };

export class LinkOverlay {
  readonly #real: Host;
  readonly #spaces: Spaces;
  readonly #steps: Steps;
  readonly #devices = new DeviceNames();
  /** Links by namespace and index; undefined for a removed or moved link. */
  readonly #shadows = new Map<string, Shadow | undefined>();
  readonly #vfs = new Map<string, VfAttributes[]>();
  /** Answers that have not been received yet. */
  readonly #answers = new Map<Fd, Uint8Array[]>();
  #next = FIRST_INDEX;

  /** Replaces the methods of `host` that use netlink sockets. */
  constructor(host: Host, spaces: Spaces, steps: Steps) {
    this.#real = { ...host };
    this.#spaces = spaces;
    this.#steps = steps;
    const real = this.#real;
    // Do not send requests in a child process. The caller then uses `send` instead.
    host.sendAside = () => {
      throw new SystemError("clone", 38, "ENOSYS", "function not implemented");
    };
    host.send = (fd, data) => {
      const space = spaces.ofSocket(fd);
      // The socket was created before this overlay, so its namespace is not known.
      if (space === undefined) throw new Error("a message on an unknown socket");
      for (const message of splitMessages(data)) {
        if (isQuestion(message)) this.#question(space, fd, message);
        else this.#change(space, fd, message);
      }
      return data.length;
    };
    host.recv = (fd, buffer) => this.#receive(fd, buffer);
    host.poll = (fds, timeout) => {
      const ready = fds.filter(({ fd }) => (this.#answers.get(fd) ?? []).length > 0).map(({ fd }) => fd);
      return ready.length > 0 ? ready : real.poll(fds, timeout);
    };
  }

  /** Forgets all changes. */
  forget(): void {
    this.#shadows.clear();
    this.#vfs.clear();
  }

  /** True if the overlay has a changed or new link of this name in the namespace. */
  hasNew(space: Space, name: string): boolean {
    return this.#shadowNamed(space, name) !== undefined;
  }

  /** True if the overlay has changes to links in the namespace. */
  differs(space: Space): boolean {
    return [...this.#shadows.keys()].some((key) => key.startsWith(`${space.key} `));
  }

  #receive(fd: Fd, buffer: Uint8Array): Received {
    const answer = this.#answers.get(fd)?.shift();
    if (answer !== undefined) {
      buffer.set(answer);
      return { size: answer.length, truncated: false, sender: 0 };
    }
    const received = this.#real.recv(fd, buffer);
    const space = this.#spaces.ofSocket(fd);
    if (space !== undefined)
      for (const message of splitMessages(buffer.subarray(0, received.size))) this.#devices.learn(space, message);
    return received;
  }

  #answer(fd: Fd, data: Uint8Array): void {
    this.#answers.set(fd, [...(this.#answers.get(fd) ?? []), data]);
  }

  #acknowledge(fd: Fd, request: Message, errno = 0): void {
    const answer = compose(c.NLMSG_ERROR, 0, request, (writer) => {
      const at = writer.reserve(20);
      writer.u32[at >> 2] = -errno >>> 0;
    });
    this.#answer(fd, answer);
  }

  #shadowNamed(space: Space, name: string): Shadow | undefined {
    for (const [key, shadow] of this.#shadows) {
      if (shadow === undefined || !key.startsWith(`${space.key} `)) continue;
      const { name: own, altnames } = shadow.link.attributes;
      if (own === name || altnames?.includes(name) === true) return shadow;
    }
    return undefined;
  }

  #question(space: Space, fd: Fd, message: Message): void {
    const isDump = (message.flags & c.NLM_F_DUMP) === c.NLM_F_DUMP;
    if (message.type === c.RTM_GETLINK && !isDump) this.#linkQuestion(space, fd, message);
    else if (message.type !== c.RTM_GETADDR || !this.#addressQuestion(space, fd, message)) this.#pass(fd, message);
  }

  #pass(fd: Fd, { bytes, end }: Message): void {
    this.#real.send(fd, bytes.u8.subarray(0, end));
  }

  /** Sends a query to the kernel. undefined: the link does not exist. */
  #ask(space: Space, fd: Fd, question: Message): Message | undefined {
    this.#pass(fd, question);
    const buffer = new Uint8Array(65_536);
    for (;;) {
      const { size } = this.#real.recv(fd, buffer);
      const answer = splitMessages(buffer.subarray(0, size)).find(({ sequence }) => sequence === question.sequence);
      if (answer === undefined) continue;
      if (answer.type !== c.RTM_NEWLINK) return undefined;
      this.#devices.learn(space, answer);
      return answer;
    }
  }

  #linkQuestion(space: Space, fd: Fd, question: Message): void {
    const { index, attributes } = readLink(question.bytes, question.start, question.end);
    const name = attributes.name ?? attributes.altname ?? "";
    const shadow = index === 0 ? this.#shadowNamed(space, name) : this.#shadows.get(`${space.key} ${index}`);
    if (shadow !== undefined) {
      this.#answer(fd, linkAnswer(question, shadow.link));
      return;
    }
    const answer = this.#ask(space, fd, question);
    const link = answer && readLink(answer.bytes, answer.start, answer.end);
    // If the overlay has changed this link, the kernel found it by its old name or in its old namespace.
    if (link === undefined || this.#shadows.has(`${space.key} ${link.index}`)) this.#acknowledge(fd, question, ENODEV);
    else this.#answer(fd, this.#withVfs(space, link, question) ?? answer!.bytes.u8.slice(0, answer!.end));
  }

  /** The answer for a physical function whose virtual functions were changed; undefined if none was. */
  #withVfs(space: Space, link: LinkMessage, question: Message): Uint8Array | undefined {
    const changes = this.#vfs.get(`${space.key} ${link.index}`);
    if (changes === undefined || link.attributes.vfInfo === undefined) return undefined;
    const vfInfo = link.attributes.vfInfo.map((vf) =>
      Object.assign({}, vf, ...changes.filter((change) => numberOf(change) === numberOf(vf))),
    );
    return linkAnswer(question, { ...link, attributes: { ...link.attributes, vfInfo } });
  }

  /** Answers a query for addresses. Returns false if the kernel must answer it. */
  #addressQuestion(space: Space, fd: Fd, question: Message): boolean {
    const { index } = readAddress(question.bytes, question.start, question.end);
    const addresses = this.#shadows.get(`${space.key} ${index}`)?.addresses;
    if (addresses === undefined) return false;
    for (const each of addresses) {
      this.#answer(
        fd,
        compose(c.RTM_NEWADDR, c.NLM_F_MULTI, question, (writer) => writeAddress(writer, each)),
      );
    }
    this.#answer(
      fd,
      compose(c.NLMSG_DONE, c.NLM_F_MULTI, question, (writer) => void writer.reserve(4)),
    );
    return true;
  }

  #change(space: Space, fd: Fd, message: Message): void {
    const names = {
      device: (index: number) => this.#devices.nameOf(space, index),
      netns: (netns: number) => netnsName(this.#spaces.of(netns)) || "1",
    };
    this.#steps.add("kernel", ipIn(space, words(message, names)));
    const { type, bytes, start, end } = message;
    let errno = 0;
    if (isNft(message) || isFrame(message) || isOfBridge(message)) {
      if ((message.flags & c.NLM_F_ACK) !== 0) this.#acknowledge(fd, message);
      // A plugin requests an echo of a rule to get the rule's handle.
      if (isNft(message) && (message.flags & c.NLM_F_ECHO) !== 0) this.#steps.add("note", HANDLE);
      return;
    }
    if (type === c.RTM_NEWADDR) this.#addAddress(space, readAddress(bytes, start, end));
    else if (type === c.RTM_DELLINK) this.#shadows.set(`${space.key} ${readLink(bytes, start, end).index}`, undefined);
    else if (type === c.RTM_NEWLINK || type === c.RTM_NEWLINKPROP || type === c.RTM_DELLINKPROP) {
      const link = readLink(bytes, start, end, true);
      if (link.attributes.linkInfo?.kind !== undefined && (message.flags & c.NLM_F_CREATE) !== 0)
        this.#create(space, fd, link);
      else if (!this.#set(space, fd, link, type)) errno = ENODEV;
    }
    if ((message.flags & c.NLM_F_ACK) !== 0) this.#acknowledge(fd, message, errno);
  }

  #addAddress(space: Space, address: AddressMessage): void {
    // The address has no tentative flag, so the plugin does not wait for duplicate address detection.
    this.#shadows.get(`${space.key} ${address.index}`)?.addresses?.push({ ...address, flags: address.flags });
  }

  /** The link's current state, in the overlay or in the kernel; undefined if it does not exist. */
  #current(space: Space, fd: Fd, index: number): Shadow | undefined {
    const key = `${space.key} ${index}`;
    if (this.#shadows.has(key)) return this.#shadows.get(key);
    const question = splitMessages(
      compose(c.RTM_GETLINK, c.NLM_F_REQUEST, undefined, (writer) => writeLink(writer, index, 0, 0, {})),
    );
    const answer = this.#ask(space, fd, question[0]!);
    return answer && { link: readLink(answer.bytes, answer.start, answer.end), addresses: undefined };
  }

  #create(space: Space, fd: Fd, link: LinkMessage): void {
    const { peer } = link.attributes.linkInfo?.data ?? {};
    if (peer !== undefined) this.#createPair(space, fd, link, peer);
    else this.#createOne(space, fd, link);
  }

  /** Creates both ends of a veth. Each end's `link` is the index of the other end. */
  #createPair(space: Space, fd: Fd, link: LinkMessage, peer: LinkAttributes): void {
    const near = this.#next;
    const port = link.attributes.master === undefined ? {} : PORT;
    const one = (end: LinkAttributes, other: number, info: LinkInfo) =>
      this.#createOne(space, fd, { ...link, attributes: { ...end, link: other, linkInfo: { kind: "veth", ...info } } });
    one(link.attributes, near + 1, port);
    one(peer, near, {});
  }

  #createOne(space: Space, fd: Fd, { attributes: a, flags }: LinkMessage): void {
    const target = a.netNsFd === undefined ? space : this.#spaces.of(a.netNsFd);
    const parent = this.#current(space, fd, a.link ?? 0)?.link.attributes;
    const kind = a.linkInfo?.kind;
    const sharesAddress = kind === "ipvlan" || a.linkInfo?.data?.mode === 8; // MACVLAN_MODE_PASSTHRU
    const address = a.address ?? (sharesAddress ? parent?.address : undefined);
    if (address === undefined) this.#steps.add("note", `the kernel will pick a random MAC; shown as ${SOME_MAC}`);
    const { netNsFd: _, ...rest } = a;
    if (kind === "bridge") rest.linkInfo = { kind, data: { unknown: [PVID], ...rest.linkInfo?.data } };
    const made: LinkMessage = {
      family: 0,
      type: 1,
      index: this.#next++,
      flags,
      change: 0,
      attributes: {
        mtu: parent?.mtu ?? 1500,
        txqlen: 1000,
        ...rest,
        address: address ?? new Uint8Array([2, 0, 0, 0, 0, 0]),
        linkNetnsid: target.key === space.key ? undefined : 0,
        // For links in the pod, plugins write these settings without reading them first.
        unknown: target.key === space.key ? settings() : [],
      },
    };
    this.#put(target, { link: made, addresses: [] });
  }

  #put(space: Space, shadow: Shadow): void {
    const { index, attributes } = shadow.link;
    this.#shadows.set(`${space.key} ${index}`, shadow);
    this.#devices.set(space, index, attributes.name ?? "");
  }

  /** Changes a link. Returns false if it does not exist. */
  #set(space: Space, fd: Fd, change: LinkMessage, type: number): boolean {
    const { attributes: a } = change;
    if (a.vfInfo !== undefined) {
      const key = `${space.key} ${change.index}`;
      this.#vfs.set(key, [...(this.#vfs.get(key) ?? []), ...a.vfInfo]);
      return true;
    }
    const current = this.#current(space, fd, change.index);
    if (current === undefined) return false;
    const { netNsFd, altnames, ...values } = a;
    const link = { ...current.link, attributes: { ...current.link.attributes, ...defined(values) } };
    link.flags = (link.flags & ~change.change) | (change.flags & change.change);
    if ((link.flags & c.IFF_UP) !== 0) link.flags |= RUNNING;
    if (altnames !== undefined) {
      const others = (link.attributes.altnames ?? []).filter((name) => !altnames.includes(name));
      link.attributes.altnames = type === c.RTM_NEWLINKPROP ? [...others, ...altnames] : others;
    }
    if (netNsFd === undefined) {
      this.#put(space, { link, addresses: current.addresses });
      return true;
    }
    // A link loses its addresses when it moves to another namespace.
    this.#shadows.set(`${space.key} ${change.index}`, undefined);
    this.#put(this.#spaces.of(netNsFd), { link: { ...link, index: this.#next++ }, addresses: [] });
    return true;
  }
}

/** Removes undefined values, because they would replace existing values in a spread. */
function defined<T extends object>(values: T): Partial<T> {
  return Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined)) as Partial<T>;
}

function numberOf(vf: VfAttributes): number | undefined {
  const { mac, vlanList, vlan, rate, spoofchk, trust, linkState } = vf;
  return [mac, vlanList?.[0], vlan, rate, spoofchk, trust, linkState].find((each) => each !== undefined)?.vf;
}

function linkAnswer(question: Message, { index, flags, attributes }: LinkMessage): Uint8Array {
  return compose(c.RTM_NEWLINK, 0, question, (writer) => writeLink(writer, index, flags, 0, attributes));
}

/** Composes an answer to `question`, or a new request if there is none. */
function compose(
  type: number,
  flags: number,
  question: Message | undefined,
  write: (writer: Writer) => void,
): Uint8Array {
  const writer = new Writer(1024);
  writer.reserve(16);
  write(writer);
  writer.u32[0] = writer.length;
  writer.u16[2] = type;
  writer.u16[3] = flags;
  writer.u32[2] = question?.sequence ?? 0xffff_fffe;
  writer.u32[3] = question?.port ?? 0;
  return writer.written().slice();
}
