// The names of an attachment's chains and rules. They are the same as the Go plugins', so that each plugin can remove what the other one
// created.
import { Failure } from "../errors.ts";
import { utf8 } from "../netlink/bytes.ts";
import { sha512 } from "../state/sha512.ts";
import { COMMENT_LIMIT } from "./userdata.ts";

/** The attachment to which rules belong. */
export interface Owner {
  network: string;
  containerId: string;
  ifName: string;
}

/** Bytes. The longest name of a chain to which a rule can lead; NFT_CHAIN_MAXNAMELEN also counts the NUL. */
const NAME_LIMIT = 127;
/** Bytes. The longest name of any chain; NFT_NAME_MAXLEN also counts the NUL. The kernel refuses queries with longer names (ERANGE). */
const ANY_NAME_LIMIT = 255;

const shortHash = (text: string): string => sha512(text, 16);

/** Identifies a network. The comments of its masquerading rules, and of its spoof checks' chains, begin with this text. */
export function networkMark(network: string): string {
  return shortHash(network);
}

/** Identifies an interface of a container. */
export function interfaceMark({ containerId, ifName }: Omit<Owner, "network">): string {
  return shortHash(`${ifName}:${containerId}`);
}

/** Identifies an attachment. The comments of its masquerading rules, and of its spoof check's chains, begin with this text. */
export function ownerMark(owner: Owner): string {
  return `${networkMark(owner.network)}-${interfaceMark(owner)}`;
}

const inWords = ({ network, ifName, containerId }: Owner): string =>
  `, net: ${network}, if: ${ifName}, id: ${containerId}`;

/** The comment of an attachment's rules: the mark, followed by the names that people can read. */
export function ownerComment(owner: Owner): string {
  return (ownerMark(owner) + inWords(owner)).slice(0, COMMENT_LIMIT);
}

/** The length of an ownerMark. */
export const MARK = 33;
/** The number of hex digits of a randomly chosen container ID that are enough to identify the container. */
const DRAWN = 32;

/**
 * Whether a comment belongs to an attachment. Compares the readable part, which is faster than computing the mark's hashes. Compares the mark
 * only if the readable part was cut off so early that it no longer identifies the attachment.
 */
export function isCommentOf(owner: Owner, comment: string): boolean {
  const { containerId } = owner;
  const words = inWords(owner);
  const lost = Math.max(0, MARK + words.length - COMMENT_LIMIT);
  const isProof = lost === 0 || (/^[0-9a-f]{64}$/.test(containerId) && containerId.length - lost >= DRAWN);
  if (!isProof) return comment.startsWith(ownerMark(owner));
  return comment.slice(MARK) === words.slice(0, words.length - lost);
}

/** True if a chain's comment names another attachment. False for the Go plugin's chains, which have no comment. */
export function isOfAnother(owner: Owner, comment: string): boolean {
  return /^[0-9a-f]{16}-[0-9a-f]{16}, net: /.test(comment) && !isCommentOf(owner, comment);
}

/** The ID in the names of a spoof check's chains. As in the Go plugin, it does not contain the network. */
export function spoofId({ containerId, ifName }: Omit<Owner, "network">): string {
  return `${containerId}-${ifName}`;
}

export const SPOOF_CHAIN = "cni-br-iface-";
const MAC_CHAIN = "-mac";

export interface SpoofNames {
  /** The chain to which PREROUTING sends the port's frames. */
  port: string;
  /** The chain that compares the frames' source address. */
  mac: string;
  /** The comment of all the rules. */
  comment: string;
}

export function spoofNames(id: string): SpoofNames {
  return { port: `${SPOOF_CHAIN}${id}`, mac: `${SPOOF_CHAIN}${id}${MAC_CHAIN}`, comment: `macspoofchk-${id}` };
}

/** True if the kernel accepts the name in a query. */
export function isChainName(name: string): boolean {
  return name.length <= ANY_NAME_LIMIT && utf8(name).length <= ANY_NAME_LIMIT;
}

/** Throws Failure if the ID is too long for the names of chains. */
export function checkSpoofNames(id: string): void {
  const length = utf8(spoofNames(id).mac).length;
  if (length <= NAME_LIMIT) return;
  throw new Failure(
    "invalid environment",
    `the container ID is too long for macspoofchk with nftables: the chain's name would have ${length} characters, and the limit is ${NAME_LIMIT}`,
    'The chains are named after CNI_CONTAINERID and CNI_IFNAME. Shorten the ID, or set "macspoofchkBackend": "bridge", which creates no chains.',
  );
}

/**
 * The ID of the spoof check whose port chain this is; undefined for all other chains. A name with the ending "-mac" is ambiguous, because an
 * interface's name can end with "-mac" too. If `isThere` knows a chain with one more "-mac", this one is a port chain.
 */
export function spoofIdOf(chain: string, isThere: (chain: string) => boolean): string | undefined {
  if (!chain.startsWith(SPOOF_CHAIN) || (chain.endsWith(MAC_CHAIN) && !isThere(chain + MAC_CHAIN))) return undefined;
  return chain.slice(SPOOF_CHAIN.length);
}

/** The name of the iptables chain in which the Go plugin masquerades. All interfaces of a pod in a network share this chain. */
export function iptablesChain({ network, containerId }: Omit<Owner, "ifName">): string {
  return `CNI-${sha512(network + containerId, 24)}`;
}
