// ipMasq on a real kernel: the rules as `nft` prints them, the translated packets, and compatibility with the Go plugin.
import { beforeEach, describe, expect, it } from "vitest";
import { host } from "../../host/host.ts";
import { parsePrefix } from "../../ip/address.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { findGarbage, removeGarbage } from "../collect.ts";
import { usesLegacy } from "../iptables.ts";
import { addMasquerade, checkMasquerade, listByIptables, listMasquerades, removeMasquerade } from "../masquerade.ts";
import { iptablesChain, type Owner, spoofId } from "../names.ts";
import { probeMasquerade } from "../probe.ts";
import { NftSocket } from "../socket.ts";
import { addSpoofCheck, listSpoofChecks } from "../spoof-check.ts";
import { flush, goBridge, hasGo, ipam, owner, ruleset } from "./node.ts";

enterSandbox();
const nft = NftSocket.open();
const v4 = parsePrefix("10.61.0.2/24")!;
const v6 = parsePrefix("fd61::2/64")!;
const BOTH = [v4, v6];
const other = { ...owner, containerId: "cid-2" };
const COMMENT = "a77a08d9e52331f4-94e6bc2af6ffc8dc, net: net-a, if: eth0, id: cid-1";

/** The table with these rules for pods, as `nft` prints it. */
const table = (...rules: string[]): string => `table inet cni_plugins_masquerade {
	comment "Masquerading for plugins from github.com/containernetworking/plugins"
	chain masq_checks {
		comment "Masquerade traffic from certain IPs to any (non-multicast) IP outside their subnet"
${rules.map((rule) => `\t\t${rule} masquerade comment "${COMMENT}"\n`).join("")}	}

	chain postrouting {
		type nat hook postrouting priority srcnat; policy accept;
		ip daddr 224.0.0.0/4 return
		ip6 daddr ff00::/8 return
		goto masq_checks
	}
}
`;
const RULES = ["ip saddr 10.61.0.2 ip daddr != 10.61.0.0/24", "ip6 saddr fd61::2 ip6 daddr != fd61::/64"];

beforeEach(flush);

