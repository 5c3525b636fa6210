// findAttribute: what is behind an attribute that is too short must not be taken for its payload.
import { expect, test } from "vitest";
import { findAttribute } from "../attributes.ts";
import { Writer } from "../bytes.ts";
import { ProtocolError } from "../errors.ts";

/** An attribute of type 4 with `size` bytes, and what a longer datagram left behind it. */
function attribute(size: number): { writer: Writer; end: number } {
  const writer = new Writer(16);
  writer.attribute(4, size);
  const end = writer.length;
  writer.u32[writer.reserve(4) >> 2] = 0xa5a5a5a5;
  return { writer, end };
}

test("fewer bytes than the caller reads", () => {
  for (const size of [0, 1, 3]) {
    const { writer, end } = attribute(size);
    expect(() => findAttribute(writer, 0, end, 4, 4)).toThrow(ProtocolError);
  }
});

test("as many, and none wanted", () => {
  const { writer, end } = attribute(4);
  expect(findAttribute(writer, 0, end, 4, 4)).toEqual([4, 8]);
  expect(findAttribute(attribute(0).writer, 0, 4, 4, 0)).toEqual([4, 4]);
  expect(findAttribute(writer, 0, end, 5, 4)).toBeUndefined();
});
