// Configurations that real platforms' guides hand to their users, byte for byte; Multus supplies nothing but the name.
import { readFileSync } from "node:fs";
import { type CaseTable, Mismatch, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Link } from "../harness/kernel.ts";
import type { Result } from "../harness/result.ts";
import type { Trial } from "../harness/trial.ts";

/** The example's text with a name in front, as Multus adds it. */
function example(t: Trial, file: string, name: string): string {
  const text = readFileSync(`${t.settings.root}/plugins/${file}`, "utf8");
  return text.replace("{", `{"name":"${name}",`);
}

interface Pod {
  readonly name: string;
  readonly plugin: string;
  readonly text: string;
  /** Network namespace of its node; the sandbox's own when absent. */
  readonly node?: string;
}

function run(t: Trial, command: string, pod: Pod) {
  const set = { CNI_CONTAINERID: pod.name, CNI_NETNS: `/run/netns/${pod.name}`, CNI_IFNAME: "net1" };
  const wrap = pod.node === undefined ? 'exec "$@"' : `exec nsenter --net=/run/netns/${pod.node} "$@"`;
  return t.call(command, pod.text, { set, wrap, plugin: pod.plugin });
}

function add(t: Trial, pod: Pod): Result {
  const added = run(t, "ADD", pod);
  if (added.status !== 0) throw new Mismatch("OK", describeRun(added));
  return JSON.parse(added.stdout) as Result;
}

/** The second of two attempts may succeed where the first met a neighbour that was not yet ready. */
function ping(t: Trial, from: string, to: string): void {
  const script = `ip netns exec ${from} ping -n -c 2 -i 0.3 -W 2 ${to} 2>&1 || true`;
  const said = t.sh(script);
  t.expect(said.includes("bytes from"), `${to} answers ${from}`, said);
}

const net1 = (t: Trial, pod: Pod): Link => t.link("net1", pod.name) ?? t.links(pod.name)[0]!;

function del(t: Trial, ...pods: Pod[]): void {
  for (const pod of pods) {
    t.silentRun(run(t, "DEL", pod));
    t.gone("net1", pod.name);
  }
}

/** Two pods on one master that ping each other over net1. */
function onOneMaster(t: Trial, plugin: string, file: string, addresses: readonly string[]): [Pod, Pod] {
  t.sh("ip link add ens5 type veth peer name ens5p; ip link set ens5 up; ip link set ens5p up");
  t.sh("ip link add ens6 type veth peer name ens6p; ip link set ens6 up; ip link set ens6p up");
  const text = example(t, file, `${plugin}-conf`);
  const pods: [Pod, Pod] = [
    { name: "pod1", plugin, text },
    { name: "pod2", plugin, text },
  ];
  for (const [n, pod] of pods.entries()) {
    t.netns(pod.name);
    const result = add(t, pod);
    t.equal(result.cniVersion, "0.3.0", "cniVersion");
    t.equal(
      result.ips?.map((ip) => ip.address),
      [addresses[n]],
      "address",
    );
    t.equal(result.interfaces?.[0]?.mac, net1(t, pod).mac, "mac");
  }
  ping(t, "pod1", addresses[1]!.split("/")[0]!);
  ping(t, "pod2", addresses[0]!.split("/")[0]!);
  return pods;
}

/**
 * A network card ens5 of a node, on a cable to the interface `lan` there. (A veth with its other end in another namespace would be a pod's, and is
 * not handed over.)
 */
export function cable(node: string): string {
  const ip = node === "" ? "ip" : `ip -n ${node}`;
  return `${ip} link add ens5 type veth peer name switch5; ${ip} link add switch type bridge
    for port in switch5 lan; do ${ip} link set $port master switch up; done; ${ip} link set switch up; ${ip} link set ens5 up`;
}

const OKE = "host-device/examples/oke-vm-host-device.node1.json";

interface Prepared {
  readonly family: 4 | 6;
  readonly address: string;
  readonly gateway: string;
  readonly table: number;
}