describe("addMasquerade", () => {
  it("makes what the Go plugin makes", () => {
    addMasquerade(nft, owner, BOTH);
    expect(ruleset()).toBe(table(...RULES));
  });

  it("looks at what is there for all pods in one send, and adds its rule in another", () => {
    addMasquerade(nft, owner, [v4], true);
    let sends = 0;
    const { send } = host;
    host.send = (...args) => {
      sends++;
      return send.apply(host, args);
    };
    try {
      addMasquerade(nft, other, [v6], true);
    } finally {
      host.send = send;
    }
    expect(sends).toBe(2);
  });

  it.each([
    ["the table is switched off", "add table inet cni_plugins_masquerade { flags dormant; }", false],
    ["the chain drops the rest", "chain inet cni_plugins_masquerade postrouting { policy drop; }", true],
    ["the chain leads nowhere", "flush chain inet cni_plugins_masquerade postrouting", true],
    ["another rule decides before", "insert rule inet cni_plugins_masquerade postrouting accept", true],
  ])("sees that %s", (_, change, isMended) => {
    addMasquerade(nft, owner, [v4], true);
    sh(`nft '${change}'`);
    const add = () => addMasquerade(nft, other, [v4], true);
    if (!isMended) expect(add).toThrow("dormant");
    else {
      add();
      expect(ruleset()).toContain("policy accept");
      expect(ruleset()).toMatch(/postrouting \{[^}]*policy accept;\s+ip daddr 224[^}]*goto masq_checks/);
    }
  });

  it("returns the rules' handles, of these alone", () => {
    for (const fresh of [true, false]) {
      const [first, second, ...more] = addMasquerade(nft, owner, BOTH, fresh);
      expect(sh("nft -a list chain inet cni_plugins_masquerade masq_checks")).toContain(`# handle ${first}\n`);
      expect(sh("nft -a list chain inet cni_plugins_masquerade masq_checks")).toContain(`# handle ${second}\n`);
      expect(more).toEqual([]);
      removeMasquerade(nft, owner);
    }
  });

  it.each([0, 1, 7, 8, 9, 15, 16, 20, 23, 24, 25, 30, 31, 32])("of an IPv4 subnet of length %i", (length) => {
    addMasquerade(nft, owner, [parsePrefix(`10.61.77.255/${length}`)!]);
    const ours = sh("nft --debug=netlink list chain inet cni_plugins_masquerade masq_checks 2>&1 | grep '\\['");
    const text = /!= (\S+)/.exec(ruleset())![1]!;
    sh(`nft flush chain inet cni_plugins_masquerade masq_checks
      nft add rule inet cni_plugins_masquerade masq_checks ip saddr 10.61.77.255 ip daddr != ${text} masquerade`);
    expect(sh("nft --debug=netlink list chain inet cni_plugins_masquerade masq_checks 2>&1 | grep '\\['")).toBe(ours);
    const network = sh(`python3 -c 'import ipaddress; print(ipaddress.ip_network("10.61.77.255/${length}", False))'`);
    expect(text.replace(/^10.61.77.255$/, "10.61.77.255/32")).toBe(network.trim());
  });

  it("replaces what is there of the attachment, and nothing else", () => {
    addMasquerade(nft, other, [parsePrefix("10.61.0.9/24")!]);
    addMasquerade(nft, owner, [parsePrefix("10.61.0.7/24")!]);
    addMasquerade(nft, owner, BOTH);
    expect(ruleset()).not.toContain("10.61.0.7");
    expect(ruleset().match(/masquerade comment/g)).toHaveLength(3);
    checkMasquerade(nft, other, [parsePrefix("10.61.0.9/24")!]);
  });

  it("restores the chain at the hook when somebody emptied it", () => {
    addMasquerade(nft, owner, BOTH);
    sh("nft flush chain inet cni_plugins_masquerade postrouting");
    addMasquerade(nft, owner, BOTH);
    expect(ruleset()).toBe(table(...RULES));
    sh(
      "nft flush chain inet cni_plugins_masquerade postrouting; nft delete chain inet cni_plugins_masquerade masq_checks",
    );
    addMasquerade(nft, owner, BOTH, true);
    checkMasquerade(nft, owner, BOTH);
  });

  it("refuses a table that is switched off", () => {
    sh("nft 'add table inet cni_plugins_masquerade { flags dormant; }'");
    expect(() => addMasquerade(nft, owner, BOTH)).toThrow(
      /ipMasq: the nftables table inet cni_plugins_masquerade is disabled/,
    );
  });

  it("leaves other tables as they are", () => {
    sh(`nft 'add table ip nat; add chain ip nat POSTROUTING { type nat hook postrouting priority 100; policy accept; }
      add rule ip nat POSTROUTING ip saddr 10.61.0.2 counter masquerade; add table inet firewalld'`);
    const before = ruleset();
    addMasquerade(nft, owner, BOTH);
    removeMasquerade(nft, owner);
    expect(ruleset()).toBe(before + table());
  });
});

describe("removeMasquerade", () => {
  it("removes all of its own, by numbers and without, and says whether there was something", () => {
    expect(removeMasquerade(nft, owner)).toBe(false);
    for (const rules of [undefined, [], [1, 2], [9999]]) {
      addMasquerade(nft, owner, BOTH);
      expect(removeMasquerade(nft, owner, rules)).toBe(true);
      expect(ruleset()).toBe(table());
      expect(removeMasquerade(nft, owner, rules)).toBe(false);
    }
    expect(removeMasquerade(nft, owner, addMasquerade(nft, owner, BOTH))).toBe(true);
    expect(ruleset()).toBe(table());
  });

  it("touches no rule of another attachment, whatever the numbers", () => {
    const theirs = addMasquerade(nft, other, BOTH);
    addMasquerade(nft, owner, BOTH);
    removeMasquerade(nft, owner, theirs);
    expect(listMasquerades(nft).map(({ handle }) => handle)).toEqual(theirs);
  });
});

