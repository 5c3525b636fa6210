// The findings of the plugins' own rules. Each finding points to the wrong value, and one run reports all of them.
import { expect, test } from "vitest";
import { run } from "./run.ts";

interface Found {
  level: string;
  path: string;
  message: string;
}

/** The errors in one plugin's configuration, in the form "path: message". */
function errorsOf(config: object): string[] {
  const text = JSON.stringify({ cniVersion: "1.0.0", name: "n", ...config });
  const { files } = JSON.parse(run(["validate", "--json", "-"], text).stdout);
  const found: Found[] = files[0].findings;
  return found.filter(({ level }) => level === "error").map(({ path, message }) => `${path}: ${message}`);
}

const macvlan = { type: "macvlan", master: "up0" };
const pool = (...ranges: object[]) => ({ ...macvlan, ipam: { type: "host-local", ranges: [ranges] } });
const addresses = (...list: object[]) => ({ ...macvlan, ipam: { type: "static", addresses: list } });
const subnet = "10.0.0.0/24";

test.each<[string, object, string[]]>([
  [
    "the address, although a right gateway follows it",
    addresses({ address: "10.0.0.5", gateway: "10.0.0.1" }),
    ["ipam.addresses[0].address: the 'address' field is expected to be in CIDR notation, got: '10.0.0.5'"],
  ],
  [
    "the gateway",
    addresses({ address: "10.0.0.5/24", gateway: "10.0.0.1/24" }),
    [
      'ipam.addresses[0].gateway: ipam.addresses[0].gateway must be an IP address such as 192.0.2.1 or 2001:db8::1 (found "10.0.0.1/24")',
    ],
  ],
  [
    "the MAC address that passthru has no use for",
    { ...macvlan, mode: "passthru", mac: "02:00:00:00:00:01" },
    ["mac: other keys conflict with macvlan mode passthru"],
  ],
  [
    "the sender that is no MAC address",
    { ...macvlan, mode: "source", macaddr: ["02:00:00:00:00:01", "01:00:00:00:00:01"] },
    ["macaddr[1]: invalid MAC address 01:00:00:00:00:01"],
  ],
  [
    "the start of a range that is above its end",
    pool({ subnet, rangeStart: "10.0.0.200", rangeEnd: "10.0.0.100" }),
    ["ipam.ranges[0][0].rangeStart: invalid range set 0: RangeStart 10.0.0.200 is above RangeEnd 10.0.0.100"],
  ],
  [
    "the range of the other family",
    pool({ subnet }, { subnet: "10.0.1.0/24" }, { subnet: "2001:db8::/64" }),
    ["ipam.ranges[0][2]: invalid range set 0: mixed address families"],
  ],
  [
    "the VLAN protocol",
    {
      type: "sriov",
      deviceID: "0000:01:00.1",
      vlanProto: "802.1x",
      vlan: 0,
      vlanQoS: 3,
      min_tx_rate: 9,
      max_tx_rate: 5,
    },
    [
      'vlanProto: vlanProto "802.1x" is unknown',
      "vlanQoS: vlanQoS requires a vlan other than 0",
      "min_tx_rate: min_tx_rate 9 is above max_tx_rate 5",
    ],
  ],
  [
    "all that is wrong with the IPAM part",
    {
      ...macvlan,
      ipam: {
        type: "host-local",
        ranges: [
          [{ subnet: "10.0.0.5/24" }, { subnet: "10.1.0.0/24", gateway: "10.1.0" }],
          [{ subnet: "10.2.0.0/33" }],
        ],
        routes: [{ dst: "default" }, { dst: "0.0.0.0/0", gw: "10.1.0.1" }],
        dataDir: "/etc/x",
        exclude: ["10.1.0.7", "y"],
      },
    },
    [
      "ipam.ranges[0][0].subnet: invalid range set 0: Network has host bits set. For a subnet mask of length 24 the network address is 10.0.0.0",
      "ipam.ranges[0][1].gateway: invalid range set 0: invalid IP address: 10.1.0",
      "ipam.ranges[1][0].subnet: invalid range set 1: invalid CIDR address: 10.2.0.0/33",
      'ipam.routes[0].dst: ipam.routes[0].dst must be an address with a prefix length (CIDR notation) such as 192.0.2.1/24 (found "default")',
      'ipam.dataDir: dataDir "/etc/x" is outside the directories allowed for it',
      "ipam.exclude[1]: invalid IP address: y",
    ],
  ],
])("a finding is at %s", (_, config, expected) => {
  expect(errorsOf(config)).toEqual(expected);
});

test("what the schema objects to hides no rule that does not depend on it", () => {
  const config = { ...pool({ subnet, rangeStart: "10.0.0.200", rangeEnd: "10.0.0.100" }), mode: "brigde", mtu: "x" };
  expect(errorsOf(config)).toEqual([
    "ipam.ranges[0][0].rangeStart: invalid range set 0: RangeStart 10.0.0.200 is above RangeEnd 10.0.0.100",
    'mode: mode must be one of "bridge", "private", "vepa", "passthru", "source"; did you mean "bridge"? (found "brigde")',
    'mtu: mtu must be a whole number without quotes (found "x")',
  ]);
});

test("a rule that depends on a wrong value says nothing", () => {
  // "macaddr" requires the mode source. The mode is misspelled, so the rule cannot be checked.
  const senders = { ...macvlan, mode: "sourc", macaddr: ["02:00:00:00:00:01"] };
  expect(errorsOf(senders)).toHaveLength(1);
  // podnic checks the valid ranges of a set, but cannot tell whether they overlap with the invalid one.
  const half = pool({ subnet: 7 }, { subnet: "10.0.0.1/24" }, { subnet });
  expect(errorsOf(half).map((each) => each.slice(0, 24))).toEqual([
    "ipam.ranges[0][0].subnet",
    "ipam.ranges[0][1].subnet",
  ]);
});
