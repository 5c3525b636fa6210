// Converts a request to the kernel from its bytes to the equivalent `ip`, `bridge` or `nft` command.
import { AF_INET } from "../../host/constants.ts";
import { type Address, formatAddress } from "../../ip/address.ts";
import { formatMac } from "../../ip/mac.ts";
import { readAddress } from "../../netlink/address.ts";
import * as c from "../../netlink/constants.ts";
import { type KindData, type LinkMessage, readLink } from "../../netlink/link.ts";
import { readNeighbour } from "../../netlink/neighbour.ts";
import { readNexthop } from "../../netlink/nexthop.ts";
import { readNumber } from "../../netlink/nsid.ts";
import { type RouteMessage, readRoute } from "../../netlink/route.ts";
import type { VfAttributes } from "../../netlink/vf.ts";
import { bridgeWords, isOfBridge } from "./bridge-words.ts";
import { isFrame, isNft, type Message } from "./message.ts";
import type { Names } from "./names.ts";
import { nftWords } from "./nft-words.ts";

/** The command without "ip" and the namespace, such as "link set eth1 up". The commands of other programs begin with the program's name. */
export function words(message: Message, names: Names): string {
  const { type, bytes, start, end } = message;
  if (isNft(message)) return nftWords(message);
  if (isFrame(message)) return "";
  if (isOfBridge(message)) return bridgeWords(message, names);
  switch (type) {
    case c.RTM_NEWLINK:
    case c.RTM_SETLINK:
      return linkWords(readLink(bytes, start, end, true), message, names);
    case c.RTM_DELLINK:
      return `link del ${deviceOf(readLink(bytes, start, end), names)}`;
    case c.RTM_GETLINK:
      return `link show ${deviceOf(readLink(bytes, start, end), names)}`.trimEnd();
    case c.RTM_NEWLINKPROP:
    case c.RTM_DELLINKPROP: {
      const link = readLink(bytes, start, end);
      const verb = type === c.RTM_NEWLINKPROP ? "add" : "del";
      const altnames = (link.attributes.altnames ?? []).map((name) => ` altname ${name}`);
      return `link property ${verb} dev ${deviceOf(link, names)}${altnames.join("")}`;
    }
    case c.RTM_NEWADDR:
    case c.RTM_DELADDR:
    case c.RTM_GETADDR:
      return addressWords(message, names);
    case c.RTM_NEWROUTE:
    case c.RTM_DELROUTE:
    case c.RTM_GETROUTE:
      return routeWords(readRoute(bytes, start, end), message, names);
    case c.RTM_NEWNEIGH: {
      const { index, flags, attributes, family } = readNeighbour(bytes, start, end);
      const use = (flags & c.NTF_USE) !== 0 ? " use" : "";
      return `neigh add ${addressText(family, attributes.destination)} dev ${names.device(index)}${use}`;
    }
    case c.RTM_GETNEXTHOP:
      return `nexthop show id ${readNexthop(bytes, start, end).id}`;
    case c.RTM_NEWNSID:
      return `netns set ${names.netns(readNumber(bytes, start, end).fd!)} auto`;
    case c.RTM_GETNSID:
      return "netns list-id";
    default:
      return `message of type ${type}`;
  }
}

function deviceOf({ index, attributes }: LinkMessage, names: Names): string {
  if (index !== 0) return names.device(index);
  return attributes.name ?? attributes.altname ?? (attributes.linkInfo?.kind ? `type ${attributes.linkInfo.kind}` : "");
}

function addressText(family: number, bytes: Uint8Array | undefined): string {
  if (bytes === undefined) return "?";
  return formatAddress({ family: family === AF_INET ? 4 : 6, bytes } as Address);
}

type Options = Pick<LinkMessage, "attributes" | "flags" | "change">;

/** The options that `link add` and `link set` share, in the order of ip-link(8). */
function options({ attributes: a, flags, change }: Options, names: Names): string {
  const on = (bit: number) => ((flags & bit) !== 0 ? "on" : "off");
  let text = "";
  if (a.master !== undefined) text += ` master ${names.device(a.master)}`;
  if (a.netNsFd !== undefined) text += ` netns ${names.netns(a.netNsFd)}`;
  if (a.alias !== undefined) text += ` alias ${JSON.stringify(a.alias)}`;
  if (a.address !== undefined) text += ` address ${formatMac(a.address)}`;
  if (a.mtu !== undefined) text += ` mtu ${a.mtu}`;
  if (a.txqlen !== undefined) text += ` txqueuelen ${a.txqlen}`;
  if ((change & c.IFF_PROMISC) !== 0) text += ` promisc ${on(c.IFF_PROMISC)}`;
  if ((change & c.IFF_ALLMULTI) !== 0) text += ` allmulticast ${on(c.IFF_ALLMULTI)}`;
  if ((change & c.IFF_UP) !== 0) text += (flags & c.IFF_UP) !== 0 ? " up" : " down";
  return text;
}

function linkWords(link: LinkMessage, { flags }: Message, names: Names): string {
  const { attributes: a, index } = link;
  const kind = a.linkInfo?.kind;
  if (kind !== undefined && (flags & c.NLM_F_CREATE) !== 0) {
    const parent = a.link === undefined ? "" : ` link ${names.device(a.link)}`;
    const number = index === 0 ? "" : ` index ${index}`;
    return `link add${parent} name ${a.name}${number}${options(link, names)} type ${kind}${kindWords(kind, a.linkInfo?.data, names)}`;
  }
  const device = deviceOf(link, names);
  const vf = a.vfInfo?.[0];
  if (vf !== undefined) return `link set ${device}${vfWords(vf)}`;
  const name = a.name === undefined || index === 0 ? "" : ` name ${a.name}`;
  return `link set ${device}${name}${options(link, names)}`;
}

