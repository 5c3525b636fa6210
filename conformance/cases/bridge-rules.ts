// bridge: macspoofchk and ipMasq (B-51 to B-67).
import { type Case, type CaseTable, NotRunnable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { addDown, conf, demandPing, fixed, gc, hostLocal, makeBridge, pod, portOf, ports } from "./bridge-shared.ts";

const needs = ["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "plugin:static", "program:nft"];
const one = rowsThatNeed(needs);
const NAT = "kernel:inet_nat";
const masq = rowsThatNeed([...needs, NAT]);

const SPOOF = { macspoofchk: true, macspoofchkBackend: "nftables" };
const LOCK = { macspoofchk: true };
const MASQ: Config = { isGateway: true, ipMasq: true, ipMasqBackend: "nftables", ...hostLocal() };

const DROP_FRAMES = "nft 'chain bridge nat PREROUTING { policy drop; }'";
const DROP_PACKETS = "nft 'chain inet cni_plugins_masquerade postrouting { policy drop; }'";

const rules = (t: Trial): string => t.sh("nft -a list ruleset");
/** Rules of a pod: those that name it, and chains for it. */
const ofPod = (t: Trial, id = "ctr-1"): string[] =>
  rules(t)
    .split("\n")
    .filter((line) => line.includes(id));
const masqRules = (t: Trial): string[] =>
  rules(t)
    .split("\n")
    .filter((line) => / masquerade .*comment/.test(line));

const rulesWithoutHandles = (t: Trial): string => t.sh("nft list ruleset");

/** The pod's kernel refuses a route, after the rules are made: one of the link's own scope by a gateway. */
const failing = (keys: Config): Config => {
  const routes = [{ dst: "203.0.113.0/24", gw: "198.51.100.254", scope: 253 }];
  return conf({ ...keys, ...hostLocal("10.61.0.0/24", { routes }) });
};

/** c1 on 10.61.0.2 and c2 on 10.61.0.3 reach each other until c1 takes another MAC address. */
function cutOff(t: Trial, keys: Config): void {
  t.add(conf({ ...keys, ...fixed("10.61.0.2/24") }));
  t.add(conf({ ...keys, ...fixed("10.61.0.3/24") }), pod(t, "c2"));
  demandPing(t, "c1", "10.61.0.3");
  const { mac } = t.link("eth0")!;
  t.sh("ip -n c1 link set eth0 address 02:00:00:00:00:99; ip -n c2 neigh flush all");
  demandPing(t, "c1", "10.61.0.3", true);
  t.sh(`ip -n c1 link set eth0 address ${mac}; ip -n c2 neigh flush all`);
  demandPing(t, "c1", "10.61.0.3");
}

/** Sends frames to each of the groups that a bridge may take for itself, from the interface and with the address that are named. */
const LINK_LOCAL = `socket(S, 17, 3, 0) or die; ($i, $m) = @ARGV; for $d (0 .. 15) { for $type ("88cc", "0026424203") { $to = sprintf("0180c20000%02x", $d); send(S, pack("H*", $to . $m . $type . "00" x 50), 0, pack("SniSCCH16", 17, 3, $i, 1, 0, 6, $to . "0000")) or die } }`;

/** c1 sends link-local frames with the address of c2, which stays where it is for the bridge. */
function keepsPlace(t: Trial, keys: Config): void {
  makeBridge(t);
  t.add(conf(fixed("10.61.0.3/24")), pod(t, "c2"));
  t.add(conf({ ...keys, ...fixed("10.61.0.2/24") }));
  demandPing(t, "c2", "10.61.0.2");
  const mac = podMac(t);
  const before = entriesOf(t, mac);
  t.expect(before.includes(portOf(t, "c2").name), "the bridge knows c2", before);
  t.sh(
    `i=$(ip -n c1 -o link show eth0 | cut -d: -f1); ip netns exec c1 perl -e '${LINK_LOCAL}' $i ${mac.replaceAll(":", "")}`,
  );
  t.equal(entriesOf(t, mac), before, "where the bridge sends the frames for c2");
}

const podMac = (t: Trial): string => t.link("eth0", "c2")!.mac;
const entriesOf = (t: Trial, mac: string): string => t.sh(`bridge fdb show br br0 | grep ${mac} | sort || true`);

/** On kernels without it the spoof check is in nftables. */
const LOCKS = "kernel:locked_ports";

const byPeer = (id: string, what: string, keys: Config, first: "we" | "they"): Case =>
  one(
    id,
    "G",
    "pods of the Go plugin",
    `${what}: ADD by ${first === "we" ? "us, DEL by the peer" : "the peer, CHECK and DEL by us"}: nothing left`,
    (t) => {
      const { supportedVersions } = JSON.parse(t.call("VERSION", conf({}, "1.0.0"), t.byPeer).stdout);
      if (first === "we" && keys.ipMasq && !supportedVersions.includes("1.1.0"))
        throw new NotRunnable("the peer's bridge is older than its nftables back end");
      makeBridge(t);
      const config = conf({ isGateway: true, ...hostLocal(), ...keys }, "1.0.0");
      const options = first === "we" ? {} : t.byPeer;
      const prevResult = addDown(t, config, options);
      if (first === "they") t.silent("CHECK", { ...config, prevResult });
      t.silent("DEL", { ...config, prevResult }, first === "we" ? t.byPeer : {});
      t.gone();
      t.equal(ports(t).length, 0, "ports");
      t.leaseCount(0);
      t.equal([ofPod(t), masqRules(t)], [[], []], "rules");
      t.equal(/CNI-[0-9a-f]{24}/.test(rules(t)), false, "chains of iptables");
    },
    ["peer:bridge", ...(keys === LOCK ? [LOCKS] : []), ...(keys.ipMasqBackend === "nftables" ? [NAT] : [])],
  );

/** DEL finds no namespace. */
const without = (id: string, what: string, netns: (t: Trial) => string): Case =>
  masq(id, "H", "plugins#810", `DEL with the namespace ${what}: rules, port, lease gone`, (t) => {
    const config = conf({ ...SPOOF, ...MASQ });
    const prevResult = t.add(config);
    t.expect(ofPod(t).length > 0, "rules of the pod", rules(t));
    t.silent("DEL", { ...config, prevResult }, { set: { CNI_NETNS: netns(t) } });
    t.equal(ofPod(t), [], "rules");
    t.equal([masqRules(t), ports(t).length], [[], 0], "rules of ipMasq, ports");
    t.leaseCount(0);
  });

const fails = (id: string, what: string, keys: Config, change: (t: Trial) => void): Case =>
  one(
    id,
    "H",
    "CHECK sees the rules",
    `${what}: E`,
    (t) => {
      const config = conf(keys);
      const prevResult = t.add(config);
      t.silent("CHECK", { ...config, prevResult });
      change(t);
      t.error(t.call("CHECK", { ...config, prevResult }));
    },
    keys === LOCK ? [LOCKS] : keys === MASQ ? [NAT] : [],
  );

const handleOf = (t: Trial, pattern: RegExp): string => {
  const line =
    rules(t)
      .split("\n")
      .find((each) => pattern.test(each)) ?? "";
  return /handle (\d+)/.exec(line)?.[1] ?? "";
};

export const bridgeRules: CaseTable = {
  perMain: [],
  fixed: [
    one(
      "B-51a",
      "G",
      "macspoofchk",
      "locked port: another MAC is cut off, the right one passes",
      (t) => cutOff(t, LOCK),
      ["program:ping"],
    ),
    ...(
      [
        ["B-51q", "nftables", SPOOF],
        ["B-51r", "with a requested address", { ...LOCK, mac: "02:00:00:00:00:51" }],
        ["B-51s", "locked port", LOCK],
      ] as const
    ).map(([id, what, keys]) =>
      one(
        id,
        "H",
        "macspoofchk",
        `${what}: link-local frames with another pod's address change nothing`,
        (t) => keepsPlace(t, keys),
        ["program:ping", "program:perl", ...(id === "B-51s" ? [LOCKS] : [])],
      ),
    ),
    one("B-51b", "G", "macspoofchk", "nftables: likewise", (t) => cutOff(t, SPOOF), ["program:ping"]),
    one(
      "B-51d",
      "H",
      "ADD of another network as the same interface, and its DEL",
      "E, OK; the rules of the first one stay",
      (t) => {
        const config = conf(SPOOF);
        const prevResult = t.add(config);
        const before = ofPod(t);
        const other = { ...conf(SPOOF), name: "net2" };
        t.error(t.call("ADD", other));
        t.silent("DEL", other);
        t.equal(ofPod(t), before, "rules");
        t.silent("CHECK", { ...config, prevResult });
        t.silent("DEL", { ...config, prevResult });
        t.equal(ofPod(t), [], "rules");
      },
    ),
    one(
      "B-51c",
      "H",
      "a requested MAC address",
      "that of a host which has been silent, and so is the pod: the host keeps its frames, as without the pod",
      (t) => {
        makeBridge(t, "ageing_time 100");
        const host = pod(t, "c3").ns;
        t.sh(`ip link set up0 master br0; ip link set up1 netns ${host}; ip -n ${host} link set up1 up
          ip -n ${host} address add 10.61.0.254/24 dev up1`);
        t.add(conf(fixed("10.61.0.5/24")), pod(t, "c2"));
        demandPing(t, "c2", "10.61.0.254");
        const { mac } = t.link("up1", host)!;
        t.sh("sleep 2");
        // What the pod sends with this address, as IPv6 does by itself, would lead the frames to it.
        t.sh("ip netns exec c1 sysctl -qw net.ipv6.conf.default.disable_ipv6=1");
        const thief = conf({ ...LOCK, args: { cni: { mac } } });
        const prevResult = t.add(thief);
        demandPing(t, "c2", "10.61.0.254");
        t.silent("CHECK", { ...thief, prevResult });
        t.silent("DEL", thief);
        t.equal(ofPod(t), [], "rules");
      },
      ["program:ping"],
    ),
    ...[
      { id: "B-51e", what: "another pod's, pinned; bridge", backend: "bridge", address: podMac },
      { id: "B-51f", what: "another pod's, pinned; nftables", backend: "nftables", address: podMac },
      {
        id: "B-51g",
        what: "the bridge's own; bridge",
        backend: "bridge",
        address: (t: Trial) => t.link("br0", "")!.mac,
      },
      {
        id: "B-51h",
        what: "the bridge's own; nftables",
        backend: "nftables",
        address: (t: Trial) => t.link("br0", "")!.mac,
      },
      {
        id: "B-51i",
        what: "that of the uplink; bridge",
        backend: "bridge",
        address: (t: Trial) => t.link("up0", "")!.mac,
      },
      { id: "B-51j", what: "the bridge's own; no check", backend: "", address: (t: Trial) => t.link("br0", "")!.mac },
      ...["bridge", "nftables", ""].map((backend, n) => ({
        id: `B-51${"mno"[n]}`,
        what: `that of a macvlan of the node; ${backend || "no check"}`,
        backend,
        address: (t: Trial) => {
          t.sh("ip link add mv0 link br0 up type macvlan mode bridge");
          return t.link("mv0", "")!.mac;
        },
      })),
      {
        id: "B-51p",
        what: "that of a macvlan of another pod; no check",
        backend: "",
        address: (t: Trial) => {
          t.sh("ip link add mv0 link br0 netns c2 type macvlan mode bridge; ip -n c2 link set mv0 up");
          return t.link("mv0", "c2")!.mac;
        },
      },
    ].map(({ id, what, backend, address }) =>
      one(
        id,
        "H",
        "a requested MAC address takes nobody's frames",
        `${what}: E, nothing changed; the other pod and the bridge reach each other`,
        (t) => {
          makeBridge(t);
          t.sh("ip link set up0 master br0; ip address add 10.61.0.1/24 dev br0");
          const first = pod(t, "c2");
          const prevResult = t.add(conf({ ...LOCK, ...fixed("10.61.0.2/24") }), first);
          const mac = address(t);
          const before = entriesOf(t, mac);
          const keys = backend === "" ? {} : { macspoofchk: true, macspoofchkBackend: backend };
          const { msg } = t.refused("ADD", conf({ ...keys, args: { cni: { mac } } }), [7]);
          t.expect(msg.includes(mac), "the address", msg);
          t.equal(entriesOf(t, mac), before, "entries of the bridge");
          demandPing(t, "c2", "10.61.0.1");
          t.silent("CHECK", { ...conf({ ...LOCK, ...fixed("10.61.0.2/24") }), prevResult }, first);
        },
        ["program:ping", LOCKS],
      ),
    ),
    one(
      "B-51k",
      "H",
      "a requested MAC address takes nobody's frames",
      "two ADDs with one address at once: one OK, whose CHECK holds; one E",
      (t) => {
        makeBridge(t);
        const config = conf({ ...LOCK, macspoofchkBackend: "bridge", args: { cni: { mac: "02:00:00:00:00:51" } } });
        const pods = ["p1", "p2"].map((name) => pod(t, name));
        for (let round = 0; round < 4; round++) {
          const runs = t.parallel(pods.map(({ set }) => ({ command: "ADD", stdin: config, set })));
          const won = runs.findIndex(({ status }) => status === 0);
          t.equal(runs.map(({ status }) => status === 0).sort(), [false, true], "one OK");
          const prevResult = JSON.parse(runs[won]!.stdout);
          t.silent("CHECK", { ...config, prevResult }, pods[won]!);
          for (const { set } of pods) t.silent("DEL", config, { set });
        }
      },
      [LOCKS],
    ),
    one(
      "B-51l",
      "H",
      "a requested MAC address",
      "in use behind the uplink, and the bridge shall check: E that names the port; OK once the bridge has forgotten it",
      (t) => {
        makeBridge(t);
        const entry = "02:00:00:00:00:51 dev up0 master";
        t.sh(`ip link set up0 master br0; bridge fdb add ${entry} dynamic`);
        const before = entriesOf(t, "02:00:00:00:00:51");
        const config = conf({ ...LOCK, macspoofchkBackend: "bridge", args: { cni: { mac: "02:00:00:00:00:51" } } });
        const { msg } = t.refused("ADD", config, [7]);
        t.expect(msg.includes("up0"), "the port", msg);
        t.equal(entriesOf(t, "02:00:00:00:00:51"), before, "entries of the bridge");
        t.sh(`bridge fdb del ${entry}`);
        const prevResult = t.add(config);
        t.silent("CHECK", { ...config, prevResult });
        t.expect(entriesOf(t, "02:00:00:00:00:51").includes("static"), "pinned", entriesOf(t, "02:00:00:00:00:51"));
      },
      [LOCKS],
    ),
    one("B-52", "G", "1.4: names, comments and rules of the Go plugin", "the layout of its tables", (t) => {
      t.add(conf(SPOOF, "1.0.0"));
      const { name } = portOf(t);
      const { mac } = t.link("eth0")!;
      const table = t.sh("nft list table bridge nat").replace(/\s+/g, " ");
      const id = "ctr-1-eth0";
      for (const part of [
        "chain PREROUTING { type filter hook prerouting priority dstnat; policy accept;",
        `iifname "${name}" jump cni-br-iface-${id} comment "macspoofchk-${id}"`,
        `jump cni-br-iface-${id}-mac comment "macspoofchk-${id}"`,
        `ether saddr ${mac} return comment "macspoofchk-${id}"`,
        `drop comment "macspoofchk-${id}"`,
      ])
        t.expect(table.includes(part), part, table);
    }),
    ...["accept", 'iifname "veth*" accept'].map((rule, n) =>
      one(
        `B-52${"ab"[n]}`,
        "H",
        "no success that isolates nothing",
        `the spoof check is evaluated before another program's rule (${rule}), and CHECK holds`,
        (t) => {
          t.sh(`nft add table bridge nat
            nft 'add chain bridge nat PREROUTING { type filter hook prerouting priority dstnat; }'
            nft add rule bridge nat PREROUTING ${rule}`);
          const config = conf(SPOOF, "1.0.0");
          const prevResult = t.add(config);
          const [first = ""] = t
            .sh("nft list chain bridge nat PREROUTING")
            .split("\n")
            .filter((line) => / (jump|accept)\b/.test(line) && !line.includes("policy"));
          t.expect(first.includes("jump cni-br-iface-"), "the jump first", first);
          t.silent("CHECK", { ...config, prevResult });
          t.silent("DEL", { ...config, prevResult });
          t.expect(
            t.sh("nft list chain bridge nat PREROUTING").includes(`\t${rule}\n`),
            "the rule of others",
            rules(t),
          );
        },
      ),
    ),
    masq("B-53", "H", "no program is needed", "PATH without nft and iptables: spoof check and ipMasq OK", (t) => {
      t.add(conf({ ...SPOOF, ...MASQ }), { set: { PATH: "/nowhere" } });
      t.expect(masqRules(t).length === 1, "a rule of ipMasq", rules(t));
    }),
    fails("B-54a", "ruleset flushed, spoof check", SPOOF, (t) => t.sh("nft flush ruleset")),
    fails("B-54b", "ruleset flushed, ipMasq", MASQ, (t) => t.sh("nft flush ruleset")),
    masq("B-55", "H", "DEL repeats", "ruleset flushed, then DEL: OK without a word", (t) => {
      const config = conf({ ...SPOOF, ...MASQ });
      const prevResult = t.add(config);
      t.sh("nft flush ruleset");
      const run = t.call("DEL", { ...config, prevResult });
      t.silentRun(run);
      t.equal(run.stderr, "", "stderr");
    }),
    ...["cni-br-iface-ctr-1-eth0", "cni-br-iface-ctr-1-eth0-mac"].map((chain, n) =>
      masq(
        `B-55${"bc"[n]}`,
        "H",
        "DEL does not wait for other programs",
        `another program's rule jumps to ${chain}: OK, all gone but the empty chain; gone too when the rule is`,
        (t) => {
          const config = conf({ ...SPOOF, ...MASQ });
          t.add(config);
          t.sh(`nft add chain bridge nat other; nft add rule bridge nat other jump ${chain}`);
          for (let times = 0; times < 2; times++) t.silent("DEL", config);
          t.leaseCount(0);
          const left = ofPod(t, "cni-br-iface-ctr-1").map((line) => line.replace(/ # handle.*/, "").trim());
          t.equal([left.sort(), masqRules(t)], [[`chain ${chain} {`, `jump ${chain}`], []], "rules");
          t.silent("GC", ...gc(config));
          t.sh("nft flush chain bridge nat other");
          t.silent("DEL", config);
          t.equal(ofPod(t), [], "rules");
        },
      ),
    ),
    masq(
      "B-55d",
      "H",
      "DEL removes every rule",
      "saved rules loaded again beside those that are there: all gone",
      (t) => {
        const config = conf({ ...SPOOF, ...MASQ });
        t.add(config);
        t.add(config, pod(t, "c2"));
        t.sh("nft list ruleset >/run/case-saved; nft -f /run/case-saved");
        t.equal(masqRules(t).length, 4, "rules of ipMasq");
        t.silent("DEL", config);
        t.equal([ofPod(t), masqRules(t).length], [[], 2], "rules of the pod, rules of ipMasq");
      },
    ),
    one("B-59c", "H", "names at their limits", "container ID too long for nftables: E(4), nothing made", (t) => {
      t.refused("ADD", conf({ ...SPOOF, ...hostLocal() }), [4], { set: { CNI_CONTAINERID: "c".repeat(200) } });
    }),
    one("B-91s", "H", "GC", "an interface whose name ends as that of a chain of an address: its rules go", (t) => {
      const set = { CNI_IFNAME: "net1-mac" };
      t.add(conf(SPOOF), { set });
      t.expect(ofPod(t).length > 0, "rules", rules(t));
      t.silent("GC", ...gc(conf(SPOOF)));
      t.equal(ofPod(t), [], "rules");
    }),
    one(
      "B-56",
      "H",
      "one jump for each attachment",
      "ADD of the same IDs again, after a DEL that never came: one jump",
      (t) => {
        makeBridge(t);
        addDown(t, conf(SPOOF, "1.0.0"));
        t.netns("c2");
        addDown(t, conf(SPOOF, "1.0.0"), { set: { CNI_NETNS: "/run/netns/c2" } });
        const jumps = ofPod(t).filter((line) => line.includes("iifname"));
        t.expect(jumps.length === 1, "one jump", jumps);
      },
    ),
    without("B-57a", "empty", () => ""),
    without("B-57b", "gone", (t) => {
      t.sh("ip netns del c1");
      return "/run/netns/c1";
    }),
    masq(
      "B-57c",
      "H",
      "a path that another pod has by now",
      "DEL of the old pod: its rules gone, the new pod untouched",
      (t) => {
        const config = conf({ ...SPOOF, ...MASQ });
        t.add(config);
        t.endNetns("c1");
        t.netns("c1");
        const set = { CNI_CONTAINERID: "ctr-2" };
        const prevResult = t.add(config, { set });
        t.silent("DEL", config);
        t.equal(ofPod(t), [], "rules of the old pod");
        t.silent("CHECK", { ...config, prevResult }, { set });
      },
    ),
    byPeer("B-58a", "spoof check", { macspoofchk: true }, "they"),
    byPeer("B-58b", "ipMasq by nftables", { ipMasq: true, ipMasqBackend: "nftables" }, "they"),
    byPeer("B-58c", "ipMasq by iptables", { ipMasq: true, ipMasqBackend: "iptables" }, "they"),
    byPeer("B-58d", "spoof check by nftables", SPOOF, "we"),
    byPeer("B-58e", "spoof check by the locked port", LOCK, "we"),
    byPeer("B-58f", "ipMasq", { ipMasq: true, ipMasqBackend: "nftables" }, "we"),
    one(
      "B-58g",
      "H",
      "pods of the Go plugin",
      "the network names another bridge by now: DEL with the prevResult removes the interface",
      (t) => {
        makeBridge(t);
        const config = conf(hostLocal(), "1.0.0");
        const prevResult = addDown(t, config, t.byPeer);
        t.silent("DEL", { ...config, bridge: "br7", prevResult });
        t.equal([t.link("eth0"), ports(t)], [undefined, []], "interfaces");
      },
      ["peer:bridge"],
    ),
    masq(
      "B-59",
      "H",
      "names at their limits",
      "container ID of 64 and name of 15 characters: OK, gone after DEL",
      (t) => {
        const set = { CNI_CONTAINERID: "c".repeat(64), CNI_IFNAME: "fifteencharsif0" };
        t.add(conf({ ...SPOOF, ...MASQ }), { set });
        t.silent("DEL", conf({ ...SPOOF, ...MASQ }), { set });
        t.equal([ofPod(t, "cccc"), masqRules(t)], [[], []], "rules");
      },
    ),
    one(
      "B-61",
      "H",
      "a locked port",
      "protected after a flush; nothing in nf_tables; nothing left after DEL",
      (t) => {
        makeBridge(t);
        const prevResult = t.add(conf(LOCK));
        const port = portOf(t);
        t.equal([port.locked, port.learning, rules(t).trim()], [true, false, ""], "locked, learning, rules");
        t.sh("nft flush ruleset");
        t.silent("CHECK", { ...conf(LOCK), prevResult });
        const { mac } = t.link("eth0")!;
        t.silent("DEL", conf(LOCK));
        t.expect(!t.sh("bridge fdb show br br0").includes(mac), "no entry of the pod", t.sh("bridge fdb show br br0"));
      },
      [LOCKS],
    ),
    ...["10.61.0.2/24", "fd00:61::2/64"].map((address, n) =>
      one(
        `B-63${"ab"[n]}`,
        "G",
        "ipMasq",
        `${address}: leaves with the node's address; inside the subnet it does not`,
        (t) => {
          const [outside, node, gateway, inside] =
            n === 0
              ? ["192.0.2.9/24", "192.0.2.1/24", "10.61.0.1", "10.61.0.3"]
              : ["2001:db8::9/64", "2001:db8::1/64", "fd00:61::1", "fd00:61::3"];
          const at = outside.split("/")[0]!;
          t.sh(`ip address add ${node} dev up0 nodad 2>/dev/null || ip address add ${node} dev up0
          ip netns add out; ip link set up1 netns out; ip -n out link set up1 up; ip -n out address add ${outside} dev up1 nodad 2>/dev/null || ip -n out address add ${outside} dev up1`);
          const keys = (a: string) => conf({ isDefaultGateway: true, ipMasq: true, ...fixed(a) });
          t.add(keys(address));
          t.add(keys(address.replace("2/", "3/")), pod(t, "c2"));
          // No way back but by the node's address.
          demandPing(t, "c1", at);
          demandPing(t, "c1", gateway);
          demandPing(t, "c1", inside);
          t.sh("nft flush ruleset");
          demandPing(t, "c1", at, true);
        },
        ["program:ping", NAT],
      ),
    ),
    one(
      "B-63c",
      "H",
      "ipMasq on a kernel without NAT in the family inet",
      "E that names Linux 5.2, nothing left, DEL OK",
      (t) => {
        makeBridge(t);
        const error = t.refused("ADD", conf(MASQ));
        t.expect(/Linux 5\.2/.test(error.details ?? ""), "the version", error.details ?? "");
        t.equal([ports(t).length, masqRules(t)], [0, []], "ports, rules");
        t.silent("DEL", conf(MASQ));
      },
      ["kernel:no-inet_nat"],
    ),
    masq("B-64", "H", "rules do not hang on the link", "ipMasq, link removed behind our back, DEL: rules gone", (t) => {
      const prevResult = t.add(conf(MASQ));
      t.sh("ip -n c1 link del eth0");
      t.silent("DEL", { ...conf(MASQ), prevResult });
      t.equal(masqRules(t), [], "rules");
    }),
    masq("B-65", "H", "two interfaces of a pod", "DEL of one: the other's rules stay", (t) => {
      const second = { set: { CNI_IFNAME: "net2" } };
      t.add(conf(MASQ));
      const prevResult = t.add(conf(MASQ), second);
      t.silent("DEL", conf(MASQ));
      t.equal(masqRules(t).length, 1, "rules");
      t.silent("CHECK", { ...conf(MASQ), prevResult }, second);
      t.silent("DEL", conf(MASQ), second);
      t.equal(masqRules(t).length, 0, "rules");
    }),
    masq("B-66", "H", "a firewall that flushes", "a new ADD after it: its table is complete", (t) => {
      t.add(conf(MASQ));
      t.sh("nft flush ruleset");
      const second = pod(t, "c2");
      const prevResult = t.add(conf(MASQ), second);
      t.silent("CHECK", { ...conf(MASQ), prevResult }, second);
    }),
    masq(
      "B-67",
      "H",
      "beside a user of iptables",
      "20 ADDs and DELs at once while rules are added by iptables: no error, no lost rule",
      (t) => {
        const pods = Array.from({ length: 20 }, (_, n) => pod(t, `p${n}`));
        const all = (command: string) =>
          t.parallel(pods.map(({ set }) => ({ command, stdin: conf({ ...MASQ, ...SPOOF }), set })));
        t.sh(
          "(for n in $(seq 40); do iptables -t nat -A POSTROUTING -s 192.0.2.$n -j ACCEPT; done; echo done >/run/case-ipt) >/dev/null 2>&1 &",
        );
        for (const run of all("ADD")) t.equal(run.status, 0, run.stdout);
        t.equal(masqRules(t).length, 20, "rules of ipMasq");
        for (const run of all("DEL")) t.silentRun(run);
        t.sh("for n in $(seq 100); do [ -e /run/case-ipt ] && exit 0; sleep 0.1; done; exit 1");
        t.equal(
          [masqRules(t).length, t.sh("iptables -t nat -S POSTROUTING | grep -c 192.0.2").trim()],
          [0, "40"],
          "rules",
        );
      },
      ["program:iptables"],
    ),
    ...["{ }", "{ type filter hook postrouting priority 100; }"].map((chain, n) =>
      masq(
        `B-66${"bc"[n]}`,
        "H",
        "no success that does nothing",
        `chain postrouting ${chain}: E, no port left`,
        (t) => {
          t.sh(
            `nft 'add table inet cni_plugins_masquerade; add chain inet cni_plugins_masquerade postrouting ${chain}'`,
          );
          const { msg } = t.error(t.call("ADD", conf(MASQ)));
          t.expect(/postrouting/.test(msg), "a message that names the chain", msg);
          t.equal(ports(t), [], "ports");
        },
      ),
    ),
    masq("B-66d", "H", "a failed ADD is undone", "it was the first with rules: E, no table is left", (t) => {
      for (const keys of [MASQ, { ...SPOOF, ...hostLocal() }, { ...SPOOF, ...MASQ }]) {
        t.error(t.call("ADD", failing(keys)));
        t.equal(rules(t).trim(), "", "rules");
      }
    }),
    masq("B-66e", "H", "a failed ADD is undone", "the tables were there: E, they are as they were", (t) => {
      const config = { ...SPOOF, ...MASQ };
      t.add(conf(config));
      const second = pod(t, "c2");
      for (const id of ["ctr-1", ""]) {
        const before = rulesWithoutHandles(t);
        t.expect(before.includes("goto masq_checks") && before.includes(id), "tables", before);
        t.error(t.call("ADD", failing(config), second));
        t.equal(rulesWithoutHandles(t), before, "rules");
        t.silent("DEL", conf(config));
      }
    }),
    masq("B-66f", "H", "a failed ADD is undone", "the table was another program's: E, its chain stays", (t) => {
      t.sh(`nft 'table bridge nat { chain theirs { type filter hook postrouting priority 0; }; }
        table inet cni_plugins_masquerade { chain theirs { counter; }; }'`);
      const before = rulesWithoutHandles(t);
      t.error(t.call("ADD", failing({ ...SPOOF, ...MASQ })));
      const now = rulesWithoutHandles(t);
      t.equal(now.includes("PREROUTING"), false, "the chain of macspoofchk");
      t.equal(now.split("chain theirs").length, before.split("chain theirs").length, "chains of the other program");
    }),
    fails("B-83a", "the MAC of the spoof rule edited", SPOOF, (t) => {
      const handle = handleOf(t, /ether saddr/);
      t.sh(
        `nft replace rule bridge nat cni-br-iface-ctr-1-eth0-mac handle ${handle} ether saddr 02:00:00:00:00:99 return comment '"macspoofchk-ctr-1-eth0"'`,
      );
    }),
    fails("B-83b", "the jump missing", SPOOF, (t) =>
      t.sh(`nft delete rule bridge nat PREROUTING handle ${handleOf(t, /iifname/)}`),
    ),
    fails("B-83c", "the rule of ipMasq missing", MASQ, (t) =>
      t.sh(`nft delete rule inet cni_plugins_masquerade masq_checks handle ${handleOf(t, / masquerade .*comment/)}`),
    ),
    fails("B-83d", "the port unlocked", LOCK, (t) => t.sh(`bridge link set dev ${portOf(t).name} locked off`)),
    fails("B-83e", "the pinned address gone", LOCK, (t) =>
      t.sh(`bridge fdb del ${t.link("eth0")!.mac} dev ${portOf(t).name} master`),
    ),
    fails("B-83f", "the port learns addresses", LOCK, (t) => t.sh(`bridge link set dev ${portOf(t).name} learning on`)),
    fails("B-83g", "another address pinned to the port", LOCK, (t) =>
      t.sh(`bridge fdb add 02:00:00:00:00:99 dev ${portOf(t).name} master static`),
    ),
    fails("B-83h", "all frames accepted before the jump", SPOOF, (t) =>
      t.sh("nft insert rule bridge nat PREROUTING counter accept"),
    ),
    fails("B-83i", "all packets returned before they come to ipMasq", MASQ, (t) =>
      t.sh("nft insert rule inet cni_plugins_masquerade postrouting return"),
    ),
    fails("B-83j", "all packets accepted before the rule of ipMasq", MASQ, (t) =>
      t.sh("nft insert rule inet cni_plugins_masquerade masq_checks accept"),
    ),
    masq("B-83k", "H", "C-096: CHECK holds", "others' rules that decide of some packets: OK", (t) => {
      const config = conf({ ...SPOOF, ...MASQ });
      const prevResult = t.add(config);
      t.sh(`nft insert rule bridge nat PREROUTING counter
        nft insert rule bridge nat PREROUTING iifname up0 accept
        nft insert rule inet cni_plugins_masquerade postrouting ip daddr 192.0.2.0/24 return
        nft insert rule inet cni_plugins_masquerade masq_checks ip daddr 192.0.2.0/24 accept`);
      t.silent("CHECK", { ...config, prevResult });
    }),
    fails("B-83l", "all frames dropped that the pods' rules let pass", SPOOF, (t) => t.sh(DROP_FRAMES)),
    fails("B-83m", "all packets dropped that ipMasq lets pass", MASQ, (t) => t.sh(DROP_PACKETS)),
    fails("B-83q", "the bridge learns addresses from link-local frames", SPOOF, (t) =>
      t.sh("ip link set br0 type bridge no_linklocal_learn 0"),
    ),
    masq("B-83n", "H", "C-096: CHECK holds", "they are, but for another program's rules: OK, the policy stays", (t) => {
      const config = conf({ ...SPOOF, ...MASQ });
      const second = pod(t, "c2");
      for (const rule of ["ether type ip accept", "jump theirs", "ether type vmap { ip : accept }"]) {
        const prevResult = t.add(config);
        t.sh(`nft add chain bridge nat theirs; nft 'add rule bridge nat PREROUTING ${rule}'
          nft insert rule inet cni_plugins_masquerade postrouting ip daddr 192.0.2.0/24 accept
          ${DROP_FRAMES}; ${DROP_PACKETS}`);
        t.silent("CHECK", { ...config, prevResult });
        t.add(config, second);
        t.equal(rules(t).split("policy drop").length, 3, "chains with the policy drop, and one more");
        t.silent("DEL", config, second);
        t.silent("DEL", config);
        t.sh("nft flush ruleset");
      }
    }),
    masq("B-83o", "H", "a new ADD restores it", "the next ADD: CHECK holds again, also of the first", (t) => {
      const config = conf({ ...SPOOF, ...MASQ });
      const prevResult = t.add(config);
      t.sh(`${DROP_FRAMES}; ${DROP_PACKETS}`);
      const second = pod(t, "c2");
      const result = t.add(config, second);
      t.equal(rules(t).includes("policy drop"), false, "chains with the policy drop");
      t.silent("CHECK", { ...config, prevResult });
      t.silent("CHECK", { ...config, prevResult: result }, second);
    }),
    one("B-83p", "H", "a new ADD restores it", "the chain was there, with another priority: ADD, CHECK OK", (t) => {
      t.sh(`nft 'table bridge nat { chain PREROUTING { type filter hook prerouting priority -150; policy drop; }; }'`);
      const config = conf(SPOOF);
      const prevResult = t.add(config);
      t.silent("CHECK", { ...config, prevResult });
      t.silent("DEL", { ...config, prevResult });
      t.expect(/priority -150; policy accept;/.test(rules(t)), "its priority, and the policy accept", rules(t));
    }),
    masq("B-91r", "H", "GC", "rules of those that are not valid go, the others stay", (t) => {
      const config = conf({ ...SPOOF, ...MASQ });
      t.add(config);
      t.add(config, pod(t, "c2"));
      t.silent("GC", ...gc(config, [{ containerID: "c2", ifname: "eth0" }]));
      t.equal([ofPod(t).length, masqRules(t).length, ofPod(t, "c2-eth0").length > 0], [0, 1, true], "rules");
    }),
  ],
};
