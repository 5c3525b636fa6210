import fc from "fast-check";
import { expect, it } from "vitest";
import { pack } from "./lz4.ts";

/** Unpacks like unpack() in native.c. */
function unpack(packed: Uint8Array): Uint8Array {
  const out: number[] = [];
  let at = 4;
  const length = (nibble: number): number => {
    let sum = nibble;
    if (nibble === 15) for (let more = 255; more === 255; sum += more) more = packed[at++]!;
    return sum;
  };
  while (at < packed.length) {
    const token = packed[at++]!;
    const literals = length(token >> 4);
    out.push(...packed.subarray(at, at + literals));
    at += literals;
    if (at >= packed.length) break;
    const offset = packed[at]! | (packed[at + 1]! << 8);
    at += 2;
    for (let n = length(token & 15) + 4; n > 0; n--) out.push(out[out.length - offset]!);
  }
  return Uint8Array.from(out);
}

it("comes back, whatever it is, and says how long it is", () => {
  const part = fc.oneof(
    fc.uint8Array({ maxLength: 30 }),
    fc
      .tuple(fc.integer({ min: 0, max: 3 }), fc.integer({ min: 1, max: 700 }))
      .map(([byte, n]) => new Uint8Array(n).fill(byte)),
  );
  fc.assert(
    fc.property(fc.array(part, { maxLength: 20 }), (parts) => {
      const data = Uint8Array.from(parts.flatMap((bytes) => [...bytes]));
      const packed = pack(data);
      expect(new DataView(packed.buffer).getUint32(0, true)).toBe(data.length);
      expect(unpack(packed)).toEqual(data);
    }),
  );
});

it("makes repetition short, also over 64 KiB", () => {
  const text = new TextEncoder().encode("one line that comes again and again\n".repeat(4000));
  const packed = pack(text);
  expect(packed.length).toBeLessThan(text.length / 200);
  expect(unpack(packed)).toEqual(text);
});
