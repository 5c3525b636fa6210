// Formats a netlink message for `--trace`: type, flags, header and attributes, with the kernel's names.
import { AF_INET, AF_INET6 } from "../../host/constants.ts";
import { readAddress } from "../../netlink/address.ts";
import * as c from "../../netlink/constants.ts";
import { readLink } from "../../netlink/link.ts";
import { readError } from "../../netlink/message.ts";
import { readNeighbour } from "../../netlink/neighbour.ts";
import { readRoute } from "../../netlink/route.ts";
import {
  addressTable,
  attributeLines,
  bits,
  linkTable,
  neighbourTable,
  nexthopTable,
  numberTable,
  routeTable,
} from "./attributes.ts";
import { isFrame, isNft, isQuestion, type Message } from "./message.ts";
import type { Names } from "./names.ts";

/** The first type of each family. A family has four types, in the order of `verbs`. */
const families: [first: number, name: string][] = [
  [c.RTM_NEWLINK, "LINK"],
  [c.RTM_NEWADDR, "ADDR"],
  [c.RTM_NEWROUTE, "ROUTE"],
  [c.RTM_NEWNEIGH, "NEIGH"],
  [c.RTM_NEWNEXTHOP, "NEXTHOP"],
  [c.RTM_NEWNSID, "NSID"],
  [c.RTM_NEWLINKPROP, "LINKPROP"],
  [c.RTM_NEWVLAN, "VLAN"],
];
const verbs = ["NEW", "DEL", "GET", "SET"];

function typeName(type: number): string {
  const name = families.find(([first]) => first === (type & ~3))?.[1];
  return name === undefined ? `type ${type}` : `RTM_${verbs[type & 3]}${name}`;
}

/** From linux/if.h. It is not in netlink/constants.ts, because no plugin uses it. */
const IFF_BROADCAST = 2;
const deviceFlags = new Map([
  [c.IFF_UP, "IFF_UP"],
  [IFF_BROADCAST, "IFF_BROADCAST"],
  [c.IFF_LOOPBACK, "IFF_LOOPBACK"],
  [c.IFF_RUNNING, "IFF_RUNNING"],
  [c.IFF_NOARP, "IFF_NOARP"],
  [c.IFF_PROMISC, "IFF_PROMISC"],
  [c.IFF_ALLMULTI, "IFF_ALLMULTI"],
  [c.IFF_MULTICAST, "IFF_MULTICAST"],
  [c.IFF_LOWER_UP, "IFF_LOWER_UP"],
]);

/** The meaning of some bits depends on whether the message is a query, a change or an answer. */
function messageFlags(message: Message): string {
  const names = new Map([
    [c.NLM_F_REQUEST, "NLM_F_REQUEST"],
    [c.NLM_F_MULTI, "NLM_F_MULTI"],
    [c.NLM_F_ACK, "NLM_F_ACK"],
    [c.NLM_F_DUMP_INTR, "NLM_F_DUMP_INTR"],
  ]);
  if ((message.flags & c.NLM_F_REQUEST) === 0) {
    if (message.type === c.NLMSG_ERROR)
      names.set(c.NLM_F_CAPPED, "NLM_F_CAPPED").set(c.NLM_F_ACK_TLVS, "NLM_F_ACK_TLVS");
  } else if (isQuestion(message)) {
    if ((message.flags & c.NLM_F_DUMP) === c.NLM_F_DUMP) names.set(c.NLM_F_DUMP, "NLM_F_DUMP");
  } else {
    names.set(c.NLM_F_EXCL, "NLM_F_EXCL").set(c.NLM_F_CREATE, "NLM_F_CREATE").set(c.NLM_F_APPEND, "NLM_F_APPEND");
  }
  return bits(message.flags, names);
}

/** The lines that describe a message: the first has its type and header, the others its attributes. Callers add the indentation. */
export function describeMessage(message: Message, names: Names): string[] {
  const { type, sequence, bytes, end } = message;
  if (type === c.NLMSG_ERROR || type === c.NLMSG_DONE) {
    const name = type === c.NLMSG_ERROR ? "NLMSG_ERROR" : "NLMSG_DONE";
    return [`${name} seq ${sequence}: ${outcome(readError("", bytes, 0, end))}`];
  }
  if (isFrame(message)) return [`nf_tables transaction ${type === c.RTM_NEWLINK ? "begins" : "ends"} seq ${sequence}`];
  if (isNft(message)) return [`NFT_MSG ${type & 255} seq ${sequence}`];
  const flags = message.flags === 0 ? "" : ` ${messageFlags(message)}`;
  const head = `${typeName(type)} seq ${sequence}${flags}`;
  const [header, ...attributes] = contents(message, names);
  return [`${head}${header === undefined ? "" : `, ${header}`}`, ...attributes];
}

function outcome(error: ReturnType<typeof readError>): string {
  if (error === undefined) return "0 (done)";
  return `-${error.errno} ${error.code}${error.kernelMessage === "" ? "" : `, the kernel says: ${error.kernelMessage}`}`;
}

/** The fixed header, followed by the attributes. Empty for types that this function does not decode. */
function contents({ type, bytes, start, end }: Message, names: Names): string[] {
  const device = (index: number) => (index === 0 ? "0" : `${index} (${names.device(index)})`);
  const lines = (size: number, table: Parameters<typeof attributeLines>[3]) =>
    attributeLines(bytes, start + size, end, table, names);
  const family = type & ~3;
  if (family === c.RTM_NEWLINK || family === (c.RTM_NEWLINKPROP & ~3)) {
    const { index, flags, change } = readLink(bytes, start, end);
    const changed = change === 0 ? "" : `, ifi_change ${bits(change, deviceFlags)}`;
    return [`ifi_index ${device(index)}, ifi_flags ${bits(flags, deviceFlags)}${changed}`, ...lines(16, linkTable)];
  }
  if (family === c.RTM_NEWADDR) {
    const { family, prefixLength, scope, index } = readAddress(bytes, start, end);
    const header = `ifa_family ${familyName(family)}, ifa_prefixlen ${prefixLength}, ifa_scope ${scope}, ifa_index ${device(index)}`;
    return [header, ...lines(8, addressTable)];
  }
  if (family === c.RTM_NEWROUTE) {
    const { family, dstLength, table, protocol, scope } = readRoute(bytes, start, end);
    const header = `rtm_family ${familyName(family)}, rtm_dst_len ${dstLength}, rtm_table ${table}, rtm_protocol ${protocol}, rtm_scope ${scope}`;
    return [header, ...lines(12, routeTable)];
  }
  if (family === c.RTM_NEWNEIGH) {
    const { index, state, flags } = readNeighbour(bytes, start, end);
    return [`ndm_ifindex ${device(index)}, ndm_state ${state}, ndm_flags ${flags}`, ...lines(12, neighbourTable)];
  }
  if (family === c.RTM_NEWNSID) return ["rtgenmsg", ...lines(4, numberTable)];
  if (family === (c.RTM_NEWNEXTHOP & ~3)) return ["nhmsg", ...lines(8, nexthopTable)];
  return [];
}

function familyName(family: number): string {
  return { 0: "AF_UNSPEC", [AF_INET]: "AF_INET", [AF_INET6]: "AF_INET6" }[family] ?? String(family);
}
