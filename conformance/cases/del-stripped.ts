// DEL of an interface on a master that has none of our marks, and the attachment's leased address: the pod took the marks away, or a Go plugin made it.
import { type CaseTable, row } from "../harness/case.ts";
import { keepResult } from "../harness/libcni.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";

const virtual = { only: ["macvlan", "ipvlan"] };
const macvlan = { only: ["macvlan"] };
const RULE = "what is freed is not in use; only the owner undoes";

interface Stripped {
  conf: Config;
  address: string;
  /** Runs in the namespace where the interface is by now, as "foo". */
  back: string;
}

/** The pod moves it to where its index is taken, so that it gets another one, and gives it another name, alias and (macvlan) MAC address. */
function strip(t: Trial): Stripped {
  const conf = t.l3();
  const prevResult = t.add(conf);
  const { address } = prevResult.ips![0]!;
  const { index } = t.link("eth0")!;
  const mac = conf.type === "macvlan" ? "; ip -n c2 link set foo address 02:11:22:33:44:55" : "";
  t.sh(`ip netns add c2; ip -n c2 link add taken index ${index} type veth peer name taken2 index 900; ip -n c1 link set eth0 down
    ip -n c1 link set eth0 netns c2 name foo; ip -n c2 link set foo alias x${mac}`);
  return { conf: { ...conf, prevResult }, address, back: "ip -n c2 link set foo netns c1" };
}

const give = (ns: string, name: string, address: string): string =>
  `ip -n ${ns} address add ${address} dev ${name}; ip -n ${ns} link set ${name} up`;

/** None is left on the master, and the address is free. */
function isDeleted(t: Trial, conf: Config, namespaces = ["c1"]): void {
  const left = namespaces.flatMap((ns) => t.links(ns).filter(({ kind }) => kind === conf.type));
  t.equal(
    left.map(({ name }) => name),
    [],
    "links on the master",
  );
  t.leaseCount(0);
}

/** A Go plugin's, in the pod, with the leased address. */
function unmarked(t: Trial): Config {
  const conf = t.l3();
  const prevResult = t.add(conf);
  const mac = conf.type === "macvlan" ? ` address ${t.link("eth0")!.mac}` : "";
  t.sh(`ip -n c1 link del eth0; ip link add go0 link up0${mac} type ${t.main.name}; ip link set go0 netns c1 name eth0
    ${give("c1", "eth0", prevResult.ips![0]!.address)}`);
  return { ...conf, prevResult };
}

