// What the bridge plugin creates on the host for its pods: ports, whose alias contains the owner, nftables rules, and the gateways' interfaces
// in VLANs. The kernel removes a port with its pod's namespace. Rules and gateways stay if DEL is not called.
import { ownerOf } from "../../../plugins/bridge/alias.ts";
import { underLockIfAny } from "../../../plugins/bridge/gateway.ts";
import { deletePort, isPortOf } from "../../../plugins/bridge/port.ts";
import { gatewayOf, isUnused, removeUnused } from "../../../plugins/bridge/vlan-gateway.ts";
import type { Attachment } from "../../cni/plugin.ts";
import { getLink, type Link, listLinks } from "../../link/link.ts";
import { ownNamespace } from "../../link/namespace.ts";
import { openIfAny } from "../../nftables/attempt.ts";
import type { Masqueraded } from "../../nftables/iptables.ts";
import {
  listByIptables,
  listMasquerades,
  type Masquerade,
  removeByIptables,
  removeMasqueradeRules,
} from "../../nftables/masquerade.ts";
import { ownerMark } from "../../nftables/names.ts";
import { listSpoofChecks, removeSpoofCheck, type SpoofCheck } from "../../nftables/spoof-check.ts";
import type { CachedAttachment } from "./cache.ts";
import type { Containers, Evidence } from "./evidence.ts";
import type { Inside } from "./inside.ts";

/** A port of a bridge, and its owner. */
export interface HeldPort extends Evidence {
  link: Link;
  /** Name of its bridge, or "". */
  bridge: string;
  owner: Attachment;
  /** The path of the namespace of the veth's other end, or "". */
  namespace: string;
}

/** What is no longer needed, and how to remove it. */
export interface Leftover {
  kind: "port" | "rules" | "gateway";
  owner: Attachment;
  what: string;
  why: string;
  remove(): void;
}

/** Finds the ports on the host that podnic created, and whether their pods exist. */
export function findPorts(containers: Containers, insides: Pick<Inside, "namespace" | "links">[]): HeldPort[] {
  const links = listLinks(ownNamespace().route);
  const endOf = otherEnds(insides);
  return links.flatMap((link): HeldPort[] => {
    const owner = link.kind === "veth" ? ownerOf(link.alias) : undefined;
    if (owner === undefined || !isPortOf(link, owner)) return [];
    const inside = endOf(link)?.namespace ?? "";
    const seen: Evidence =
      inside === "" ? containers.holderOf(owner, "", never) : { life: "alive", why: `in ${inside}` };
    const bridge = links.find(({ index }) => index === link.master)?.name ?? "";
    return [{ link, bridge, owner, namespace: inside, ...seen }];
  });
}

/** Returns a function that finds the other end of a veth on the host, which must be in another namespace. */
export function otherEnds(insides: Pick<Inside, "namespace" | "links">[]): (link: Link) => End | undefined {
  const ends = new Map<string, End>();
  for (const { links, namespace } of [...insides].reverse())
    for (const link of links)
      if (isFar(link)) ends.set(`${link.index} ${link.parent}`, { name: link.name, namespace: namespace.path });
  return (link) => (isFar(link) ? ends.get(`${link.parent} ${link.index}`) : undefined);
}

export interface End {
  name: string;
  namespace: string;
}

/** Whether a link is a veth whose other end is in another namespace. */
export const isFar = (end: Link): boolean => end.kind === "veth" && end.linkNetnsid !== undefined;

/** Instead of the time of a lease, for things whose time of creation is not known. */
const never = (): number => Number.POSITIVE_INFINITY;

/** Finds ports of pods that are gone, rules without a port or pod, and gateways of VLANs without pods. Changes nothing. */
export function findLeftovers(
  containers: Containers,
  insides: Pick<Inside, "namespace" | "links">[],
  cache: CachedAttachment[],
): Leftover[] {
  // Read the rules before the ports. If an ADD runs in between, its rules are then not in the list.
  const rules = listRules();
  const ports = findPorts(containers, insides);
  const gone = ports.filter(({ life }) => life === "gone");
  return [
    ...gone.map(({ link, owner, why }): Leftover => {
      return { kind: "port", owner, what: link.name, why, remove: () => removePort(link) };
    }),
    ...leftRules(rules, containers, ports, cache),
    ...leftGateways(),
  ];
}

/** Deletes a port, unless its index belongs to another link by now. */
function removePort({ index, alias }: Link): void {
  const link = getLink(ownNamespace().route, index);
  if (link?.alias === alias) deletePort(link);
}

