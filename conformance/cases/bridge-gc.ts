// bridge: GC (B-91 and B-92).

import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import { addDown, conf, GATEWAY, gc, hostLocal, makeBridge, pod, pods, portOf, ports } from "./bridge-shared.ts";
import { MAY_NOT_ENTER } from "./netns.ts";

const needs = ["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "plugin:static"];
const one = rowsThatNeed(needs);
const masq = rowsThatNeed([...needs, "kernel:inet_nat"]);

export const bridgeGc: CaseTable = {
  perMain: [],
  fixed: [
    masq("B-91", "S", "C-110: GC", "3 of 10 valid: the other ports and leases gone, those of others untouched", (t) => {
      const config = conf({ ...GATEWAY, ...hostLocal() });
      const all = pods(t, 10);
      for (const set of all) t.add(config, { set, ns: set.CNI_CONTAINERID });
      const other = { ...conf(hostLocal("10.62.0.0/24"), "1.0.0"), name: "net2" };
      t.add(other);
      t.sh("ip link add x0 type veth peer name x1; ip link set x0 master br0");
      const valid = [1, 4, 7].map((n) => ({ containerID: `p${n}`, ifname: "eth0" }));
      t.silent("GC", ...gc(config, valid));
      t.leaseCount(3);
      t.leaseCount(1, "net2");
      t.equal(ports(t).length, 5, "ports");
      for (const n of [1, 4, 7]) t.present("eth0", `p${n}`);
      t.present("eth0");
      t.present("x0", "");
    }),
    masq(
      "B-91t",
      "S",
      "C-110: GC",
      "pods of the Go plugin, the spoof check and ipMasq by iptables: what the dead one had is gone, the living one's stays",
      (t) => {
        makeBridge(t);
        const config = conf({ isGateway: true, ipMasq: true, macspoofchk: true, ...hostLocal() }, "1.0.0");
        const second = pod(t, "c2");
        addDown(t, config, t.byPeer);
        const prevResult = addDown(t, config, { ...t.byPeer, ...second });
        t.endNetns("c1");
        t.silent("GC", ...gc({ ...config, cniVersion: "1.1.0" }, [{ containerID: "c2", ifname: "eth0" }]));
        t.leaseCount(1);
        const rules = t.sh("nft list ruleset");
        t.equal(/ctr-1|10\.61\.0\.2\b/.exec(rules)?.[0], undefined, "what names the dead pod");
        t.equal(rules.match(/chain CNI-/g)?.length, 1, "chains of iptables");
        t.silent("CHECK", { ...config, prevResult }, second);
        // The runtime may be wrong about the living one.
        t.silentRun(t.call("GC", ...gc({ ...config, cniVersion: "1.1.0" })));
        t.silent("CHECK", { ...config, prevResult }, second);
      },
      ["peer:bridge", "program:iptables"],
    ),
    one("B-91b", "H", "GC of what is no port", "another program's veth with an alias like ours: stays", (t) => {
      t.sh("ip link add cali1 type veth peer name far1; ip link set cali1 alias podnic:net1:gone:e1");
      t.silent("GC", ...gc(conf()));
      t.present("cali1", "");
    }),
    one(
      "B-91c",
      "H",
      "GC of what is no port",
      "a lent device that came back with the name and the alias of a port: stays, and host-device restores it",
      (t) => {
        t.sh("ip link add ens5 type veth peer name far5");
        const lent = { cniVersion: "1.1.0", name: "hd", type: "host-device", device: "ens5" };
        const options = { plugin: "host-device", wrap: '"$@" >/dev/null' };
        t.silentRun(t.call("ADD", lent, options));
        // What ADD of podnic calls the host's end of "podnic:net1:gone:e1".
        const name = "veth38531538";
        t.sh(`ip -n c1 link set eth0 down; ip -n c1 link set eth0 name ${name} alias podnic:net1:gone:e1
          ip -n c1 link set ${name} netns $$`);
        t.silent("GC", ...gc(conf()));
        t.present(name, "");
        t.silentRun(t.call("DEL", lent, options));
        t.present("ens5", "");
      },
      ["plugin:host-device"],
    ),
    one(
      "B-91d",
      "H",
      "GC of a network with a long name",
      "its port goes, that of a name that begins alike stays",
      (t) => {
        const name = (end: string) => "n".repeat(200) + end;
        const ids = ["a", "b"].map((letter) => ({ CNI_CONTAINERID: letter.repeat(64) }));
        t.netns("c2");
        t.add({ ...conf(hostLocal()), name: name("1") }, { set: ids[0]! });
        const other = { set: { ...ids[1]!, CNI_NETNS: "/run/netns/c2" }, ns: "c2" };
        const config = { ...conf(hostLocal("10.62.0.0/24")), name: name("2") };
        const prevResult = t.add(config, other);
        t.silent("GC", ...gc({ ...conf(hostLocal()), name: name("1") }));
        t.gone();
        t.leaseCount(0, name("1"));
        t.silent("CHECK", { ...config, prevResult }, { set: other.set });
        t.silent("DEL", config, { set: other.set });
        t.equal(ports(t).length, 0, "ports");
      },
    ),
    masq(
      "B-91e",
      "H",
      "GC of a port that it leaves",
      "ports without podnic's marks: leases and rules of those that are not valid stay until their pods are gone; GC warns",
      (t) => {
        const config = conf({ ...GATEWAY, ...hostLocal() });
        const all = pods(t, 3);
        for (const set of all) t.add(config, { set, ns: set.CNI_CONTAINERID });
        t.sh("ip link add cali1 type veth peer name eth1 netns p2");
        for (const ns of ["p0", "p1"]) t.sh(`ip link set ${portOf(t, ns).name} alias "" address 02:00:00:00:00:98`);
        // As plugins before 0.8 wrote it.
        t.write("/var/lib/cni/networks/net1/10.61.0.3", "p1");
        const first = t.call("GC", ...gc(config, [{ containerID: "p1", ifname: "eth0" }]));
        t.equal(first.status, 0, first.stdout);
        t.equal(first.stderr.match(/keeps the lease/g)?.length ?? 0, 1, "warnings");
        t.gone("eth0", "p2");
        for (const ns of ["p0", "p1"]) t.present("eth0", ns);
        t.leaseCount(2);
        const ruleset = t.sh("nft list table inet cni_plugins_masquerade");
        t.equal(ruleset.match(/masquerade comment/g)?.length ?? 0, 2, "rules");
        t.endNetns("p0");
        t.silent("GC", ...gc(config, [{ containerID: "p1", ifname: "eth0" }]));
        t.leaseCount(1);
      },
      ["program:nft"],
    ),
    masq(
      "B-91f",
      "H",
      "GC of a port that it leaves",
      "a pod has the address on an interface of its own, and podnic may not enter namespaces (EPERM of setns): E(11), lease and rules stay",
      (t) => {
        const config = conf({ ...GATEWAY, ...hostLocal() });
        const { ips } = t.add(config);
        t.sh(`ip link del ${portOf(t).name}; ip -n c1 link add mine type veth peer name far
          ip -n c1 address add ${ips![0]!.address} dev mine`);
        t.error(t.call("GC", gc(config)[0], { wrap: MAY_NOT_ENTER }), [11]);
        t.leaseCount(1);
        const ruleset = t.sh("nft list table inet cni_plugins_masquerade");
        t.equal(ruleset.match(/masquerade comment/g)?.length ?? 0, 1, "rules");
      },
      ["program:nft", "program:setpriv"],
    ),
    one(
      "B-91g",
      "H",
      "what is freed is not in use",
      "the network was a macvlan at ADD, and is a bridge at GC, and the attachment is not valid: its lease stays until the pod is gone",
      (t) => {
        const config = conf(hostLocal());
        const added = t.call("ADD", { ...config, type: "macvlan", master: "up0" }, { plugin: "macvlan" });
        t.equal(added.status, 0, added.stdout);
        const run = t.call("GC", ...gc(config));
        t.equal(run.status, 0, run.stdout);
        t.leaseCount(1);
        t.endNetns("c1");
        t.silent("GC", ...gc(config));
        t.leaseCount(0);
      },
      ["plugin:macvlan"],
    ),
    one(
      "B-91h",
      "H",
      "what is freed is not in use",
      "GC of a macvlan network: the port of a bridge network, which uses the same addresses, has that of an attachment that is not valid: its lease goes; that of a port of its own stays",
      (t) => {
        const config = conf(hostLocal());
        const { ips } = t.add({ ...config, name: "net2" });
        const lease = `/var/lib/cni/networks/net1/${ips![0]!.address.split("/")[0]}`;
        const collect = () => t.call("GC", ...gc({ ...config, type: "macvlan", master: "up0" }));
        t.write(lease, "gone\r\neth0");
        t.silentRun(collect());
        t.leaseCount(0);
        t.silent("DEL", { ...config, name: "net2" });
        t.add(config);
        const kept = collect();
        t.equal(kept.status, 0, kept.stdout);
        t.equal(kept.stderr.match(/keeps the lease/g)?.length ?? 0, 1, "warnings");
        t.leaseCount(1);
      },
      ["plugin:macvlan"],
    ),
    one(
      "B-91i",
      "H",
      "GC of a port that it leaves",
      "no lease is stale, and podnic may not enter namespaces (EPERM of setns): OK, all stays",
      (t) => {
        const config = conf(hostLocal());
        t.add(config);
        t.sh("ip -n c1 link add mine type veth peer name far");
        const [valid] = gc(config, [{ containerID: "ctr-1", ifname: "eth0" }]);
        t.silent("GC", valid, { wrap: MAY_NOT_ENTER });
        t.present("eth0");
        t.leaseCount(1);
      },
      ["program:setpriv"],
    ),
    one(
      "B-91j",
      "H",
      "what is freed is not in use",
      "GC: a pod with another plugin's veth has a device lent for a network that uses the same addresses, with that of an attachment that is not valid: its lease goes",
      (t) => {
        const config = conf(hostLocal());
        t.sh("ip link add ens5 type veth peer name far5; ip link add cali1 type veth peer name eth1 netns c1");
        t.add({ ...config, name: "net2", type: "host-device", device: "ens5" });
        t.write("/var/lib/cni/networks/net1/10.61.0.2", "gone\r\neth0");
        t.silent("GC", ...gc(config));
        t.leaseCount(0);
      },
      ["plugin:host-device"],
    ),
    one("B-92", "H", "GC of another network", "nothing of this one is touched", (t) => {
      t.add(conf(hostLocal()));
      const before = t.picture();
      t.silent("GC", ...gc({ ...conf(hostLocal("10.62.0.0/24")), name: "net2" }));
      t.unchangedSince(before);
    }),
  ],
};
