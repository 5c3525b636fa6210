// Decodes UTF-8 that may be invalid. Every maximal invalid part becomes one U+FFFD, as the Encoding Standard (and TextDecoder) requires. This
// is the slow path: the hosts decode valid text themselves.

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
  const parts: string[] = [];
  let i = 0;
  while (i < data.length) {
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
    parts.push(length > 0 && missing === 0 ? String.fromCodePoint(point) : "\ufffd");
  }
  return parts.join("");
}
