import { describe, expect, it } from "vitest";
import { formatAddress } from "../../src/ip/address.ts";
import { failure } from "../../src/testing/calls.ts";
import type { RangeConfig } from "./config.schema.ts";
import { formatSet, rangeSets } from "./ranges.ts";

const sets = (given: RangeConfig[][], version = "1.0.0") =>
  rangeSets(
    given.map((ranges, i) => ({
      where: `ipam.ranges[${i}]`,
      at: `/ipam/ranges/${i}`,
      ranges: ranges.map((config, j) => ({ at: `/ipam/ranges/${i}/${j}`, config })),
    })),
    version,
  )!;
const error = (given: RangeConfig[][], version?: string) => failure(() => sets(given, version));
const one = (range: RangeConfig): string => {
  const [set] = sets([[range]]);
  const gateway = set![0]!.gateway;
  return `${formatSet(set!)} ${gateway ? formatAddress(gateway) : "none"}`;
};

describe("one range (HL-R)", () => {
  it.each([
    ["R1", { subnet: "192.0.2.0/24" }, "192.0.2.1-192.0.2.254 192.0.2.1"],
    ["R2", { subnet: "192.0.2.0/25" }, "192.0.2.1-192.0.2.126 192.0.2.1"],
    ["R7", { subnet: "2001:DB8:1::/64" }, "2001:db8:1::1-2001:db8:1:0:ffff:ffff:ffff:ffff 2001:db8:1::1"],
    ["/30", { subnet: "10.0.0.0/30" }, "10.0.0.1-10.0.0.2 10.0.0.1"],
    ["/126", { subnet: "2001:db8::/126" }, "2001:db8::1-2001:db8::3 2001:db8::1"],
    ["/0", { subnet: "0.0.0.0/0" }, "0.0.0.1-255.255.255.254 0.0.0.1"],
    ["::/0", { subnet: "::/0" }, "::1-ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff ::1"],
    [
      "R10",
      { subnet: "192.0.2.0/24", rangeStart: "192.0.2.40", rangeEnd: "192.0.2.50", gateway: "192.0.2.254" },
      "192.0.2.40-192.0.2.50 192.0.2.254",
    ],
    ["edges", { subnet: "10.0.0.0/30", rangeStart: "10.0.0.0", rangeEnd: "10.0.0.3" }, "10.0.0.0-10.0.0.3 10.0.0.1"],
    ["empty texts", { subnet: "10.0.0.0/30", rangeStart: "", rangeEnd: "", gateway: "" }, "10.0.0.1-10.0.0.2 10.0.0.1"],
    ["gateway elsewhere", { subnet: "10.0.0.0/30", gateway: "169.254.1.1" }, "10.0.0.1-10.0.0.2 169.254.1.1"],
    ["no gateway", { subnet: "10.0.0.0/30", gateway: "10.0.0.2", noGateway: true }, "10.0.0.1-10.0.0.2 none"],
  ])("%s", (_name, range, expected) => {
    expect(one(range)).toBe(expected);
  });

  it.each([
    [
      "R3",
      { subnet: "192.0.2.12/24" },
      "Network has host bits set. For a subnet mask of length 24 the network address is 192.0.2.0",
    ],
    [
      "R4",
      { subnet: "2001:DB8:1::24:19ff:fee1:c44a/64" },
      "Network has host bits set. For a subnet mask of length 64 the network address is 2001:db8:1::",
    ],
    [
      "R5",
      { subnet: "2001:DB8:24:19ff::/63" },
      "Network has host bits set. For a subnet mask of length 63 the network address is 2001:db8:24:19fe::",
    ],
    [
      "R6",
      { subnet: "192.168.127.0/23" },
      "Network has host bits set. For a subnet mask of length 23 the network address is 192.168.126.0",
    ],
    ["R8", { subnet: "192.0.2.0/31" }, "Network 192.0.2.0/31 too small to allocate from"],
    ["/32", { subnet: "192.0.2.0/32" }, "Network 192.0.2.0/32 too small to allocate from"],
    ["/127", { subnet: "2001:db8::/127" }, "Network 2001:db8::/127 too small to allocate from"],
    [
      "R9 start",
      { subnet: "192.0.2.0/24", rangeStart: "192.0.3.0" },
      "RangeStart 192.0.3.0 not in network 192.0.2.0/24",
    ],
    ["R9 end", { subnet: "192.0.2.0/24", rangeEnd: "192.0.4.0" }, "RangeEnd 192.0.4.0 not in network 192.0.2.0/24"],
    [
      "R9 both",
      { subnet: "192.0.2.0/24", rangeStart: "192.0.2.50", rangeEnd: "192.0.2.40" },
      "RangeStart 192.0.2.50 is above RangeEnd 192.0.2.40",
    ],
    [
      "end first",
      { subnet: "192.0.2.0/24", rangeEnd: "192.0.2.0" },
      "RangeEnd 192.0.2.0 is the address of the network 192.0.2.0/24 itself",
    ],
    ["family", { subnet: "192.0.2.0/24", rangeStart: "::1" }, "RangeStart ::1 not in network 192.0.2.0/24"],
    ["none", {}, 'a range has no "subnet"'],
    ["bad", { subnet: "192.0.2.0" }, "invalid CIDR address: 192.0.2.0"],
    ["bad start", { subnet: "192.0.2.0/24", rangeStart: "x" }, "invalid IP address: x"],
    ["mapped", { subnet: "::ffff:192.0.2.0/120" }, "IPNet IP and Mask version mismatch"],
    [
      "gateway of another family",
      { subnet: "192.0.2.0/24", gateway: "2001:db8::1" },
      "gateway 2001:db8::1 is not of the same family as 192.0.2.0/24",
    ],
  ])("%s is refused", (_name, range, expected) => {
    expect(error([[range]])).toBe(`invalid range set 0: ${expected}`);
  });
});

