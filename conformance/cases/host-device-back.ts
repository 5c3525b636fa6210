// host-device: after DEL the device is what it was on the host, whatever the pod, others or an earlier call did to it.
import { type Case, type CaseTable, rowsThatNeed, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { differences, type Picture } from "../harness/state.ts";
import type { Trial } from "../harness/trial.ts";
import { allow, config, fakePci, PCI, returned } from "./host-device.ts";

const one = rowsThatNeed(["plugin:host-device"]);

/** ADD and DEL, and DEL again and again, with the namespace and without: nothing of the host changes. */
function repeated(t: Trial, conf: Config): void {
  t.add(conf);
  t.silent("DEL", conf);
  const before = t.picture();
  for (const CNI_NETNS of ["/run/netns/c1", undefined]) {
    t.silent("DEL", conf, { set: { CNI_NETNS } });
    t.unchangedSince(before);
  }
}

/** The record of the holder notes each network whose ADD failed for this interface; the note is for the DEL of that network. */
const withoutNotes = ({ links, files }: Picture): Picture => ({
  links,
  files: new Map([...files].map(([path, text]) => [path, text.replace(/,?"refused":\[[^\]]*\]/, "")])),
});

/** Something of the device is changed by or in the pod; DEL must give the device back as it was. */
const restores = (id: string, tag: Tag, label: string, inPod: string, setup = "true", upOrDown = true): Case => {
  const needs = `${setup} ${inPod}`.includes("altname") ? ["kernel:altname"] : [];
  return one(
    id,
    tag,
    "the device comes back as it was",
    label,
    (t) => {
      const device = t.freshDevice();
      t.sh(`dev=${device}; ${setup}`);
      const before = t.picture();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh(inPod);
      t.silent("DEL", conf);
      t.unchangedSince(before, "", upOrDown);
    },
    needs,
  );
};

/** Addresses and routes of a device of the host, in the words of `ip`, but for what the kernel makes of its name and MAC by itself. */
const network = (t: Trial, device: string): string[] =>
  t
    .sh(`ip -d -o address show dev ${device} | sed 's/^[0-9]*: //; s/ *\\\\ */ /; s/ tentative//; /ff:fe/d'
      for family in 4 6; do ip -d -$family route show table all dev ${device} | sed '/proto kernel/d'; done`)
    .trim()
    .split("\n");

function sameNetwork(t: Trial, device: string, before: string[]): void {
  const now = network(t, device);
  const missing = before.filter((line) => !now.includes(line));
  const added = now.filter((line) => !before.includes(line));
  t.equal({ missing, added }, { missing: [], added: [] }, "addresses and routes");
}

/** What an administrator gave the device, with dev0p at the other end of its cable, is there again after ADD and DEL. */
const keepsNetwork = (id: string, label: string, setup: string): Case =>
  one(id, "H", "the device comes back as it was", label, (t) => {
    const device = t.freshDevice();
    // Its routes are of the main table, and so the node's own.
    allow(t, device);
    t.sh(setup);
    const before = network(t, device);
    const conf = config("1.0.0", { device });
    t.add(conf);
    t.silent("DEL", conf);
    sameNetwork(t, device, before);
  });

