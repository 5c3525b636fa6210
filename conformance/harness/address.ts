// Just enough address arithmetic to judge a result. Kept apart from src/ip on purpose: a judge must not share
// code with the accused.
import { isIPv4, isIPv6 } from "node:net";

export interface Prefix {
  readonly family: 4 | 6;
  readonly value: bigint;
  readonly length: number;
}

export function addressFamily(text: string): 4 | 6 | undefined {
  return isIPv4(text) ? 4 : isIPv6(text) && !text.includes("%") ? 6 : undefined;
}

export function addressValue(text: string): bigint {
  if (isIPv4(text)) return text.split(".").reduce((sum, part) => (sum << 8n) | BigInt(part), 0n);
  const mapped = /^(.*:)(\d+\.\d+\.\d+\.\d+)$/.exec(text);
  if (mapped !== null) {
    const low = addressValue(mapped[2]!);
    return addressValue(`${mapped[1]}${(low >> 16n).toString(16)}:${(low & 0xffffn).toString(16)}`);
  }
  const [head, tail] = text.split("::") as [string, string | undefined];
  const words = (part: string | undefined) => (part === undefined || part === "" ? [] : part.split(":"));
  const left = words(head);
  const right = words(tail);
  const middle = tail === undefined ? [] : new Array<string>(8 - left.length - right.length).fill("0");
  return [...left, ...middle, ...right].reduce((sum, word) => (sum << 16n) | BigInt(`0x${word}`), 0n);
}

/** undefined when the text is not ADDRESS/LENGTH. */
export function parsePrefix(text: unknown): Prefix | undefined {
  if (typeof text !== "string") return undefined;
  const slash = text.indexOf("/");
  if (slash < 0) return undefined;
  const family = addressFamily(text.slice(0, slash));
  const length = text.slice(slash + 1);
  if (family === undefined || !/^\d{1,3}$/.test(length) || Number(length) > (family === 4 ? 32 : 128)) return undefined;
  return { family, value: addressValue(text.slice(0, slash)), length: Number(length) };
}

export function samePrefix(a: string, b: string): boolean {
  const [x, y] = [parsePrefix(a), parsePrefix(b)];
  return x !== undefined && y !== undefined && x.family === y.family && x.value === y.value && x.length === y.length;
}

export function sameNetwork(a: string, b: string): boolean {
  const [x, y] = [parsePrefix(a), parsePrefix(b)];
  if (x === undefined || y === undefined || x.family !== y.family || x.length !== y.length) return false;
  const shift = BigInt((x.family === 4 ? 32 : 128) - x.length);
  return x.value >> shift === y.value >> shift;
}

export function sameAddress(a: string, b: string): boolean {
  const family = addressFamily(a);
  return family !== undefined && family === addressFamily(b) && addressValue(a) === addressValue(b);
}
