// macspoofchk on a real kernel: the rules as `nft` prints them, the frames that pass, and compatibility with the Go plugin.
import { beforeEach, describe, expect, it, onTestFinished } from "vitest";
import { parseMac } from "../../ip/mac.ts";
import { enterSandbox, ipJson, sh } from "../../testing/sandbox.ts";
import { spoofId } from "../names.ts";
import { probeSpoofCheck } from "../probe.ts";
import { NftSocket } from "../socket.ts";
import { addSpoofCheck, checkSpoofCheck, listSpoofChecks, removeSpoofCheck } from "../spoof-check.ts";
import { flush, goBridge, hasGo, owner, ruleset } from "./node.ts";

enterSandbox();
const nft = NftSocket.open();
const MAC = parseMac("02:00:00:00:00:01")!;
const ID = spoofId(owner);
const EMPTY = `table bridge nat {
	chain PREROUTING {
		type filter hook prerouting priority dstnat; policy accept;
	}
}
`;

beforeEach(flush);

/** `nft` prints chains in the order of their creation. */
const sorted = (text: string): string => text.split("\n").sort().join("\n");

const add = (of = owner, device = "veth0") => addSpoofCheck(nft, of, device, MAC);
const check = (jump?: number) => checkSpoofCheck(nft, ID, "veth0", MAC, jump);

describe("addSpoofCheck", () => {
  it("makes what the Go plugin makes, and a comment on each chain", () => {
    add();
    expect(ruleset()).toBe(`table bridge nat {
	chain PREROUTING {
		type filter hook prerouting priority dstnat; policy accept;
		iifname "veth0" jump cni-br-iface-cid-1-eth0 comment "macspoofchk-cid-1-eth0"
	}

	chain cni-br-iface-cid-1-eth0 {
		comment "a77a08d9e52331f4-94e6bc2af6ffc8dc, net: net-a, if: eth0, id: cid-1"
		jump cni-br-iface-cid-1-eth0-mac comment "macspoofchk-cid-1-eth0"
	}

	chain cni-br-iface-cid-1-eth0-mac {
		comment "a77a08d9e52331f4-94e6bc2af6ffc8dc, net: net-a, if: eth0, id: cid-1"
		ether saddr 02:00:00:00:00:01 return comment "macspoofchk-cid-1-eth0"
		drop comment "macspoofchk-cid-1-eth0"
	}
}
`);
  });

  it("returns the jump's handle", () => {
    const jump = add();
    expect(sh("nft -a list chain bridge nat PREROUTING")).toContain(
      `comment "macspoofchk-cid-1-eth0" # handle ${jump}\n`,
    );
  });

  it("leaves the same when it is repeated, also with what is left of one", () => {
    add();
    const first = sorted(ruleset());
    add();
    expect(sorted(ruleset())).toBe(first);
    sh("nft flush chain bridge nat PREROUTING; nft delete chain bridge nat cni-br-iface-cid-1-eth0");
    add();
    expect(sorted(ruleset())).toBe(first);
    sh("nft flush chain bridge nat PREROUTING; nft flush chain bridge nat cni-br-iface-cid-1-eth0");
    sh("nft delete chain bridge nat cni-br-iface-cid-1-eth0-mac");
    add();
    expect(sorted(ruleset())).toBe(first);
  });

  it("replaces the device and the address", () => {
    addSpoofCheck(nft, owner, "veth9", parseMac("02:00:00:00:00:09")!);
    add();
    expect(ruleset()).not.toMatch(/veth9|00:09/);
    check();
  });

  it("leaves the rules, chains and settings of others", () => {
    sh(`nft 'add table bridge nat; add chain bridge nat PREROUTING { type filter hook prerouting priority -200; policy drop; }
      add rule bridge nat PREROUTING iifname "mine" accept comment "macspoofchk-cid-1-eth0x"'`);
    const before = ruleset();
    add();
    expect(removeSpoofCheck(nft, ID)).toBe(true);
    expect(ruleset()).toBe(before);
  });

  it("refuses a table that is switched off and a chain that nothing comes to", () => {
    sh("nft 'add table bridge nat { flags dormant; }'");
    expect(() => add()).toThrow(/the nftables table bridge nat is disabled/);
    sh("nft 'delete table bridge nat; add table bridge nat; add chain bridge nat PREROUTING'");
    expect(() => add()).toThrow(/PREROUTING in the table bridge nat is not attached to the prerouting hook/);
    expect(sh("nft list ruleset")).not.toContain("cni-br");
  });

  it("takes ids up to the kernel's length and refuses longer ones", () => {
    const longest = { ...owner, containerId: "c".repeat(127 - "cni-br-iface--eth0-mac".length) };
    add(longest);
    checkSpoofCheck(nft, spoofId(longest), "veth0", MAC);
    const before = ruleset();
    expect(() => add({ ...longest, containerId: `${longest.containerId}c` })).toThrow(
      /128 characters, and the limit is 127/,
    );
    expect(ruleset()).toBe(before);
  });
});