const macvlanModes: { [mode: number]: string } = { 1: "private", 2: "vepa", 4: "bridge", 8: "passthru", 16: "source" };
const ipvlanModes: { [mode: number]: string } = { 0: "l2", 1: "l3", 2: "l3s" };
const ipvlanFlags: { [flag: number]: string } = { 0: "bridge", 1: "private", 2: "vepa" };

function kindWords(kind: string, data: KindData = {}, names: Names): string {
  const { mode, flags, bcQueueLen, macaddrData, vlanId, vlanFiltering, bridgeOptions, peer } = data;
  const modes = kind.startsWith("ipv") ? ipvlanModes : macvlanModes;
  let text = mode === undefined ? "" : ` mode ${modes[mode] ?? mode}`;
  if (kind.startsWith("ipv") && flags !== undefined) text += ` ${ipvlanFlags[flags] ?? flags}`;
  if (bcQueueLen !== undefined) text += ` bcqueuelen ${bcQueueLen}`;
  if (vlanId !== undefined) text += ` id ${vlanId}`;
  if (vlanFiltering !== undefined) text += ` vlan_filtering ${vlanFiltering}`;
  if (bridgeOptions !== undefined) text += ` no_linklocal_learn ${bridgeOptions.on & 1}`;
  if (peer !== undefined) text += ` peer name ${peer.name}${options({ attributes: peer, flags: 0, change: 0 }, names)}`;
  if (macaddrData !== undefined) text += ` macaddr set ${macaddrData.map(formatMac).join(" ")}`;
  return text;
}

function vfWords(vf: VfAttributes): string {
  const { mac, vlanList, vlan, rate, spoofchk, trust, linkState } = vf;
  const number = [mac, vlanList?.[0], vlan, rate, spoofchk, trust, linkState].find((each) => each !== undefined)?.vf;
  let text = ` vf ${number}`;
  if (mac !== undefined) text += ` mac ${formatMac(mac.address.subarray(0, 6))}`;
  const tag = vlanList?.[0] ?? vlan;
  if (tag !== undefined) text += ` vlan ${tag.vlan} qos ${tag.qos}`;
  if (vlanList?.[0]?.protocol === 0x88a8) text += " proto 802.1ad";
  if (rate !== undefined) text += ` min_tx_rate ${rate.min} max_tx_rate ${rate.max}`;
  if (spoofchk !== undefined) text += ` spoofchk ${spoofchk.setting ? "on" : "off"}`;
  if (linkState !== undefined) text += ` state ${["auto", "enable", "disable"][linkState.state] ?? linkState.state}`;
  if (trust !== undefined) text += ` trust ${trust.setting ? "on" : "off"}`;
  return text;
}

function addressWords({ type, bytes, start, end }: Message, names: Names): string {
  const { family, prefixLength, flags, index, attributes: a } = readAddress(bytes, start, end);
  if (type === c.RTM_GETADDR) return index === 0 ? "addr show" : `addr show dev ${names.device(index)}`;
  const address = `${addressText(family, a.local ?? a.address)}/${prefixLength}`;
  let text = `addr ${type === c.RTM_NEWADDR ? "add" : "del"} ${address}`;
  if (a.broadcast !== undefined) text += ` brd ${addressText(family, a.broadcast)}`;
  text += ` dev ${names.device(index)}`;
  if ((flags & c.IFA_F_NODAD) !== 0) text += " nodad";
  if ((flags & c.IFA_F_OPTIMISTIC) !== 0) text += " optimistic";
  return text;
}

/** The verb of `ip route`, which depends on the flags of the request (ip-route(8)). */
function routeVerb({ type, flags }: Message): string {
  if (type === c.RTM_DELROUTE) return "del";
  if ((flags & c.NLM_F_EXCL) !== 0) return "add";
  return (flags & c.NLM_F_APPEND) !== 0 ? "append" : "prepend";
}

function routeWords(route: RouteMessage, message: Message, names: Names): string {
  const { family, attributes: a } = route;
  const six = family === AF_INET ? "" : "-6 ";
  const table = a.table ?? route.table;
  if (message.type === c.RTM_GETROUTE) return `${six}route show table ${table === 0 ? "all" : table}`;
  const dst = a.dst === undefined ? "default" : `${addressText(family, a.dst)}/${route.dstLength}`;
  const via = (hop: {
    gateway?: Uint8Array | undefined;
    via?: { family: number; address: Uint8Array } | undefined;
  }) => {
    if (hop.gateway !== undefined) return ` via ${addressText(family, hop.gateway)}`;
    return hop.via === undefined ? "" : ` via inet6 ${addressText(hop.via.family, hop.via.address)}`;
  };
  const onlink = (flags: number) => ((flags & c.RTNH_F_ONLINK) !== 0 ? " onlink" : "");
  let text = `${six}route ${routeVerb(message)} ${dst}${via(a)}`;
  if (a.oif !== undefined) text += ` dev ${names.device(a.oif)}`;
  if (table !== c.RT_TABLE_MAIN && table !== 0) text += ` table ${table}`;
  if (route.scope !== c.RT_SCOPE_UNIVERSE) text += ` scope ${route.scope === c.RT_SCOPE_LINK ? "link" : route.scope}`;
  if (a.priority !== undefined) text += ` metric ${a.priority}`;
  if (a.metrics?.mtu !== undefined) text += ` mtu ${a.metrics.mtu}`;
  if (a.metrics?.advmss !== undefined) text += ` advmss ${a.metrics.advmss}`;
  text += onlink(route.flags);
  for (const hop of a.multipath ?? []) {
    text += ` nexthop${via(hop.attributes)} dev ${names.device(hop.index)}${onlink(hop.flags)}`;
  }
  return text;
}
