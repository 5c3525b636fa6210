// DEL of an interface on a master: which link is the attachment's. Name, alias and MAC address are the pod's to change.
import { type CaseTable, row } from "../harness/case.ts";
import { keepResult } from "../harness/libcni.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { MAY_NOT_ENTER } from "./netns.ts";

const virtual = { only: ["macvlan", "ipvlan"] };
const macvlan = { only: ["macvlan"] };
const RULE = "what is freed is not in use; only the owner undoes";

/** ADD, what the pod does, DEL: the pod has no link on the master any more, and the address is free. */
function finds(t: Trial, pod: string, after: (conf: Config) => Config = (conf) => conf): void {
  const conf = t.l3();
  const prevResult = t.add(conf);
  t.sh(pod);
  t.silent("DEL", after({ ...conf, prevResult }));
  const left = t.links("c1").filter(({ kind }) => kind === conf.type);
  t.equal(
    left.map(({ name }) => name),
    [],
    "links on the master",
  );
  t.leaseCount(0);
}

/** What the pod, or the node, does to its namespace, and what shows the link afterwards; CNI_NETNS of the DEL. */
const GONE_BY_NAME: [letter: string, what: string, script: string, netns?: string][] = [
  ["a", "another file system is mounted over /run/netns", "mount -t tmpfs none /run/netns"],
  ["b", "CNI_NETNS is a directory", "", "/run/netns"],
  ["c", "CNI_NETNS is a device", "", "/dev/null"],
  ["d", "CNI_NETNS is a mount namespace", "", "/proc/1/ns/mnt"],
  ["e", "CNI_NETNS is empty", "", ""],
  ["f", "the name of the namespace is removed", "ip netns del c1"],
];

const without = ({ prevResult: _, ...conf }: Config): Config => conf;
const FOREIGN = "ip -n c1 link set eth0 alias podnic:other:ctr-9";
const RENAMED = "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name mine; ip -n c1 link set mine up";

/** Instead of the link of ADD one as an implementation without our marks makes it, with the same address. */
function unmarked(t: Trial, more = ""): Config {
  const conf = t.l3();
  const prevResult = t.add(conf);
  const mac = t.link("eth0")!.mac;
  t.sh(`ip -n c1 link del eth0; ip link add eth0 link up0 netns c1 address ${mac} type macvlan mode bridge; ${more}`);
  return { ...conf, prevResult };
}

/** In the pod, as eth0, what a Go plugin makes for another network on the same master: without our marks. */
const neighbour = (t: Trial): string =>
  t.sh(`ip link add other link up0 type ${t.main.name}; ip link set other netns c1 name eth0`);

/** To a namespace that the host has no number for. */
const MOVED = "ip netns add c2; ip -n c1 link set eth0 netns c2";

/** The pod's namespace has no name by now, but a process keeps it: by a file, by a socket, or as its own. Returns the process. */
export function hold(t: Trial, by: "file" | "socket" | "process"): string {
  const socket = `8</proc/self/ns/net nsenter --net=/run/netns/c1 perl -e '$^F = 99; socket(S, 2, 2, 0); exec @ARGV' nsenter --net=/proc/self/fd/8`;
  const sleep = {
    file: "sleep 60 9</run/netns/c1",
    socket: `${socket} sleep 60`,
    process: "nsenter --net=/run/netns/c1 sleep 60",
  };
  return t
    .sh(`${sleep[by]} >/dev/null 2>&1 & echo $!
      for i in $(seq 200); do [ "$(cat /proc/$!/comm)" = sleep ] && break; sleep 0.02; done
      umount -l /run/netns/c1; rm /run/netns/c1`)
    .trim();
}

/** Until the master does not receive it any more: namespaces end a moment after their name. */
export const untilForgotten = (mac: string): string =>
  `for i in $(seq 100); do bridge fdb show dev up0 | grep -q ${mac} || break; sleep 0.02; done`;