describe("chains of another network that have the same names", () => {
  const other = { ...owner, network: "another" };
  it("stay at DEL", () => {
    add();
    const before = ruleset();
    expect(removeSpoofCheck(nft, ID, undefined, other)).toBe(false);
    expect(ruleset()).toBe(before);
    expect(removeSpoofCheck(nft, ID, undefined, owner)).toBe(true);
  });
  it("are not taken over by ADD", () => {
    add();
    const before = ruleset();
    expect(() => add(other)).toThrow(/the chain cni-br-iface-cid-1-eth0 in the table bridge nat belongs to another/);
    expect(ruleset()).toBe(before);
  });
  // The second chain of the shorter name has the same name as the port's chain of the longer one.
  const longer = { ...owner, ifName: "eth0-mac" };
  it.each([
    ["the longer name second", owner, longer],
    ["the longer name first", longer, owner],
  ])("stay, and are not taken over, when one interface is eth0 and the other eth0-mac: %s", (_, first, second) => {
    add(first);
    const before = ruleset();
    expect(() => add(second, "veth1")).toThrow(
      /the chain cni-br-iface-cid-1-eth0-mac in the table bridge nat belongs to another/,
    );
    expect(removeSpoofCheck(nft, spoofId(second), undefined, second)).toBe(false);
    expect(ruleset()).toBe(before);
    expect(removeSpoofCheck(nft, spoofId(first), undefined, first)).toBe(true);
    expect(ruleset()).toBe(EMPTY);
  });
  it("go when they say nothing, as the Go plugin's do", () => {
    sh("nft 'add table bridge nat; add chain bridge nat cni-br-iface-cid-1-eth0'");
    expect(removeSpoofCheck(nft, ID, undefined, other)).toBe(true);
  });
});

describe("removeSpoofCheck", () => {
  it("removes all of its own, and says whether there was something", () => {
    expect(removeSpoofCheck(nft, ID)).toBe(false);
    add();
    expect(removeSpoofCheck(nft, ID)).toBe(true);
    expect(ruleset()).toBe(EMPTY);
    expect(removeSpoofCheck(nft, ID)).toBe(false);
  });

  it("of an id that is too long for any chain there is nothing, whatever else is in the table", () => {
    add();
    const before = ruleset();
    for (const length of [127, 230, 238, 242, 243, 300, 5000])
      expect(removeSpoofCheck(nft, `${"c".repeat(length)}-eth0`)).toBe(false);
    expect(ruleset()).toBe(before);
  });

  it("by the number, by a wrong one, and with a second jump", () => {
    const jump = add();
    removeSpoofCheck(nft, ID, jump);
    expect(ruleset()).toBe(EMPTY);
    const other = add({ ...owner, ifName: "eth1" });
    add();
    removeSpoofCheck(nft, ID, other);
    expect(ruleset()).toContain("cid-1-eth1");
    expect(ruleset()).not.toContain("cid-1-eth0");
    const first = add();
    sh('nft add rule bridge nat PREROUTING iifname "veth7" jump cni-br-iface-cid-1-eth0');
    removeSpoofCheck(nft, ID, first);
    expect(ruleset()).not.toContain("cid-1-eth0");
    removeSpoofCheck(nft, "cid-1-eth1", 9999);
    expect(ruleset()).toBe(EMPTY);
  });

  it("what is left of one", () => {
    add();
    sh("nft flush chain bridge nat PREROUTING");
    removeSpoofCheck(nft, ID);
    expect(ruleset()).toBe(EMPTY);
    add();
    sh("nft flush chain bridge nat PREROUTING; nft delete chain bridge nat cni-br-iface-cid-1-eth0");
    removeSpoofCheck(nft, ID);
    expect(ruleset()).toBe(EMPTY);
  });

  it.each([
    ["cni-br-iface-cid-1-eth0", "jump cni-br-iface-cid-1-eth0"],
    ["cni-br-iface-cid-1-eth0-mac", "jump cni-br-iface-cid-1-eth0-mac"],
  ])("leaves %s empty while somebody else's rule leads to it", (chain, rule) => {
    add();
    sh(`nft 'add chain bridge nat foreign; add rule bridge nat foreign ${rule}'`);
    removeSpoofCheck(nft, ID);
    const left = ruleset();
    expect([left.match(/cni-br-iface\S*/g), left.includes("macspoofchk")]).toEqual([[chain, chain], false]);
    sh("nft flush chain bridge nat foreign; nft delete chain bridge nat foreign");
    removeSpoofCheck(nft, ID);
    expect(ruleset()).toBe(EMPTY);
  });
});