/** ens5 has an address, a default route in a table of its own and a rule for that address; the node goes out over another device. */
function onPreparedNode(t: Trial, ...prepared: readonly Prepared[]): void {
  t.sh(`ip netns add outside; ip link add lan type veth peer name uplink netns outside; ${cable("")}
    ip -n outside link set uplink up; ip -n outside address add 10.0.10.7/24 dev uplink
    ip address add 192.0.2.9/24 dev up0; ip route add default via 192.0.2.1`);
  const bare = (address: string): string => address.split("/")[0]!;
  for (const { family, address, gateway, table } of prepared) {
    const nodad = family === 6 ? "nodad" : "";
    t.sh(`ip -${family} address add ${address} dev ens5 ${nodad}
      ip -${family} route add default via ${gateway} dev ens5 table ${table} proto static
      ip -${family} rule add from ${bare(address)} lookup ${table}; ip -${family} rule add to ${bare(address)} lookup ${table}
      ip -${family} rule add iif ens5 lookup ${table}`);
  }
  const abroad = { 4: "203.0.113.9", 6: "2600::9" } as const;
  const show = (): string =>
    prepared
      .map(({ family, address, table }) => {
        const way = `ip -${family} route get ${abroad[family]} from ${bare(address)} | head -n 1`;
        return t.sh(`ip -${family} rule show; ip -${family} route show table ${table}; ${way}
          ip -o -${family} address show dev ens5 scope global | sed 's/^[0-9]*: //'`);
      })
      .join("");
  const before = show();
  t.expect(before.includes("dev ens5 table"), "the table is in force before", before);
  const pod: Pod = { name: "c1", plugin: "host-device", text: example(t, OKE, "oci-vf") };
  for (let round = 1; round <= 2; round++) {
    add(t, pod);
    ping(t, "outside", "10.0.10.93");
    del(t, pod);
    t.equal(show(), before, `rules, table, way and address after DEL ${round}`);
  }
}

/** A router advertisement from link-local fe80::1, for 1800 s, to all nodes. The kernel computes the checksum of a raw ICMPv6 socket. */
const ROUTER = `
use Socket qw(:all);
socket(my $s, AF_INET6, SOCK_RAW, 58) or die "socket: $!";
my $index = $ARGV[0];
setsockopt($s, 41, 18, pack("l", 255)) or die "hops: $!";
setsockopt($s, 41, 17, pack("l", $index)) or die "interface: $!";
my $to = pack("SnNa16L", 10, 0, 0, inet_pton(AF_INET6, "ff02::1"), $index);
my $ra = pack("CCnCCnNN", 134, 0, 0, 64, 0, 1800, 0, 0);
for (1 .. 5) { send($s, $ra, 0, $to) or die "send: $!"; select(undef, undef, undef, 0.3); }
`;

/** Sends it five times from an interface of a namespace. */
export function advertise(t: Trial, netns: string, interfaceName: string): void {
  const inside = `ip netns exec ${netns}`;
  t.sh(`${inside} perl -e '${ROUTER}' $(${inside} cat /sys/class/net/${interfaceName}/ifindex)`);
}

/** ADD, DEL and ADD again while the router is heard. `routes`: default routes over the device that the host has then. */
function advertised(t: Trial, setup: string, routes: number): void {
  t.sh(`ip netns add router; ip link add lan type veth peer name uplink netns router; ${cable("")}
    ip -n router link set uplink up; ip -n router address add fe80::1/64 dev uplink nodad
    ip address add 192.0.2.9/24 dev up0; ip route add default via 192.0.2.1; ${setup}`);
  const heard = (): number => t.routes("").filter(({ dst, dev }) => dst === "::/0" && dev === "ens5").length;
  const pod: Pod = { name: "c1", plugin: "host-device", text: example(t, OKE, "oci-vf") };
  advertise(t, "router", "uplink");
  t.equal(heard(), routes, "default routes before");
  for (let round = 1; round <= 2; round++) {
    add(t, pod);
    del(t, pod);
    advertise(t, "router", "uplink");
    t.equal(heard(), routes, `default routes after DEL ${round}`);
  }
}

