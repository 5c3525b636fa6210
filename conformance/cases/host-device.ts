// host-device: upstream's unit tests as black boxes (HD-1 to HD-11), selection of the device, and what must survive.
import { type Case, type CaseTable, Mismatch, rowsByVersion, rowsThatNeed, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Result } from "../harness/result.ts";
import type { CallOptions } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

const VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const needs = ["plugin:host-device"];
const PCI = "0000:00:00.1";
const STATIC = { type: "static", addresses: [{ address: "10.10.0.1/24", gateway: "10.10.0.254" }] };

const config = (cniVersion: string, keys: Config): Config => ({
  cniVersion,
  name: "cni-plugin-host-device-test",
  type: "host-device",
  ...keys,
});

/** Upstream runs each test with each version. */
const each = rowsByVersion("host-device", VERSIONS);

const one = rowsThatNeed(needs);

/** A sysfs with one PCI device, so that a machine without such hardware can be asked for it. */
function fakePci(t: Trial, driver: string, net = ""): void {
  t.sh(`mount -t tmpfs tmpfs /sys/bus; cd /sys/bus; mkdir -p pci/devices/${PCI}/${net} pci/drivers/${driver}
    ln -s ../../drivers/${driver} pci/devices/${PCI}/driver`);
}

function moved(t: Trial, result: Result, device: string, mac: string, ifname = "eth0"): void {
  t.equal(
    result.interfaces?.map(({ mtu: _, pciID: __, ...i }) => i),
    [{ name: ifname, mac, sandbox: "/run/netns/c1" }],
    "interfaces",
  );
  t.gone(device, "");
  t.equal(t.link(ifname)?.mac, mac, "MAC in the container");
}

const returned = (t: Trial, device: string, ifname = "eth0") => {
  t.present(device, "");
  t.gone(ifname);
};

const checked = (version: string) => version !== "0.3.0" && version !== "0.3.1";

/** ADD, CHECK where the version has it, DEL, and where the device is at each step. */
function cycle(t: Trial, version: string, keys: Config, options: CallOptions = {}): void {
  const device = t.freshDevice();
  const mac = t.link(device, "")!.mac;
  const conf = config(version, { device, ...keys });
  const prevResult = t.add(conf, options);
  moved(t, prevResult, device, mac, options.set?.CNI_IFNAME ?? "eth0");
  if (checked(version)) t.silent("CHECK", { ...conf, prevResult }, options);
  t.silent("DEL", { ...conf, prevResult }, options);
  returned(t, device, options.set?.CNI_IFNAME ?? "eth0");
}

function nameConflict(t: Trial, version: string): void {
  const device = t.freshDevice();
  const conf = config(version, { device });
  const prevResult = t.add(conf);
  t.sh(`ip link add ${device} type veth peer name conflict`);
  const before = t.picture();
  t.error(t.call("DEL", { ...conf, prevResult }));
  t.unchangedSince(before);
  t.sh("ip link del conflict");
  t.silent("DEL", { ...conf, prevResult });
  returned(t, device);
}

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

function dpdk(t: Trial, version: string, check: boolean): void {
  fakePci(t, "vfio-pci");
  const conf = config(version, { pciBusID: PCI, ipam: STATIC });
  const prevResult = t.add(conf, { noKernel: true });
  t.equal(
    prevResult.interfaces?.map(({ pciID: _, ...i }) => i),
    [{ name: "eth0", sandbox: "/run/netns/c1" }],
    "interfaces",
  );
  t.equal(
    prevResult.ips?.map((ip) => ip.address),
    ["10.10.0.1/24"],
    "addresses",
  );
  if (check && checked(version)) t.silent("CHECK", { ...conf, prevResult });
  for (let n = 0; n < 2; n++) t.silent("DEL", { ...conf, prevResult });
}

function auxiliary(t: Trial, version: string): void {
  const device = t.freshDevice();
  const mac = t.link(device, "")!.mac;
  t.sh(`mount -t tmpfs tmpfs /sys/bus; mkdir -p /sys/bus/auxiliary/devices/mlx5_core.sf.4/net/${device}`);
  const conf = config(version, { capabilities: { deviceID: true }, runtimeConfig: { deviceID: "mlx5_core.sf.4" } });
  const set = { CNI_IFNAME: "net1" };
  moved(t, t.add(conf, { set }), device, mac, "net1");
  t.silent("DEL", conf, { set });
  returned(t, device, "net1");
}