describe("checkMasquerade", () => {
  it("passes what was added, and fails for another address and another subnet", () => {
    const rules = addMasquerade(nft, owner, BOTH);
    for (const known of [undefined, rules, [...rules].reverse(), [9999]]) checkMasquerade(nft, owner, BOTH, known);
    expect(() => checkMasquerade(nft, other, BOTH, rules)).toThrow(/no rule for it/);
    expect(() => checkMasquerade(nft, owner, [parsePrefix("10.61.0.3/24")!])).toThrow(/from 10.61.0.3 are not masq/);
    expect(() => checkMasquerade(nft, owner, [parsePrefix("10.61.0.2/25")!])).toThrow(/from 10.61.0.2 are not masq/);
    expect(() => checkMasquerade(nft, other, BOTH)).toThrow(/no rule for it/);
  });

  it.each([
    ["flush chain inet cni_plugins_masquerade masq_checks", /the chain masq_checks has no rule for it/],
    ["flush chain inet cni_plugins_masquerade postrouting", /no packet reaches the chain masq_checks/],
    ["flush ruleset", /no packet reaches the chain masq_checks/],
    ["add table inet cni_plugins_masquerade { flags dormant; }", /is disabled/],
  ])("fails after nft %s", (line, what) => {
    addMasquerade(nft, owner, BOTH);
    sh(`nft '${line}'`);
    expect(() => checkMasquerade(nft, owner, BOTH)).toThrow(what);
  });
});

it("probes without a trace", () => {
  probeMasquerade();
  expect(ruleset()).toBe("");
});

it("translates what leaves the subnet, and only that", () => {
  sh(`ip netns add world; ip link add up0 type veth peer name eth0 netns world; ip link set up0 up
    ip address add 198.51.100.1/24 dev up0; ip -n world address add 198.51.100.9/24 dev eth0; ip -n world link set eth0 up
    ip link add down0 type veth peer name eth9 netns pod; ip link set down0 up; ip address add 10.61.0.1/24 dev down0
    ip -n pod address add 10.61.0.2/24 dev eth9; ip -n pod link set eth9 up; ip -n pod route add default via 10.61.0.1
    echo 1 >/proc/sys/net/ipv4/ip_forward`);
  const ping = (to: string) => () => sh(`ip netns exec pod ping -c 1 -W 1 ${to}`);
  expect(ping("198.51.100.9")).toThrow();
  addMasquerade(nft, owner, [v4]);
  ping("198.51.100.9")();
  sh("nft insert rule inet cni_plugins_masquerade masq_checks counter comment seen");
  ping("10.61.0.1")();
  removeMasquerade(nft, owner);
  expect(ping("198.51.100.9")).toThrow();
  sh("ip link del up0; ip link del down0; ip netns del world");
});

describe("findGarbage", () => {
  it("is what belongs to the network and to no attachment that is valid", () => {
    const mac = new Uint8Array([2, 0, 0, 0, 0, 1]);
    const foreign = { ...other, network: "net-b" };
    for (const each of [owner, other, foreign]) {
      addMasquerade(nft, each, BOTH);
      addSpoofCheck(nft, { ...each, ifName: `if-${each.network}` }, "veth0", mac);
    }
    const valid = [{ containerId: "cid-1", ifName: "eth0" }];
    const garbage = findGarbage(nft, "net-a", valid, () => true);
    expect(garbage.spoofChecks.map(({ id }) => id)).toEqual(["cid-1-if-net-a", "cid-2-if-net-a"]);
    expect(garbage.masquerades.map(({ comment }) => comment.split(", ").slice(1).join(" "))).toEqual(
      Array(2).fill("net: net-a if: eth0 id: cid-2"),
    );
    removeGarbage(nft, garbage);
    expect(findGarbage(nft, "net-a", valid, () => true)).toEqual({ spoofChecks: [], masquerades: [], byIptables: [] });
    checkMasquerade(nft, owner, BOTH);
    checkMasquerade(nft, foreign, BOTH);
    expect(listSpoofChecks(nft).map(({ id }) => id)).toEqual([spoofId({ ...foreign, ifName: "if-net-b" })]);
  });

  it("of hundreds of pods", () => {
    for (let i = 0; i < 300; i++) addMasquerade(nft, { ...owner, containerId: `many-${i}` }, [v4], true);
    removeGarbage(
      nft,
      findGarbage(nft, "net-a", [], () => true),
    );
    expect(ruleset()).toBe(table());
  });
});

