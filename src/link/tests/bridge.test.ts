import { expect, it } from "vitest";
import { describeVlans, joinRanges, rangesOf, type VlanRange, vlanInfos } from "../bridge.ts";

const tagged = (first: number, last = first): VlanRange => ({ first, last, pvid: false, untagged: false });
const native = (vid: number): VlanRange => ({ first: vid, last: vid, pvid: true, untagged: true });

it("a range is two entries, a VLAN one, and back", () => {
  const vlans = [tagged(10), tagged(20, 22), native(7)];
  const infos = vlanInfos(vlans);
  expect(infos).toEqual([
    { flags: 0, vid: 10 },
    { flags: 8, vid: 20 },
    { flags: 16, vid: 22 },
    { flags: 6, vid: 7 },
  ]);
  expect(rangesOf(infos)).toEqual(vlans);
});

it("neighbours of one kind are one range, whatever the order; the native VLAN stays by itself", () => {
  expect(joinRanges([tagged(22), tagged(20, 21), native(23), tagged(1), tagged(20, 22)])).toEqual([
    tagged(1),
    tagged(20, 22),
    native(23),
  ]);
});

it("messages name them as `bridge` does", () => {
  expect(describeVlans([native(7), tagged(20, 22)])).toBe("7 pvid untagged, 20-22");
});
