// Interfaces on a master, macvlan and ipvlan alike: whose they are, what bad input is told. Then what only one of the two has.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { POLICY } from "./stubs.ts";

const STATIC = { needs: ["plugin:static"] };
const HUNDRED = { needs: ["plugin:host-local"] };

const VERSION = { cniVersion: "1.1.0" };

type More = Pick<MainCase, "needs">;

export const both = (
  id: string,
  tag: Tag,
  requirement: string,
  expected: string,
  run: (t: Trial) => void,
  more: More = {},
): MainCase => row(id, tag, requirement, expected, run, { only: ["macvlan", "ipvlan"], ...more });

const only = (
  main: string,
  id: string,
  tag: Tag,
  requirement: string,
  expected: string,
  run: (t: Trial) => void,
  more: More = {},
): MainCase => row(id, tag, requirement, expected, run, { only: [main], ...more });

/** Refused with a message that names the cause and details that say what to do. */
function explained(t: Trial, conf: Config, cause: RegExp, cure: RegExp, ifName = "eth0"): void {
  const { msg, details } = t.refused("ADD", conf, "any", { set: { CNI_IFNAME: ifName } });
  t.expect(cause.test(`${msg} ${details}`), `a message with ${cause}`, `${msg} | ${details}`);
  t.expect(cure.test(`${msg} ${details}`) && details !== "", `what to do, with ${cure}`, `${msg} | ${details}`);
}

const tells = (id: string, what: string, setup: string, keys: Config, cause: RegExp, cure: RegExp): MainCase =>
  both(id, "H", "bad input: cause and cure", `${what}: E that says so, nothing left`, (t) => {
    t.sh(setup);
    explained(t, t.l2(keys), cause, cure);
  });

export const ipvl = (name: string, master: string, mode: string, ns = "") =>
  `ip link add link ${master} name ${name} ${ns === "" ? "" : `netns ${ns}`} type ipvlan mode ${mode}`;

const shown = (t: Trial, name = "eth0", ns = "c1") => t.sh(`ip -n ${ns} -d link show ${name}`);