export const delWhose: CaseTable = {
  perMain: [
    row(
      "DEL-35a",
      "H",
      RULE,
      "a Go plugin's interface of another network made ADD fail, or no ADD was made: it stays",
      (t) => {
        neighbour(t);
        for (const conf of [t.l2(), t.l3(), { ...t.l2(), cniVersion: "0.3.1" }]) {
          t.silent("DEL", conf);
          t.error(t.call("ADD", conf));
          t.silent("DEL", conf);
          t.present("eth0");
        }
        t.leaseCount(0);
      },
      virtual,
    ),
    row(
      "DEL-35b",
      "H",
      RULE,
      "the same interface, of this attachment: deleted, as libcni keeps its result, or as it has a lease",
      (t) => {
        const result = "/var/lib/cni/results/net1-ctr-1-eth0";
        neighbour(t);
        t.sh(`mkdir -p /var/lib/cni/results; echo {} > ${result}`);
        t.silent("DEL", { ...t.l2(), cniVersion: "0.3.1" });
        t.gone();
        t.sh(`rm ${result}`);
        const conf = { ...t.l3(), cniVersion: "0.3.1" };
        t.add(conf);
        t.sh("ip -n c1 link del eth0");
        neighbour(t);
        t.silent("DEL", conf);
        t.gone();
        t.leaseCount(0);
      },
      virtual,
    ),
    row("DEL-26a", "H", RULE, "the pod wrote another attachment's alias: deleted, released", (t) => finds(t, FOREIGN), {
      ...virtual,
    }),
    row("DEL-26b", "H", RULE, "the same, without prevResult", (t) => finds(t, FOREIGN, without), virtual),
    row("DEL-27a", "H", RULE, "the pod renamed it: deleted, released", (t) => finds(t, RENAMED), virtual),
    row("DEL-27b", "H", RULE, "the same, without prevResult", (t) => finds(t, RENAMED, without), virtual),
    row(
      "DEL-27c",
      "H",
      RULE,
      "renamed to what is not UTF-8: deleted, released",
      (t) => finds(t, RENAMED.replaceAll("mine", `"$(printf '\\377\\376X')"`), without),
      virtual,
    ),
    row(
      "DEL-28",
      "H",
      RULE,
      "renamed, other alias, a veth in its place: deleted, and the veth stays",
      (t) => {
        finds(
          t,
          `${RENAMED}; ip -n c1 link set mine alias x; ip -n c1 link add eth0 type veth peer name eth0p`,
          without,
        );
        t.present("eth0");
      },
      virtual,
    ),
    row(
      "DEL-29",
      "H",
      RULE,
      "another network's interface, to which the pod gave our alias, stays",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        t.sh("ip -n c1 link set eth0 alias podnic:net2:ctr-1");
        const other = { ...t.l3(), name: "net2" };
        t.error(t.call("ADD", other));
        t.silent("DEL", other);
        t.present("eth0");
        t.leaseCount(1);
      },
      virtual,
    ),
    row(
      "DEL-29b",
      "H",
      RULE,
      "the network has another name since ADD: deleted with prevResult; without one, a second network's ADD may have failed: it stays",
      (t) => {
        const prevResult = t.add(t.l2());
        const renamed = { ...t.l2(), name: "net2" };
        t.silent("DEL", renamed);
        t.present("eth0");
        t.silent("DEL", { ...renamed, prevResult });
        t.gone();
      },
      virtual,
    ),
    row(
      "DEL-29c",
      "H",
      RULE,
      "an interface that nothing shows to be the attachment's stays: a warning says so",
      (t) => {
        neighbour(t);
        const run = t.call("DEL", t.l2());
        t.expect(run.stderr.includes("leaving an interface in the pod"), "a warning", run.stderr);
        t.present("eth0");
      },
      virtual,
    ),
    row(
      "DEL-30",
      "H",
      RULE,
      "renamed, and ADD again without DEL: refused; DEL then deletes it",
      (t) => {
        const conf = t.l2();
        t.add(conf);
        t.sh(RENAMED);
        t.error(t.call("ADD", conf));
        t.present("mine");
        t.gone();
        t.silent("DEL", conf);
        t.gone("mine");
      },
      virtual,
    ),
    row(
      "DEL-31",
      "H",
      RULE,
      "one without our marks, renamed: known by the MAC address in prevResult",
      (t) => {
        t.silent("DEL", unmarked(t, RENAMED));
        t.gone("mine");
        t.leaseCount(0);
      },
      macvlan,
    ),
    row(
      "DEL-34",
      "H",
      RULE,
      "one without our marks, whose name another one has got: known by the MAC address in prevResult",
      (t) => {
        const conf = unmarked(
          t,
          `${RENAMED}; ip link add other link up0 type macvlan mode bridge; ip link set other netns c1 name eth0`,
        );
        t.silent("DEL", conf);
        t.gone("mine");
        t.present("eth0");
        t.leaseCount(0);
      },
      macvlan,
    ),
    row(
      "DEL-32",
      "H",
      RULE,
      "MAC address of prevResult, alias of another attachment: E, all stays",
      (t) => {
        t.error(t.call("DEL", unmarked(t, FOREIGN)));
        t.present("eth0");
        t.leaseCount(1);
      },
      macvlan,
    ),
    row(
      "DEL-36a",
      "H",
      RULE,
      "the pod moved it to another namespace: deleted, released",
      (t) => {
        finds(t, "ip netns add c2; ip -n c1 link set eth0 netns c2; ip -n c2 link set eth0 name x alias y");
        t.gone("x", "c2");
      },
      virtual,
    ),
    row(
      "DEL-36b",
      "H",
      RULE,
      "the same, and another one of the kind has its name in the pod: that one stays",
      (t) => {
        const conf = t.l3();
        const prevResult = t.add(conf);
        t.sh("ip netns add c2; ip -n c1 link set eth0 netns c2");
        neighbour(t);
        t.silent("DEL", { ...conf, prevResult });
        t.gone("eth0", "c2");
        t.present("eth0");
      },
      virtual,
    ),
    row(
      "DEL-36c",
      "H",
      RULE,
      "the pod moved it to a namespace without a name and without a process that can be seen: deleted, released",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        const pid = t
          .sh(`mkfifo /run/hold; ip netns add x; sh -c 'read line </run/hold' 9</run/netns/x >/dev/null 2>&1 & echo $!
            ip -n c1 link set eth0 netns x; umount -l /run/netns/x; rm /run/netns/x`)
          .trim();
        t.silent("DEL", conf);
        t.leaseCount(0);
        const left = t.sh(`nsenter --net=/proc/${pid}/fd/9 ip -o link; echo >/run/hold`);
        t.expect(!left.includes("eth0"), "no eth0 where the pod moved it", left);
      },
      virtual,
    ),
    row(
      "DEL-36d",
      "H",
      RULE,
      "the same, with the alias of another attachment: deleted, released",
      (t) => {
        finds(t, "ip netns add c2; ip -n c1 link set eth0 netns c2; ip -n c2 link set eth0 alias podnic:net1:ctr-2");
        t.gone("eth0", "c2");
      },
      virtual,
    ),
    row(
      "DEL-36e",
      "H",
      RULE,
      "one with its index and alias on another node's master, in a container of that node on this machine: it stays",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        const { index } = t.link("eth0")!;
        t.sh(`ip netns add node; ip netns add c2; ip -n node link add up0 type veth peer name up0p; ip -n node link set up0 up
          ip -n node link add eth0 link up0 index ${index} netns c2 type ${t.main.name}
          ip -n c2 link set eth0 alias podnic:net1:ctr-1; ip netns del c1`);
        t.silent("DEL", conf);
        t.present("eth0", "c2");
        t.leaseCount(0);
      },
      virtual,
    ),
    ...GONE_BY_NAME.map(([letter, what, script, netns]) =>
      row(
        `DEL-37${letter}`,
        "H",
        RULE,
        `${what}, and a process keeps the namespace: deleted, released`,
        (t) => {
          const conf = t.l3();
          t.add(conf);
          const pid = t
            .sh(`nsenter --net=/run/netns/c1 sleep 60 >/dev/null 2>&1 & echo $!; sleep 0.05; ${script}`)
            .trim();
          t.silent("DEL", conf, netns === undefined ? {} : { set: { CNI_NETNS: netns === "" ? undefined : netns } });
          const left = t.sh(`nsenter --net=/proc/${pid}/ns/net ip -o link; kill ${pid}`);
          t.expect(!left.includes("eth0"), "no eth0 in the pod", left);
          t.leaseCount(0);
        },
        virtual,
      ),
    ),
    ...(
      [
        ["a", "DEL without CNI_NETNS", "DEL", undefined],
        ["b", "DEL with a path that does not exist", "DEL", "/run/netns/nosuch"],
        ["c", "GC", "GC", undefined],
      ] as const
    ).map(([letter, what, command, netns]) =>
      row(
        `DEL-38${letter}`,
        "H",
        RULE,
        `the pod moved it, ${what}, and podnic may not enter namespaces (EPERM of setns): E(11), interface and lease stay; then OK`,
        (t) => {
          const conf = t.l3();
          t.add(conf);
          t.sh(MOVED);
          const asked = command === "GC" ? { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] } : conf;
          const set = command === "GC" ? {} : { CNI_NETNS: netns };
          // ipvlan forgets its known slave, which is not there any more.
          t.error(t.call(command, asked, { set, wrap: MAY_NOT_ENTER }), [11]);
          t.leaseCount(1);
          t.present("eth0", "c2");
          t.silent(command, asked, { set });
          t.gone("eth0", "c2");
          t.leaseCount(0);
        },
        { ...virtual, needs: ["program:setpriv", ...(command === "GC" ? (["spec:1.1.0"] as const) : [])] },
      ),
    ),
    row(
      "DEL-38d",
      "H",
      RULE,
      "no ADD of the attachment, and podnic may not enter namespaces (EPERM of setns): OK, twice; E for one that has a lease",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        t.sh(MOVED);
        for (const CNI_NETNS of [undefined, "/run/netns/nosuch"]) {
          const set = { CNI_NETNS, CNI_CONTAINERID: "never-added" };
          for (let i = 0; i < 2; i++) t.silent("DEL", conf, { set, wrap: MAY_NOT_ENTER });
          t.error(t.call("DEL", conf, { set: { CNI_NETNS }, wrap: MAY_NOT_ENTER }));
        }
        t.present("eth0", "c2");
        t.leaseCount(1);
      },
      { ...virtual, needs: ["program:setpriv"] },
    ),
    row(
      "DEL-38e",
      "H",
      RULE,
      "DEL without CNI_NETNS, and podnic may not enter namespaces, but the host has a number for the pod's: deleted, released",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        t.silent("DEL", conf, { set: { CNI_NETNS: undefined }, wrap: MAY_NOT_ENTER });
        t.gone();
        t.leaseCount(0);
      },
      { ...virtual, needs: ["program:setpriv"] },
    ),
    row(
      "DEL-39",
      "H",
      RULE,
      "the path is another pod's by now, with an interface of a Go plugin, by its lease: DEL with prevResult OK, it stays",
      (t) => {
        const conf = t.l3();
        const prevResult = t.add(conf);
        t.sh("ip netns del c1; ip netns add c1");
        neighbour(t);
        t.sh("ip -n c1 address add 198.18.0.9/24 dev eth0");
        t.write("/var/lib/cni/networks/net1/198.18.0.9", "second\r\neth0");
        for (let i = 0; i < 2; i++) t.silent("DEL", { ...conf, prevResult });
        t.present("eth0");
        t.leaseCount(1);
        t.silent("DEL", conf, { set: { CNI_CONTAINERID: "second" } });
        t.gone("eth0");
        t.leaseCount(0);
      },
      virtual,
    ),
    row(
      "DEL-40",
      "H",
      RULE,
      "a Go plugin's interface, and a lease that names the container only, as plugins before 0.8 wrote it: deleted, released",
      (t) => {
        const conf = t.l3();
        for (const prevResult of [undefined, t.add(conf)]) {
          t.silent("DEL", conf);
          neighbour(t);
          t.sh("ip -n c1 address add 198.18.0.9/24 dev eth0");
          t.write("/var/lib/cni/networks/net1/198.18.0.9", "ctr-1");
          t.silent("DEL", { ...conf, prevResult });
          t.gone("eth0");
          t.leaseCount(0);
        }
      },
      virtual,
    ),
    row(
      "DEL-41",
      "H",
      RULE,
      "a Go plugin's interface with the address of its lease, and the configuration names another master by now: deleted, released",
      (t) => {
        const conf = t.l3();
        t.sh("ip link add up7 type veth peer name up7p");
        neighbour(t);
        t.sh("ip -n c1 address add 198.18.0.9/24 dev eth0");
        t.write("/var/lib/cni/networks/net1/198.18.0.9", "ctr-1\r\neth0");
        t.silent("DEL", { ...conf, master: "up7" });
        t.gone("eth0");
        t.leaseCount(0);
        // Of another network: nothing says that it is ours.
        neighbour(t);
        t.silent("DEL", { ...conf, master: "up7" });
        t.present("eth0");
      },
      virtual,
    ),
    row(
      "DEL-45",
      "H",
      RULE,
      "the path is another pod's by now, with an interface of a Go plugin of the same name and MAC, without a lease: DEL of the older one OK, it stays",
      (t) => {
        const conf = t.l2();
        neighbour(t);
        const interfaces = [{ name: "eth0", mac: t.link("eth0")!.mac, sandbox: "/run/netns/c1" }];
        const prevResult = { cniVersion: "1.0.0", interfaces };
        keepResult(t, conf, prevResult);
        t.sh("touch -d '1 minute ago' /var/lib/cni/results/net1-ctr-1-eth0");
        keepResult(t, conf, prevResult, "second");
        for (let i = 0; i < 2; i++) t.silent("DEL", { ...conf, prevResult });
        t.present("eth0");
        t.silent("DEL", { ...conf, prevResult }, { set: { CNI_CONTAINERID: "second" } });
        t.gone("eth0");
      },
      virtual,
    ),
    ...(["file", "socket"] as const).map((by, i) =>
      row(
        `DEL-42${"ab"[i]}`,
        "H",
        RULE,
        `CNI_NETNS is gone, and nothing but a ${by} of a process keeps the namespace: deleted, released`,
        (t) => {
          const conf = t.l3();
          const prevResult = t.add(conf);
          const pid = hold(t, by);
          t.silent("DEL", { ...conf, prevResult });
          t.leaseCount(0);
          // The kernel accepts this only on a device without other interfaces.
          const probe = "ip link add probe link up0 type macvlan mode passthru 2>/dev/null && ip link del probe";
          t.equal(t.sh(`${probe} || echo some; kill ${pid}`).trim(), "", "other interfaces on the master");
        },
        { ...virtual, needs: by === "socket" ? ["program:perl"] : [] },
      ),
    ),
    row(
      "DEL-42c",
      "H",
      RULE,
      "the same with a Go plugin's interface: E(11), and the lease stays; OK when the namespace ends",
      (t) => {
        const conf = unmarked(t);
        const mac = t.link("eth0")!.mac;
        t.sh("ip -n c1 link set eth0 up");
        const pid = hold(t, "socket");
        t.refused("DEL", conf, [11]);
        t.leaseCount(1);
        t.sh(`kill ${pid}; ${untilForgotten(mac)}`);
        t.silent("DEL", conf);
        t.leaseCount(0);
      },
      { ...macvlan, needs: ["program:perl"] },
    ),
    row(
      "DEL-42d",
      "H",
      RULE,
      "the same, and the operator removes the address from the master: OK, released",
      (t) => {
        const conf = unmarked(t);
        t.sh("ip -n c1 link set eth0 up");
        const { mac } = t.link("eth0")!;
        const pid = hold(t, "socket");
        t.sh(`bridge fdb del ${mac} dev up0 self`);
        t.silent("DEL", conf);
        t.leaseCount(0);
        t.sh(`kill ${pid}`);
      },
      { ...macvlan, needs: ["program:perl"] },
    ),
    row(
      "DEL-42e",
      "H",
      RULE,
      "CNI_NETNS is gone, another pod has the address by now (a VM that was started again), and a third one is held: OK, released",
      (t) => {
        const [conf, other] = [
          { ...t.l3(), mac: "02:00:00:00:00:07" },
          { ...t.l3(), mac: "02:00:00:00:00:09" },
        ];
        const prevResult = t.add(conf);
        t.sh(`ip netns del c1; ip netns add c1; ip netns add c2; ${untilForgotten(conf.mac)}`);
        t.add(other, { set: { CNI_CONTAINERID: "held" } });
        const pid = hold(t, "socket");
        t.add(conf, { set: { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" }, ns: "c2" });
        t.silent("DEL", { ...conf, prevResult });
        t.present("eth0", "c2");
        t.leaseCount(2);
        t.sh(`kill ${pid}`);
      },
      { ...macvlan, needs: ["program:perl"] },
    ),
    row(
      "DEL-42f",
      "H",
      RULE,
      "CNI_NETNS is gone, and the operator has the master receive the address, with another pod on it: OK, released, the entry stays",
      (t) => {
        const conf = t.l3();
        const prevResult = t.add(conf);
        const { mac } = t.link("eth0")!;
        t.sh(`ip netns del c1; ${untilForgotten(mac)}; bridge fdb add ${mac} dev up0 self; ip netns add c2`);
        t.add(conf, { set: { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" }, ns: "c2" });
        t.silent("DEL", { ...conf, prevResult });
        t.expect(t.sh("bridge fdb show dev up0").includes(mac), "the operator's entry", "none");
        t.leaseCount(1);
      },
      macvlan,
    ),
    row(
      "DEL-42g",
      "H",
      RULE,
      "CNI_NETNS is gone, and a node in a container, which the host has a number for, has one with its index and alias: it stays",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        const { index } = t.link("eth0")!;
        t.sh(`ip netns add node; ip netns set node auto; ip -n node link add up0 index 900 type veth peer name up0p index 901
          ip -n node link add eth0 link up0 index ${index} type ${t.main.name}
          ip -n node link set eth0 alias podnic:net1:ctr-1; ip netns del c1`);
        t.silent("DEL", conf);
        t.present("eth0", "node");
        t.leaseCount(0);
      },
      virtual,
    ),
    row(
      "DEL-42h",
      "H",
      RULE,
      "CNI_NETNS is gone, and the operator has a VLAN without IPv6, the master, receive the address: OK, released",
      (t) => {
        t.sh("ip link add v7 link up0 mtu 1200 type vlan id 7; ip link set v7 up");
        const conf = { ...t.l3(), master: "v7" };
        const prevResult = t.add(conf);
        const { mac } = t.link("eth0")!;
        t.sh(`ip netns del c1; ${untilForgotten(mac)}; bridge fdb add ${mac} dev v7 self`);
        t.silent("DEL", { ...conf, prevResult });
        t.leaseCount(0);
      },
      { ...macvlan, needs: ["kernel:vlan"] },
    ),
    row(
      "DEL-33",
      "H",
      "C-082: repeated DEL",
      "while another network's interface has the name: OK, it stays",
      (t) => {
        const [one, two] = [t.l3(), { ...t.l3(), name: "net2" }];
        const prevResult = t.add(one);
        t.silent("DEL", { ...one, prevResult });
        t.add(two);
        t.silent("DEL", { ...one, prevResult });
        t.present("eth0");
        t.leaseCount(1, "net2");
      },
      virtual,
    ),
  ],
  fixed: [],
};
