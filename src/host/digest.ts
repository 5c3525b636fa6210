// The loop of SHA-512 (FIPS 180-4) over whole blocks, in TypeScript. Node runs this loop. The C version (native.c) must give the same results.

/** Not BigInt.asUintN(64, …): QuickJS 2025-04-26 gets that of longer numbers wrong. The test of the loops shows it. */
const word = (value: bigint): bigint => value & 0xffff_ffff_ffff_ffffn;
const rotated = (value: bigint, by: bigint): bigint => word((value >> by) | (value << (64n - by)));

/** Words of 64 bits, of which there are the halves, the upper one first. */
function wordsOf(halves: Int32Array): bigint[] {
  const half = (at: number): bigint => BigInt(halves[at]! >>> 0);
  return Array.from({ length: halves.length / 2 }, (_, i) => (half(2 * i) << 32n) | half(2 * i + 1));
}

/** See Loops.digest. */
export function digest(state: Int32Array, blocks: Uint8Array, round: Int32Array): void {
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
  const constants = wordsOf(round);
  for (let at = 0; at < blocks.length; at += 128) {
    const before = wordsOf(state);
    const after = compress(before, expand(view, at), constants);
    for (const [i, value] of before.entries()) {
      const sum = word(value + after[i]!);
      state[2 * i] = Number(sum >> 32n);
      state[2 * i + 1] = Number(sum & 0xffff_ffffn);
    }
  }
}

function expand(view: DataView, at: number): bigint[] {
  const w = Array.from({ length: 16 }, (_, i) => view.getBigUint64(at + i * 8));
  for (let i = 16; i < 80; i++) {
    const [a, b] = [w[i - 15]!, w[i - 2]!];
    const s0 = rotated(a, 1n) ^ rotated(a, 8n) ^ (a >> 7n);
    const s1 = rotated(b, 19n) ^ rotated(b, 61n) ^ (b >> 6n);
    w.push(word(w[i - 16]! + s0 + w[i - 7]! + s1));
  }
  return w;
}

function compress(before: readonly bigint[], w: readonly bigint[], constants: readonly bigint[]): bigint[] {
  let [a, b, c, d, e, f, g, h] = before as [bigint, bigint, bigint, bigint, bigint, bigint, bigint, bigint];
  for (let i = 0; i < 80; i++) {
    const choice = g ^ (e & (f ^ g));
    const sum = h + (rotated(e, 14n) ^ rotated(e, 18n) ^ rotated(e, 41n)) + choice + constants[i]! + w[i]!;
    const majority = (a & b) ^ (a & c) ^ (b & c);
    const first = word(sum + (rotated(a, 28n) ^ rotated(a, 34n) ^ rotated(a, 39n)) + majority);
    [a, b, c, d, e, f, g, h] = [first, a, b, c, word(d + sum), e, f, g];
  }
  return [a, b, c, d, e, f, g, h];
}