export const guides: CaseTable = {
  perMain: [],
  fixed: [
    row(
      "GDE-01",
      "G",
      "Oracle OKE, VM nodes",
      "two pods on two nodes ping each other; the devices come back",
      (t) => {
        t.sh(
          `ip netns add node2; ip link add lan type veth peer name lan netns node2; ${cable("")}; ${cable("node2")}`,
        );
        const pod = (n: number): Pod => ({
          name: t.netns(`pod${n}`).slice("/run/netns/".length),
          plugin: "host-device",
          text: example(t, `host-device/examples/oke-vm-host-device.node${n}.json`, "oci-vf"),
          ...(n === 2 && { node: "node2" }),
        });
        const [one, two] = [pod(1), pod(2)];
        t.equal(add(t, one).ips?.[0]?.address, "10.0.10.93/24", "address");
        t.equal(add(t, two).ips?.[0]?.address, "10.0.10.238/24", "address");
        ping(t, "pod1", "10.0.10.238");
        ping(t, "pod2", "10.0.10.93");
        del(t, one, two);
        t.present("ens5", "");
        t.present("ens5", "node2");
      },
      { needs: ["plugin:host-device", "plugin:static", "program:ping"] },
    ),
    row(
      "GDE-02",
      "G",
      "Oracle OKE, VM nodes",
      "a host outside the cluster pings the pod",
      (t) => {
        t.sh(`ip netns add outside; ip link add lan type veth peer name uplink netns outside; ${cable("")}`);
        t.sh("ip -n outside link set uplink up; ip -n outside address add 10.0.10.7/24 dev uplink");
        const pod: Pod = {
          name: "c1",
          plugin: "host-device",
          text: example(t, "host-device/examples/oke-vm-host-device.node1.json", "oci-vf"),
        };
        add(t, pod);
        ping(t, "outside", "10.0.10.93");
        del(t, pod);
      },
      { needs: ["plugin:host-device", "plugin:static", "program:ping"] },
    ),
    row(
      "GDE-05",
      "G",
      "Oracle OKE, VM nodes, prepared as the guide says",
      "address, own table and rule on the host: ping, and all of it is in force again",
      (t) => {
        onPreparedNode(t, { family: 4, address: "10.0.10.93/24", gateway: "10.0.10.1", table: 101 });
      },
      { needs: ["plugin:host-device", "plugin:static", "program:ping"] },
    ),
    row(
      "GDE-06",
      "G",
      "Amazon EKS, an interface as the image's tools set it up",
      "table 10000 + index and rules by source, both families: ping, and all of it is in force again",
      (t) => {
        const first = { family: 4, address: "10.0.10.93/24", gateway: "10.0.10.1", table: 10002 } as const;
        onPreparedNode(t, first, { family: 6, address: "2001:db8:a::93/64", gateway: "2001:db8:a::1", table: 10002 });
      },
      { needs: ["plugin:host-device", "plugin:static", "program:ping"] },
    ),
    row(
      "GDE-07",
      "H",
      "a network whose router advertises itself",
      "the host does not listen: it does not after DEL, and a second pod gets the device",
      (t) => advertised(t, "sysctl -qw net.ipv6.conf.ens5.accept_ra=0", 0),
      { needs: ["plugin:host-device", "plugin:static", "program:perl"] },
    ),
    row(
      "GDE-08",
      "H",
      "a network whose router advertises itself",
      "the host listens: the route it took does not keep the device from pods",
      (t) => advertised(t, "true", 1),
      { needs: ["plugin:host-device", "plugin:static", "program:perl"] },
    ),
    row(
      "GDE-03",
      "G",
      "VMware Tanzu",
      "macvlan bridge over ens5, range .200 to .216: pods ping each other",
      (t) => {
        const pods = onOneMaster(t, "macvlan", "macvlan/examples/tkg-macvlan.json", [
          "192.168.1.200/24",
          "192.168.1.201/24",
        ]);
        t.equal(net1(t, pods[0]).data.mode, "bridge", "mode");
        const route = t.routes("pod1").find((r) => r.dst === "0.0.0.0/0");
        t.equal([route?.gateway, route?.dev], ["192.168.1.1", "net1"], "default route");
        del(t, ...pods);
      },
      { needs: ["plugin:macvlan", "plugin:host-local", "program:ping"] },
    ),
    row(
      "GDE-04",
      "G",
      "AWS EKS",
      "ipvlan L2 over ens6, range in a /19: pods ping each other, MAC is the parent's",
      (t) => {
        const pods = onOneMaster(t, "ipvlan", "ipvlan/examples/eks-ipvlan.json", [
          "100.64.30.10/19",
          "100.64.30.11/19",
        ]);
        t.equal(net1(t, pods[0]).data.mode, "l2", "mode");
        t.equal(net1(t, pods[0]).mac, t.link("ens6", "")!.mac, "MAC");
        const shown = t.sh("ip -n pod1 -d address show dev net1");
        t.expect(shown.includes("ipvlan") && shown.includes("mode l2 bridge"), "ipvlan mode l2 bridge", shown);
        t.expect(shown.includes("brd 100.64.31.255"), "brd 100.64.31.255", shown);
        del(t, ...pods);
      },
      { needs: ["plugin:ipvlan", "plugin:host-local", "program:ping"] },
    ),
  ],
};