export const virtual: CaseTable = {
  perMain: [
    both("VRT-01", "H", "CNI_IFNAME is the pod's affair", "the host has a device of that name: OK", (t) => {
      t.sh("ip link add eth0 type veth peer name eth0p");
      t.add(t.l2());
      t.silent("DEL", t.l2());
      t.gone();
      t.present("eth0", "");
    }),
    both(
      "VRT-02",
      "H",
      "only the owner undoes",
      "DEL after an ADD that failed for the name: the other network's interface stays",
      (t) => {
        t.add(t.l2());
        const other = t.l2({ name: "net2" });
        t.refused("ADD", other);
        t.silent("DEL", other);
        t.present("eth0");
        t.silent("DEL", t.l2());
        t.gone();
      },
    ),
    both("VRT-03", "H", "only the owner undoes", "DEL finds one of the kind on another master: it stays", (t) => {
      t.sh(`ip link add up9 type veth peer name up9p; ip link set up9 up
        ip link add link up9 name eth0 netns c1 type ${t.main.kind}`);
      t.silent("DEL", t.l2());
      t.present("eth0");
    }),
    both(
      "VRT-04",
      "G",
      "pods of the Go plugins",
      "DEL finds one without mark on its master, known to libcni: gone",
      (t) => {
        const result = "/var/lib/cni/multus/results/net1-ctr-1-eth0";
        t.sh(`ip link add link up0 name eth0 netns c1 type ${t.main.kind}
        mkdir -p "$(dirname ${result})"; echo {} >${result}`);
        t.silent("DEL", t.l2());
        t.gone();
      },
    ),
    both("VRT-05", "H", "DEL returns before the kernel is done", "what the caller lent is given back at once", (t) => {
      t.add(t.l2());
      const wrap =
        'exec 9>/run/case-lock; flock -n 9 || exit 70; "$@"; s=$?; exec 9>&-; flock -n /run/case-lock true || exit 71; exit $s';
      t.silent("DEL", t.l2(), { wrap });
      t.gone();
    }),
    both("VRT-06", "H", "CVE-2020-10749", "accept_ra is 0, unless asked for", (t) => {
      const read = () => t.sh("ip netns exec c1 cat /proc/sys/net/ipv6/conf/eth0/accept_ra").trim();
      t.add(t.l2());
      t.equal(read(), "0", "accept_ra");
      t.silent("DEL", t.l2());
      t.add(t.l2({ acceptRA: true }));
      t.equal(read(), "1", "accept_ra");
    }),
    both(
      "VRT-07",
      "H",
      "duplicate address detection is an option",
      "skip: an IPv6 address with gateway is usable at once, no waiting",
      (t) => {
        const v6 = [{ address: "2001:db8::5/64", gateway: "2001:db8::1" }];
        const run = t.call("ADD", t.withStatic(v6, {}, { dad: "skip" }));
        t.result(run, t.settings.spec);
        t.expect(
          !t.link("eth0")!.addresses.some((a) => a.cidr.startsWith("2001:") && a.tentative),
          "no tentative address",
          shown(t),
        );
      },
      STATIC,
    ),
    both(
      "VRT-08",
      "S",
      "C-052",
      "1.1.0: mac and mtu of the interface",
      (t) => {
        const result = t.add(t.l2({ ...VERSION, mtu: 1400 }));
        t.equal([result.interfaces?.[0]?.mtu, result.interfaces?.[0]?.mac], [1400, t.link("eth0")!.mac], "mtu, mac");
      },
      { needs: ["spec:1.1.0"] },
    ),
    both(
      "VRT-09",
      "S",
      "C-012: concurrency",
      "100 ADDs at once, 100 addresses; 100 DELs at once, nothing left",
      (t) => {
        const names = Array.from({ length: 100 }, (_, n) => `h${n}`);
        t.sh(names.map((name) => `ip netns add ${name}`).join("\n"));
        // An emulated machine takes longer than the 10 s that a lock is waited for.
        t.write(POLICY, JSON.stringify({ lockTimeout: 100_000 }));
        const before = t.leases().size;
        const calls = (command: string) =>
          t.parallel(
            names.map((name) => ({
              command,
              stdin: t.l3(),
              set: { CNI_CONTAINERID: name, CNI_NETNS: `/run/netns/${name}` },
            })),
          );
        const addresses = calls("ADD").map((run) => {
          t.expect(run.status === 0, "exit 0", run.stdout);
          return JSON.parse(run.stdout).ips[0].address as string;
        });
        t.equal(new Set(addresses).size, 100, "distinct addresses");
        t.expect(t.leases().size >= 100, "100 leases", t.leases().size);
        for (const run of calls("DEL")) t.silentRun(run);
        t.equal([...t.leases().values()].filter((lease) => lease.startsWith("h")).length, 0, "leases left");
        t.equal(before, 0, "leases before");
        const show = (name: string) => `ip -n ${name} -o link show type ${t.main.kind}`;
        t.equal(t.sh(names.map(show).join("\n")), "", "links left");
      },
      HUNDRED,
    ),

    tells("VRT-40", "unknown mode", "true", { mode: "bridg" }, /mode/, /bridge|l2/),
    tells("VRT-41", "master missing", "true", { master: "nosuch0" }, /nosuch0.*not found/, /master/),
    tells("VRT-42", "master down", "ip link set up0 down", {}, /up0.*down/, /ip link set up0 up/),
    tells("VRT-43", "MTU above the master's", "true", { mtu: 9000 }, /9000.*1500/, /mtu/),
    tells(
      "VRT-44",
      "name taken in the pod",
      "ip -n c1 link add eth0 type veth peer name o",
      {},
      /eth0.*exists/,
      /CNI_IFNAME/,
    ),
    tells("VRT-45", "master is loopback", "true", { master: "lo" }, /lo.*loopback/, /master/),
    tells(
      "VRT-46",
      "master belongs to a bridge",
      "ip link add br9 type bridge; ip link set up0 master br9",
      {},
      /up0.*bridge/,
      /master/,
    ),
    both(
      "VRT-47",
      "H",
      "bad input: cause and cure",
      "no address from IPAM: E that says so, nothing left",
      (t) => {
        explained(t, t.withStatic([]), /IPAM.*missing IP config.*no address/, /addresses.*or remove "ipam"/);
      },
      STATIC,
    ),
    both(
      "VRT-48",
      "H",
      "C-101",
      "STATUS with a master that is down: E(50)",
      (t) => {
        t.silent("STATUS", t.l2(VERSION));
        t.sh("ip link set up0 down");
        t.error(t.call("STATUS", t.l2(VERSION)), [50]);
      },
      { needs: ["spec:1.1.0"] },
    ),

    only(
      "macvlan",
      "MVX-10",
      "S",
      "C-142: args wins over CNI_ARGS",
      "the MAC of args.cni.mac, runtimeConfig's before it",
      (t) => {
        const set = { CNI_ARGS: "IgnoreUnknown=1;MAC=02:00:00:00:00:02" };
        const args = { cni: { mac: "02:00:00:00:00:03" } };
        const mac = (conf: Config) => t.add(conf, { set }).interfaces?.[0]?.mac;
        t.equal(mac(t.l2({ mac: "02:00:00:00:00:01" })), "02:00:00:00:00:02", "CNI_ARGS before the configuration");
        t.silent("DEL", t.l2());
        t.equal(mac(t.l2({ mac: "02:00:00:00:00:01", args })), "02:00:00:00:00:03", "args before CNI_ARGS");
        t.silent("DEL", t.l2());
        t.equal(
          mac(t.l2({ args, runtimeConfig: { mac: "02:00:00:00:00:04" } })),
          "02:00:00:00:00:04",
          "runtimeConfig first",
        );
      },
    ),
    only("macvlan", "MVX-11", "H", "mode source", "the kernel knows the senders; CHECK OK; without senders: E", (t) => {
      t.write("/etc/cni/podnic.json", JSON.stringify({ devices: { source: ["*"] } }));
      const conf = t.l2({ mode: "source", macaddr: ["02:00:00:00:00:01", "02-00-00-00-00-02"] });
      const prevResult = t.add(conf);
      t.expect(
        /mode source.* 02:00:00:00:00:0[12] 02:00:00:00:00:0[12]/.test(shown(t)),
        "source, two senders",
        shown(t),
      );
      t.silent("CHECK", { ...conf, prevResult });
      t.sh("ip -n c1 link set eth0 type macvlan macaddr flush");
      t.error(t.call("CHECK", { ...conf, prevResult }));
      t.silent("DEL", conf);
      explained(t, t.l2({ mode: "source" }), /source/, /macaddr/);
    }),
    only("macvlan", "MVX-12", "G", "passthru", "the master is promiscuous until DEL", (t) => {
      const promiscuity = () => /promiscuity (\d+)/.exec(t.sh("ip -d link show up0"))?.[1];
      t.add(t.l2({ mode: "passthru" }));
      t.equal(promiscuity(), "1", "promiscuity");
      t.silent("DEL", t.l2({ mode: "passthru" }));
      t.sh("sleep 0.2");
      t.equal(promiscuity(), "0", "promiscuity");
    }),
    only(
      "macvlan",
      "MVX-13",
      "H",
      "passthru takes the master from the host",
      "of a default route: E that says so",
      (t) => {
        t.sh("ip address add 192.0.2.1/24 dev up0; ip route add default via 192.0.2.254");
        explained(t, t.l2({ mode: "passthru" }), /up0.*default route/, /podnic.json/);
      },
    ),
    only(
      "macvlan",
      "MVX-14",
      "H",
      "C-140: passthru has the master's MAC",
      "and a MAC asked for: E that says so",
      (t) => {
        explained(t, t.l2({ mode: "passthru", mac: "02:00:00:00:00:01" }), /passthru/, /MAC address/);
      },
    ),
    only("macvlan", "MVX-15", "H", "passthru is exclusive", "after others: E that says so", (t) => {
      t.add(t.l2());
      explained(t, t.l2({ mode: "passthru" }), /passthru/, /other macvlan/, "second");
    }),
    only(
      "macvlan",
      "MVX-16",
      "H",
      "a master carries one kind",
      "ipvlan is there: E that says so",
      (t) => {
        t.sh(ipvl("iv0", "up0", "l2"));
        explained(t, t.l2(), /up0.*already has ipvlan/, /another master/);
      },
      { needs: ["kernel:ipvlan"] },
    ),
    only("macvlan", "MVX-17", "H", "passthru is exclusive", "the master is held by one: E that says so", (t) => {
      t.sh("ip link add pt0 link up0 type macvlan mode passthru");
      explained(t, t.l2(), /up0.*in use by.*passthru/, /another master/);
    }),

    only("ipvlan", "IVX-11", "H", "a master carries one kind", "macvlan is there: E that says so", (t) => {
      t.sh("ip link add mv0 link up0 type macvlan");
      explained(t, t.l2(), /up0.*already has macvlan/, /another master/);
    }),
    ...["bridge", "private", "vepa"].map((flag, n) =>
      only("ipvlan", `IVX-12${"abc"[n]}`, "H", "flag", `${flag}: in the kernel, CHECK OK, another flag: E`, (t) => {
        const conf = t.l2({ mode: "l3", flag });
        const prevResult = t.add(conf);
        t.expect(shown(t).includes(`mode l3 ${flag}`), `mode l3 ${flag}`, shown(t));
        t.silent("CHECK", { ...conf, prevResult });
        t.error(t.call("CHECK", { ...conf, flag: flag === "vepa" ? "private" : "vepa", prevResult }));
        explained(t, { ...conf, flag: flag === "vepa" ? "private" : "vepa" }, /up0.*flag/, new RegExp(flag), "second");
      }),
    ),
    only(
      "ipvlan",
      "IVX-13",
      "H",
      "one mode a master",
      "pods of one mode share it; when all are gone another mode is OK",
      (t) => {
        t.netns("c2");
        const second = { set: { CNI_CONTAINERID: "ctr-2", CNI_NETNS: "/run/netns/c2" } };
        t.add(t.l2({ mode: "l3" }));
        t.add(t.l2({ mode: "l3" }), { ...second, ns: "c2" });
        // The first is the one that is remembered: the second must be found without it.
        t.silent("DEL", t.l2({ mode: "l3" }));
        explained(t, t.l2({ mode: "l2" }), /up0.*mode l3/, /\/run\/netns\/c2/);
        t.silent("DEL", t.l2({ mode: "l3" }), second);
        t.add(t.l2({ mode: "l2" }));
      },
    ),
    only("ipvlan", "IVX-14", "H", "one mode a master", "a pod of another plugin has l3: E, it keeps l3", (t) => {
      t.netns("c2");
      t.sh(ipvl("net7", "up0", "l3", "c2"));
      explained(t, t.l2(), /up0.*mode l3/, /net7.*c2/);
      t.expect(shown(t, "net7", "c2").includes("mode l3 "), "mode l3", shown(t, "net7", "c2"));
    }),
    only("ipvlan", "IVX-15", "H", "one mode a master", "an interface of the host has l3s: E, it keeps l3s", (t) => {
      t.sh(ipvl("host7", "up0", "l3s"));
      explained(t, t.l2(), /up0.*mode l3s/, /host7/);
    }),
    only("ipvlan", "IVX-18", "H", "bad input: cause and cure", "another pod has the address: E that names it", (t) => {
      t.netns("c2");
      const conf = t.withStatic([{ address: "198.51.100.5/24" }]);
      t.add(conf, { set: { CNI_CONTAINERID: "ctr-2", CNI_NETNS: "/run/netns/c2" }, ns: "c2" });
      explained(
        t,
        conf,
        /198\.51\.100\.5 is in use by eth0 in \/run\/netns\/c2/,
        /IPAM must give each address to only one pod./,
      );
    }),
    only(
      "ipvlan",
      "IVX-16",
      "H",
      "routes of l3 need no gateway",
      "one outside of the subnet does not fail: OK, CHECK OK",
      (t) => {
        const address = { address: "198.51.100.5/32", gateway: "198.51.100.1" };
        const conf = t.withStatic([address], { routes: [{ dst: "0.0.0.0/0" }] }, { mode: "l3" });
        const prevResult = t.add(conf);
        t.silent("CHECK", { ...conf, prevResult });
      },
      STATIC,
    ),
  ],
  fixed: [],
};