function sameNameInside(t: Trial, version: string): void {
  t.sh(`ip link add eth0 type veth peer name eth0p; ip link set eth0 up; ip link set eth0p up
    ip -n c1 link add eth0 type veth peer name other; ip -n c1 link set eth0 up`);
  const [mac, inside] = [t.link("eth0", "")!.mac, t.link("eth0")!.mac];
  const conf = config(version, { device: "eth0" });
  const set = { CNI_IFNAME: "net1" };
  moved(t, t.add(conf, { set }), "eth0", mac, "net1");
  t.silent("DEL", conf, { set });
  returned(t, "eth0", "net1");
  t.equal(t.link("eth0")?.mac, inside, "MAC of the container's eth0");
  t.expect(t.link("eth0")?.up === true, "the container's eth0 up", "down");
}

const emptySelectors = { hwaddr: "", kernelpath: "", pciBusID: "", dns: {} };

/** The device is found by a selector and comes back. */
const selects = (id: string, label: string, keys: (t: Trial, device: string) => Config): Case =>
  one(id, "G", "selection of the device", `${label}: that device is moved and comes back`, (t) => {
    const device = t.freshDevice();
    const mac = t.link(device, "")!.mac;
    const conf = config("1.0.0", keys(t, device));
    moved(t, t.add(conf), device, mac);
    t.silent("DEL", conf);
    returned(t, device);
  });

const refuses = (id: string, tag: Tag, label: string, keys: Config, setup = "true"): Case =>
  one(id, tag, "refused before anything is touched", `${label}: E, nothing changed`, (t) => {
    t.sh(setup);
    t.refused("ADD", config("1.0.0", keys));
  });

/** Something of the device is changed by or in the pod; DEL must give the device back as it was. */
const restores = (id: string, tag: Tag, label: string, inPod: string, setup = "true", upOrDown = true): Case =>
  one(id, tag, "the device comes back as it was", label, (t) => {
    const device = t.freshDevice();
    t.sh(`dev=${device}; ${setup}`);
    const before = t.picture();
    const conf = config("1.0.0", { device });
    t.add(conf);
    t.sh(inPod);
    t.silent("DEL", conf);
    t.unchangedSince(before, "", upOrDown);
  });

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
    t.sh(setup);
    const before = network(t, device);
    const conf = config("1.0.0", { device });
    t.add(conf);
    t.silent("DEL", conf);
    sameNetwork(t, device, before);
  });