export const hostDeviceBack: CaseTable = {
  perMain: [],
  fixed: [
    restores("HDX-20", "H", "up again when it was up", "true"),
    restores("HDX-21", "H", "down again when it was down", "true", "ip link set $dev down"),
    restores(
      "HDX-22",
      "G",
      "MTU, MAC and altnames of the host survive",
      "true",
      "ip link set $dev mtu 1400 address 02:00:00:00:0a:01; ip link property add dev $dev altname long-alternative-name",
      false,
    ),
    restores("HDX-23", "H", "an alias it had before", "true", "ip link set $dev alias mine"),
    restores("HDX-24", "H", "the pod renamed it", "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name pod0"),
    restores("HDX-25", "H", "the pod changed MTU and MAC", "ip -n c1 link set eth0 mtu 1300 address 02:00:00:00:0a:02"),
    restores("HDX-26", "H", "the pod cleared the alias", 'ip -n c1 link set eth0 alias ""'),
    restores("HDX-27", "H", "the pod added an altname", "ip -n c1 link property add dev eth0 altname pod-altname"),
    restores(
      "HDX-36",
      "H",
      "the pod added an altname that is a name of the host",
      "ip -n c1 link property add dev eth0 altname up0",
    ),
    restores("HDX-28", "H", "the pod set it promiscuous", "ip -n c1 link set eth0 promisc on"),
    one("HDX-45", "H", "the device comes back as it was", "the pod switched ARP and multicast off", (t) => {
      const device = t.freshDevice();
      const flags = () => t.sh(`ip link show dev ${device} | grep -o '<.*>'`);
      const before = flags();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh("ip -n c1 link set eth0 arp off multicast off");
      t.silent("DEL", conf);
      t.equal(flags(), before, "flags");
    }),
    one(
      "HDX-82",
      "H",
      "the device comes back as it was",
      "both ends of a veth in one pod: DEL of one leaves the other there",
      (t) => {
        const device = t.freshDevice();
        // Otherwise a veth whose peer is in a pod is refused.
        allow(t, `${device}p`);
        const [one, other] = [config("1.0.0", { device }), config("1.0.0", { device: `${device}p` })];
        const before = t.picture();
        const second = { set: { CNI_IFNAME: "net1" } };
        t.add(one);
        t.add(other, second);
        t.silent("DEL", one);
        t.present("net1");
        t.silent("DEL", other, second);
        t.unchangedSince(before);
      },
    ),
    one(
      "HDX-46",
      "H",
      "DEL does what it can",
      "an altname that another link has by now: OK, the others are back",
      (t) => {
        const device = t.freshDevice();
        t.sh(`ip link property add dev ${device} altname alt0 altname alt1 altname alt2`);
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh("ip link property add dev up0 altname alt0; ip -n c1 link property del dev eth0 altname alt1");
        const before = t.picture();
        t.silent("DEL", conf);
        t.equal([...(t.link(device, "")?.altnames ?? [])].sort(), ["alt1", "alt2"], "altnames");
        t.equal([...t.picture().files.keys()].length, before.files.size - 1, "records");
      },
      ["kernel:altname"],
    ),
    one(
      "HDX-47",
      "H",
      "DEL does what it can",
      "a device that cannot go up on the host any more: OK, it is there",
      (t) => {
        // A macvlan goes up only while no other on its master has its address.
        t.sh("ip link add mv0 link up0 address 02:00:00:00:0a:07 type macvlan; ip link set mv0 up");
        const conf = config("1.0.0", { device: "mv0" });
        t.add(conf);
        t.sh(
          "ip -n c1 link set eth0 down; ip link add mv1 link up0 address 02:00:00:00:0a:07 type macvlan; ip link set mv1 up",
        );
        t.silent("DEL", conf);
        returned(t, "mv0");
      },
    ),
    one(
      "HDX-47b",
      "H",
      "who starts the plugin ignores SIGCHLD",
      "a macvlan: ADD and DEL OK, it is there",
      (t) => {
        t.sh("ip link add mv0 link up0 type macvlan; ip link set mv0 up");
        const conf = config("1.0.0", { device: "mv0" });
        const wrap = `perl -e '$SIG{CHLD} = "IGNORE"; exec @ARGV' "$@"`;
        t.add(conf, { wrap });
        t.silent("DEL", conf, { wrap });
        returned(t, "mv0");
      },
      ["program:perl"],
    ),
    one(
      "HDX-48",
      "H",
      "the device comes back as it was",
      "the bridge it belonged to (allowed by the node's policy)",
      (t) => {
        const device = t.freshDevice();
        allow(t, device);
        t.sh(`ip link add br0 type bridge; ip link set br0 up; ip link set ${device} master br0`);
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.silent("DEL", conf);
        t.equal(t.link(device, "")?.master, "br0", "master");
        t.equal(t.link(device, "")?.up, true, "up");
      },
    ),
    one(
      "HDX-49",
      "H",
      "only the owner undoes",
      "DEL again: a link of the pod does not get to the host by its alias",
      (t) => {
        const device = t.freshDevice();
        fakePci(t, "ixgbevf", `net/${device}`);
        const { mac } = t.link(device, "")!;
        t.sh("ip -n c1 link add eth0 type veth peer name p; ip -n c1 link set eth0 alias cni0");
        const before = t.picture();
        for (const keys of [{ pciBusID: PCI }, { hwaddr: mac }]) {
          t.silent("DEL", config("1.0.0", keys));
          t.unchangedSince(before, JSON.stringify(keys));
        }
      },
    ),
    one(
      "HDX-35",
      "H",
      "only the owner undoes",
      "a link of the pod with the numbers the device had on the host stays",
      (t) => {
        const device = t.freshDevice();
        const [index, peer] = [t.link(device, "")!.index, t.link(`${device}p`, "")!.index];
        t.sh(`ip -n c1 link add o index ${index} type veth peer name op index ${peer}`);
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.silent("DEL", conf);
        t.present("o");
        returned(t, device);
      },
    ),
    one("HDX-37", "H", "DEL is repeatable", "a device that is down and has an alias of its own keeps its name", (t) => {
      const device = t.freshDevice();
      t.sh(`ip link set ${device} down; ip link set ${device} alias storage`);
      const conf = config("1.0.0", { hwaddr: t.link(device, "")!.mac });
      repeated(t, conf);
    }),
    one(
      "HDX-38",
      "H",
      "DEL is repeatable",
      "another device of the host with the name CNI_IFNAME and an alias stays",
      (t) => {
        const device = t.freshDevice();
        t.sh("ip link add eth0 type veth peer name eth0p; ip link set eth0 alias storage");
        repeated(t, config("1.0.0", { device }));
      },
    ),
    one("HDX-39", "H", "only the owner undoes", "DEL after an ADD that failed for the name: its holder stays", (t) => {
      const [a, b] = [t.freshDevice(), t.freshDevice()];
      const [first, second] = [config("1.0.0", { device: a }), { ...config("1.0.0", { device: b }), name: "other" }];
      const third = { ...config("1.0.0", { hwaddr: t.link(b, "")!.mac }), name: "third" };
      t.add(first);
      const before = withoutNotes(t.picture());
      for (const conf of [second, third]) {
        t.error(t.call("ADD", conf));
        t.silent("DEL", conf);
        t.equal(differences(before, withoutNotes(t.picture())), [], "changes");
      }
    }),
    keepsNetwork(
      "HDX-41",
      "routes with onlink, src, proto, tos, from and metrics",
      `ip address add 198.51.100.9/24 dev dev0; ip address add 198.51.100.10/24 dev dev0
      ip -6 address add 2001:db8::9/64 dev dev0 nodad; ip -6 address add 2001:db8::10/64 dev dev0 nodad
      ip route add 203.0.113.0/26 via 192.0.2.1 dev dev0 onlink
      ip route add 203.0.113.64/26 via 198.51.100.1 proto static src 198.51.100.10
      ip route add 203.0.113.128/26 via 198.51.100.1 metric 7 mtu lock 1400 initcwnd 20 quickack 1
      ip route add 203.0.113.128/26 via 198.51.100.2 metric 7 tos 0x10
      ip -6 route add 2001:db8:1::/48 via 2001:db8:f::1 dev dev0 onlink proto static
      ip -6 route add 2001:db8:2::/48 via 2001:db8::1 src 2001:db8::10 hoplimit 9
      ip -6 route add 2001:db8:3::/48 from 2001:db8:4::/48 via 2001:db8::1 dev dev0 table 100`,
    ),
    keepsNetwork(
      "HDX-42",
      "addresses with label, peer, scope, metric, deprecated, without route",
      `ip address add 198.51.100.9/24 brd + dev dev0 label dev0:a; ip address add 192.0.2.1 peer 192.0.2.2 dev dev0
      ip address add 169.254.7.7/16 dev dev0 scope link; ip address add 203.0.113.1/24 dev dev0 metric 50
      ip address add 203.0.113.129/25 dev dev0 noprefixroute; ip address add 198.18.0.1/24 dev dev0 preferred_lft 0
      ip -6 address add 2001:db8::9/64 dev dev0 nodad metric 50; ip -6 address add fe80::9/64 dev dev0 nodad
      ip -6 address add 2001:db8:1::9/64 dev dev0 nodad noprefixroute
      ip -6 address add 2001:db8:2::9 peer 2001:db8:2::10 dev dev0 nodad
      ip -6 address add 2001:db8:3::9/64 dev dev0 nodad preferred_lft 0`,
    ),
    keepsNetwork(
      "HDX-84",
      "addresses without route, with NetworkManager's routes to their subnets",
      `ip address add 198.51.100.9/24 dev dev0 noprefixroute
      ip route add 198.51.100.0/24 dev dev0 proto kernel scope link src 198.51.100.9 metric 100
      ip -6 address add 2001:db8::9/64 dev dev0 nodad noprefixroute; ip -6 route add 2001:db8::/64 dev dev0 proto kernel metric 100
      ip route add 203.0.113.0/24 via 198.51.100.1 proto static metric 100
      ip -6 route add 2001:db8:9::/48 via 2001:db8::1 proto static metric 100`,
    ),
    one("HDX-43", "H", "a failed ADD changes nothing", "routes of a device that cannot move are not doubled", (t) => {
      t.sh(`ip link add br0 type bridge; ip link set br0 up; ip address add 192.0.2.1/24 dev br0
        ip route add 203.0.113.0/24 via 192.0.2.9 proto static`);
      const before = network(t, "br0");
      t.error(t.call("ADD", config("1.0.0", { device: "br0" })));
      sameNetwork(t, "br0", before);
    }),
    one(
      "HDX-44",
      "H",
      "the device comes back as it was",
      "one that an ADD left astray on the host, when the attachment gets another",
      (t) => {
        const [a, b] = [t.freshDevice(), t.freshDevice()];
        t.sh(`ip link property add dev ${a} altname alt0`);
        const before = t.picture();
        t.add(config("1.0.0", { device: a }));
        // What the kernel does with hardware when its namespace ends.
        t.sh("ip -n c1 link set eth0 down; ip -n c1 link set eth0 name dev9 netns 1");
        t.add(config("1.0.0", { device: b }));
        t.silent("DEL", config("1.0.0", { device: b }));
        t.unchangedSince(before);
      },
      ["kernel:altname"],
    ),
    ...["", "/host-device"].flatMap((below, m) =>
      ["a file", "a loop of links", "a link that leads nowhere"].map((what, n) =>
        one(
          `HDX-83${"abcdef"[3 * m + n]}`,
          "H",
          "a record that cannot be looked at is not known to be absent",
          `${what} stands where the records${below === "" ? " of all plugins" : ""} were: DEL: E, which names it, until they are back`,
          (t) => {
            const device = t.freshDevice();
            const before = t.picture();
            const conf = config("1.0.0", { device });
            t.add(conf);
            const place = `/var/lib/cni/podnic${below}`;
            const plant = [":>", `ln -s ${place}`, "ln -s /var/lib/cni/unplugged"][n];
            t.sh(`mv ${place} /var/lib/cni/away; ${plant} ${place}`);
            const { msg, details = "" } = t.error(t.call("DEL", conf));
            t.expect(`${msg} ${details}`.includes(place), place, `${msg} ${details}`);
            t.sh(`rm ${place}; mv /var/lib/cni/away ${place}`);
            t.silent("DEL", conf);
            t.unchangedSince(before);
          },
        ),
      ),
    ),
  ],
};
