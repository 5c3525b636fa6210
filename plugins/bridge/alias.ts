// The alias of a port: it identifies the owner of the port, and lists what ADD created for it.
import type { Attachment } from "../../src/cni/plugin.ts";
import { ALIAS_MAX } from "../../src/link/link.ts";
import { idInAlias, networkCut } from "../../src/plugin/hash.ts";
import { aliasPrefix } from "../../src/plugin/upper/own.ts";

/** In letters. The name of an interface, of 15 bytes, may have 10 bytes more than letters; all else is ASCII. */
const LONGEST = ALIAS_MAX - 10;

/** Handles of the rules of nf_tables that ADD made for an attachment. Hints: a rule may have another handle by now, or be gone. */
export interface Rules {
  /** Of the spoof check. */
  jump?: number;
  /** Of ipMasq. */
  masquerade: number[];
}

/** Says that ADD made no rules. */
const NO_RULES = "-";

/** Says that the bridge is promiscuous for this port, and for others that say so: the last one's DEL undoes it. */
const PROMISCUOUS = "p";

/** What a port's alias says in addition to its owner. */
export interface Marks {
  /** undefined: any. */
  rules?: Rules | undefined;
  promiscuous?: boolean;
}

/** Says on a port whose it is, and which rules ADD made, if that is known: DEL then need not look for them among those of all pods. */
export function portAlias(attachment: Attachment, marks: Marks = {}): string {
  const full = fullAlias(attachment);
  const alias = full.length <= LONGEST ? full : cutAlias(attachment);
  const words = inWords(marks);
  const whole = words === "" ? alias : `${alias}:${words}`;
  return whole.length <= LONGEST ? whole : alias;
}

function fullAlias({ network, containerId, ifName }: Attachment): string {
  return `${aliasPrefix}${network}:${idInAlias(containerId)}:${ifName}`;
}

/** 216 letters at most. */
function cutAlias(attachment: Attachment): string {
  return fullAlias({ ...attachment, network: networkCut(attachment.network) });
}

/** Versions before this gave a port of such an attachment no alias, or the whole one if that had 255 letters at most. */
export const hadNoAlias = (attachment: Attachment): boolean => fullAlias(attachment).length > LONGEST;

function inWords({ rules, promiscuous = false }: Marks): string {
  const words = promiscuous ? [PROMISCUOUS] : [];
  if (rules === undefined) return words.join();
  const { jump, masquerade } = rules;
  for (const handle of masquerade) words.push(`m${handle}`);
  if (jump !== undefined) words.push(`j${jump}`);
  else if (masquerade.length === 0) words.push(NO_RULES);
  return words.join();
}

/** Whose port this is, by its alias; the container's ID may be cut (idInAlias), and the network's name (networkCut). */
export function ownerOf(alias: string): Attachment | undefined {
  const [prefix, network, containerId, ifName, rules, ...more] = alias.split(":");
  if (`${prefix}:` !== aliasPrefix || !network || !containerId || !ifName || more.length > 0) return undefined;
  if (rules !== undefined && !RULES.test(rules)) return undefined;
  return { network, containerId, ifName };
}

const RULES = /^(p|(p,)?(-|[jm]\d{1,15}(,[jm]\d{1,15})*))$/;

/** The rules that ADD made, by the alias of the port; undefined: it does not say. */
export function rulesOf(alias: string): Rules | undefined {
  const words = wordsOf(alias).filter((word) => word !== PROMISCUOUS);
  if (words.length === 0) return undefined;
  const rules: Rules = { masquerade: [] };
  for (const word of words) {
    const handle = Number(word.slice(1));
    if (word[0] === "m") rules.masquerade.push(handle);
    else if (word !== NO_RULES) rules.jump = handle;
  }
  return rules;
}

export const isPromiscuous = (alias: string): boolean => wordsOf(alias)[0] === PROMISCUOUS;

function wordsOf(alias: string): string[] {
  return (ownerOf(alias) && alias.split(":")[4]?.split(",")) ?? [];
}

/** The alias is that of a port of this attachment. */
export function isAliasOf(alias: string, attachment: Attachment): boolean {
  const isWith = (whose: string): boolean => alias === whose || alias.startsWith(`${whose}:`);
  const full = fullAlias(attachment);
  return isWith(full) || (full.length > LONGEST && isWith(cutAlias(attachment)));
}
