// For tests: a card whose driver does what igb in the guest cannot (802.1ad, link state, guaranteed rates, addresses that drivers
// take in their own way), behind a kernel that answers as Linux does. Index 1 is the PF, 10 + n the interface of VF n.

import { AF_BRIDGE } from "../../../src/host/constants.ts";
import { formatMac } from "../../../src/ip/mac.ts";
import { hardwareAddress } from "../../../src/link/link.ts";
import type { VfState } from "../../../src/link/vf.ts";
import { Bytes, Writer } from "../../../src/netlink/bytes.ts";
import * as c from "../../../src/netlink/constants.ts";
import { type LinkAttributes, type LinkMessage, readLink, writeLink } from "../../../src/netlink/link.ts";
import { writeNeighbour } from "../../../src/netlink/neighbour.ts";
import type { VfAttributes } from "../../../src/netlink/vf.ts";
import { ack, done, FakeKernel, message, type Request } from "../../../src/testing/fake-kernel.ts";

export const ENODEV = 19;
export const EADDRNOTAVAIL = 99;
export const EOPNOTSUPP = 95;
const ENETUNREACH = 101;
const UNREPORTED = 0xffffffff;

export interface Interface {
  name: string;
  mac: string;
  flags: number;
  /** IFLA_PARENT_DEV_NAME; kernels before 5.14 say none. */
  parent?: string;
  alias?: string;
  kind?: string;
}

