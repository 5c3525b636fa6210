// host-device: upstream's unit tests as black boxes (HD-1 to HD-11), selection of the device; what must survive: host-device-back.ts.
import { type Case, type CaseTable, Mismatch, rowsByVersion, rowsThatNeed, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Result } from "../harness/result.ts";
import type { CallOptions } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

const VERSIONS = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
const needs = ["plugin:host-device"];
export const PCI = "0000:00:00.1";
const STATIC = { type: "static", addresses: [{ address: "10.10.0.1/24", gateway: "10.10.0.254" }] };

export const config = (cniVersion: string, keys: Config): Config => ({
  cniVersion,
  name: "cni-plugin-host-device-test",
  type: "host-device",
  ...keys,
});

/** Upstream runs each test with each version. */
const each = rowsByVersion("host-device", VERSIONS);

const one = rowsThatNeed(needs);

/** A sysfs with one PCI device, so that a machine without such hardware can be asked for it. */
export function fakePci(t: Trial, driver: string, net = ""): void {
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

export const returned = (t: Trial, device: string, ifname = "eth0") => {
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

/** The Go plugin's tests expect DEL to fail. One that gives the device another name (HDI-20) keeps nobody waiting, and loses nothing either. */
function nameConflict(t: Trial, version: string): void {
  const device = t.freshDevice();
  const { mac } = t.link(device, "")!;
  const conf = config(version, { device });
  const prevResult = t.add(conf);
  t.sh(`ip link add ${device} type veth peer name conflict`);
  const other = t.link(device, "")!.mac;
  const before = t.picture();
  const run = t.call("DEL", { ...conf, prevResult });
  if (run.status === 0) {
    t.silentRun(run);
    t.gone();
    t.equal(t.link(device, "")?.mac, other, "MAC of the other device");
    t.equal(t.links("").filter((link) => link.mac === mac).length, 1, "devices of the host with the MAC of this one");
    return;
  }
  t.error(run);
  t.unchangedSince(before);
  t.sh("ip link del conflict");
  t.silent("DEL", { ...conf, prevResult });
  returned(t, device);
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
const selects = (id: string, label: string, keys: (t: Trial, device: string) => Config, more: string[] = []): Case => {
  const run = (t: Trial) => {
    const device = t.freshDevice();
    const mac = t.link(device, "")!.mac;
    const conf = config("1.0.0", keys(t, device));
    moved(t, t.add(conf), device, mac);
    t.silent("DEL", conf);
    returned(t, device);
  };
  return one(id, "G", "selection of the device", `${label}: that device is moved and comes back`, run, more);
};

const refuses = (id: string, tag: Tag, label: string, keys: Config, setup = "true"): Case =>
  one(id, tag, "refused before anything is touched", `${label}: E, nothing changed`, (t) => {
    t.sh(setup);
    t.refused("ADD", config("1.0.0", keys));
  });

/** The node's policy lets the device go whatever it is used for. */
export function allow(t: Trial, ...devices: string[]): void {
  t.write("/etc/cni/podnic.json", JSON.stringify({ devices: { allow: devices } }));
}

export const hostDevice: CaseTable = {
  perMain: [],
  fixed: [
    ...each("HD-1", "HD-1 without IPAM", "moved, renamed, up; back after DEL", (t, v) => cycle(t, v, {})),
    ...each(
      "HD-2",
      "HD-2 DEL with a name conflict",
      "DEL fails and changes nothing, and later succeeds; or it gives the device another name",
      nameConflict,
    ),
    ...each("HD-3", "HD-3 DPDK with IPAM", "no link is touched, one address reported", (t, v) => dpdk(t, v, false)),
    ...each("HD-4", "HD-4 with IPAM", "address on the link", (t, v) => cycle(t, v, { ipam: STATIC })),
    ...each("HD-5", "HD-5 no selector", "E", (t, v) => void t.refused("ADD", config(v, {}), [7, 999])),
    ...each("HD-6", "HD-6 CHECK with empty selectors", "OK", (t, v) => cycle(t, v, emptySelectors)),
    ...each("HD-7", "HD-7 DPDK with CHECK", "OK", (t, v) => dpdk(t, v, true)),
    ...each("HD-8", "HD-8 auxiliary device", "found by runtimeConfig.deviceID", auxiliary),
    ...each("HD-9", "HD-9 IPAM with CHECK", "OK", (t, v) => cycle(t, v, { ipam: STATIC, ...emptySelectors })),
    ...each("HD-11", "HD-11 the host's name is taken in the container", "both links keep their own", sameNameInside),
    selects(
      "HDX-01",
      "an altname as device",
      (t, device) => {
        t.sh(`ip link property add dev ${device} altname another-name-of-it`);
        return { device: "another-name-of-it" };
      },
      ["kernel:altname"],
    ),
    one(
      "HDX-01b",
      "H",
      "a kernel without altnames",
      "a device's name of 18 characters: E, nothing changed, DEL OK",
      (t) => {
        const conf = config("1.0.0", { device: "another-name-of-it" });
        const { msg } = t.refused("ADD", conf);
        t.expect(!msg.includes("invalid argument"), "what is missing", msg);
        t.silent("DEL", conf);
      },
      ["kernel:no-altname"],
    ),
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
      allow(t, device);
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
