// SHA-512 (FIPS 180-4), of which cnitool makes container ids. Once a command, on a path's few bytes: made to be read, not to be fast.

const MASK = (1n << 64n) - 1n;

/** The largest integer whose nth power is at most `value`. */
function root(n: bigint, value: bigint): bigint {
  let low = 0n;
  let high = 1n << 80n;
  while (high - low > 1n) {
    const middle = (low + high) >> 1n;
    if (middle ** n <= value) low = middle;
    else high = middle;
  }
  return low;
}

function primes(count: number): bigint[] {
  const found: bigint[] = [];
  for (let each = 2n; found.length < count; each++) if (found.every((prime) => each % prime !== 0n)) found.push(each);
  return found;
}

/** First 64 bits behind the point of the nth roots of the first primes: where the constants of the standard come from. */
function constants(n: bigint, count: number): bigint[] {
  return primes(count).map((prime) => root(n, prime << (64n * n)) & MASK);
}

function rotate(value: bigint, bits: bigint): bigint {
  return ((value >> bits) | (value << (64n - bits))) & MASK;
}

function pad(data: Uint8Array): Uint8Array {
  const padded = new Uint8Array(Math.ceil((data.length + 17) / 128) * 128);
  padded.set(data);
  padded[data.length] = 0x80;
  // Lengths above 512 MiB do not come here.
  for (let i = 0; i < 4; i++) padded[padded.length - 1 - i] = ((data.length * 8) >>> (8 * i)) & 0xff;
  return padded;
}

function schedule(block: Uint8Array): bigint[] {
  const words: bigint[] = [];
  for (let i = 0; i < 16; i++)
    words.push(block.subarray(i * 8, i * 8 + 8).reduce((word, byte) => (word << 8n) | BigInt(byte), 0n));
  for (let i = 16; i < 80; i++) {
    const [a, b] = [words[i - 15]!, words[i - 2]!];
    const low = rotate(a, 1n) ^ rotate(a, 8n) ^ (a >> 7n);
    const high = rotate(b, 19n) ^ rotate(b, 61n) ^ (b >> 6n);
    words.push((words[i - 16]! + low + words[i - 7]! + high) & MASK);
  }
  return words;
}

/** In lower-case hexadecimal. */
export function sha512(data: Uint8Array): string {
  const k = constants(3n, 80);
  let state = constants(2n, 8);
  const padded = pad(data);
  for (let at = 0; at < padded.length; at += 128) {
    const words = schedule(padded.subarray(at, at + 128));
    let [a, b, c, d, e, f, g, h] = state as [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];
    for (let i = 0; i < 80; i++) {
      const s1 = rotate(e, 14n) ^ rotate(e, 18n) ^ rotate(e, 41n);
      const s0 = rotate(a, 28n) ^ rotate(a, 34n) ^ rotate(a, 39n);
      const t1 = h + s1 + ((e & f) ^ (~e & g)) + k[i]! + words[i]!;
      const t2 = s0 + ((a & b) ^ (a & c) ^ (b & c));
      [h, g, f, e, d, c, b, a] = [g, f, e, (d + t1) & MASK, c, b, a, (t1 + t2) & MASK];
    }
    state = [a, b, c, d, e, f, g, h].map((word, i) => (word + state[i]!) & MASK);
  }
  // By halves: QuickJS 2025-04-26 loses the last digit of some 64-bit numbers in toString(16).
  return state.map((word) => hex(word >> 32n) + hex(word & 0xffffffffn)).join("");
}

function hex(half: bigint): string {
  return Number(half).toString(16).padStart(8, "0");
}
