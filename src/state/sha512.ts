// SHA-512 (FIPS 180-4), of which the Go plugins make names of chains and comments of rules. A word of 64 bits is two of 32, the upper
// one first: the engine's big integers take ten times as long.
import { host } from "../host/host.ts";

/** Words of the constants, upper halves at even places. */
const ROUND = constants(3n, 80);
const START = constants(2n, 8);

/** First 64 bits behind the point of the nth roots of the first primes: where the constants of the standard come from. */
function constants(n: bigint, count: number): Int32Array {
  const words = new Int32Array(count * 2);
  for (let prime = 2, found = 0; found < count; prime++) {
    if (!isPrime(prime)) continue;
    const fraction = root(n, prime);
    words[found * 2] = Number((fraction >> 32n) & 0xffffffffn);
    words[found * 2 + 1] = Number(fraction & 0xffffffffn);
    found++;
  }
  return words;
}

function isPrime(number: number): boolean {
  for (let divisor = 2; divisor * divisor <= number; divisor++) if (number % divisor === 0) return false;
  return true;
}

/** The nth root of a number with 64 binary places, by Newton from above. */
function root(n: bigint, number: number): bigint {
  const value = BigInt(number) << (64n * n);
  let x = (BigInt(Math.ceil(number ** (1 / Number(n)) * 2 ** 40)) + 1n) << 24n;
  for (;;) {
    const next = ((n - 1n) * x + value / x ** (n - 1n)) / n;
    if (next >= x) return x;
    x = next;
  }
}

/** Hex digits of the SHA-512 of the text's UTF-8 bytes. */
export function sha512(text: string): string {
  const state = START.slice();
  const blocks = pad(host.encode(text));
  const w = new Int32Array(160);
  for (let at = 0; at < blocks.byteLength; at += 128) {
    for (let i = 0; i < 32; i++) w[i] = blocks.getInt32(at + i * 4);
    expand(w);
    compress(state, w);
  }
  return Array.from(state, (word) => (word >>> 0).toString(16).padStart(8, "0")).join("");
}

/** The message, a 1 bit, zeros and the length in bits: whole blocks of 128 bytes. */
function pad(message: Uint8Array): DataView {
  const padded = new Uint8Array((message.length + 144) & ~127);
  padded.set(message);
  padded[message.length] = 0x80;
  const view = new DataView(padded.buffer);
  view.setUint32(padded.length - 4, message.length * 8);
  return view;
}

/** Sum of the lower halves; its part above 32 bits is the carry for the upper ones. */
const carry = (sum: number): number => (sum / 0x1_0000_0000) | 0;

function expand(w: Int32Array): void {
  for (let i = 32; i < 160; i += 2) {
    const ah = w[i - 30]!;
    const al = w[i - 29]!;
    const bh = w[i - 4]!;
    const bl = w[i - 3]!;
    const s0h = ((ah >>> 1) | (al << 31)) ^ ((ah >>> 8) | (al << 24)) ^ (ah >>> 7);
    const s0l = ((al >>> 1) | (ah << 31)) ^ ((al >>> 8) | (ah << 24)) ^ ((al >>> 7) | (ah << 25));
    const s1h = ((bh >>> 19) | (bl << 13)) ^ ((bl >>> 29) | (bh << 3)) ^ (bh >>> 6);
    const s1l = ((bl >>> 19) | (bh << 13)) ^ ((bh >>> 29) | (bl << 3)) ^ ((bl >>> 6) | (bh << 26));
    const low = (s0l >>> 0) + (s1l >>> 0) + (w[i - 31]! >>> 0) + (w[i - 13]! >>> 0);
    w[i + 1] = low;
    w[i] = s0h + s1h + w[i - 32]! + w[i - 14]! + carry(low);
  }
}

function compress(state: Int32Array, w: Int32Array): void {
  let ah = state[0]!;
  let al = state[1]!;
  let bh = state[2]!;
  let bl = state[3]!;
  let ch = state[4]!;
  let cl = state[5]!;
  let dh = state[6]!;
  let dl = state[7]!;
  let eh = state[8]!;
  let el = state[9]!;
  let fh = state[10]!;
  let fl = state[11]!;
  let gh = state[12]!;
  let gl = state[13]!;
  let hh = state[14]!;
  let hl = state[15]!;
  for (let i = 0; i < 160; i += 2) {
    const s1h = ((eh >>> 14) | (el << 18)) ^ ((eh >>> 18) | (el << 14)) ^ ((el >>> 9) | (eh << 23));
    const s1l = ((el >>> 14) | (eh << 18)) ^ ((el >>> 18) | (eh << 14)) ^ ((eh >>> 9) | (el << 23));
    const chooseL = (el & fl) ^ (~el & gl);
    const low1 = (hl >>> 0) + (s1l >>> 0) + (chooseL >>> 0) + (ROUND[i + 1]! >>> 0) + (w[i + 1]! >>> 0);
    const t1h = (hh + s1h + ((eh & fh) ^ (~eh & gh)) + ROUND[i]! + w[i]! + carry(low1)) | 0;
    const s0h = ((ah >>> 28) | (al << 4)) ^ ((al >>> 2) | (ah << 30)) ^ ((al >>> 7) | (ah << 25));
    const s0l = ((al >>> 28) | (ah << 4)) ^ ((ah >>> 2) | (al << 30)) ^ ((ah >>> 7) | (al << 25));
    const majorityL = (al & bl) ^ (al & cl) ^ (bl & cl);
    const low2 = (s0l >>> 0) + (majorityL >>> 0);
    const t2h = s0h + ((ah & bh) ^ (ah & ch) ^ (bh & ch)) + carry(low2);
    hh = gh;
    hl = gl;
    gh = fh;
    gl = fl;
    fh = eh;
    fl = el;
    const lowE = (dl >>> 0) + ((low1 | 0) >>> 0);
    eh = (dh + t1h + carry(lowE)) | 0;
    el = lowE | 0;
    dh = ch;
    dl = cl;
    ch = bh;
    cl = bl;
    bh = ah;
    bl = al;
    const lowA = ((low1 | 0) >>> 0) + ((low2 | 0) >>> 0);
    ah = (t1h + t2h + carry(lowA)) | 0;
    al = lowA | 0;
  }
  add(state, [ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl]);
}

function add(state: Int32Array, words: number[]): void {
  for (let i = 0; i < 16; i += 2) {
    const low = (state[i + 1]! >>> 0) + (words[i + 1]! >>> 0);
    state[i + 1] = low;
    state[i] = state[i]! + words[i]! + carry(low);
  }
}
