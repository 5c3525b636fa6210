// What this machine and this plugin directory offer; decides which cases are not-run.
import { readdirSync } from "node:fs";
import { lendableCards } from "./card.ts";
import { runIn } from "./invoke.ts";
import { openNamespaces } from "./namespaces.ts";
import { isNetdevsim } from "./netdevsim-card.ts";
import { virtioCards } from "./virtio-card.ts";
import { BPF_TCX } from "./xdp.ts";

export interface Offer {
  /** Plugin name to the spec versions it lists. */
  readonly versions: Record<string, string[]>;
  /** Plugins of --peer, likewise. */
  readonly peerVersions: Record<string, string[]>;
  /**
   * Link kinds the kernel can make, vlan_filtering and locked_ports when its bridges do that, bcqueuelen when its macvlan has one, altname,
   * max_mtu and inet_nat when links and nftables have these, and tbf when it has that queue, tcx when it has that.
   */
  readonly kinds: string[];
  /** Programs some cases use beyond util-linux and iproute2. */
  readonly programs: string[];
  /** Network cards with virtual functions that cases may borrow. */
  readonly cards: number;
  readonly virtioCards: number;
  readonly kernel: string;
}

const PROGRAMS =
  "perl setpriv flock ping nft iptables prlimit tc podman crun busybox dnsmasq strace kubectl openssl devlink";

const LINK_KINDS =
  "dummy bridge vrf vlan ipvlan macvlan macvtap macsec ifb bond vxlan geneve ipip gre sit wireguard tun";

const KINDS = `
perl -e '${BPF_TCX}' $(cat /sys/class/net/up0/ifindex) >/dev/null 2>&1 && echo tcx
for kind in ${LINK_KINDS}; do
  case $kind in
    vrf) ip link add p0 type vrf table 10;;
    vlan) ip link add link up0 name p0 type vlan id 5;;
    ipvlan|macvlan|macvtap|macsec) ip link add link up0 name p0 type $kind;;
    vxlan) ip link add p0 type vxlan id 5 dstport 4789;;
    geneve) ip link add p0 type geneve id 5 remote 192.0.2.1;;
    ipip|gre|sit) ip link add p0 type $kind local 192.0.2.9 remote 192.0.2.1;;
    tun) ip tuntap add p0 mode tap;;
    *) ip link add p0 type $kind;;
  esac 2>/dev/null && echo $kind && ip link del p0
done
ip link add p0 type bridge vlan_filtering 1 2>/dev/null && echo vlan_filtering && ip link del p0
ip link add p0 type bridge 2>/dev/null && ip link add p1 type veth peer name p2 && ip link set p1 master p0 &&
  bridge link set dev p1 locked on 2>/dev/null && bridge -d link show dev p1 | grep -q "locked on" && echo locked_ports
for link in p1 p0; do ip link del $link 2>/dev/null; done
ip link add link up0 name p0 type macvlan bcqueuelen 2000 2>/dev/null && ip -d link show p0 | grep -q bcqueuelen && echo bcqueuelen
ip link del p0 2>/dev/null
ip -d link show up0 | grep -q maxmtu && echo max_mtu
ip link property add dev up0 altname p0 2>/dev/null && ip link property del dev up0 altname p0 && echo altname
if command -v nft >/dev/null; then nft 'add table inet p0; add chain inet p0 nat { type nat hook postrouting priority 100; }' 2>/dev/null; fi && echo inet_nat
tc qdisc add dev up0 root tbf rate 8mbit burst 10kb latency 10ms 2>/dev/null && echo tbf
exit 0`;

/** What a feature's short name means, where that is not plain. */
const FEATURES: Readonly<Record<string, string>> = {
  altname: "alternative interface names",
  bcqueuelen: "a configurable length of macvlan's broadcast queue",
  inet_nat: "NAT in nftables' family `inet`",
  locked_ports: "locked bridge ports",
  max_mtu: "reporting a device's largest MTU",
  vlan_filtering: "VLAN filtering on bridges",
};

const named = (feature: string): string => FEATURES[feature] ?? feature;

/** Asks the kernel and every plugin of the directories once, in namespaces of their own. `shell`: one for which the kernel is as for the plugins. */
export async function probe(bin: string, peer: string | undefined, shell = "sh"): Promise<Offer> {
  const ns = await openNamespaces();
  try {
    const ask = (dir: string | undefined): Record<string, string[]> => {
      const versions: Record<string, string[]> = {};
      for (const name of dir === undefined ? [] : readdirSync(dir)) {
        if (name.startsWith(".")) continue;
        const run = runIn(ns, [`${dir}/${name}`], { env: { CNI_COMMAND: "VERSION" }, timeoutMs: 60_000 }); // s390x in QEMU takes its time
        try {
          versions[name] = JSON.parse(run.stdout).supportedVersions ?? [];
        } catch {
          versions[name] = [];
        }
      }
      return versions;
    };
    const words = (script: string) => runIn(ns, [shell, "-c", script]).stdout.trim().split(/\s+/);
    return {
      versions: ask(bin),
      peerVersions: ask(peer),
      kinds: ["veth", ...words(KINDS)],
      programs: words(`for p in ${PROGRAMS}; do command -v $p >/dev/null && echo $p; done; exit 0`),
      cards: lendableCards().length,
      virtioCards: virtioCards().length,
      kernel: words("uname -r")[0] ?? "",
    };
  } finally {
    await ns.close();
  }
}

/** The first need that is not met, in words; undefined when all are. `spec`: what the cases' configurations are written in. */
export function unmet(
  needs: readonly string[],
  main: string | undefined,
  offer: Offer,
  spec?: string,
): string | undefined {
  for (const need of needs) {
    const [kind, what = "", plugin] = need.split(":") as [string, string?, string?];
    if (kind === "plugin" && offer.versions[what] === undefined) return `the directory has no ${what}`;
    // A plugin that is called as a kind of link makes such links.
    if (kind === "plugin" && LINK_KINDS.split(" ").includes(what) && !offer.kinds.includes(what))
      return `this kernel does not support ${what}`;
    if (kind === "card" && offer.cards === 0) return "no network card with virtual functions (conformance/vm has some)";
    if (kind === "card" && what === "netdevsim" && !isNetdevsim()) return "the card is not netdevsim (--netdevsim)";
    if (kind === "card" && what === "igb" && isNetdevsim())
      return "netdevsim does not forward frames between its VFs, never refuses a VF attribute, and lets a VF change the MAC address that the PF has set";
    if (kind === "card" && what === "pci" && isNetdevsim())
      return "host-device and sriov recognize each other's VF by the PCI address of its interface, which netdevsim does not have";
    if (kind === "virtio-card" && offer.virtioCards === 0) return "no virtio card with virtual functions (--virtio)";
    if (kind === "peer" && offer.peerVersions[what] === undefined) return `no --peer directory with ${what}`;
    if (kind === "peer" && spec !== undefined && offer.peerVersions[what]?.includes(spec) !== true)
      return `the peer's ${what} does not list ${spec}`;
    if (kind === "kernel" && what.startsWith("no-")) {
      if (offer.kinds.includes(what.slice(3)))
        return `this kernel supports ${named(what.slice(3))}, which must be missing for this test`;
    } else if (kind === "kernel" && !offer.kinds.includes(what)) return `this kernel does not support ${named(what)}`;
    if (kind === "program" && !offer.programs.includes(what)) return `${what} is not installed`;
    if (kind === "spec") {
      const asked = plugin ?? main ?? "";
      if (offer.versions[asked]?.includes(what) !== true) return `${asked || "the plugin"} does not list ${what}`;
    }
  }
  return undefined;
}
