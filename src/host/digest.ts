// The loop of SHA-512 (FIPS 180-4) over whole blocks, in TypeScript: what Node runs, and what the one in C (native.c) has to answer. A word of
// 64 bits is two of 32, the upper one first: the engine's big integers take ten times as long.

/** See Loops.digest. */
export function digest(state: Int32Array, blocks: Uint8Array, round: Int32Array): void {
  const view = new DataView(blocks.buffer, blocks.byteOffset, blocks.byteLength);
  const w = new Int32Array(160);
  for (let at = 0; at < blocks.length; at += 128) {
    for (let i = 0; i < 32; i++) w[i] = view.getInt32(at + i * 4);
    expand(w);
    compress(state, w, round);
  }
}

// Sums are of 16 bits at a time, lowest first: what has no room in 31 bits is a floating-point number to the engine, and takes three times as
// long. For the same reason nothing here is a function.

function expand(w: Int32Array): void {
  for (let i = 32; i < 160; i += 2) {
    let high = w[i - 30]!;
    let low = w[i - 29]!;
    const s0h = ((high >>> 1) | (low << 31)) ^ ((high >>> 8) | (low << 24)) ^ (high >>> 7);
    const s0l = ((low >>> 1) | (high << 31)) ^ ((low >>> 8) | (high << 24)) ^ ((low >>> 7) | (high << 25));
    high = w[i - 4]!;
    low = w[i - 3]!;
    const s1h = ((high >>> 19) | (low << 13)) ^ ((low >>> 29) | (high << 3)) ^ (high >>> 6);
    const s1l = ((low >>> 19) | (high << 13)) ^ ((high >>> 29) | (low << 3)) ^ ((low >>> 6) | (high << 26));
    low = w[i - 31]!;
    high = w[i - 13]!;
    const t0 = (s0l & 0xffff) + (s1l & 0xffff) + (low & 0xffff) + (high & 0xffff);
    const t1 = (s0l >>> 16) + (s1l >>> 16) + (low >>> 16) + (high >>> 16) + (t0 >>> 16);
    w[i + 1] = (t1 << 16) | (t0 & 0xffff);
    low = w[i - 32]!;
    high = w[i - 14]!;
    const t2 = (s0h & 0xffff) + (s1h & 0xffff) + (low & 0xffff) + (high & 0xffff) + (t1 >>> 16);
    const t3 = (s0h >>> 16) + (s1h >>> 16) + (low >>> 16) + (high >>> 16) + (t2 >>> 16);
    w[i] = (t3 << 16) | (t2 & 0xffff);
  }
}

function compress(state: Int32Array, w: Int32Array, round: Int32Array): void {
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
    let x = ((el >>> 14) | (eh << 18)) ^ ((el >>> 18) | (eh << 14)) ^ ((eh >>> 9) | (el << 23));
    let y = (el & fl) ^ (~el & gl);
    let k = round[i + 1]!;
    let v = w[i + 1]!;
    let t0 = (hl & 0xffff) + (x & 0xffff) + (y & 0xffff) + (k & 0xffff) + (v & 0xffff);
    let t1 = (hl >>> 16) + (x >>> 16) + (y >>> 16) + (k >>> 16) + (v >>> 16);
    x = ((eh >>> 14) | (el << 18)) ^ ((eh >>> 18) | (el << 14)) ^ ((el >>> 9) | (eh << 23));
    y = (eh & fh) ^ (~eh & gh);
    k = round[i]!;
    v = w[i]!;
    let t2 = (hh & 0xffff) + (x & 0xffff) + (y & 0xffff) + (k & 0xffff) + (v & 0xffff);
    let t3 = (hh >>> 16) + (x >>> 16) + (y >>> 16) + (k >>> 16) + (v >>> 16);
    hh = gh;
    hl = gl;
    gh = fh;
    gl = fl;
    fh = eh;
    fl = el;
    // d and the sum so far.
    x = (dl & 0xffff) + t0;
    y = (dl >>> 16) + t1 + (x >>> 16);
    el = (y << 16) | (x & 0xffff);
    x = (dh & 0xffff) + t2 + (y >>> 16);
    y = (dh >>> 16) + t3 + (x >>> 16);
    eh = (y << 16) | (x & 0xffff);
    // The sum so far and what is made of a, b and c.
    x = ((al >>> 28) | (ah << 4)) ^ ((ah >>> 2) | (al << 30)) ^ ((ah >>> 7) | (al << 25));
    y = (al & bl) ^ (al & cl) ^ (bl & cl);
    t0 += (x & 0xffff) + (y & 0xffff);
    t1 += (x >>> 16) + (y >>> 16) + (t0 >>> 16);
    x = ((ah >>> 28) | (al << 4)) ^ ((al >>> 2) | (ah << 30)) ^ ((al >>> 7) | (ah << 25));
    y = (ah & bh) ^ (ah & ch) ^ (bh & ch);
    t2 += (x & 0xffff) + (y & 0xffff) + (t1 >>> 16);
    t3 += (x >>> 16) + (y >>> 16) + (t2 >>> 16);
    dh = ch;
    dl = cl;
    ch = bh;
    cl = bl;
    bh = ah;
    bl = al;
    ah = (t3 << 16) | (t2 & 0xffff);
    al = (t1 << 16) | (t0 & 0xffff);
  }
  add(state, [ah, al, bh, bl, ch, cl, dh, dl, eh, el, fh, fl, gh, gl, hh, hl]);
}

function add(state: Int32Array, words: number[]): void {
  for (let i = 0; i < 16; i += 2) {
    const low = (state[i + 1]! >>> 0) + (words[i + 1]! >>> 0);
    state[i + 1] = low;
    state[i] = state[i]! + words[i]! + ((low / 0x1_0000_0000) | 0);
  }
}