export class SimulatedCard {
  readonly vfs: VfState[];
  readonly interfaces: Map<number, Interface>;
  /** Attributes in the order in which the driver was asked to set them, such as "vlan 100 3 88a8". */
  readonly asked: string[] = [];
  /** Errno with which the driver refuses an attribute, by its name in `asked`; a function is asked each time (0: taken). */
  readonly refusals: Record<string, number | ((values: unknown[]) => number)> = {};
  /** Attributes that the driver accepts and ignores. */
  readonly deaf = new Set<string>();
  /** Attributes that the driver applies even when it refuses them. */
  readonly rash = new Set<string>();
  /** What the driver does when its VF is given an address from below; it may throw an errno. Usually it takes it. */
  onInterfaceMac = (vf: number, mac: string): void => {
    this.interfaces.get(10 + vf)!.mac = mac;
  };
  onAdministrativeMac = (_vf: number, _mac: string): void => {};
  onUp = (_vf: number): void => {};
  /** Before the kernel answers a question about the interface of this name. */
  onQuestion = (_name: string): void => {};
  /** VFs that the driver fails to answer for; it may throw an errno. undefined: it has no attributes of any. */
  unanswered = (): readonly number[] | undefined => [];
  /** Addresses that bridges have pinned. */
  readonly pinned: { bridge: number; port: number; mac: string }[] = [];
  readonly kernel = new FakeKernel((requests) => requests.map((request) => ({ messages: this.#answer(request) })));

  constructor(pf: string, names: readonly string[]) {
    this.vfs = names.map((_, vf) => ({
      vf,
      mac: "00:00:00:00:00:00",
      vlan: { id: 0, qos: 0, protocol: 0x8100 },
      linkState: 0,
      spoofchk: true,
      trust: false,
      minTxRate: 0,
      maxTxRate: 0,
    }));
    this.interfaces = new Map([[1, { name: pf, mac: "02:00:00:00:00:ff", flags: c.IFF_UP }]]);
    for (const [vf, name] of names.entries()) {
      this.interfaces.set(10 + vf, { name, mac: `02:00:00:00:00:0${vf}`, flags: 0 });
    }
  }

  #answer(request: Request): Uint8Array[] {
    const isDump = (request.flags & c.NLM_F_DUMP) === c.NLM_F_DUMP;
    if (request.type === c.RTM_GETNEIGH && isDump)
      return [...this.pinned.map((entry) => pinnedEntry(request, entry)), done(request)];
    // There are no addresses, routes and rules.
    if (request.type !== c.RTM_NEWLINK && request.type !== c.RTM_GETLINK)
      return [isDump ? done(request) : ack(request, ENETUNREACH)];
    const payload = Bytes.from(request.payload);
    const link = readLink(payload, 0, request.payload.length);
    try {
      if (request.type === c.RTM_NEWLINK) return [this.#set(request, link)];
      if (isDump) {
        return [
          ...[...this.interfaces.keys()].map((index) => this.#show(request, index, false, c.NLM_F_MULTI)),
          done(request),
        ];
      }
      const { name, altname, extMask = 0 } = link.attributes;
      this.onQuestion(name ?? altname ?? "");
      const index = link.index || this.#indexOf(name ?? altname ?? "");
      if (!this.interfaces.has(index)) throw ENODEV;
      return [this.#show(request, index, (extMask & c.RTEXT_FILTER_VF) !== 0)];
    } catch (errno) {
      if (typeof errno !== "number") throw errno;
      return [ack(request, errno)];
    }
  }

  #indexOf(name: string): number {
    return [...this.interfaces].find(([, link]) => link.name === name)?.[0] ?? 0;
  }

  #show(request: Request, index: number, withVfs: boolean, part = 0): Uint8Array {
    const { name, mac, flags, parent, alias, kind } = this.interfaces.get(index)!;
    const attributes: LinkAttributes = { name, address: hardwareAddress(mac), mtu: 1500, txqlen: 1000 };
    if (alias) attributes.alias = alias;
    if (kind) attributes.linkInfo = { kind };
    if (parent !== undefined) attributes.parentDevice = parent;
    const silent = withVfs && index === 1 ? this.unanswered() : undefined;
    if (silent !== undefined) attributes.vfInfo = this.vfs.filter(({ vf }) => !silent.includes(vf)).map(toAttributes);
    const writer = new Writer(4096);
    writeLink(writer, index, flags, 0, attributes);
    return message(c.RTM_NEWLINK, part, request, writer.written().slice());
  }

  #set(request: Request, { index, flags, change, attributes }: LinkMessage): Uint8Array {
    const link = this.interfaces.get(index);
    if (link === undefined) throw ENODEV;
    for (const vf of attributes.vfInfo ?? []) this.#setVf(vf);
    if (attributes.address !== undefined) this.onInterfaceMac(index - 10, formatMac(attributes.address));
    if (attributes.name !== undefined) link.name = attributes.name;
    if (attributes.alias !== undefined) link.alias = attributes.alias;
    if ((change & c.IFF_UP) !== 0) {
      const goesUp = (flags & ~link.flags & c.IFF_UP) !== 0;
      link.flags = (link.flags & ~c.IFF_UP) | (flags & c.IFF_UP);
      if (goesUp && index >= 10) this.onUp(index - 10);
    }
    return ack(request);
  }

  /** In the order of the kernel's do_setvfinfo(): what comes before a refusal stays. */
  #setVf(a: VfAttributes): void {
    const { mac, vlan, vlanList, rate, spoofchk, linkState, trust } = a;
    const set = (what: string, vf: number, values: unknown[], change: (state: VfState) => void): void => {
      this.asked.push([what, ...values].join(" "));
      const refusal = this.refusals[what];
      const errno = typeof refusal === "function" ? refusal(values) : refusal;
      const isTaken = errno ? this.rash.has(what) : !this.deaf.has(what);
      if (isTaken) change(this.vfs[vf]!);
      if (errno) throw errno;
    };
    if (mac !== undefined) {
      const text = formatMac(mac.address.subarray(0, 6));
      set("mac", mac.vf, [text], (state) => {
        state.mac = text;
      });
      this.onAdministrativeMac(mac.vf, text);
    }
    if (vlan !== undefined) {
      set("plain-vlan", vlan.vf, [vlan.vlan, vlan.qos], (state) => {
        state.vlan = { id: vlan.vlan, qos: vlan.qos, protocol: 0x8100 };
      });
    }
    const [tag] = vlanList ?? [];
    if (tag !== undefined) {
      set("vlan", tag.vf, [tag.vlan, tag.qos, tag.protocol.toString(16)], (state) => {
        state.vlan = { id: tag.vlan, qos: tag.qos, protocol: tag.protocol };
      });
    }
    if (rate !== undefined) {
      set("rate", rate.vf, [rate.min, rate.max], (state) =>
        Object.assign(state, { minTxRate: rate.min, maxTxRate: rate.max }),
      );
    }
    if (spoofchk !== undefined) {
      set("spoofchk", spoofchk.vf, [spoofchk.setting], (state) => {
        state.spoofchk = spoofchk.setting !== 0;
      });
    }
    if (linkState !== undefined) {
      set("link_state", linkState.vf, [linkState.state], (state) => {
        state.linkState = linkState.state;
      });
    }
    if (trust !== undefined) {
      set("trust", trust.vf, [trust.setting], (state) => {
        state.trust = trust.setting !== 0;
      });
    }
  }
}

function pinnedEntry(request: Request, { bridge, port, mac }: { bridge: number; port: number; mac: string }) {
  const writer = new Writer(256);
  const attributes = { address: hardwareAddress(mac), master: bridge };
  writeNeighbour(writer, { family: AF_BRIDGE, index: port, state: c.NUD_NOARP, flags: 0, attributes });
  return message(c.RTM_NEWNEIGH, c.NLM_F_MULTI, request, writer.written().slice());
}

function toAttributes(state: VfState): VfAttributes {
  const { vf, vlan } = state;
  const flag = (value: boolean | undefined): number => (value === undefined ? UNREPORTED : Number(value));
  return {
    mac: { vf, address: hardwareAddress(state.mac) },
    vlan: { vf, vlan: vlan.id, qos: vlan.qos },
    vlanList: [{ vf, vlan: vlan.id, qos: vlan.qos, protocol: vlan.protocol }],
    rate: { vf, min: state.minTxRate, max: state.maxTxRate },
    spoofchk: { vf, setting: flag(state.spoofchk) },
    linkState: { vf, state: state.linkState ?? UNREPORTED },
    trust: { vf, setting: flag(state.trust) },
  };
}
