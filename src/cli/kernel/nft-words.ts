// Converts a request to nf_tables from its bytes to the equivalent `nft` command.
import { formatAddress } from "../../ip/address.ts";
import { formatMac } from "../../ip/mac.ts";
import { NLM_F_APPEND } from "../../netlink/constants.ts";
import * as c from "../../nftables/constants.ts";
import type { Expression } from "../../nftables/expression.ts";
import { readChain, readRule, readTable } from "../../nftables/message.ts";
import { commentOf } from "../../nftables/userdata.ts";
import type { Message } from "./message.ts";

const families: { [family: number]: string } = {
  [c.NFPROTO_INET]: "inet",
  [c.NFPROTO_IPV4]: "ip",
  [c.NFPROTO_BRIDGE]: "bridge",
  [c.NFPROTO_IPV6]: "ip6",
};
/** The hooks that podnic uses. Numbers depend on the family, but these two differ. */
const hooks: { [number: number]: string } = {
  [c.NF_BR_PRE_ROUTING]: "prerouting",
  [c.NF_INET_POST_ROUTING]: "postrouting",
};

export function nftWords({ type, flags, bytes, start, end }: Message): string {
  const family = families[bytes.u8[start]!] ?? bytes.u8[start];
  switch (type & 255) {
    case c.NFT_MSG_NEWTABLE:
      return `nft add table ${family} ${readTable(bytes, start, end).name}`;
    case c.NFT_MSG_GETTABLE:
      return `nft list table ${family} ${readTable(bytes, start, end).name}`;
    case c.NFT_MSG_DELTABLE:
      return `nft delete table ${family} ${readTable(bytes, start, end).name}`;
    case c.NFT_MSG_NEWCHAIN: {
      const { table, name, type: kind, hook } = readChain(bytes, start, end);
      const base =
        hook === undefined
          ? ""
          : ` { type ${kind} hook ${hooks[hook.number ?? -1] ?? hook.number} priority ${(hook.priority ?? 0) | 0}; }`;
      return `nft add chain ${family} ${table} ${name}${base}`;
    }
    case c.NFT_MSG_GETCHAIN:
    case c.NFT_MSG_DELCHAIN: {
      const { table, name } = readChain(bytes, start, end);
      if (name === undefined) return `nft list chains ${family}`;
      return `nft ${type & 1 ? "delete" : "list"} chain ${family} ${table} ${name}`;
    }
    case c.NFT_MSG_NEWRULE:
    case c.NFT_MSG_GETRULE:
    case c.NFT_MSG_DELRULE: {
      const { table, chain, handle, expressions = [], userdata } = readRule(bytes, start, end);
      const where = `${family} ${table} ${chain}`;
      if ((type & 255) === c.NFT_MSG_GETRULE) return `nft list chain ${where}`;
      if ((type & 255) === c.NFT_MSG_DELRULE)
        return handle === undefined ? `nft flush chain ${where}` : `nft delete rule ${where} handle ${handle}`;
      const comment = commentOf(userdata);
      const verb = (flags & NLM_F_APPEND) === 0 ? "insert" : "add";
      return `nft ${verb} rule ${where}${ruleWords(expressions)}${comment === "" ? "" : ` comment "${comment}"`}`;
    }
    case c.NFT_MSG_GETGEN:
      return "nft list ruleset's generation";
    default:
      return `nft message of type ${type & 255}`;
  }
}

const verdicts: { [code: number]: string } = {
  [c.NF_ACCEPT]: "accept",
  [c.NF_DROP]: "drop",
  [c.NFT_JUMP]: "jump",
  [c.NFT_GOTO]: "goto",
  [c.NFT_RETURN]: "return",
};

/** The expressions of podnic's rules. A comparison refers to the value that was loaded last. */
function ruleWords(expressions: Expression[]): string {
  let text = "";
  let loaded: Expression = {};
  let length: number | undefined;
  for (const each of expressions) {
    const { meta, payload, bitwise, cmp, immediate, masq, other } = each;
    if (meta !== undefined || payload !== undefined) [loaded, length] = [each, undefined];
    if (bitwise !== undefined) length = bitsOf(bitwise.mask?.value);
    if (cmp !== undefined)
      text += comparison(loaded, cmp.data?.value ?? new Uint8Array(), cmp.op === c.NFT_CMP_NEQ, length);
    const verdict = immediate?.data?.verdict;
    if (verdict !== undefined)
      text += ` ${verdicts[(verdict.code ?? 0) | 0] ?? verdict.code} ${verdict.chain ?? ""}`.trimEnd();
    if (masq !== undefined) text += " masquerade";
    if (other !== undefined) text += ` ${other}`;
  }
  return text;
}

const bitsOf = (mask: Uint8Array = new Uint8Array()): number =>
  mask.reduce((sum, byte) => sum + byte.toString(2).replaceAll("0", "").length, 0);

function comparison(
  { meta, payload }: Expression,
  value: Uint8Array,
  not: boolean,
  length: number | undefined,
): string {
  const is = not ? "!= " : "";
  if (meta?.key === c.NFT_META_IIFNAME)
    return ` iifname ${is}"${String.fromCharCode(...value.filter((byte) => byte !== 0))}"`;
  // This is the comparison of the protocol, which the words of the address already contain.
  if (meta !== undefined) return "";
  if (payload?.base === c.NFT_PAYLOAD_LL_HEADER) return ` ether saddr ${is}${formatMac(value)}`;
  const { offset = 0 } = payload ?? {};
  const six = offset === 8 || offset === 24;
  const bytes = new Uint8Array(six ? 16 : 4);
  bytes.set(value);
  const prefix = length ?? (value.length < bytes.length ? value.length * 8 : undefined);
  const address = formatAddress(six ? { family: 6, bytes } : { family: 4, bytes });
  const which = offset === 12 || offset === 8 ? "saddr" : "daddr";
  return ` ${six ? "ip6" : "ip"} ${which} ${is}${address}${prefix === undefined ? "" : `/${prefix}`}`;
}