export const delStripped: CaseTable = {
  perMain: [
    row(
      "DEL-43a",
      "H",
      RULE,
      "the pod moved it away and back so that it lost index, name, alias and MAC address, and it has the leased address: deleted, released",
      (t) => {
        const { conf, address, back } = strip(t);
        t.sh(`${back}; ${give("c1", "foo", address)}`);
        t.silent("DEL", conf);
        isDeleted(t, conf);
      },
      virtual,
    ),
    row(
      "DEL-43b",
      "H",
      RULE,
      "the same, and the pod left it in the other namespace: E(11), lease and interface stay; OK when that one is gone",
      (t) => {
        const { conf, address } = strip(t);
        t.sh(give("c2", "foo", address));
        t.refused("DEL", conf, [11]);
        t.present("foo", "c2");
        t.leaseCount(1);
        t.sh("ip -n c2 link del foo");
        t.silent("DEL", conf);
        t.leaseCount(0);
      },
      virtual,
    ),
    ...(["", "c2"] as const).map((ns) =>
      row(
        `DEL-43${ns === "" ? "f" : "g"}`,
        "H",
        RULE,
        `the pod deleted its interface, and ${ns === "" ? "the node has a macvlan or ipvlan" : "a container that CNI does not know has one"} with the leased address on the master: it stays, ${ns === "" ? "OK, released" : "E(11), lease kept; OK when that one is gone"}`,
        (t) => {
          const conf = t.l3();
          const prevResult = t.add(conf);
          const { address } = prevResult.ips![0]!;
          const own = ns === "" ? "" : ` -n ${ns}`;
          t.sh(`ip -n c1 link del eth0; ip link add other link up0 type ${t.main.name}`);
          if (ns !== "") t.sh(`ip netns add ${ns}; ip link set other netns ${ns}`);
          t.sh(`ip${own} address add ${address} dev other; ip${own} link set other up`);
          if (ns !== "") {
            t.refused("DEL", { ...conf, prevResult }, [11]);
            t.leaseCount(1);
          } else t.silent("DEL", { ...conf, prevResult });
          t.present("other", ns);
          t.sh(`ip${own} link del other`);
          t.silent("DEL", { ...conf, prevResult });
          t.leaseCount(0);
        },
        virtual,
      ),
    ),
    row(
      "DEL-43c",
      "H",
      RULE,
      "the same, back in the pod, which made another one with the name of the first: both deleted, released",
      (t) => {
        const { conf, address, back } = strip(t);
        t.sh(`${back}; ${give("c1", "foo", address)}; ip -n c1 link add eth0 link foo type ${t.main.name}`);
        t.silent("DEL", conf);
        isDeleted(t, conf);
      },
      virtual,
    ),
    row(
      "DEL-43d",
      "H",
      RULE,
      "the pod gave its leased address to another network's interface, and deleted its own: E(11), lease and interface stay; OK when that one is gone",
      (t) => {
        const conf = t.l3();
        const prevResult = t.add(conf);
        const { address } = prevResult.ips![0]!;
        const second = { ...t.l2(), name: "net2" };
        t.add(second, { set: { CNI_IFNAME: "eth1" } });
        t.sh(`ip -n c1 link del eth0; ${give("c1", "eth1", address)}`);
        t.refused("DEL", { ...conf, prevResult }, [11]);
        t.leaseCount(1);
        t.silent("DEL", second, { set: { CNI_IFNAME: "eth1" } });
        t.silent("DEL", { ...conf, prevResult });
        t.leaseCount(0);
      },
      virtual,
    ),
    row(
      "DEL-43e",
      "H",
      RULE,
      "the pod gave its lent macvlan the name, the alias, the MAC and the address of its interface, which it deleted: it stays, and comes back",
      (t) => {
        const conf = t.l3();
        t.sh("ip link add m0 link up0 type macvlan mode bridge");
        const prevResult = t.add(conf);
        const { mac } = t.link("eth0")!;
        const { address } = prevResult.ips![0]!;
        const lend = { cniVersion: "1.0.0", name: "lent", type: "host-device", device: "m0" };
        const asLent = { set: { CNI_IFNAME: "eth1" } };
        t.add(lend, asLent);
        t.sh(`ip -n c1 link del eth0; ip -n c1 link set eth1 down; ip -n c1 link set eth1 name eth0 address ${mac}
          ip -n c1 link set eth0 alias podnic:net1:ctr-1; ${give("c1", "eth0", address)}`);
        t.silent("DEL", { ...conf, prevResult });
        t.present("eth0");
        t.silent("DEL", lend, asLent);
        t.present("m0", "");
      },
      { ...macvlan, needs: ["plugin:host-device"] },
    ),
    ...[undefined, "/run/netns/nosuch"].map((CNI_NETNS, i) =>
      row(
        `DEL-44${"ab"[i]}`,
        "H",
        RULE,
        `a Go plugin's interface, and CNI_NETNS is ${CNI_NETNS ?? "empty"}, but libcni keeps the namespace's path, which is still there: deleted, released`,
        (t) => {
          const conf = unmarked(t);
          keepResult(t, conf, conf.prevResult);
          t.silent("DEL", conf, { set: { CNI_NETNS } });
          isDeleted(t, conf);
        },
        virtual,
      ),
    ),
    row(
      "DEL-44d",
      "H",
      RULE,
      "the same, but libcni keeps nothing, and a prevResult proves nothing: E(11), lease and interface stay",
      (t) => {
        const conf = unmarked(t);
        t.refused("DEL", conf, [11], { set: { CNI_NETNS: undefined } });
        t.present("eth0");
        t.leaseCount(1);
      },
      virtual,
    ),
    row(
      "DEL-44c",
      "H",
      RULE,
      "the same, and libcni keeps a result of another attachment that names the interface: it stays",
      (t) => {
        const conf = unmarked(t);
        const { mac } = t.link("eth0")!;
        const interfaces = [{ name: "eth0", mac, sandbox: "/run/netns/c1" }];
        keepResult(t, { ...conf, name: "net2" }, { interfaces }, "second");
        t.silent("DEL", conf, { set: { CNI_NETNS: undefined } });
        t.present("eth0");
      },
      virtual,
    ),
  ],
  fixed: [],
};
