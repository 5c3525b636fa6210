// Interfaces on a master, as others see them: neighbours, whoever watches for names, the operator when the kernel says no.
import { type CaseTable, Mismatch, row } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { quote } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import { both } from "./virtual.ts";

/** Writes each frame that arrives at an interface, as a line of hex, to stdout. argv: its index. Also for others' cases. */
export const CAPTURE = `socket(my $s, 17, 3, 0x0300) or die; bind($s, pack("S n i S C C a8", 17, 3, $ARGV[0], 0, 0, 0, "")) or die; $| = 1;
  while (sysread($s, my $frame, 2048)) { print unpack("H*", $frame), "\n" }`;

/** ARP packets whose sender is `v4`, and neighbour advertisements for `v6`, by their Ethernet source. All are hex. */
function announcements(frames: string, v4: string, v6: string): { arp: string[]; advertisement: string[] } {
  const lines = frames.split("\n");
  const by = (pattern: RegExp) => lines.map((line) => pattern.exec(line)?.[1]).filter((mac) => mac !== undefined);
  return {
    arp: by(new RegExp(`^f{12}(.{12})0806.{28}${v4}`)),
    advertisement: by(new RegExp(`^3333.{8}(.{12})86dd.{12}3aff.{64}88.{14}${v6}`)),
  };
}

/** net1 gets addresses in a pod whose default routes lead through eth0; what is heard behind each of the two. */
function announced(t: Trial, keys: Config = {}, patience = 0.5) {
  t.sh(`ip link add p0 type veth peer name eth0 netns c1; ip link set p0 up; ip -n c1 link set eth0 up
    ip -n c1 address add 10.0.0.1/8 dev eth0; ip -n c1 address add fd99::1/64 dev eth0 nodad
    ip -n c1 route add default via 10.0.0.2; ip -n c1 -6 route add default via fd99::2`);
  const index = (name: string) => t.link(name, "")!.index;
  const listen = (name: string) =>
    `perl -e ${quote(CAPTURE)} ${index(name)} >/run/heard-${name} 2>&1 </dev/null & pids="$pids $!"`;
  const addresses = [{ address: "198.51.100.5/24" }, { address: "2001:db8::5/64" }];
  const conf = t.withStatic(addresses, {}, keys);
  const wire = t.main.creates ? "up1" : `${conf.device}p`;
  const wrap = `pids=; ${listen(wire)}; ${listen("p0")}; sleep 0.5; "$@"; s=$?; sleep ${patience}; kill $pids; exit $s`;
  t.add(conf, { set: { CNI_IFNAME: "net1" }, wrap });
  const heard = (name: string) =>
    announcements(t.read(`/run/heard-${name}`), "c6336405", "20010db8000000000000000000000005");
  return { network: heard(wire), elsewhere: heard("p0"), mac: t.link("net1")!.mac.replaceAll(":", "") };
}

function heardFromItself({ network, elsewhere, mac }: ReturnType<typeof announced>): void {
  for (const [what, sources] of Object.entries(network)) {
    const right = sources.length > 0 && sources.every((source) => source === mac);
    if (!right) throw new Mismatch(`${what} from ${mac}`, JSON.stringify(network));
  }
  const loud = Object.values(elsewhere).flat();
  if (loud.length > 0) throw new Mismatch("nothing behind eth0", JSON.stringify(elsewhere));
}

/** Names of links that host and pod show while `call` runs, but for those that are there anyway. */
function namesSeen(t: Trial, call: (wrap: string) => void): string[] {
  const watch = "ip monitor link >/run/case-host 2>&1 & ip -n c1 monitor link >/run/case-c1 2>&1 & sleep 0.5";
  call(`${watch}; "$@"; s=$?; sleep 0.3; exit $s`);
  const said = (t.read("/run/case-host") + t.read("/run/case-c1")).match(/^(Deleted )?\d+: [^:@ ]+[:@]/gm) ?? [];
  const names = said.map((line) => line.split(/[ :@]+/).at(-2)!);
  return [...new Set(names)].filter((name) => !/^(up[01]|lo)$/.test(name)).sort();
}

