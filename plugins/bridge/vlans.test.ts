import { describe, expect, it } from "vitest";
import { Failure } from "../../src/errors.ts";
import { describeVlans } from "../../src/link/bridge.ts";
import { expected, type TrunkItem, unwanted, vlansOf } from "./vlans.ts";

const shown = (keys: Parameters<typeof vlansOf>[0]): string => describeVlans(vlansOf(keys)?.ranges ?? []);

function refusal(vlanTrunk: TrunkItem[]): string {
  try {
    vlansOf({ vlanTrunk });
  } catch (error) {
    if (error instanceof Failure) return error.message;
    throw error;
  }
  return "";
}

describe("VLANs of a configuration", () => {
  it("none, when it names none", () => {
    expect([vlansOf({}), vlansOf({ vlan: 0 }), vlansOf({ vlanTrunk: [] })]).toEqual([undefined, undefined, undefined]);
  });

  it("a VLAN is the native one", () => {
    expect(shown({ vlan: 100 })).toBe("100 pvid untagged");
  });

  it("a trunk is tagged, in order and as few ranges as can be; its native VLAN is 1", () => {
    const vlanTrunk = [{ minID: 20, maxID: 22 }, { id: 23 }, { id: 10, minID: 21, maxID: 30 }];
    expect(shown({ vlanTrunk })).toBe("10, 20-30, 1 pvid untagged");
  });

  it("the native VLAN stays native although the trunk names it", () => {
    expect(shown({ vlan: 7, vlanTrunk: [{ id: 7 }, { id: 8 }] })).toBe("8, 7 pvid untagged");
    expect(shown({ vlan: 100, vlanTrunk: [{ minID: 1, maxID: 4094 }] })).toBe("1-99, 101-4094, 100 pvid untagged");
    expect(shown({ vlanTrunk: [{ minID: 1, maxID: 4094 }] })).toBe("2-4094, 1 pvid untagged");
  });

  it("refuses an item that says nothing, or half of a range, or one that goes backwards", () => {
    expect(refusal([{ id: 1 }, {}])).toMatch(/vlanTrunk\[1\]: it contains no VLAN/);
    expect(refusal([{ minID: 4 }])).toMatch(/must be set together/);
    expect(refusal([{ maxID: 4 }])).toMatch(/must be set together/);
    expect(refusal([{ minID: 5, maxID: 4 }])).toMatch(/maxID 4 is below minID 5/);
  });
});

describe("the bridge's default VLAN", () => {
  const vlans = vlansOf({ vlan: 100 })!;

  it("goes, unless it is to stay, is asked for, or there is none", () => {
    expect(describeVlans(unwanted(vlans, 1, false))).toBe("1");
    expect(describeVlans(unwanted(vlans, 500, false))).toBe("500");
    expect([unwanted(vlans, 1, true), unwanted(vlans, 0, false), unwanted(vlans, 100, false)]).toEqual([[], [], []]);
  });

  it("is one that CHECK expects, when it stays", () => {
    expect(describeVlans(expected(vlans, 1, true))).toBe("1 untagged, 100 pvid untagged");
    expect(describeVlans(expected(vlans, 1, false))).toBe("100 pvid untagged");
    expect(describeVlans(expected(vlansOf({ vlan: 7, vlanTrunk: [{ id: 9 }] })!, 0, true))).toBe("7 pvid untagged, 9");
  });
});
