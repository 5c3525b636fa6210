// bridge: DEL, STATUS, crashes and many calls at once (B-85 to B-105).

import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import { keepResult } from "../harness/libcni.ts";
import type { Config } from "../harness/mains.ts";
import { addDown, conf, GATEWAY, hostLocal, makeBridge, pods, portOf, ports } from "./bridge-shared.ts";

const needs = ["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "plugin:static"];
const one = rowsThatNeed(needs);
const masq = rowsThatNeed([...needs, "kernel:inet_nat"]);

const addressesOf = (stdout: string): string => JSON.parse(stdout).ips[0].address;

export const bridgeDel: CaseTable = {
  perMain: [],
  fixed: [
    masq("B-85a", "S", "C-080: DEL repeats", "twice, and of what was never added: OK", (t) => {
      const config = conf({ macspoofchk: true, ...GATEWAY, ...hostLocal() });
      t.silent("DEL", config);
      t.add(config);
      for (let n = 0; n < 2; n++) t.silent("DEL", config);
      t.leaseCount(0);
    }),
    masq("B-85b", "H", "C-081", "without CNI_NETNS: port and lease gone", (t) => {
      const config = conf({ ...GATEWAY, ...hostLocal() });
      t.add(config);
      t.silent("DEL", config, { set: { CNI_NETNS: undefined } });
      t.equal(ports(t).length, 0, "ports");
      t.gone();
      t.leaseCount(0);
    }),
    one("B-85c", "S", "C-080", "IPAM plugin missing: E, all else cleaned", (t) => {
      const config = conf({ ...hostLocal() });
      t.add(config);
      t.error(t.call("DEL", { ...config, ipam: { type: "nosuch-ipam" } }));
      t.equal(ports(t).length, 0, "ports");
    }),
    one(
      "B-85d",
      "H",
      "DEL is about its own attachment",
      "the pod's own eth0 of a plugin without a bridge stays",
      (t) => {
        makeBridge(t);
        t.sh("ip link add routed0 type veth peer name eth0 netns c1");
        t.silent("DEL", conf({}));
        t.present("eth0");
      },
    ),
    one(
      "B-85e",
      "H",
      "DEL is about its own attachment",
      "a Go plugin's eth0 of another network on the same bridge stays; this attachment's goes, by what libcni keeps",
      (t) => {
        makeBridge(t);
        t.sh("ip link add vethgo master br0 type veth peer name eth0 netns c1");
        for (const config of [conf({}), conf(hostLocal())]) {
          t.error(t.call("ADD", config));
          t.silent("DEL", config);
          t.present("eth0");
        }
        t.sh("mkdir -p /var/lib/cni/results; echo {} > /var/lib/cni/results/net1-ctr-1-eth0");
        t.silent("DEL", conf({}));
        t.gone();
        t.leaseCount(0);
      },
    ),
    one(
      "B-85j",
      "H",
      "DEL is about its own attachment",
      "a Go plugin's port of another pod stays, although the pod has a veth with the indices of both its ends",
      (t) => {
        makeBridge(t);
        t.sh(`ip netns add c2; ip netns add c3; ip link add vethgo master br0 type veth peer name eth0 netns c2
          near=$(ip netns exec c2 cat /sys/class/net/eth0/ifindex)
          ip -n c1 link add eth0 index $near type veth peer name far index $(cat /sys/class/net/vethgo/ifindex) netns c3
          mkdir -p /var/lib/cni/results; echo {} > /var/lib/cni/results/net1-ctr-1-eth0`);
        t.silent("DEL", conf({}));
        t.present("vethgo", "");
      },
    ),
    one(
      "B-85k",
      "H",
      "DEL is about its own attachment",
      "the path is another pod's by now, with a Go plugin's port, by its lease: DEL OK, twice, it stays; the other pod's DEL deletes it",
      (t) => {
        makeBridge(t);
        const config = conf(hostLocal());
        t.add(config);
        t.sh(`ip netns del c1; ip netns add c1; ip link add vethgo master br0 type veth peer name eth0 netns c1
          ip -n c1 address add 10.61.0.9/24 dev eth0`);
        t.write("/var/lib/cni/networks/net1/10.61.0.9", "second\r\neth0");
        for (let i = 0; i < 2; i++) t.silent("DEL", config);
        t.present("eth0");
        t.leaseCount(1);
        t.silent("DEL", config, { set: { CNI_CONTAINERID: "second" } });
        t.gone();
        t.leaseCount(0);
      },
    ),
    ...(["macvlan", "host-device"] as const).flatMap((type, i) =>
      [true, false].map((isBridgeLast) => {
        const [before, after] = isBridgeLast ? [type, "bridge"] : ["bridge", type];
        return one(
          `B-85${"lmno"[2 * i + (isBridgeLast ? 0 : 1)]}`,
          "H",
          "what is freed is not in use",
          `the network was a ${before} at ADD, and is a ${after} at DEL: the interface goes, or returns, before its address is free`,
          (t) => {
            makeBridge(t);
            const device = "ens5";
            if (type === "host-device") t.sh(`ip link add ${device} type veth peer name far5`);
            const keys = type === "macvlan" ? { master: "up0" } : { device };
            const other = { ...conf(hostLocal()), type, ...keys };
            const configs = { bridge: conf(hostLocal()), [type]: other };
            const added = t.call("ADD", configs[before]!, { plugin: before });
            t.equal(added.status, 0, added.stdout);
            t.silentRun(t.call("DEL", configs[after]!, { plugin: after }));
            t.gone();
            if (before === "host-device") t.present(device, "");
            t.equal(ports(t).length, 0, "ports");
            t.leaseCount(0);
            t.silentRun(t.call("DEL", configs[after]!, { plugin: after }));
          },
          [`plugin:${type}`],
        );
      }),
    ),
    one(
      "B-85p",
      "H",
      "what is freed is not in use",
      "an interface of a Go plugin that the configuration does not describe, with the leased address: deleted; others lose the address",
      (t) => {
        makeBridge(t);
        const config = conf(hostLocal());
        const makes = [
          "ip link add go0 link up0 type macvlan; ip link set go0 netns c1 name eth0",
          "ip link add br9 type bridge; ip link add vethgo master br9 type veth peer name eth0 netns c1",
          "ip -n c1 link add eth0 type bridge",
        ];
        for (const make of makes) {
          t.sh(`${make}; ip -n c1 address add 10.61.0.9/24 dev eth0`);
          t.write("/var/lib/cni/networks/net1/10.61.0.9", "ctr-1\r\neth0");
          t.silent("DEL", config);
          t.equal(t.sh("ip -n c1 -4 -o address show | grep -c 10.61 || true").trim(), "0", "addresses");
          t.leaseCount(0);
        }
        t.sh("ip -n c1 link del eth0 2>/dev/null || true");
      },
    ),
    one(
      "B-85q",
      "H",
      "what is freed is not in use",
      "a device that the Go plugin has lent, by its alias, with the leased address: E, lease and device stay; OK when the pod is gone",
      (t) => {
        makeBridge(t);
        const config = conf(hostLocal());
        t.sh("ip link add far5 type veth peer name eth0 netns c1; ip -n c1 link set eth0 alias ens5");
        t.sh("ip -n c1 address add 10.61.0.9/24 dev eth0");
        t.write("/var/lib/cni/networks/net1/10.61.0.9", "ctr-1\r\neth0");
        for (let i = 0; i < 2; i++) t.refused("DEL", config, [11]);
        t.present("eth0");
        t.leaseCount(1);
        t.endNetns("c1");
        t.silent("DEL", config);
        t.leaseCount(0);
      },
    ),
    one(
      "B-85r",
      "H",
      "a pod must not keep itself from ending",
      "a device that looks lent, with the leased address: libcni's cache says that the ADD was host-device's: E; that it was bridge's or macvlan's: it loses the address, OK",
      (t) => {
        makeBridge(t);
        const config = conf(hostLocal());
        t.sh("ip -n c1 link add eth0 type bridge; ip -n c1 link set eth0 alias ens5");
        t.sh("ip -n c1 address add 10.61.0.9/24 dev eth0");
        t.write("/var/lib/cni/networks/net1/10.61.0.9", "ctr-1\r\neth0");
        keepResult(t, { ...config, type: "host-device", device: "ens5" }, {});
        t.refused("DEL", config, [11]);
        t.leaseCount(1);
        for (const made of [config, { ...config, type: "macvlan", master: "up0" }]) {
          t.sh("ip -n c1 address replace 10.61.0.9/24 dev eth0");
          t.write("/var/lib/cni/networks/net1/10.61.0.9", "ctr-1\r\neth0");
          keepResult(t, made, {});
          t.silent("DEL", config);
          t.equal(t.sh("ip -n c1 -4 -o address show dev eth0"), "", "addresses");
          t.leaseCount(0);
        }
      },
    ),
    one(
      "B-85s",
      "H",
      "what is freed is not in use",
      "no path leads to the pod's namespace, but the Go plugin's port that prevResult names leads to one: E(11), port and lease stay; OK when it ends",
      (t) => {
        makeBridge(t);
        t.sh(
          "ip link add vethgo master br0 type veth peer name eth0 netns c1; ip -n c1 address add 10.61.0.9/24 dev eth0",
        );
        t.write("/var/lib/cni/networks/net1/10.61.0.9", "ctr-1\r\neth0");
        const interfaces = [
          { name: "br0" },
          { name: "vethgo", mac: t.link("vethgo", "")!.mac },
          { name: "eth0", mac: t.link("eth0")!.mac, sandbox: "/run/netns/c1" },
        ];
        const config = { ...conf(hostLocal()), prevResult: { cniVersion: "1.1.0", interfaces } };
        t.refused("DEL", config, [11], { set: { CNI_NETNS: undefined } });
        // As before CNI 0.4.0: libcni keeps the result.
        const { prevResult: result, ...without } = config;
        const kept = { kind: "cniCacheV1", containerId: "ctr-1", ifName: "eth0", networkName: "net1", result };
        t.sh("mkdir -p /var/lib/cni/results");
        t.write("/var/lib/cni/results/net1-ctr-1-eth0", JSON.stringify(kept));
        t.refused("DEL", without, [11], { set: { CNI_NETNS: undefined } });
        t.leaseCount(1);
        t.endNetns("c1");
        t.silent("DEL", config);
        t.leaseCount(0);
      },
    ),
    one(
      "B-85ab",
      "H",
      "DEL is about its own attachment",
      "the network has another name since ADD: port gone with prevResult; without one, a second network's ADD may have failed: it stays",
      (t) => {
        const prevResult = t.add(conf());
        const renamed = { ...conf(), name: "net2" };
        t.silent("DEL", renamed);
        t.present("eth0");
        t.silent("DEL", { ...renamed, prevResult });
        t.gone();
      },
    ),
    one(
      "B-85f",
      "H",
      "DEL is about its own attachment",
      "another plugin's host end in the prevResult stays: DEL twice, DEL without the namespace",
      (t) => {
        makeBridge(t);
        t.sh("ip link add hostv type veth peer name hostw");
        const config = conf({}, "1.0.0");
        for (const gone of [false, true]) {
          const { interfaces = [], ...rest } = t.add(config);
          const prevResult = { ...rest, interfaces: [...interfaces, { name: "hostv", mac: t.link("hostv", "")!.mac }] };
          if (gone) t.endNetns("c1");
          for (let n = 0; n < 2; n++) t.silent("DEL", { ...config, prevResult });
          t.present("hostv", "");
          t.equal(ports(t), [], "ports");
        }
      },
    ),
    one(
      "B-85g",
      "H",
      "DEL is about its own attachment",
      "host's ends of another pod, named by a prevResult that the network's author wrote, stay: in the pod, without it, after an ADD",
      (t) => {
        makeBridge(t);
        t.sh(
          "ip netns add c2; ip link add cali1 type veth peer name eth0 netns c2; ip link set cali1 address ee:ee:ee:ee:ee:ee",
        );
        t.sh(
          "ip link add vethgo master br0 type veth peer name eth1 netns c2; ip link set vethgo address ee:ee:ee:ee:ee:ef",
        );
        const written = (name: string, mac: string) => ({
          cniVersion: "1.0.0",
          interfaces: [
            { name: "br0" },
            { name, mac },
            { name: "eth0", mac: "02:00:00:00:00:77", sandbox: "/run/netns/c1" },
          ],
        });
        const configs = [written("cali1", "ee:ee:ee:ee:ee:ee"), written("vethgo", "ee:ee:ee:ee:ee:ef")].map(
          (prevResult) => ({
            ...conf({}, "1.0.0"),
            prevResult,
          }),
        );
        for (const config of configs) {
          t.call("DEL", config);
          t.call("DEL", { ...config, prevResult: JSON.parse(t.call("ADD", config).stdout) });
          t.call("DEL", config);
        }
        t.endNetns("c1");
        for (const config of configs) t.call("DEL", config);
        for (const name of ["cali1", "vethgo"]) t.present(name, "");
      },
    ),
    one(
      "B-86",
      "H",
      "kubevirt#14074",
      "DEL of an interface that KubeVirt took over, before and after hot-unplug: pair and port gone",
      (t) => {
        makeBridge(t);
        for (const unplugged of [false, true]) {
          const prevResult = t.add(conf({}, "1.0.0"));
          t.sh("ip -n c1 link set eth0 down; ip -n c1 link set eth0 name eth0-nic");
          if (!unplugged) t.sh("ip -n c1 link add eth0 type bridge");
          t.silent("DEL", { ...conf({}, "1.0.0"), prevResult });
          t.equal(ports(t).length, 0, "ports");
          t.gone("eth0-nic");
          if (!unplugged) t.present("eth0");
          t.sh("ip -n c1 link del eth0 2>/dev/null || true");
        }
      },
    ),
    masq("B-87", "H", "the bridge deleted behind our back", "DEL, then ADD: OK, the bridge is there again", (t) => {
      const config = conf({ ...GATEWAY, ...hostLocal() });
      t.add(config);
      t.sh("ip link del br0");
      t.silent("DEL", config);
      t.gone();
      t.add(config);
      t.present("br0", "");
    }),
    ...["ip link del br0", "ip link set $(ls /sys/class/net/br0/brif) nomaster"].map((change, n) =>
      one(
        `B-87${"ab"[n]}`,
        "H",
        "the bridge deleted behind our back",
        `promiscMode, ${change}: DEL OK, lease gone`,
        (t) => {
          const config = conf({ promiscMode: true, ...hostLocal() });
          t.add(config);
          t.sh(change);
          t.silent("DEL", config);
          t.gone();
        },
      ),
    ),
    one("B-88", "H", "something else has the bridge's name", "DEL OK, ADD refused", (t) => {
      makeBridge(t);
      t.add(conf(hostLocal()));
      t.sh("ip link set br0 down; ip link set br0 name br8; ip link add br0 type veth peer name x");
      t.silent("DEL", conf(hostLocal()));
      t.gone();
      t.equal(ports(t, "br8").length, 0, "ports");
      t.refused("ADD", conf(hostLocal()));
    }),
    one("B-89", "H", "moved to another namespace by its tenant", "DEL removes it", (t) => {
      t.add(conf({}, "1.0.0"));
      t.netns("c9");
      t.sh("ip -n c1 link set eth0 netns c9; ip -n c9 link set eth0 name mine");
      t.silent("DEL", conf({}, "1.0.0"));
      t.gone("mine", "c9");
      t.equal(ports(t).length, 0, "ports");
    }),
    masq(
      "B-90",
      "H",
      "a path that another pod has by now",
      "late DEL of the old pod: nothing of the new one is touched",
      (t) => {
        const config = conf({ macspoofchk: true, ...GATEWAY, ...hostLocal() });
        t.add(config);
        t.endNetns("c1");
        t.netns("c1");
        const set = { CNI_CONTAINERID: "ctr-2" };
        const prevResult = t.add(config, { set });
        t.silent("DEL", config);
        t.silent("CHECK", { ...config, prevResult }, { set });
        t.leaseCount(1);
      },
    ),
    one(
      "B-85h",
      "H",
      "a port that DEL leaves keeps its spoof check",
      "a port without podnic's marks, no IPAM, no prevResult: the port and its rules stay; DEL warns",
      (t) => {
        const config = conf({ macspoofchk: true, macspoofchkBackend: "nftables" });
        t.add(config);
        t.sh(`ip link set ${portOf(t).name} alias "" address 02:00:00:00:00:98`);
        const { stderr, status } = t.call("DEL", config);
        t.equal(status, 0, "status");
        t.expect(/leaves a port/.test(stderr), "a warning", stderr);
        t.equal(ports(t).length, 1, "ports");
        t.expect(t.sh("nft list table bridge nat").includes(portOf(t).name), "the port's rules", "none");
      },
      ["program:nft"],
    ),
    one(
      "B-85i",
      "H",
      "a port that DEL leaves keeps its spoof check",
      "the same, with IPAM, while another process has the pool's lock: E(11), the port and its rules stay; DEL does not say that nothing shows whose they are",
      (t) => {
        const config = conf({ macspoofchk: true, macspoofchkBackend: "nftables", ...hostLocal() });
        t.add(config);
        const { name } = portOf(t);
        t.write("/etc/cni/podnic.json", '{"lockTimeout":100}');
        t.sh(`ip link set ${name} alias ""`);
        t.holdLock(`/var/lib/cni/networks/${config.name}/lock`);
        const run = t.call("DEL", config);
        t.expect(/"code": ?11,/.test(run.stdout), "code 11", run.stdout);
        t.expect(!/leaves a port/.test(run.stderr), "no such warning", run.stderr);
        t.equal(ports(t).length, 1, "ports");
        t.expect(t.sh("nft list table bridge nat").includes(name), "the port's rules", "none");
      },
      ["program:nft", "program:flock"],
    ),
    ...["", "/run/netns/none"].map((netns) =>
      one(
        netns === "" ? "B-85y" : "B-85z",
        "H",
        "a pod does not keep its connection without its spoof check",
        `the Go plugin's port in a namespace to which CNI_NETNS ("${netns}") does not lead, no prevResult: with a lease, the port goes with its rules; without, both stay`,
        (t) => {
          const config = conf({ macspoofchk: true, macspoofchkBackend: "nftables", ...hostLocal() });
          t.add(config);
          const { name } = portOf(t);
          t.sh(`ip link set ${name} alias "" address 02:00:00:00:00:98`);
          const left = (): unknown[] => [ports(t).length, t.sh("nft list table bridge nat").includes(name)];
          const set = { CNI_NETNS: netns };
          const { ipam, ...without } = config;
          t.silent("DEL", without, { set });
          t.equal(left(), [1, true], "port and rules without IPAM");
          t.silent("DEL", config, { set });
          t.equal(left(), [0, false], "port and rules");
          t.leaseCount(0);
        },
        ["program:nft"],
      ),
    ),
    one(
      "B-85aa",
      "H",
      "a pod does not keep its connection",
      "DEL without a namespace, and nf_tables cannot be asked: E, podnic's port is gone, the lease stays",
      (t) => {
        const config = conf({ macspoofchk: true, macspoofchkBackend: "nftables", ...hostLocal() });
        t.add(config);
        // The first two sockets are for links.
        const wrap = 'exec strace -f -o /dev/null -e trace=socket -e inject=socket:error=EPERM:when=3+ "$@"';
        t.error(t.call("DEL", config, { set: { CNI_NETNS: "" }, wrap }));
        t.equal(ports(t).length, 0, "ports");
        t.leaseCount(1);
        t.silent("DEL", config, { set: { CNI_NETNS: "" } });
        t.leaseCount(0);
      },
      ["program:nft", "program:strace"],
    ),
    one("B-96", "H", "stdout closed", "ADD: E, undone", (t) => {
      makeBridge(t);
      const before = t.picture();
      const run = t.call("ADD", conf({ macspoofchk: true, ...hostLocal() }), { wrap: 'exec "$@" >&-' });
      t.expect(run.status !== 0, "an error", `exit ${run.status}`);
      t.unchangedSince(before);
    }),
    masq(
      "B-97",
      "H",
      "100 ADDs at once on a bridge that does not exist",
      "100 addresses, one bridge, one MAC, one gateway; 100 DELs: nothing left but the bridge",
      (t) => {
        const config = conf({ ...GATEWAY, macspoofchk: true, ...hostLocal() });
        const all = pods(t, 100);
        const added = t.parallel(all.map((set) => ({ command: "ADD", stdin: config, set })));
        for (const run of added) t.equal(run.status, 0, run.stdout);
        t.equal(new Set(added.map(({ stdout }) => addressesOf(stdout))).size, 100, "addresses");
        const bridges = new Set(added.map(({ stdout }) => JSON.stringify(JSON.parse(stdout).interfaces[0])));
        t.equal(
          [...bridges].map((text) => JSON.parse(text).mac),
          [t.link("br0", "")!.mac],
          "bridges in results",
        );
        t.equal(
          t
            .link("br0", "")!
            .addresses.filter(({ scope }) => scope === "global")
            .map(({ cidr }) => cidr),
          ["10.61.0.1/24"],
          "gateway",
        );
        t.equal(ports(t).length, 100, "ports");
        for (const run of t.parallel(all.map((set) => ({ command: "DEL", stdin: config, set })))) t.silentRun(run);
        t.leaseCount(0);
        t.equal(ports(t).length, 0, "ports");
        t.equal(
          t
            .links("")
            .map(({ name }) => name)
            .sort(),
          ["br0", "lo", "up0", "up1"],
          "links",
        );
      },
    ),
    masq("B-98", "H", "ADDs and DELs interleaved", "20 of each at once, 5 rounds: no error, no leak", (t) => {
      const config = conf({ ...GATEWAY, ...hostLocal() });
      const all = pods(t, 40);
      const calls = (command: string, from: number) =>
        all.slice(from, from + 20).map((set) => ({ command, stdin: config, set }));
      for (const run of t.parallel(calls("ADD", 0))) t.equal(run.status, 0, run.stdout);
      for (let n = 0; n < 5; n++) {
        const [old, fresh] = n % 2 === 0 ? [0, 20] : [20, 0];
        for (const run of t.parallel([...calls("DEL", old), ...calls("ADD", fresh)]))
          t.equal(run.status, 0, run.stdout);
      }
      t.leaseCount(20);
      t.equal(ports(t).length, 20, "ports");
    }),
    one("B-99", "H", "two subnets, one bridge, at once", "one is refused, and leaves nothing", (t) => {
      const of = (name: string, subnet: string): Config => ({
        ...conf({ isGateway: true, ...hostLocal(subnet) }),
        name,
      });
      const [a, b] = pods(t, 2);
      const runs = t.parallel([
        { command: "ADD", stdin: of("net1", "10.61.0.0/24"), set: a! },
        { command: "ADD", stdin: of("net2", "10.62.0.0/24"), set: b! },
      ]);
      t.equal(runs.filter(({ status }) => status === 0).length, 1, "successes");
      t.equal([ports(t).length, t.leases("net1").size + t.leases("net2").size], [1, 1], "ports, leases");
    }),
    one(
      "B-100",
      "H",
      "the bridge deleted by somebody while 30 ADDs run",
      "each OK, or an error that leaves nothing",
      (t) => {
        const config = conf(hostLocal(), "1.0.0");
        const all = pods(t, 30);
        t.sh(
          "(for n in $(seq 60); do ip link del br0 || true; sleep 0.01; done; echo done >/run/case-del) >/dev/null 2>&1 &",
        );
        const runs = t.parallel(all.map((set) => ({ command: "ADD", stdin: config, set })));
        t.sh("for n in $(seq 100); do [ -e /run/case-del ] && exit 0; sleep 0.1; done; exit 1");
        for (const [n, run] of runs.entries()) {
          if (run.status === 0) continue;
          t.error(run);
          t.gone("eth0", `p${n}`);
        }
        t.leaseCount(runs.filter(({ status }) => status === 0).length);
        for (const set of all) t.silent("DEL", config, { set });
        t.leaseCount(0);
        t.expect(
          !t.links("").some(({ name }) => name.startsWith("veth")),
          "no port",
          t.links("").map(({ name }) => name),
        );
      },
    ),
    one("B-101", "H", "little memory", "20 ADDs, each with 32 MB of address space: OK", (t) => {
      const config = conf(hostLocal());
      const all = pods(t, 20);
      for (const set of all) {
        const wrap = 'ulimit -v 32768; exec "$@"';
        t.add(config, { set, wrap, ns: set.CNI_CONTAINERID });
      }
      t.equal(ports(t).length, 20, "ports");
    }),
    one("B-102", "H", "the node's policy", "a bridge that it denies: E, not made either", (t) => {
      t.write("/etc/cni/podnic.json", JSON.stringify({ devices: { deny: ["secret*"] } }));
      for (const made of [false, true]) {
        if (made) makeBridge(t, "", "secret0");
        t.refused("ADD", { ...conf(), bridge: "secret0" });
      }
    }),
    one(
      "B-103",
      "S",
      "C-111: STATUS",
      "a bridge that is fit, or can be made: OK; the name of something else: E(50|51|7)",
      (t) => {
        t.silent("STATUS", conf(hostLocal()));
        makeBridge(t);
        t.silent("STATUS", conf(hostLocal()));
        t.error(t.call("STATUS", { ...conf(hostLocal()), bridge: "up0" }), [50, 51]);
      },
    ),
    one(
      "B-103a",
      "H",
      "C-111: STATUS",
      "VLANs on a bridge that does not filter: E(50|51); with bridges.filterVlans in the policy OK; nothing is changed",
      (t) => {
        makeBridge(t);
        const before = t.picture();
        for (const keys of [{ vlan: 100 }, { vlanTrunk: [{ id: 100 }] }])
          t.error(t.call("STATUS", conf(keys)), [50, 51]);
        t.write("/etc/cni/podnic.json", JSON.stringify({ bridges: { filterVlans: ["br*"] } }));
        t.silent("STATUS", conf({ vlan: 100 }));
        t.unchangedSince(before);
      },
    ),
    one("B-104x", "H", "DEL in any order", "the port goes with its pod's namespace; DEL frees the lease", (t) => {
      t.add(conf(hostLocal()));
      t.endNetns("c1");
      t.silent("DEL", conf(hostLocal()));
      t.leaseCount(0);
      t.equal(ports(t).length, 0, "ports");
    }),
    one(
      "B-105",
      "G",
      "chains",
      "tuning (mac), portmap, firewall of the peer after it: ADD, CHECK, DEL of all OK",
      (t) => {
        makeBridge(t);
        const config = conf({ isGateway: true, ...hostLocal() }, "1.0.0");
        let prevResult = addDown(t, config) as object;
        const late = [
          { type: "tuning", mac: "02:00:00:00:00:66" },
          {
            type: "portmap",
            capabilities: { portMappings: true },
            runtimeConfig: { portMappings: [{ hostPort: 8080, containerPort: 80, protocol: "tcp" }] },
          },
          { type: "firewall", backend: "iptables" },
        ].map((keys) => ({ cniVersion: "1.0.0", name: "net1", ...keys }));
        for (const each of late) prevResult = addDown(t, { ...each, prevResult }, t.byPeer);
        t.equal(t.link("eth0")?.mac, "02:00:00:00:00:66", "MAC");
        t.silent("CHECK", { ...config, prevResult });
        for (const each of [...late].reverse()) t.silent("DEL", { ...each, prevResult }, t.byPeer);
        t.silent("DEL", { ...config, prevResult });
        t.equal(ports(t).length, 0, "ports");
      },
      ["peer:tuning", "peer:portmap", "peer:firewall", "program:iptables"],
    ),
  ],
};