const POOL = { needs: ["plugin:host-local"] };

export const virtualSeen: CaseTable = {
  perMain: [
    both(
      "VSN-01",
      "H",
      "neighbours learn where an address is",
      "gratuitous ARP and an unsolicited advertisement, from net1 itself; nothing through the pod's eth0",
      (t) => {
        heardFromItself(announced(t, { dad: "skip" }));
      },
      { needs: ["plugin:static", "program:perl"] },
    ),
    row(
      "VSN-01h",
      "H",
      "neighbours learn where an address is",
      "a device of the host: gratuitous ARP, and after detection an unsolicited advertisement, from net1 itself",
      (t) => heardFromItself(announced(t, {}, 3)),
      { only: ["host-device"], needs: ["plugin:static", "program:perl"] },
    ),
    row(
      "VSN-02",
      "H",
      "no temporary name",
      "while ADD, a refused ADD and DEL run, host and pod show no name but CNI_IFNAME",
      (t) => {
        const conf = t.l3();
        const names = (command: string, set = {}) =>
          namesSeen(t, (wrap) => {
            t.call(command, conf, { wrap, set });
          });
        t.equal(names("ADD"), ["eth0"], "names during ADD");
        t.equal(names("ADD", { CNI_CONTAINERID: "another" }), [], "names during an ADD whose name is taken");
        t.equal(names("DEL"), ["eth0"], "names during DEL");
        t.gone();
      },
      { only: ["macvlan", "ipvlan"], ...POOL },
    ),
    both(
      "VSN-03",
      "S",
      "C-080: DEL that did not delete is an error",
      "without the right to delete links: E that names it, the interface stays; then OK",
      (t) => {
        t.add(t.l2());
        const wrap = 'exec setpriv --bounding-set=-net_admin --inh-caps=-net_admin "$@"';
        const { msg, details } = t.error(t.call("DEL", t.l2(), { wrap }));
        t.expect(/not permitted/.test(`${msg} ${details}`), "not permitted", `${msg} | ${details}`);
        t.present("eth0");
        t.silent("DEL", t.l2());
        t.gone();
      },
      { needs: ["program:setpriv"] },
    ),
    both(
      "VSN-04",
      "S",
      "C-101",
      "STATUS with a master that is missing, or too small for the MTU: E(50) that names it",
      (t) => {
        const status = { cniVersion: "1.1.0" };
        for (const keys of [{ master: "nosuch0" }, { mtu: 9000 }]) {
          const { msg } = t.error(t.call("STATUS", t.l2({ ...status, ...keys })), [50]);
          t.expect(/nosuch0|9000/.test(msg), "nosuch0 or 9000", msg);
        }
      },
      { needs: ["spec:1.1.0"] },
    ),
    both(
      "VSN-05",
      "S",
      "C-101",
      "STATUS when IPAM is not ready: E(50)",
      (t) => {
        const conf = t.l3({ cniVersion: "1.1.0" }, { ranges: [[{ subnet: "198.51.100.0/30" }]] });
        t.silent("STATUS", conf);
        t.sh("rm -rf /var/lib/cni/networks; mkdir -p /var/lib/cni; touch /var/lib/cni/networks");
        t.error(t.call("STATUS", conf), [50]);
      },
      { needs: ["spec:1.1.0", "plugin:host-local"] },
    ),
    both(
      "VSN-06",
      "H",
      "duplicate address detection is an option",
      "optimistic: an IPv6 address with gateway can be used at once",
      (t) => {
        const conf = t.withStatic([{ address: "2001:db8::5/64", gateway: "2001:db8::1" }], {}, { dad: "optimistic" });
        t.result(t.call("ADD", conf), t.settings.spec);
        const shown = t.sh("ip -n c1 -6 address show dev eth0 scope global");
        t.expect(/2001:db8::5/.test(shown) && (/optimistic/.test(shown) || !/tentative/.test(shown)), "usable", shown);
      },
      { needs: ["plugin:static"] },
    ),
  ],
  fixed: [],
};