export const hostDevice: CaseTable = {
  perMain: [],
  fixed: [
    ...each("HD-1", "HD-1 without IPAM", "moved, renamed, up; back after DEL", (t, v) => cycle(t, v, {})),
    ...each("HD-2", "HD-2 DEL with a name conflict", "DEL fails and changes nothing; later it succeeds", nameConflict),
    ...each("HD-3", "HD-3 DPDK with IPAM", "no link is touched, one address reported", (t, v) => dpdk(t, v, false)),
    ...each("HD-4", "HD-4 with IPAM", "address on the link", (t, v) => cycle(t, v, { ipam: STATIC })),
    ...each("HD-5", "HD-5 no selector", "E", (t, v) => void t.refused("ADD", config(v, {}), [7, 999])),
    ...each("HD-6", "HD-6 CHECK with empty selectors", "OK", (t, v) => cycle(t, v, emptySelectors)),
    ...each("HD-7", "HD-7 DPDK with CHECK", "OK", (t, v) => dpdk(t, v, true)),
    ...each("HD-8", "HD-8 auxiliary device", "found by runtimeConfig.deviceID", auxiliary),
    ...each("HD-9", "HD-9 IPAM with CHECK", "OK", (t, v) => cycle(t, v, { ipam: STATIC, ...emptySelectors })),
    ...each("HD-11", "HD-11 the host's name is taken in the container", "both links keep their own", sameNameInside),
    selects("HDX-01", "an altname as device", (t, device) => {
      t.sh(`ip link property add dev ${device} altname another-name-of-it`);
      return { device: "another-name-of-it" };
    }),
    selects("HDX-02", "hwaddr", (t, device) => ({ hwaddr: t.link(device, "")!.mac })),
    selects("HDX-03", "pciBusID", (t, device) => {
      fakePci(t, "ixgbevf", `net/${device}`);
      return { pciBusID: PCI };
    }),
    selects("HDX-04", "pciBusID of a virtio device (one level deeper)", (t, device) => {
      fakePci(t, "virtio-pci", `virtio3/net/${device}`);
      return { pciBusID: PCI };
    }),
    selects("HDX-05", "runtimeConfig.deviceID wins over pciBusID", (t, device) => {
      fakePci(t, "ixgbevf", `net/${device}`);
      return { pciBusID: "0000:00:00.7", runtimeConfig: { deviceID: PCI } };
    }),
    selects("HDX-06", "kernelpath", (t, device) => {
      t.sh(`mount -t tmpfs tmpfs /sys/devices; mkdir -p /sys/devices/fake/net/${device}`);
      return { kernelpath: "/sys/devices/fake" };
    }),
    refuses("HDX-10", "G", "a device that is not there", { device: "nosuch0" }),
    refuses("HDX-11", "G", "hwaddr that is none", { hwaddr: "zz" }),
    refuses("HDX-12", "G", "hwaddr nobody has", { hwaddr: "02:ff:ff:ff:ff:fe" }),
    refuses("HDX-13", "G", "kernelpath outside /sys/devices", { kernelpath: "/etc" }),
    refuses("HDX-14", "H", "kernelpath that leaves /sys/devices by ..", { kernelpath: "/sys/devices/../../run" }),
    refuses("HDX-15", "G", "a deviceID that is not there", { runtimeConfig: { deviceID: "0000:99:00.0" } }),
    refuses("HDX-16", "H", "a deviceID with a path in it", { device: "lo", runtimeConfig: { deviceID: "../devices" } }),
    refuses("HDX-17", "H", "loopback", { device: "lo" }),
    refuses(
      "HDX-18",
      "H",
      "a device with the node's default route",
      { device: "up0" },
      "ip address add 192.0.2.1/24 dev up0; ip route add default via 192.0.2.254",
    ),
    refuses(
      "HDX-19",
      "H",
      "a member of a bridge",
      { device: "up0" },
      "ip link add br0 type bridge; ip link set up0 master br0",
    ),
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
      "HDX-48",
      "H",
      "the device comes back as it was",
      "the bridge it belonged to (allowed by the node's policy)",
      (t) => {
        const device = t.freshDevice();
        t.write("/etc/cni/podnic.json", JSON.stringify({ devices: { allow: [device] } }));
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
      "HDX-29",
      "G",
      "8.1: the alias tells the Go plugins where the device came from",
      "alias of the link is its host name",
      (t) => {
        const device = t.freshDevice();
        t.add(config("1.0.0", { device }));
        t.equal(t.link("eth0")?.alias, device, "alias");
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
      const before = t.picture();
      for (const conf of [second, third]) {
        t.error(t.call("ADD", conf));
        t.silent("DEL", conf);
        t.unchangedSince(before);
      }
    }),
    one(
      "HDX-40",
      "H",
      "STATUS: the device is here or with a pod",
      "with a pod, by an hwaddr written with dashes",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.1.0", { hwaddr: t.link(device, "")!.mac.toUpperCase().replaceAll(":", "-") });
        t.add(conf);
        t.silent("STATUS", conf);
        t.silent("DEL", conf);
        returned(t, device);
      },
      ["spec:1.1.0:host-device"],
    ),
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
    ),
    one(
      "HDX-30",
      "H",
      "DEL needs no namespace: the device is found by itself",
      "DEL without CNI_NETNS after the pod's DEL: OK",
      (t) => {
        const conf = config("1.0.0", { device: t.freshDevice() });
        t.add(conf);
        t.silent("DEL", conf);
        t.silent("DEL", conf, { set: { CNI_NETNS: undefined } });
      },
    ),
    one(
      "HDX-31",
      "S",
      "C-052",
      "1.1.0: pciID of a PCI device in the result",
      (t) => {
        const device = t.freshDevice();
        fakePci(t, "ixgbevf", `net/${device}`);
        t.equal(t.add(config("1.1.0", { pciBusID: PCI })).interfaces?.[0]?.pciID, PCI, "pciID");
      },
      ["spec:1.1.0:host-device"],
    ),
    one("HDX-32", "H", "option useInterfaceNetwork", "addresses and routes of the host are taken along", (t) => {
      const device = t.freshDevice();
      t.sh(`ip address add 198.51.100.9/24 dev ${device}; ip route add 203.0.113.0/24 via 198.51.100.1`);
      const result = t.add(config("1.0.0", { device, useInterfaceNetwork: true }));
      t.equal(
        result.ips?.map((ip) => ip.address),
        ["198.51.100.9/24"],
        "addresses",
      );
      const route = t.routes().find((r) => r.dst === "203.0.113.0/24");
      if (route?.gateway !== "198.51.100.1") throw new Mismatch("the route", JSON.stringify(route));
    }),
    one("HDX-33", "H", "B12: dns without IPAM", "dns of the configuration in the result", (t) => {
      const dns = { nameservers: ["192.0.2.53"] };
      t.equal(t.add(config("1.0.0", { device: t.freshDevice(), dns })).dns, dns, "dns");
    }),
    one("HDX-34", "H", "dpdkMode", "no link is touched", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device, dpdkMode: true, ipam: STATIC });
      t.add(conf, { noKernel: true });
      t.present(device, "");
      t.silent("DEL", conf);
    }),
  ],
};