describe("checkSpoofCheck", () => {
  it("passes what was added, with and without the number", () => {
    const jump = add();
    check();
    check(jump);
    check(9999);
  });

  it.each([
    ["flush chain bridge nat PREROUTING", /no rule sends the frames of veth0/],
    ["flush chain bridge nat cni-br-iface-cid-1-eth0", /does not send all frames to/],
    ["insert rule bridge nat cni-br-iface-cid-1-eth0 return", /does not send all frames to/],
    [
      "flush chain bridge nat cni-br-iface-cid-1-eth0-mac",
      /does not drop frames from addresses other than 02:00:00:00:00:01/,
    ],
    [
      "insert rule bridge nat cni-br-iface-cid-1-eth0-mac ether saddr 02:00:00:00:00:02 return",
      /does not drop frames from addresses other than 02:00:00:00:00:01/,
    ],
    ["add table bridge nat { flags dormant; }", /is disabled/],
    ["flush ruleset", /PREROUTING is missing/],
  ])("fails after nft %s", (line, what) => {
    const jump = add();
    sh(`nft '${line}'`);
    expect(() => check()).toThrow(what);
    expect(() => check(jump)).toThrow(what);
  });

  it("fails for another device and another address", () => {
    add();
    expect(() => checkSpoofCheck(nft, ID, "veth1", MAC)).toThrow(/no rule sends the frames of veth1/);
    expect(() => checkSpoofCheck(nft, ID, "veth0", parseMac("02:00:00:00:00:02")!)).toThrow(/02:00:00:00:00:02/);
  });
});

it("lists ours and those of others, and no chain of an address", () => {
  add();
  sh("nft 'add chain bridge nat cni-br-iface-cid-2-eth0; add chain bridge nat cni-br-iface-cid-2-eth0-mac'");
  sh("nft 'add table bridge other; add chain bridge other cni-br-iface-cid-3-eth0'");
  expect(listSpoofChecks(nft)).toEqual([
    {
      id: "cid-1-eth0",
      comment: "a77a08d9e52331f4-94e6bc2af6ffc8dc, net: net-a, if: eth0, id: cid-1",
      device: "veth0",
    },
    { id: "cid-2-eth0", comment: "", device: "" },
  ]);
});

it("probes without a trace", () => {
  probeSpoofCheck();
  expect(ruleset()).toBe("");
});

it("lets frames of the pod's address pass, and no others", () => {
  sh(`ip link add br0 type bridge; ip link set br0 up; ip address add 192.0.2.1/24 dev br0
    ip link add veth0 type veth peer name eth0 netns pod; ip link set veth0 master br0 up
    ip -n pod link set eth0 address 02:00:00:00:00:01 up; ip -n pod address add 192.0.2.2/24 dev eth0`);
  onTestFinished(() => void sh("ip link del br0; ip link del veth0"));
  const ping = "ip neigh flush dev br0; ip netns exec pod ping -c 4 -i 0.3 -W 1 192.0.2.1";
  add();
  sh(ping);
  sh("ip -n pod link set eth0 address 02:00:00:00:00:02");
  expect(() => sh(ping)).toThrow();
  removeSpoofCheck(nft, ID);
  sh(ping);
});

// These tests need the Go plugins, which `npm run setup` downloads.
describe.runIf(hasGo)("beside the Go plugin", () => {
  const more = { macspoofchk: true };

  it("removes what Go made, and passes CHECK on it", () => {
    goBridge("ADD", owner, more);
    const result = sh("nft list chain bridge nat PREROUTING");
    const device = /iifname "(\w+)"/.exec(result)![1]!;
    const mac = parseMac(ipJson("-n pod link show eth0")[0].address)!;
    checkSpoofCheck(nft, ID, device, mac);
    expect(listSpoofChecks(nft)).toEqual([{ id: ID, comment: "", device }]);
    expect(removeSpoofCheck(nft, ID)).toBe(true);
    expect(ruleset()).toBe(EMPTY);
    goBridge("DEL", owner, more);
  });

  it("removes both jumps of a Go plugin that was called twice", () => {
    goBridge("ADD", owner, more);
    sh("ip -n pod link del eth0");
    goBridge("ADD", owner, more);
    expect(ruleset().match(/iifname/g)).toHaveLength(2);
    removeSpoofCheck(nft, ID);
    expect(ruleset()).toBe(EMPTY);
    goBridge("DEL", owner, more);
  });

  it("Go removes what we made", () => {
    goBridge("ADD", owner, {});
    add();
    add({ ...owner, ifName: "eth1" });
    goBridge("DEL", owner, more);
    expect(ruleset()).not.toContain("cid-1-eth0");
    checkSpoofCheck(nft, "cid-1-eth1", "veth0", MAC);
  });
});
