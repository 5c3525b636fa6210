// SHA-512 (FIPS 180-4), from which the Go plugins derive the names of chains and the comments of rules. A 64-bit word is two 32-bit words, the
// upper one first (src/host/digest.ts).
import { host } from "../host/host.ts";
import { loops } from "../host/loops.ts";

/** The standard's constants as 32-bit words, with the upper halves at even indices. */
const ROUND = constants(3n, 80);
const START = constants(2n, 8);

/** The first 64 fractional bits of the nth roots of the first `count` primes, which is how the standard defines its constants. */
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

/** The nth root of a number, with 64 fractional bits, by Newton's method from above. */
function root(n: bigint, number: number): bigint {
  const value = BigInt(number) << (64n * n);
  let x = (BigInt(Math.ceil(number ** (1 / Number(n)) * 2 ** 40)) + 1n) << 24n;
  for (;;) {
    const next = ((n - 1n) * x + value / x ** (n - 1n)) / n;
    if (next >= x) return x;
    x = next;
  }
}

/** The first hex digits of the SHA-512 of the text's UTF-8 bytes. `digits` is rounded up to a multiple of eight. */
export function sha512(text: string, digits = 128): string {
  const state = START.slice();
  loops.digest(state, pad(host.encode(text)), ROUND);
  let hex = "";
  for (let word = 0; word * 8 < digits; word++) hex += (state[word]! >>> 0).toString(16).padStart(8, "0");
  return hex;
}

/** The message, a 1 bit, zeros and the length in bits: whole blocks of 128 bytes. */
function pad(message: Uint8Array): Uint8Array {
  const padded = new Uint8Array((message.length + 144) & ~127);
  padded.set(message);
  padded[message.length] = 0x80;
  new DataView(padded.buffer).setUint32(padded.length - 4, message.length * 8);
  return padded;
}
