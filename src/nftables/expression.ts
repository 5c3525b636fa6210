// The expressions in rules: a name, and attributes whose meaning depends on the name. {meta: {…}} is an expression with the name "meta".
// Expressions that podnic neither writes nor understands (for example, the targets of iptables) are {other: name}.
import { type Codec, Table, type Values } from "../netlink/attributes.ts";
import { align4, Bytes, Writer } from "../netlink/bytes.ts";
import { be32, be64, bytes, nested, text } from "../netlink/codecs.ts";
import { NLA_F_NESTED } from "../netlink/constants.ts";
import * as c from "./constants.ts";

const verdictAttributes = new Table("verdict", {
  /** NFT_JUMP or another verdict, as an unsigned number. */
  code: [c.NFTA_VERDICT_CODE, be32],
  chain: [c.NFTA_VERDICT_CHAIN, text],
});

/** Data in an expression: bytes to compare with those of a packet, or a verdict. */
const data = new Table("data", {
  value: [c.NFTA_DATA_VALUE, bytes],
  verdict: [c.NFTA_DATA_VERDICT | NLA_F_NESTED, nested(verdictAttributes)],
});

/** The attributes of each expression, in the order in which `nft` sends them. */
const tables = {
  meta: new Table("meta", {
    key: [c.NFTA_META_KEY, be32],
    dreg: [c.NFTA_META_DREG, be32],
  }),
  cmp: new Table("cmp", {
    sreg: [c.NFTA_CMP_SREG, be32],
    op: [c.NFTA_CMP_OP, be32],
    data: [c.NFTA_CMP_DATA | NLA_F_NESTED, nested(data)],
  }),
  payload: new Table("payload", {
    dreg: [c.NFTA_PAYLOAD_DREG, be32],
    base: [c.NFTA_PAYLOAD_BASE, be32],
    offset: [c.NFTA_PAYLOAD_OFFSET, be32],
    length: [c.NFTA_PAYLOAD_LEN, be32],
  }),
  bitwise: new Table("bitwise", {
    sreg: [c.NFTA_BITWISE_SREG, be32],
    dreg: [c.NFTA_BITWISE_DREG, be32],
    length: [c.NFTA_BITWISE_LEN, be32],
    mask: [c.NFTA_BITWISE_MASK | NLA_F_NESTED, nested(data)],
    xor: [c.NFTA_BITWISE_XOR | NLA_F_NESTED, nested(data)],
  }),
  immediate: new Table("immediate", {
    dreg: [c.NFTA_IMMEDIATE_DREG, be32],
    data: [c.NFTA_IMMEDIATE_DATA | NLA_F_NESTED, nested(data)],
  }),
  counter: new Table("counter", {
    bytes: [c.NFTA_COUNTER_BYTES, be64],
    packets: [c.NFTA_COUNTER_PACKETS, be64],
  }),
  masq: new Table("masq", {}),
  /** A match of iptables. `info` is the structure of the match `name`. */
  match: new Table("match", {
    name: [c.NFTA_MATCH_NAME, text],
    info: [c.NFTA_MATCH_INFO, bytes],
  }),
};

type Known = { [N in keyof typeof tables]: Values<(typeof tables)[N]["rows"]> };
/** Exactly one key. */
export type Expression = Partial<Known> & { other?: string };

interface Span {
  start: number;
  end: number;
}

/** Gives the position of the attributes, which can be decoded only when the expression's name is known. */
const span: Codec<Span> = {
  min: 0,
  write() {},
  read: (_from, start, end) => ({ start, end }),
};

const frame = new Table("expression", {
  name: [c.NFTA_EXPR_NAME, text],
  data: [c.NFTA_EXPR_DATA | NLA_F_NESTED, span],
});

function isKnown(name: string): name is keyof typeof tables {
  return Object.hasOwn(tables, name);
}

export const expression: Codec<Expression> = {
  min: 0,
  write(writer, type, value) {
    const start = writer.open(type);
    for (const name in value) {
      if (!isKnown(name)) throw new RangeError(`expression ${name} cannot be written`);
      text.write(writer, c.NFTA_EXPR_NAME, name);
      const inner = writer.open(c.NFTA_EXPR_DATA | NLA_F_NESTED);
      (tables[name] as Table<(typeof tables)["meta"]["rows"]>).write(writer, value[name]!);
      writer.close(inner);
    }
    writer.close(start);
  },
  read(from, start, end, keep) {
    const { name = "", data: where } = frame.read(from, start, end, keep);
    if (!isKnown(name)) return { other: name };
    const at = where ?? { start: end, end };
    return { [name]: tables[name].read(from, at.start, at.end, keep) };
  },
};

/** Encodes a list of expressions. Calls `written` after each of them with the length so far, in bytes. */
export function writeExpressions(all: Expression[], written?: (each: Expression, length: number) => void): Uint8Array {
  const writer = new Writer(512);
  for (const each of all) {
    expression.write(writer, c.NFTA_LIST_ELEM | NLA_F_NESTED, each);
    written?.(each, writer.length);
  }
  return writer.copy(0, writer.length);
}

/** Encodes an expression in the way of the kernel's answers: without the flags of nested attributes. */
export function asKernelSays(one: Expression): Uint32Array {
  const from = Bytes.from(writeExpressions([one]));
  withoutFlags(from, 0, from.u8.length);
  return from.u32;
}

function withoutFlags(from: Bytes, start: number, end: number): void {
  for (let at = start; at < end; at += align4(from.u16[at >> 1]!)) {
    const type = from.u16[(at >> 1) + 1]!;
    if ((type & NLA_F_NESTED) === 0) continue;
    from.u16[(at >> 1) + 1] = type & ~NLA_F_NESTED;
    withoutFlags(from, at + 4, at + from.u16[at >> 1]!);
  }
}

const EQ = c.NFT_CMP_EQ;
const REGISTER = c.NFT_REG_1;

/** Compares the register with `value`. */
export function compare(value: Uint8Array, op = EQ): Expression {
  return { cmp: { sreg: REGISTER, op, data: { value } } };
}

/** Loads `length` bytes at `offset` of a header into the register. */
export function payload(base: number, offset: number, length: number): Expression {
  return { payload: { dreg: REGISTER, base, offset, length } };
}

export function meta(key: number): Expression {
  return { meta: { key, dreg: REGISTER } };
}

/** Keeps the bits of `mask` in the register. */
export function maskBits(mask: Uint8Array): Expression {
  const length = mask.length;
  const xor = { value: new Uint8Array(length) };
  return { bitwise: { sreg: REGISTER, dreg: REGISTER, length, mask: { value: mask }, xor } };
}

/** NFT_JUMP, NFT_GOTO (with a chain), NFT_RETURN, NF_DROP, NF_ACCEPT. */
export function verdict(code: number, chain?: string): Expression {
  const what = chain === undefined ? { code: code >>> 0 } : { code: code >>> 0, chain };
  return { immediate: { dreg: c.NFT_REG_VERDICT, data: { verdict: what } } };
}

export const masquerade: Expression = { masq: {} };

/** The verdict at the end of a rule. */
export interface Verdict {
  code: number;
  /** The target of a jump or goto; "" for other verdicts. */
  chain: string;
}

export function verdictOf(expressions: Expression[] | undefined): Verdict | undefined {
  const found = expressions?.[expressions.length - 1]?.immediate?.data?.verdict;
  return found && { code: (found.code ?? 0) | 0, chain: found.chain ?? "" };
}