describe("sets (HL-C, HL-S)", () => {
  it("C2: ranges of a set get defaults of their own", () => {
    const given = [
      [{ subnet: "10.1.2.0/24", rangeStart: "10.1.2.9", rangeEnd: "10.1.2.20" }, { subnet: "10.1.4.0/24" }],
      [{ subnet: "11.1.2.0/24" }],
    ];
    expect(sets(given).map(formatSet)).toEqual(["10.1.2.9-10.1.2.20,10.1.4.1-10.1.4.254", "11.1.2.1-11.1.2.254"]);
  });

  it("a subnet may be split between ranges and sets", () => {
    const low = { subnet: "10.1.2.0/24", rangeEnd: "10.1.2.127" };
    const high = { subnet: "10.1.2.0/24", rangeStart: "10.1.2.128" };
    expect(sets([[low, high]])).toHaveLength(1);
    expect(sets([[low], [high]])).toHaveLength(2);
    expect(error([[low], [{ ...high, rangeStart: "10.1.2.127" }]])).toBe("range set 0 overlaps with 1");
  });

  it.each([
    ["C8", [[{ subnet: "10.1.2.0/24" }], [{ subnet: "10.1.0.0/22" }]], "range set 0 overlaps with 1"],
    [
      "S3",
      [[{ subnet: "10.1.0.0/22" }], [{ subnet: "11.0.0.0/24" }], [{ subnet: "10.1.2.0/24" }]],
      "range set 0 overlaps with 2",
    ],
    [
      "C9",
      [[{ subnet: "10.1.0.0/22" }, { subnet: "10.1.2.0/24" }]],
      "invalid range set 0: subnets 10.1.0.1-10.1.3.254 and 10.1.2.1-10.1.2.254 overlap",
    ],
    [
      "S2",
      [[{ subnet: "192.168.0.0/20" }, { subnet: "192.168.2.0/24" }]],
      "invalid range set 0: subnets 192.168.0.1-192.168.15.254 and 192.168.2.1-192.168.2.254 overlap",
    ],
    [
      "C10",
      [[{ subnet: "10.1.2.0/24" }, { subnet: "2001:db8:5::/64" }]],
      "invalid range set 0: mixed address families",
    ],
    ["empty set", [[{ subnet: "10.1.2.0/24" }], []], "invalid range set 1: empty range set"],
    ["no set", [], "no IP ranges specified"],
  ])("%s is refused", (_name, given, expected) => {
    expect(error(given)).toBe(expected);
  });

  it("C11, C12: one set of each family before 0.3.0", () => {
    const two = [[{ subnet: "10.1.2.0/24" }], [{ subnet: "10.1.3.0/24" }]];
    for (const version of ["0.1.0", "0.2.0"]) {
      expect(error(two, version)).toBe(`CNI version ${version} does not support more than 1 address per family`);
      expect(sets([[{ subnet: "10.1.2.0/24" }], [{ subnet: "2001:db8::/64" }]], version)).toHaveLength(2);
    }
    expect(sets(two, "0.3.0")).toHaveLength(2);
  });
});
