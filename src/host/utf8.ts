// Decodes UTF-8 that may be invalid, and is the slow path: the hosts decode valid text themselves.
// In a document, every maximal invalid part becomes one U+FFFD, as the Encoding Standard (and TextDecoder) requires.
// A name of the kernel (an interface, a file, an argument) is bytes, and whoever chooses it, such as a pod, can choose any. So that it can be
// compared and given back to the kernel, each byte that is no UTF-8 becomes a lone surrogate, U+DC80 to U+DCFF, which valid UTF-8 never
// contains. encodeName and the system calls make the bytes of it again. JSON.stringify writes a lone surrogate as \udcNN, and JSON.parse reads it:
// names survive records. host.encode makes U+FFFD of it, for people.

function lengthOf(lead: number): number {
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

/** Lowest and highest second byte after `lead` (Unicode, table 3-7). */
function secondRange(lead: number): [number, number] {
  if (lead === 0xe0) return [0xa0, 0xbf];
  if (lead === 0xed) return [0x80, 0x9f];
  if (lead === 0xf0) return [0x90, 0xbf];
  if (lead === 0xf4) return [0x80, 0x8f];
  return [0x80, 0xbf];
}

export function decodeLossy(data: Uint8Array): string {
  return decode(data, () => "\ufffd");
}

/** The other direction is encodeName. */
export function decodeName(data: Uint8Array): string {
  return decode(data, (invalid) => String.fromCharCode(...Array.from(invalid, (byte) => STANDS_FOR + byte)));
}

/** U+DC80 stands for byte 0x80. */
const STANDS_FOR = 0xdc00;

function decode(data: Uint8Array, replace: (invalid: Uint8Array) => string): string {
  const parts: string[] = [];
  let i = 0;
  while (i < data.length) {
    const start = i;
    const lead = data[i++]!;
    const length = lengthOf(lead);
    let point = length < 2 ? lead : lead & (0x7f >> length);
    let [low, high] = secondRange(lead);
    let missing = length - 1;
    while (missing > 0 && i < data.length && data[i]! >= low && data[i]! <= high) {
      point = (point << 6) | (data[i++]! & 0x3f);
      [low, high] = [0x80, 0xbf];
      missing--;
    }
    parts.push(length > 0 && missing === 0 ? String.fromCodePoint(point) : replace(data.subarray(start, i)));
  }
  return parts.join("");
}

/** UTF-8, with the bytes that decodeName found to be none. Another lone surrogate becomes U+FFFD. */
export function encodeName(text: string): Uint8Array {
  const bytes: number[] = [];
  for (const letter of text) {
    const point = letter.codePointAt(0)!;
    if (point < 0x80) bytes.push(point);
    else if (point >= STANDS_FOR + 0x80 && point <= STANDS_FOR + 0xff) bytes.push(point - STANDS_FOR);
    else if (point >= 0xd800 && point <= 0xdfff) bytes.push(0xef, 0xbf, 0xbd);
    else if (point < 0x800) bytes.push(0xc0 | (point >> 6), 0x80 | (point & 0x3f));
    else {
      if (point < 0x10000) bytes.push(0xe0 | (point >> 12));
      else bytes.push(0xf0 | (point >> 18), 0x80 | ((point >> 12) & 0x3f));
      bytes.push(0x80 | ((point >> 6) & 0x3f), 0x80 | (point & 0x3f));
    }
  }
  return new Uint8Array(bytes);
}