// These tests need the Go plugins, which `npm run setup` downloads.
describe.runIf(hasGo)("beside the Go plugin", () => {
  const more = { isGateway: true, ipMasq: true, ipam };

  it("passes CHECK on what Go made by nftables, and removes it", () => {
    const result = JSON.parse(goBridge("ADD", owner, { ...more, ipMasqBackend: "nftables" }));
    const addresses = result.ips.map(({ address }: { address: string }) => parsePrefix(address)!);
    checkMasquerade(nft, owner, addresses);
    expect(removeMasquerade(nft, owner)).toBe(true);
    expect(ruleset()).toBe(table());
    goBridge("DEL", owner, { ...more, ipMasqBackend: "nftables" });
  });

  it("Go removes what we made", () => {
    goBridge("ADD", owner, { ipam });
    addMasquerade(nft, owner, BOTH);
    addMasquerade(nft, other, BOTH);
    goBridge("DEL", owner, more);
    expect(listMasquerades(nft)).toHaveLength(2);
    checkMasquerade(nft, other, BOTH);
    sh("nft flush ruleset");
  });

  it("passes CHECK on what Go made by iptables, and removes it for the addresses given", () => {
    const result = JSON.parse(goBridge("ADD", owner, { ...more, ipMasqBackend: "iptables" }));
    goBridge("ADD", { ...owner, ifName: "eth1" }, { ...more, ipMasqBackend: "iptables" });
    goBridge("ADD", { ...other, ifName: "eth2" }, { ...more, ipMasqBackend: "iptables" });
    const addresses = result.ips.map(({ address }: { address: string }) => parsePrefix(address)!);
    checkMasquerade(nft, owner, addresses);
    expect(() => checkMasquerade(nft, owner, [parsePrefix("10.61.0.200/24")!])).toThrow(/10.61.0.200/);
    const count = () => sh("iptables -t nat -S POSTROUTING; ip6tables -t nat -S POSTROUTING").match(/-j CNI-/g)?.length;
    expect(count()).toBe(6);
    expect(
      removeMasquerade(
        nft,
        owner,
        undefined,
        addresses.map(({ address }: typeof v4) => address),
      ),
    ).toBe(true);
    expect(count()).toBe(4);
    expect(() => checkMasquerade(nft, owner, addresses)).toThrow(/are not masqueraded/);
    expect(removeMasquerade(nft, owner)).toBe(true);
    expect(count()).toBe(2);
    removeMasquerade(nft, other);
    expect(sh("iptables -t nat -S; ip6tables -t nat -S")).not.toContain("CNI-");
    for (const ifName of ["eth0", "eth1"]) goBridge("DEL", { ...owner, ifName }, more);
    goBridge("DEL", { ...other, ifName: "eth2" }, more);
  });
});

it("lists what iptables masquerades, if its rules and its chain name one and the same container", () => {
  const jump = (family: string, address: string, named: Omit<Owner, "ifName">, chain = iptablesChain(named)) =>
    sh(`${family} -t nat -N ${chain} 2>/dev/null || true; ${family} -t nat -A POSTROUTING -s ${address} -j ${chain} \
      -m comment --comment 'name: "${named.network}" id: "${named.containerId}"'`);
  const [a, b] = [
    { network: "net-a", containerId: "cid-1" },
    { network: "net-a", containerId: "cid-2" },
  ];
  jump("iptables", "10.61.0.2", a);
  jump("iptables", "10.61.0.3", a);
  jump("ip6tables", "2001:db8::2", a);
  jump("iptables", "10.61.0.4", b, iptablesChain(a).replace(/.$/, "-"));
  // Two containers whose chains have the same name.
  jump("iptables", "10.61.0.5", { network: "net", containerId: "b1" });
  jump("iptables", "10.61.0.6", { network: "netb", containerId: "1" });
  sh('iptables -t nat -A POSTROUTING -s 10.61.0.7 -j ACCEPT -m comment --comment \'name: "net-a" id: "cid-7"\'');
  const addresses = ["10.61.0.2", "10.61.0.3", "2001:db8::2"];
  expect(listByIptables(nft)).toEqual([{ ...a, addresses }]);
  expect(findGarbage(nft, "net-a", [{ ...a, ifName: "eth7" }], () => true).byIptables).toEqual([]);
  expect(findGarbage(nft, "net", [], () => true).byIptables).toEqual([]);
  removeGarbage(
    nft,
    findGarbage(nft, "net-a", [], () => true),
  );
  expect(listByIptables(nft)).toEqual([]);
  expect(sh("iptables -t nat -S; ip6tables -t nat -S").match(/10.61.0.[2-7]/g)).toEqual(
    [4, 5, 6, 7].map((n) => `10.61.0.${n}`),
  );
  sh("nft flush ruleset");
});

it("sees that iptables-legacy is in use", () => {
  expect(usesLegacy()).toBe(false);
  sh("iptables-legacy -t nat -S");
  expect(usesLegacy()).toBe(true);
});
