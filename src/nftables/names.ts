// The names of an attachment's chains and rules. They are the same as the Go plugins', so that each plugin can remove what the other one
// created.
import { Failure } from "../errors.ts";
import { utf8 } from "../netlink/bytes.ts";
import { sha512 } from "../state/sha512.ts";
import { COMMENT_LIMIT } from "./userdata.ts";

/** Whose rules they are. */
export interface Owner {
  network: string;
  containerId: string;
  ifName: string;
}

/** Longest name of a chain that a rule can lead to: NFT_CHAIN_MAXNAMELEN with its NUL. */
const NAME_LIMIT = 127;
/** Longest name that there can be: NFT_NAME_MAXLEN with its NUL. The kernel refuses a question about a longer one (ERANGE). */
const ANY_NAME_LIMIT = 255;

const shortHash = (text: string): string => sha512(text, 16);

/** Stands for a network at the beginning of each comment of its rules. */
export function networkMark(network: string): string {
  return shortHash(network);
}

/** Stands for an interface of a container. */
export function interfaceMark({ containerId, ifName }: Omit<Owner, "network">): string {
  return shortHash(`${ifName}:${containerId}`);
}

/** Stands for an attachment at the beginning of each comment of its rules. */
export function ownerMark(owner: Owner): string {
  return `${networkMark(owner.network)}-${interfaceMark(owner)}`;
}

const inWords = ({ network, ifName, containerId }: Owner): string =>
  `, net: ${network}, if: ${ifName}, id: ${containerId}`;

/** The mark, and the same for people. */
export function ownerComment(owner: Owner): string {
  return (ownerMark(owner) + inWords(owner)).slice(0, COMMENT_LIMIT);
}

/** Length of an ownerMark. */
export const MARK = 33;
/** Digits of an id that a runtime has drawn: so many of them are nobody else's. */
const DRAWN = 32;

/** Whether a comment is that of an attachment. What it says to people tells that without a hash, unless it had to be cut off too early. */
export function isCommentOf(owner: Owner, comment: string): boolean {
  const { containerId } = owner;
  const words = inWords(owner);
  const lost = Math.max(0, MARK + words.length - COMMENT_LIMIT);
  const isProof = lost === 0 || (/^[0-9a-f]{64}$/.test(containerId) && containerId.length - lost >= DRAWN);
  if (!isProof) return comment.startsWith(ownerMark(owner));
  return comment.slice(MARK) === words.slice(0, words.length - lost);
}

/** Whether a comment says whose the chain is, and it is not this one's. The Go plugin's chains say nothing. */
export function isOfAnother(owner: Owner, comment: string): boolean {
  return /^[0-9a-f]{16}-[0-9a-f]{16}, net: /.test(comment) && !isCommentOf(owner, comment);
}

/** Spoof checks are not named after the network. */
export function spoofId({ containerId, ifName }: Omit<Owner, "network">): string {
  return `${containerId}-${ifName}`;
}

export const SPOOF_CHAIN = "cni-br-iface-";
const MAC_CHAIN = "-mac";

export interface SpoofNames {
  /** The chain that the frames of the port go to, and the one that knows its address. */
  port: string;
  mac: string;
  /** Of all rules. */
  comment: string;
}

export function spoofNames(id: string): SpoofNames {
  return { port: `${SPOOF_CHAIN}${id}`, mac: `${SPOOF_CHAIN}${id}${MAC_CHAIN}`, comment: `macspoofchk-${id}` };
}

/** There may be a chain of this name. */
export function isChainName(name: string): boolean {
  return name.length <= ANY_NAME_LIMIT && utf8(name).length <= ANY_NAME_LIMIT;
}

/** Refuses ids that are too long for the names made of them. */
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
 * The id of the spoof check that a chain belongs to; undefined for the chain of an address and for those of others. An interface's name may end as
 * the name of an address's chain: then there is one more chain, of its address.
 */
export function spoofIdOf(chain: string, isThere: (chain: string) => boolean): string | undefined {
  if (!chain.startsWith(SPOOF_CHAIN) || (chain.endsWith(MAC_CHAIN) && !isThere(chain + MAC_CHAIN))) return undefined;
  return chain.slice(SPOOF_CHAIN.length);
}

/** The chain of the tables of iptables in which the Go plugins masquerade. It is shared by all interfaces of a pod in a network. */
export function iptablesChain({ network, containerId }: Omit<Owner, "ifName">): string {
  return `CNI-${sha512(network + containerId, 24)}`;
}