interface Rules {
  spoofChecks: SpoofCheck[];
  masquerades: Masquerade[];
  byIptables: Masqueraded[];
}

function listRules(): Rules {
  const nft = openIfAny();
  if (nft === undefined) return { spoofChecks: [], masquerades: [], byIptables: [] };
  try {
    return {
      spoofChecks: listSpoofChecks(nft),
      masquerades: listMasquerades(nft),
      byIptables: listByIptables(nft),
    };
  } finally {
    nft.close();
  }
}

/** Parses "net: pods, if: net1, id: CONTAINER", which podnic and the Go plugin write after the mark. A long comment is cut off. */
function ownerIn(comment: string): Attachment {
  const [, network = "", ifName = "", containerId = ""] = /, net: (.*), if: (.*), id: (.*)$/.exec(comment) ?? [];
  return { network, containerId, ifName };
}

function leftRules(rules: Rules, containers: Containers, ports: HeldPort[], cache: CachedAttachment[]): Leftover[] {
  let marks: Map<string, Attachment> | undefined;
  // Hash the marks of all known attachments only if a rule's comment does not name its owner, because hashing is slow.
  const known = (mark: string): Attachment | undefined => {
    marks ??= new Map([...cache, ...ports.map(({ owner }) => owner)].map((one) => [ownerMark(one), one]));
    return marks.get(mark);
  };
  const alive = new Set(ports.filter(({ life }) => life !== "gone").map(({ owner }) => ownerMark(owner)));
  const lifeOf = (owner: Attachment, mark: string): Evidence => {
    if (alive.has(mark)) return { life: "alive", why: "" };
    // The comment was cut off, so the owner is not known.
    if (ownerMark(owner) !== mark) return { life: "unknown", why: "" };
    return containers.holderOf(owner, "", never);
  };
  const names = new Set(listLinks(ownNamespace().route).map(({ name }) => name));
  const checks = rules.spoofChecks.flatMap(({ id, comment, device }): Leftover[] => {
    if (device === "" || names.has(device)) return [];
    const at = id.lastIndexOf("-");
    const named =
      comment === "" ? { network: "", containerId: id.slice(0, at), ifName: id.slice(at + 1) } : ownerIn(comment);
    const owner = { ...named, containerId: id.slice(0, -named.ifName.length - 1) };
    const why = `there is no port ${device}`;
    return [
      { kind: "rules", owner, what: "macspoofchk", why, remove: () => withNft((nft) => removeSpoofCheck(nft, id)) },
    ];
  });
  const masquerades = rules.masquerades.flatMap((rule): Leftover[] => {
    const mark = rule.comment.slice(0, rule.comment.indexOf(","));
    const named = ownerIn(rule.comment);
    const owner = ownerMark(named) === mark ? named : (known(mark) ?? named);
    const { life, why } = lifeOf(owner, mark);
    if (life !== "gone") return [];
    return [
      { kind: "rules", owner, what: "ipMasq", why, remove: () => withNft((nft) => removeMasqueradeRules(nft, [rule])) },
    ];
  });
  // iptables rules name only the container, so the evidence is the same as for the leases of its addresses.
  const byIptables = rules.byIptables.flatMap(({ network, containerId, addresses }): Leftover[] => {
    const owner = { network, containerId, ifName: "" };
    const found = addresses.map((address) => containers.holderOf(owner, address, never));
    const { why = "" } = found[0] ?? {};
    if (found.some(({ life }) => life !== "gone")) return [];
    return [
      {
        kind: "rules",
        owner,
        what: "ipMasq (iptables)",
        why,
        remove: () => withNft((nft) => removeByIptables(nft, owner)),
      },
    ];
  });
  return [...checks, ...masquerades, ...byIptables];
}

function withNft(body: (nft: NonNullable<ReturnType<typeof openIfAny>>) => unknown): void {
  const nft = openIfAny();
  if (nft === undefined) return;
  try {
    body(nft);
  } finally {
    nft.close();
  }
}

/** The gateways' interfaces that ADD created in VLANs which have no pod now. */
function leftGateways(): Leftover[] {
  return listLinks(ownNamespace().route).flatMap((link): Leftover[] => {
    const { bridge, vlan } = gatewayOf(link) ?? {};
    if (bridge === undefined || vlan === undefined || !isUnused(bridge, vlan)) return [];
    const remove = () => underLockIfAny(bridge, () => removeUnused(bridge, vlan));
    const owner = { network: "", containerId: "", ifName: "" };
    return [{ kind: "gateway", owner, what: link.name, why: `${bridge} has no pod in VLAN ${vlan}`, remove }];
  });
}
