// host-device: which device comes back. What resembles the device (name, index, kind, MAC, alias) is not it, and what the pod made is never taken.
import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import { keepResult } from "../harness/libcni.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { config, returned } from "./host-device.ts";

const one = rowsThatNeed(["plugin:host-device"]);
const RULE = "the device is proven, not guessed";
const GONE = "gone means proven gone";
const NAME = "a device that came home under a spare name is the one that was lent";
const RECORDS = "/var/lib/cni/podnic/host-device";

/** sed's `script` on the record of the device. Plugins that keep none fail here. */
function editRecord(t: Trial, script: string): void {
  t.expect(t.sh(`ls ${RECORDS} 2>/dev/null || true`) !== "", "a record of the lent device", "there is none");
  t.sh(`sed -i '${script}' ${RECORDS}/*.json`);
}

const RENAMED = "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name x alias other";
/** A device in the pod with a lease, under a name that is not UTF-8, which the shell has as $raw. */
function rawInPod(t: Trial, more: string): { device: string; conf: Config; before: unknown[] } {
  const device = t.freshDevice();
  t.sh(`ip link set ${device} mtu 1400`);
  const before = dressed(t, device);
  const conf = config("1.0.0", { device, ipam: POOL });
  t.add(conf);
  t.sh(`raw="$(printf '\\377\\376X')"; ip -n c1 link set eth0 down; ip -n c1 link set eth0 name "$raw"; ${more}`);
  return { device, conf, before };
}

const RAW_TOO = `ip -n c1 link property add dev "$raw" altname "$(printf '\\200\\355\\263\\277')"
  ip -n c1 link set "$raw" alias "$(printf '\\300\\257')"; ip -n c1 link add "$(printf '\\355\\263\\277X')" type veth peer name other`;
/** As libcni keeps the result of ADD. */
const KEPT = `mkdir -p /var/lib/cni/results
  echo '{"kind":"cniCacheV1","result":{"interfaces":[{"name":"eth0","sandbox":"/run/netns/c1"}]}}' >/var/lib/cni/results/cni-plugin-host-device-test-ctr-1-eth0`;

/** Damages the record, and returns its path. "cut": its first part is left. */
function damage(t: Trial, text = "{"): string {
  t.expect(t.sh(`ls ${RECORDS} 2>/dev/null || true`) !== "", "a record of the lent device", "there is none");
  const file = t.sh(`ls ${RECORDS}/*.json`).trim();
  if (text === "cut") t.sh(`truncate -s 400 '${file}'`);
  else t.write(file, text);
  return file;
}

/** The pod's links, but for loopback. */
const inPod = (t: Trial): string[] =>
  t.sh("ip -n c1 -o link show | sed 's/^[0-9]*: //; s/[@:].*//' | grep -vx -e lo -e tunl0 -e sit0 || true").split("\n");

const indexOf = (t: Trial, name: string): string => t.sh(`cat /sys/class/net/${name}/ifindex`).trim();

/** In the pod: the device is gone, and a veth pair of the pod's own has its name, MAC and this alias. */
const impostor = (mac: string, alias: string, before = "ip -n c1 link del eth0"): string =>
  `${before}; ip -n c1 link add eth0 address ${mac} type veth peer name wire; ip -n c1 link set eth0 alias ${alias} up`;

const dressed = (t: Trial, name: string): unknown[] => {
  const { mac, mtu, up } = t.link(name, "")!;
  return [name, mac, mtu, up];
};

const POOL = { type: "host-local", ranges: [[{ subnet: "198.18.79.0/28" }]] };

/** ADD, then what the Go plugin does of DEL, and of the ADD of `second` in the same pod as net7. The record of the first ADD is left. */
function givenOn(t: Trial, ipam?: object): { device: string; conf: Config } {
  const device = t.freshDevice();
  const conf = config("1.0.0", ipam === undefined ? { device } : { device, ipam });
  t.add(conf);
  t.sh(`rm -f /var/lib/cni/networks/${conf.name}/198*; ip -n c1 link set eth0 down; ip -n c1 link set eth0 netns $$ name ${device}
    ip link set ${device} alias ${device}; ip link set ${device} netns c1 name net7; ip -n c1 address add 198.18.79.9/28 dev net7`);
  return { device, conf };
}

/** As libcni keeps the result of the ADD of `second`, which gave the pod net7. */
function keepSecond(t: Trial, conf: Config, mac: string): void {
  keepResult(t, conf, { interfaces: [{ name: "net7", mac, sandbox: "/run/netns/c1" }] }, "second", "net7");
}

/** The one device of the host that says what it was called. */
const spareOf = (t: Trial): string =>
  t.sh("grep -l 'was ' /sys/class/net/dev*/ifalias 2>/dev/null | cut -d/ -f5; true").trim();

/** After ADD and DEL of a device whose name the host gave to another one, made by `rest`, meanwhile. */
function renamed(t: Trial, rest: string): { device: string; conf: Config; before: unknown[] } {
  const device = t.freshDevice();
  t.sh(`ip link set ${device} mtu 1400 alias "rack 3" up; ip address add 198.18.3.1/24 dev ${device}`);
  const before = dressed(t, device);
  const conf = config("1.0.0", { device });
  t.add(conf);
  t.sh(`ip link add ${device} ${rest}`);
  t.silent("DEL", conf);
  t.equal(/^dev\d+$/.test(spareOf(t)), true, "a device that says what it was called");
  return { device, conf, before };
}

/** c1 and c2 have a device each; `act` is told both names. After DEL of both each is what it was. */
function eachOthersName(t: Trial, act: (a: string, b: string) => void): void {
  const [a, b] = [t.freshDevice(), t.freshDevice()];
  t.sh(`ip link set ${a} mtu 1400 up; ip link set ${b} mtu 1300; ip netns add c2`);
  const before = [a, b].map((name) => dressed(t, name));
  const second = { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" };
  t.add(config("1.0.0", { device: a }));
  t.add(config("1.0.0", { device: b }), { set: second, ns: "c2" });
  act(a, b);
  t.silent("DEL", config("1.0.0", { device: a }));
  t.silent("DEL", config("1.0.0", { device: b }), { set: second });
  t.equal(
    [a, b].map((name) => dressed(t, name)),
    before,
    "MAC, MTU and state of both, under their names",
  );
}

/** From here on only a descriptor keeps the namespace, which has the device. The function ends it, and returns when it has ended. */
function holdOnly(t: Trial, device: string, ns: string): () => void {
  t.sh(`mkfifo /run/hold; exec 9</run/netns/${ns}; sh -c 'read line </run/hold' >/dev/null 2>&1 &
    umount -l /run/netns/${ns}; rm /run/netns/${ns}`);
  return () =>
    void t.sh(
      `echo >/run/hold; for i in $(seq 100); do ip link show ${device}p >/dev/null 2>&1 || break; sleep 0.1; done`,
    );
}

/** c1 and c2 have a device each, and exchange them; x is a namespace of its own. After DEL of both each is on the host. */
function eachOthersDevice(t: Trial, exchange: string): void {
  const [a, b] = [t.freshDevice(), t.freshDevice()];
  t.sh("ip netns add c2; ip netns add x");
  const before = [a, b].map((name) => dressed(t, name));
  const second = { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" };
  t.add(config("1.0.0", { device: a }));
  t.add(config("1.0.0", { device: b }), { set: second, ns: "c2" });
  t.sh(exchange);
  t.silent("DEL", config("1.0.0", { device: a }));
  t.silent("DEL", config("1.0.0", { device: b }), { set: second });
  t.equal(
    [a, b].map((name) => dressed(t, name)),
    before,
    "MAC, MTU and state of both, under their names",
  );
}

export const hostDeviceIdentity: CaseTable = {
  perMain: [],
  fixed: [
    one(
      "HDI-01",
      "G",
      RULE,
      "the container has an interface of the device's name, kind and index: it keeps it",
      (t) => {
        t.sh("ip link add eth0 type veth peer name eth0p; ip link set eth0 up");
        const mac = t.link("eth0", "")!.mac;
        t.sh(`ip -n c1 link add eth0 index ${indexOf(t, "eth0")} type veth peer name own`);
        const own = t.link("eth0")!.mac;
        const conf = config("1.0.0", { device: "eth0" });
        const set = { CNI_IFNAME: "net1" };
        t.add(conf, { set });
        t.silent("DEL", conf, { set });
        t.equal(t.link("eth0", "")?.mac, mac, "MAC of the host's eth0");
        t.equal(t.link("eth0")?.mac, own, "MAC of the container's eth0");
        t.gone("net1");
      },
    ),
    one("HDI-36", "H", RULE, "the same, and ADD fails after the device has moved: both keep their own", (t) => {
      t.sh("ip link add eth0 type veth peer name eth0p; ip link set eth0 up");
      const { mac } = t.link("eth0", "")!;
      t.sh(`ip -n c1 link add eth0 index ${indexOf(t, "eth0")} type veth peer name own`);
      const own = t.link("eth0")!.mac;
      // The kernel refuses a broadcast address as gateway.
      const routes = [{ dst: "203.0.113.0/24", gw: "198.18.5.255" }];
      const ipam = { type: "static", addresses: [{ address: "198.18.5.2/24" }], routes };
      const error = t.error(
        t.call("ADD", { ...config("1.0.0", { device: "eth0" }), ipam }, { set: { CNI_IFNAME: "net1" } }),
      );
      t.expect(/203\.0\.113/.test(error.msg), "an error about the route", error.msg);
      t.equal(t.link("eth0", "")?.mac, mac, "MAC of the host's eth0");
      t.equal(t.link("eth0")?.mac, own, "MAC of the container's eth0");
      t.gone("net1");
    }),
    one(
      "HDI-02",
      "H",
      RULE,
      "hwaddr that a macvlan on the device has too: the device; then an error that names the holder",
      (t) => {
        t.sh(`ip link add hw0 index 4000 type veth peer name hw0p; ip link set hw0 up; ip netns add c2
        ip link add mv0 index 3000 link hw0 type macvlan mode passthru`);
        const conf = config("1.0.0", { hwaddr: t.link("hw0", "")!.mac });
        const index = t.link("hw0", "")!.index;
        t.add(conf);
        t.equal(t.link("eth0")?.index, index, "index of the device that moved");
        const error = t.error(t.call("ADD", conf, { set: { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" } }));
        t.expect(/held by container/.test(error.msg), "an error that names the holder", error.msg);
        t.silent("DEL", conf);
        returned(t, "hw0");
      },
    ),
    one(
      "HDI-02b",
      "H",
      RULE,
      "held by a pod that the runtime named /proc/PID/ns/net: an error that names the holder",
      (t) => {
        const device = t.freshDevice();
        t.sh("ip netns add c2");
        const first = { CNI_CONTAINERID: "first", CNI_NETNS: t.pathByProcess("c2") };
        t.add(config("1.0.0", { device }), { set: first, ns: "c2" });
        const { msg } = t.refused("ADD", config("1.0.0", { device }));
        t.expect(/held by container first/.test(msg), "an error that names the holder", msg);
        t.present("eth0", "c2");
      },
    ),
    one("HDI-03", "G", RULE, "DEL under another network name than ADD's: the device is back", (t) => {
      const device = t.freshDevice();
      t.add(config("1.0.0", { device }));
      t.silent("DEL", { ...config("1.0.0", { device }), name: "renamed" });
      returned(t, device);
    }),
    one("HDI-03a", "H", RULE, "the same, with host-local: no lease is left under either name", (t) => {
      const device = t.freshDevice();
      const ipam = { type: "host-local", ranges: [[{ subnet: "198.18.79.0/28" }]] };
      const name = "before";
      const conf = { ...config("1.0.0", { device }), name, ipam };
      t.add(conf);
      t.leaseCount(1, name);
      t.silent("DEL", { ...conf, name: "renamed" });
      returned(t, device);
      t.leaseCount(0, name);
    }),
    ...(
      [
        ["b", "a device that does not exist", () => "nosuch"],
        ["c", "another device, which exists", (t: Trial) => t.freshDevice()],
      ] as const
    ).map(([letter, what, other]) =>
      one(`HDI-03${letter}`, "H", RULE, `the same, and the configuration names ${what}: the device is back`, (t) => {
        const device = t.freshDevice();
        const conf = { ...config("1.0.0", { device, ipam: POOL }), name: "before" };
        t.add(conf);
        t.silent("DEL", { ...conf, name: "renamed", device: other(t) });
        returned(t, device);
        t.leaseCount(0, "before");
      }),
    ),
    ...(
      [
        ["a", "another device", (t: Trial) => ({ device: t.freshDevice() })],
        ["b", "a device that does not exist", () => ({ device: "nosuch" })],
        ["c", "no device", () => ({})],
        ["d", "an invalid device", () => ({ device: 5 })],
        [
          "e",
          "a subnet that is none",
          (t: Trial) => ({
            device: t.freshDevice(),
            ipam: { type: "host-local", ranges: [[{ subnet: "198.18.0.0/33" }]] },
          }),
        ],
      ] as const
    ).map(([letter, what, keys]) =>
      one(
        `HDI-04${letter}`,
        "H",
        RULE,
        `DEL after an ADD of ${what} by another network under the same name that failed: the first network's device stays`,
        (t) => {
          const device = t.freshDevice();
          const conf = config("1.0.0", { device });
          t.add(conf);
          const other: Config = { ...config("1.0.0", keys(t)), name: "other" };
          for (let i = 0; i < 2; i++) t.error(t.call("ADD", other));
          t.silent("DEL", other);
          t.present("eth0");
          t.silent("DEL", conf);
          returned(t, device);
        },
      ),
    ),
    one(
      "HDI-04",
      "H",
      RULE,
      "DEL after an ADD of the same device by another network that failed: its holder stays",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.error(t.call("ADD", { ...conf, name: "other" }));
        t.silent("DEL", { ...conf, name: "other" });
        t.present("eth0");
        t.silent("DEL", conf);
        returned(t, device);
      },
    ),
    one(
      "HDI-05",
      "H",
      RULE,
      "the pod deleted the device and made one with its name, MAC and alias: that stays in the pod",
      (t) => {
        const device = t.freshDevice();
        const { mac } = t.link(device, "")!;
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(impostor(mac, device));
        t.silent("DEL", conf);
        t.gone(device, "");
        t.equal(inPod(t).includes("eth0"), true, "the pod's own link in the pod");
        t.silent("DEL", conf);
      },
    ),
    ...(["device", "hwaddr"] as const).map((key) =>
      one(
        `HDI-06.${key}`,
        "H",
        RULE,
        `${key}: DEL again, when the pod made a link with the device's MAC and an alias: OK, nothing comes`,
        (t) => {
          const device = t.freshDevice();
          const { mac } = t.link(device, "")!;
          const conf = config("1.0.0", key === "device" ? { device } : { hwaddr: mac });
          t.add(conf);
          t.sh(impostor(mac, key === "device" ? device : "tailscale0", "ip -n c1 link set eth0 name real"));
          t.silent("DEL", conf);
          t.equal(t.link(device, "")?.mac, mac, "MAC of the device on the host");
          const before = t.picture();
          for (const CNI_NETNS of ["/run/netns/c1", undefined]) {
            t.silent("DEL", conf, { set: { CNI_NETNS } });
            t.unchangedSince(before);
          }
        },
      ),
    ),
    one("HDI-07", "H", RULE, "the pod renamed the device and gave it another MAC and alias: it comes back", (t) => {
      const device = t.freshDevice();
      const { mac } = t.link(device, "")!;
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh(`ip -n c1 link set eth0 down; ip -n c1 link set eth0 name x address 02:00:00:00:0b:01 alias other
        ip -n c1 link add eth0 type veth peer name wire`);
      t.silent("DEL", conf);
      returned(t, device, "x");
      t.equal(t.link(device, "")?.mac, mac, "MAC of the device");
    }),
    ...(
      [
        ["a", "in the pod", ""],
        ["b", "in another namespace", `ip netns add x; ip -n c1 link set "$raw" netns x`],
        ["c", "in the pod, with an alternative name, an alias and a neighbour that are none either", RAW_TOO],
      ] as const
    ).map(([letter, where, more]) =>
      one(
        `HDI-51${letter}`,
        "H",
        RULE,
        `the pod gave it a name that is not UTF-8 (${where}): it comes back`,
        (t) => {
          const { device, conf, before } = rawInPod(t, more);
          t.silent("DEL", conf);
          t.present(device, "");
          t.equal(dressed(t, device), before, "MAC, MTU and state of the device, under its name");
          t.leaseCount(0, conf.name as string);
          t.equal(t.sh(`ls ${RECORDS} | grep json || true`), "", "records");
        },
        letter === "c" ? ["kernel:altname"] : [],
      ),
    ),
    one(
      "HDI-51d",
      "H",
      RULE,
      "the same, and GC without a valid attachment: it comes back",
      (t) => {
        const { device, conf, before } = rawInPod(t, "");
        t.silent("GC", { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] });
        t.present(device, "");
        t.equal(dressed(t, device), before, "MAC, MTU and state of the device, under its name");
        t.leaseCount(0, conf.name as string);
      },
      ["spec:1.1.0:host-device"],
    ),
    one("HDI-51e", "H", RULE, "a device of the host whose name and alias are not UTF-8 gets both back", (t) => {
      const device = t.freshDevice();
      const { mac } = t.link(device, "")!;
      t.sh(`ip link set ${device} down; ip link set ${device} alias "$(printf 'rack \\377\\303')"
        ip link set ${device} name "$(printf '\\377\\376d')"`);
      const seen = "ip -o link show | grep -a 'rack ' | LC_ALL=C sed 's/^[0-9]*: //; s/@.*alias/ /' | od -An -c";
      const before = t.sh(seen);
      const conf = config("1.0.0", { hwaddr: mac });
      t.add(conf);
      t.silent("DEL", conf);
      t.equal(t.sh(seen), before, "name and alias");
    }),
    one("HDI-08", "H", RULE, "a link of the host that is down and has the wanted name as alias keeps its name", (t) => {
      const device = t.freshDevice();
      t.sh(`ip link set ${device} down; ip link set ${device} alias spare`);
      const before = t.picture();
      t.error(t.call("ADD", config("1.0.0", { device: "spare" })));
      t.unchangedSince(before, "");
    }),
    one(
      "HDI-09",
      "H",
      "damaged state never blocks",
      "records whose JSON is whole and of another shape: ADD, DEL and GC OK",
      (t) => {
        const device = t.freshDevice();
        const key = { network: "n", containerId: "k", ifName: "eth0" };
        const shapes = [null, 1, [], {}, { was: null }, { was: {}, network: {}, netns: {} }];
        for (const [n, data] of shapes.entries()) {
          t.write(
            `${RECORDS}/n:k${n}:eth0.json`,
            JSON.stringify({ key: { ...key, containerId: `k${n}` }, bootId: "x", data }),
          );
        }
        const conf = config("1.1.0", { device });
        t.add(conf);
        t.silent("DEL", conf);
        returned(t, device);
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] });
      },
      ["spec:1.1.0:host-device"],
    ),
    one(
      "HDI-10",
      "H",
      "what an earlier boot wrote means nothing today",
      "a record of another boot: DEL OK, the device stays",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        editRecord(t, 's/"bootId":"[^"]*"/"bootId":"another"/');
        t.silent("DEL", conf);
        t.present("eth0");
        t.gone(device, "");
      },
    ),
    one(
      "HDI-11",
      "H",
      "what another host's namespace wrote means nothing here",
      "a record of another namespace of the host: the new device of the name keeps its MAC",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        // Without a mark its index and peer would be enough, on the same host.
        editRecord(t, 's/"cookie":"[^"]*"/"cookie":"00000000000fffff"/g; s/,"mark":[0-9]*//');
        const { index, parent } = JSON.parse(t.sh(`cat ${RECORDS}/*.json`)).data.was;
        t.sh(`ip netns del c1
        for i in 1 2 3 4 5; do ip link show ${device}p 2>/dev/null || break; sleep 0.2; done
        ip link add ${device} index ${index} address 02:00:00:00:0b:02 type veth peer name new0p index ${parent}`);
        t.silent("DEL", conf, { set: { CNI_NETNS: undefined } });
        t.equal(t.link(device, "")?.mac, "02:00:00:00:0b:02", "MAC of the new device");
      },
    ),
    one(
      "HDI-12",
      "H",
      "GC is about its own network",
      "GC of another network: the device stays in the pod",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.1.0", { device });
        t.add(conf);
        t.silent("GC", { ...conf, name: "other", "cni.dev/valid-attachments": [] });
        t.present("eth0");
        t.silent("DEL", conf);
        returned(t, device);
      },
      ["spec:1.1.0:host-device"],
    ),
    one(
      "HDI-13",
      "H",
      "what cannot be put back does not hold a device for ever",
      "it came back, and its name is another's by now: DEL OK, all of it but the name is as it was",
      (t) => {
        const device = t.freshDevice();
        t.sh(`ip link set ${device} mtu 1400 up; ip link set ${device} txqueuelen 77`);
        const { mac, index } = t.link(device, "")!;
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`ip -n c1 link set eth0 name tailscale0; ip -n c1 link set tailscale0 mtu 1500 netns $$
          ip link add ${device} type veth peer name other`);
        const other = t.link(device, "")!.mac;
        t.silent("DEL", conf);
        t.equal(t.link(device, "")?.mac, other, "MAC of the other device");
        const back = t.link(`dev${index}`, "");
        t.equal([back?.mac, back?.mtu, back?.up], [mac, 1400, true], "MAC, MTU, up of the device");
        t.gone("tailscale0", "");
        t.silent("DEL", conf);
      },
    ),
    ...(["x", "c1"] as const).map((where) =>
      one(
        `HDI-33.${where}`,
        "H",
        RULE,
        `without a mark, and the other end of the veth is in ${where} by now: E, all stays; OK when it is back`,
        (t) => {
          const device = t.freshDevice();
          const conf = config("1.0.0", { device });
          t.add(conf);
          editRecord(t, 's/,"mark":[0-9]*//');
          t.sh(`ip netns add x; ip link set ${device}p netns ${where}`);
          t.refused("DEL", conf, [999]);
          t.equal(t.sh(`ls ${RECORDS} | grep -c json`).trim(), "1", "records");
          t.present("eth0");
          t.sh(`ip -n ${where} link set ${device}p netns $$`);
          t.silent("DEL", conf);
          returned(t, device);
        },
      ),
    ),
    one("HDI-16", "H", RULE, "the path is another pod's by now, and the device in that pod: it stays there", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device });
      t.add(conf);
      // The first namespace lives on, so that its number is not given again.
      t.sh(`ip -n c1 link set eth0 netns $$ name moved; ip netns attach earlier $(ip netns exec c1 sh -c 'sleep 30 >/dev/null 2>&1 & echo $!')
        ip netns del c1; ip netns add c1; ip link set moved netns c1 name eth0`);
      t.silent("DEL", conf);
      t.present("eth0");
      t.gone(device, "");
    }),
    one(
      "HDI-20",
      "H",
      "what cannot be put back does not hold a device for ever",
      "it is in the pod, and its name is another's by now: DEL OK, all of it but the name is as it was",
      (t) => {
        const device = t.freshDevice();
        t.sh(`ip link set ${device} mtu 1400 up`);
        const { mac } = t.link(device, "")!;
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`ip link add ${device} type veth peer name other`);
        const other = t.link(device, "")!.mac;
        t.silent("DEL", conf);
        t.gone("eth0");
        t.equal(t.link(device, "")?.mac, other, "MAC of the other device");
        const [name = ""] = t.sh(`grep -l ${mac} /sys/class/net/*/address | cut -d/ -f5`).trim().split("\n");
        const back = t.link(name, "");
        t.equal([/^dev\d+$/.test(name), back?.mtu, back?.up], [true, 1400, true], "spare name, MTU, up of the device");
        t.silent("DEL", conf);
      },
    ),
    one(
      "HDI-35a",
      "H",
      NAME,
      "the name is free again: the next ADD finds the device by it, and DEL gives it the name",
      (t) => {
        const { device, conf, before } = renamed(t, `type veth peer name other`);
        t.sh(`ip link del ${device}`);
        t.silent("STATUS", { ...conf, cniVersion: "1.1.0" });
        t.add(conf);
        t.gone(spareOf(t), "");
        t.silent("DEL", conf);
        t.equal(dressed(t, device), before, "MAC, MTU and state of the device, under its name");
        t.equal(t.sh(`cat /sys/class/net/${device}/ifalias`).trim(), "rack 3", "its alias");
        t.equal(/198.18.3.1/.test(t.sh(`ip -o address show ${device}`)), true, "its address");
      },
    ),
    one(
      "HDI-35b",
      "H",
      NAME,
      "something made by software has the name: ADD refuses that, and does not take it",
      (t) => {
        const { device, conf } = renamed(t, `type veth peer name other`);
        const spare = spareOf(t);
        t.refused("ADD", conf, [999]);
        t.gone("eth0");
        t.present(device, "");
        t.present(spare, "");
      },
    ),
    one(
      "HDI-35c",
      "H",
      NAME,
      "an ADD that finds the device by its MAC address: DEL gives it the name, which is free",
      (t) => {
        const { device, before } = renamed(t, `type veth peer name other`);
        t.sh(`ip link del ${device}`);
        const conf = config("1.0.0", { hwaddr: String(before[1]) });
        t.add(conf);
        t.silent("DEL", conf);
        t.equal(dressed(t, device), before, "MAC, MTU and state of the device, under its name");
      },
    ),
    one("HDI-21", "H", GONE, "the pod moved it to another namespace, and renamed it there: it comes back", (t) => {
      const device = t.freshDevice();
      const { mac } = t.link(device, "")!;
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh("ip netns add x; ip -n c1 link set eth0 netns x name other; ip -n x link set other alias mine");
      t.silent("DEL", conf);
      returned(t, device);
      t.equal(t.link(device, "")?.mac, mac, "MAC of the device");
    }),
    one("HDI-22", "H", GONE, "two pods exchanged their devices: each comes back", (t) => {
      eachOthersDevice(
        t,
        "ip -n c1 link set eth0 netns x; ip -n c2 link set eth0 netns c1; ip -n x link set eth0 netns c2",
      );
    }),
    one("HDI-23", "H", GONE, "the same, through a namespace that has ended since: each comes back", (t) => {
      eachOthersDevice(
        t,
        "ip -n c1 link set eth0 netns x; ip -n c2 link set eth0 netns c1; ip -n x link set eth0 netns c2; ip netns del x",
      );
    }),
    one("HDI-24", "H", GONE, "the namespace lost its path, and a process lives in it: it comes back", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh(`ip netns exec c1 sleep 30 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do sleep 0.01; done
        umount /run/netns/c1; rm /run/netns/c1`);
      t.silent("DEL", conf);
      t.equal(t.link(device, "") !== undefined, true, "the device on the host");
    }),
    one(
      "HDI-46",
      "H",
      GONE,
      "the pod moved it to a namespace that only a process of its own has: it comes back",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`unshare -n sleep 30 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do sleep 0.01; done
        ip -n c1 link set eth0 netns $! name other`);
        t.silent("DEL", conf);
        t.equal(t.link(device, "") !== undefined, true, "the device on the host");
      },
    ),
    one(
      "HDI-46t",
      "H",
      GONE,
      "the same, when the network is sriov's by now: it comes back",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`unshare -n sleep 30 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do sleep 0.01; done
        ip -n c1 link set eth0 netns $! name other`);
        t.silentRun(t.call("DEL", { ...conf, type: "sriov", deviceID: "0000:ff:1f.7" }, { plugin: "sriov" }));
        t.equal(t.link(device, "") !== undefined, true, "the device on the host");
      },
      ["plugin:sriov"],
    ),
    one(
      "HDI-47",
      "H",
      RULE,
      "its alias has no room for the name that it lost: the next ADD finds it, then it is as before",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        const alias = "\u00e4".repeat(125);
        t.sh(`ip link set ${device} alias ${alias}`);
        t.add(conf);
        t.sh(`ip link add ${device} type veth peer name other`);
        t.silent("DEL", conf);
        t.equal(spareOf(t).startsWith("dev"), true, "the device, under a spare name");
        t.sh(`ip link del ${device}`);
        t.add(conf);
        t.silent("DEL", conf);
        t.equal(t.sh(`cat /sys/class/net/${device}/ifalias`).trim(), alias, "alias of the device");
      },
    ),
    one(
      "HDI-48",
      "H",
      RULE,
      "an old record was restored, and a newer one says that another pod has it: it stays there",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.sh("ip netns add c2");
        t.add(conf);
        t.sh(`mkdir /run/old; cp -a ${RECORDS}/*.json /run/old`);
        t.silent("DEL", conf);
        t.add(conf, { set: { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" }, ns: "c2" });
        t.sh(`cp -a /run/old/*.json ${RECORDS}`);
        t.silent("DEL", conf);
        t.present("eth0", "c2");
      },
    ),
    one("HDI-34", "H", GONE, "the same, and the path is another pod's by now: it comes back", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh(`ip netns exec c1 sleep 30 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do sleep 0.01; done
        umount /run/netns/c1; rm /run/netns/c1; ip netns add c1`);
      t.silent("DEL", conf);
      t.equal(t.link(device, "") !== undefined, true, "the device on the host");
    }),
    one("HDI-37", "H", GONE, "it is back without a DEL, and the node's uplink by now: ADD and DEL leave it so", (t) => {
      const device = t.freshDevice();
      t.sh(`ip link set ${device} up; ip netns add c2`);
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh(`ip -n c1 link set eth0 netns $$ name ${device}; ip link set ${device} address 02:bb:00:00:00:01 mtu 1350 alias wan up
        ip address add 203.0.113.5/24 dev ${device}; ip route add default via 203.0.113.1 dev ${device} metric 5`);
      const look = (): string => t.sh(`ip -o link show ${device}; ip route show dev ${device}`);
      const before = look();
      const second = { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" };
      t.equal(t.error(t.call("ADD", conf, { set: second })).code, 7, "code of the second ADD");
      t.equal(look(), before, "the uplink after a refused ADD");
      t.call("DEL", conf);
      t.equal(look(), before, "the uplink after DEL");
    }),
    one("HDI-25", "H", GONE, "it is in a namespace that cannot be opened: DEL fails until that has ended", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh("ip netns add x; ip -n c1 link set eth0 netns x");
      const end = holdOnly(t, device, "x");
      t.refused("DEL", conf, [11]);
      t.refused("DEL", conf, [11]);
      end();
      t.silent("DEL", conf);
      t.gone(device, "");
    }),
    ...(
      [
        ["a", "DEL", (t: Trial, conf: Config) => t.refused("DEL", conf, [11])],
        [
          "b",
          "GC",
          (t: Trial, conf: Config) =>
            t.refused("GC", { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] }, [11]),
        ],
        [
          "c",
          "ADD of another pod",
          (t: Trial, conf: Config) => {
            t.sh("ip netns add c2");
            t.refused("ADD", conf, [11], { set: { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" } });
          },
        ],
      ] as const
    ).map(([letter, what, run]) =>
      one(
        `HDI-50${letter}`,
        "H",
        GONE,
        `only a descriptor keeps its pod, and the host has never had a number for itself: ${what} fails, record and lease stay; DEL is OK when the pod has ended`,
        (t) => {
          const device = t.freshDevice();
          const conf = config("1.0.0", { device, ipam: POOL });
          t.add(conf);
          t.expect(t.sh("ip netns list-id") !== "", "a number of the pod", "the host has none");
          const end = holdOnly(t, device, "c1");
          run(t, conf);
          t.equal(t.sh(`ls ${RECORDS} | grep -c json`).trim(), "1", "records");
          t.leaseCount(1, conf.name as string);
          end();
          t.silent("DEL", conf);
          t.leaseCount(0, conf.name as string);
        },
        letter === "b" ? ["spec:1.1.0:host-device"] : [],
      ),
    ),
    one("HDI-26", "H", GONE, "it came back and was given to another pod by hand: DEL OK, and it stays there", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh("ip netns add x; ip -n c1 link set eth0 netns $$; ip link set eth0 netns x");
      t.silent("DEL", conf);
      t.equal(/eth0/.test(t.sh("ip -n x link show eth0")), true, "the device in the other pod");
    }),
    one("HDI-27", "H", GONE, "the pod deleted it, a macvlan: DEL OK", (t) => {
      const device = t.freshDevice();
      t.sh(`ip link set ${device} up; ip link add lent0 link ${device} type macvlan mode bridge`);
      const conf = config("1.0.0", { device: "lent0" });
      t.add(conf);
      t.sh("ip -n c1 link del eth0; ip -n c1 link add eth0 type veth peer name wire");
      t.silent("DEL", conf);
      t.gone("lent0", "");
    }),
    one(
      "HDI-28",
      "H",
      RULE,
      "it came back without a DEL, and DEL runs in another namespace of the node: an error, and DEL at home succeeds",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh("ip netns add x; ip -n c1 link set eth0 netns $$ name moved; ip netns del c1");
        t.refused("DEL", conf, [999], { set: { CNI_NETNS: undefined }, wrap: 'exec ip netns exec x "$@"' });
        t.present("moved", "");
        t.silent("DEL", conf, { set: { CNI_NETNS: undefined } });
        t.present(device, "");
        t.gone("moved", "");
      },
    ),
    one("HDI-29", "H", GONE, "its pod has ended, and it is in another one: DEL fails, and it stays there", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh("ip netns add x; ip -n c1 link set eth0 netns x; ip netns del c1");
      t.refused("DEL", conf, [11]);
      t.equal(/eth0/.test(t.sh("ip -n x link show eth0")), true, "the device in the other pod");
      t.sh("ip -n x link set eth0 netns $$");
      t.silent("DEL", conf);
      t.present(device, "");
    }),
    one(
      "HDI-30",
      "H",
      GONE,
      "it was deleted, and the pod has a veth whose peer got its peer's index: DEL ends",
      (t) => {
        t.sh("ip link add lost0 type veth peer name wire0");
        const index = t.sh("cat /sys/class/net/wire0/ifindex").trim();
        const conf = config("1.0.0", { device: "lost0" });
        t.add(conf);
        t.sh(`ip link del wire0; ip link add wire0 index ${index} type veth peer name own0; ip link set own0 netns c1`);
        t.silent("DEL", conf);
        t.present("own0");
        t.present("wire0", "");
      },
    ),
    ...(
      [
        ["a", "empty", ""],
        ["b", "cut off", '{"version":2,"key":{"network":"host-net"'],
        ["c", "of a later version", '{"version":99,"key":{},"device":{}}'],
      ] as const
    ).map(([letter, how, text]) =>
      one(
        `HDI-31${letter}`,
        "H",
        "a record that cannot be read is not absent",
        `it is ${how}, and the pod has renamed the device: E, nothing is forgotten; OK when the device is back, or the pod gone`,
        (t) => {
          const device = t.freshDevice();
          const conf = config("1.0.0", { device });
          t.add(conf);
          t.sh("ip -n c1 link set eth0 down; ip -n c1 link set eth0 name x alias other");
          t.expect(t.sh(`ls ${RECORDS} 2>/dev/null || true`) !== "", "a record of the lent device", "there is none");
          const file = t.sh(`ls ${RECORDS}/*.json`).trim();
          t.write(file, text);
          t.refused("DEL", conf, [11]);
          t.equal(inPod(t).includes("x"), true, "the device in the pod");
          t.equal(t.sh(`cat ${file}`).trim(), text, "the record");
          if (letter === "b") t.sh(`ip -n c1 link set x netns $$ name ${device}`);
          else t.sh("ip netns del c1");
          t.silent("DEL", conf, letter === "b" ? {} : { set: { CNI_NETNS: undefined } });
          t.equal(t.sh(`ls ${file} 2>/dev/null || true`).trim(), letter === "c" ? file : "", "records left");
        },
      ),
    ),
    one(
      "HDI-38",
      "H",
      "a record that cannot be read is not absent",
      "GC: while the device may be in a pod, E, nothing is forgotten; one of a valid attachment, and of another network, is left alone",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.1.0", {
          device,
          ipam: { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]] },
        });
        t.add(conf);
        t.sh("ip -n c1 link set eth0 alias other");
        const file = damage(t);
        const gc = (valid: object[], name = conf.name) => ({ ...conf, name, "cni.dev/valid-attachments": valid });
        t.refused("GC", gc([]), [11]);
        t.silent("GC", gc([{ containerID: "ctr-1", ifname: "eth0" }]));
        t.silent("GC", gc([], "another"));
        t.leaseCount(1, conf.name as string);
        t.equal(t.sh(`cat ${file}`).trim(), "{", "the record");
        t.sh("ip netns del c1");
        t.silent("GC", gc([]));
        t.leaseCount(0, conf.name as string);
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
      },
      ["spec:1.1.0:host-device"],
    ),
    one(
      "HDI-39",
      "H",
      "a record that cannot be read is not absent",
      "GC, and the record's name was shortened, which does not say whose it is: E, and no lease is released",
      (t) => {
        const device = t.freshDevice();
        const set = { CNI_CONTAINERID: "x".repeat(250) };
        const conf = config("1.1.0", {
          device,
          ipam: { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]] },
        });
        t.add(conf, { set });
        const valid = [{ containerID: set.CNI_CONTAINERID, ifname: "eth0" }];
        damage(t);
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": valid });
        t.refused("GC", { ...conf, "cni.dev/valid-attachments": [] }, [11]);
        t.sh("ip netns del c1");
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] });
        t.leaseCount(0, conf.name as string);
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
      },
      ["spec:1.1.0:host-device"],
    ),
    ...(
      [
        ["a", "nothing else says which namespace it is, and its interface's name is there", "{", ""],
        ["b", "the pod renamed the device, and the record's beginning says which namespace it is", "cut", RENAMED],
        ["c", "the pod renamed the device, and libcni has the result of ADD", "{", `${RENAMED}; ${KEPT}`],
        ["d", "the pod renamed the device, and the prevResult says which namespace it is", "{", RENAMED],
      ] as const
    ).map(([letter, how, text, pod]) =>
      one(
        `HDI-40${letter}`,
        "H",
        "a record that cannot be read is not absent",
        `DEL without CNI_NETNS, which proves nothing: ${how}: E, nothing is forgotten; OK when the pod is gone, whatever others have`,
        (t) => {
          const device = t.freshDevice();
          const conf = config("1.0.0", { device });
          t.sh("ip netns add c2; ip link add other type veth peer name eth0 netns c2");
          const prevResult = t.add(conf);
          const file = damage(t, text);
          if (pod !== "") t.sh(pod);
          const del = letter === "d" ? { ...conf, prevResult } : conf;
          const set = { CNI_NETNS: undefined };
          if (letter === "a") t.sh("ip -n c2 link del eth0");
          t.refused("DEL", del, [11], { set });
          t.sh("ip netns del c1");
          t.silent("DEL", del, { set });
          t.equal(t.sh(`ls ${file} 2>/dev/null || true`).trim(), "", "records left");
        },
      ),
    ),
    one(
      "HDI-41",
      "H",
      "a record that cannot be read is not absent",
      "it is of an earlier boot, as after a power failure: DEL ends, whatever is in the pod of that name",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        const file = damage(t);
        t.sh(`touch -d '2001-01-01' ${file}`);
        t.sh("ip -n c1 link set eth0 alias other");
        t.silent("DEL", conf, { set: { CNI_NETNS: undefined } });
        t.silent("DEL", conf);
        t.equal(t.sh(`ls ${file} 2>/dev/null || true`).trim(), "", "records left");
      },
    ),
    one(
      "HDI-43",
      "H",
      "a record that cannot be read is not absent",
      "its file has a time before this boot, as from a backup, and the pod lives: DEL is E(11), all stays",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`touch -d '2001-01-01' ${damage(t)}`);
        t.sh("ip -n c1 link set eth0 down; ip -n c1 link set eth0 alias other name moved");
        t.refused("DEL", conf, [11]);
        t.expect(t.sh("ip -n c1 -o link show moved").includes("moved"), "the device stays in the pod", "");
      },
    ),
    one(
      "HDI-42",
      "H",
      "a record that cannot be read is not absent",
      "a directory has its place, with something in it or not: DEL returns the device, and ends",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        for (const inside of ["", "x"]) {
          t.add(conf);
          const file = damage(t);
          t.sh(`rm '${file}'; mkdir -p '${file}/${inside}'`);
          t.silent("DEL", conf);
          t.present(device, "");
          t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
        }
        t.silent("DEL", conf);
      },
    ),
    one(
      "HDI-32",
      "H",
      "a record that cannot be read is not absent",
      "it is empty, and the device is in the pod as it was told: it comes back by its alias, and the record goes",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`f=$(ls ${RECORDS}/*.json); : > "$f"`);
        t.silent("DEL", conf);
        t.gone("eth0");
        t.present(device, "");
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
      },
    ),
    ...(
      [
        ["a", "the pod changed the alias: it comes back under its name", "alias other"],
        ["b", "the pod removed the alias: the same", 'alias ""'],
      ] as const
    ).map(([letter, how, change]) =>
      one(`HDI-44${letter}`, "H", RULE, `a virtual device without a record, as of the Go plugin: ${how}`, (t) => {
        const device = t.freshDevice();
        const { mac } = t.link(device, "")!;
        const conf = config("1.0.0", { device, ipam: POOL });
        keepResult(t, conf, t.add(conf));
        t.sh(`rm -f ${RECORDS}/*.json; ip -n c1 link set eth0 ${change}`);
        t.silent("DEL", conf);
        t.equal(t.link(device, "")?.mac, mac, "MAC of the device");
        t.gone("eth0");
        t.leaseCount(0, conf.name as string);
      }),
    ),
    ...(
      [
        [
          "a",
          "a macvlan",
          "ip link add link $low name mv1 type macvlan mode bridge; ip link set mv1 netns c1 name eth0",
        ],
        ["b", "its veth", "ip link add cali1 type veth peer name eth0 netns c1"],
        ["c", "a dummy", "ip -n c1 link add eth0 type dummy"],
      ] as const
    ).map(([letter, what, make]) =>
      one(
        `HDI-46${letter}`,
        "H",
        RULE,
        `no device was lent, and the pod gives ${what} the alias cni0: DEL does not move it to the host, whatever prevResult, lease or another network's result say`,
        (t) => {
          t.sh(`low=${t.freshDevice()}; ${make}; ip -n c1 link set eth0 alias cni0`);
          const conf = config("1.0.0", { device: "cni0", ipam: POOL });
          const { mac } = t.link("eth0")!;
          const result = {
            cniVersion: "1.0.0",
            interfaces: [{ name: "eth0", mac, sandbox: "/run/netns/c1" }],
            ips: [],
          };
          t.refused("ADD", conf);
          const stays = (how: string, del: Config, codes?: number[]) => {
            if (codes === undefined) t.silent("DEL", del);
            else t.refused("DEL", del, codes);
            t.gone("cni0", "");
            t.equal(t.link("eth0")?.mac, mac, `the pod's interface, ${how}`);
          };
          // Nor does it say that all is well: this is also how the Go plugin leaves a device that it lent.
          stays("without a result", conf, [11]);
          stays("with a prevResult", { ...conf, prevResult: result }, [11]);
          t.write(`/var/lib/cni/networks/${conf.name}/198.18.79.9`, "ctr-1\r\neth0");
          stays("with a lease", conf, [11]);
          t.sh(`rm /var/lib/cni/networks/${conf.name}/198.18.79.9`);
          keepResult(t, { cniVersion: "1.0.0", name: conf.name, type: "ptp" }, result);
          stays("with the result of a network of the same name", conf, [11]);
        },
        letter === "c" ? ["kernel:dummy"] : [],
      ),
    ),
    one(
      "HDI-46d",
      "H",
      RULE,
      "no device was lent, and the pod gives its CNI veth (a port, then one with a route) the alias eth7: the same, whatever prevResult and lease say",
      (t) => {
        const conf = config("1.0.0", { device: "eth7", ipam: POOL });
        t.refused("ADD", conf);
        t.sh(
          "ip link add br7 up type bridge; ip link add cali1 up type veth peer name eth0 netns c1; ip -n c1 link set eth0 alias eth7 up",
        );
        const { mac } = t.link("eth0")!;
        const result = { cniVersion: "1.0.0", interfaces: [{ name: "eth0", mac, sandbox: "/run/netns/c1" }], ips: [] };
        for (const change of [
          "ip link set cali1 master br7",
          "ip link set cali1 nomaster; ip route add 10.61.0.7/32 dev cali1",
        ]) {
          t.sh(change);
          t.refused("DEL", { ...conf, prevResult: result }, [11]);
          t.equal(t.link("eth0")?.mac, mac, "the pod's interface");
        }
      },
    ),
    one(
      "HDI-44e",
      "G",
      RULE,
      "a virtual device without a record, as of the Go plugin, and a lease alone tells of the ADD: it comes back",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device, ipam: POOL });
        t.add(conf);
        t.sh(`rm -f ${RECORDS}/*.json; ip -n c1 link set eth0 alias ${device}`);
        t.silent("DEL", conf);
        t.gone("eth0");
        t.present(device, "");
        t.leaseCount(0, conf.name as string);
      },
    ),
    one(
      "HDI-44c",
      "H",
      RULE,
      "the same, and nothing tells whether the pod made what has its name: E(11), all stays; OK when the pod is gone",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device, ipam: POOL });
        t.add(conf);
        t.sh(`rm -f ${RECORDS}/*.json; ip -n c1 link del eth0; ip -n c1 link add eth0 type veth peer name wire`);
        t.refused("DEL", conf, [11]);
        t.present("eth0");
        t.leaseCount(1, conf.name as string);
        t.sh("ip netns del c1");
        t.silent("DEL", conf);
        t.leaseCount(0, conf.name as string);
      },
    ),
    ...(
      [
        ["a", "device", ""],
        ["b", "hwaddr", ""],
        [
          "c",
          "device, and the veth's other end is a port of a bridge",
          "ip link add br7 up type bridge; ip link set $peer master br7",
        ],
      ] as const
    ).map(([letter, how, change]) =>
      one(
        `HDI-52${letter}`,
        "H",
        RULE,
        `nothing is left of the Go plugin's ADD but the interface and its alias (${how}): E(11), it stays; OK when it is back, and when the pod has made another`,
        (t) => {
          const device = t.freshDevice();
          const { mac } = t.link(device, "")!;
          const conf = config("0.3.1", how === "hwaddr" ? { hwaddr: mac } : { device });
          t.add(conf);
          t.sh(`rm -f ${RECORDS}/*.json; ip -n c1 link set eth0 alias ${device}; peer=${device}p; ${change}`);
          t.refused("DEL", conf, [11]);
          t.equal(t.link("eth0")?.mac, mac, "MAC of the interface in the pod");
          t.sh(`ip -n c1 link set eth0 netns $$ name ${device}`);
          t.silent("DEL", conf);
          t.sh(`ip -n c1 link add eth0 type veth peer name wire; ip -n c1 link set eth0 alias ${device}`);
          t.silent("DEL", conf);
          t.present("eth0");
          t.present(device, "");
        },
      ),
    ),
    one(
      "HDI-52d",
      "H",
      RULE,
      "the same, and libcni has the result of another container's ADD: a late DEL whose path is that pod's by now leaves it there, OK",
      (t) => {
        const device = t.freshDevice();
        const conf = config("0.3.1", { device });
        const result = t.add(conf, { set: { CNI_CONTAINERID: "second" } });
        keepResult(t, conf, result, "second");
        t.sh(`rm -f ${RECORDS}/*.json; ip -n c1 link set eth0 alias ${device}`);
        t.silent("DEL", conf);
        t.present("eth0");
        t.silent("DEL", conf, { set: { CNI_CONTAINERID: "second" } });
        t.present(device, "");
      },
    ),
    one(
      "HDI-54",
      "H",
      RULE,
      "DEL sees neither the namespace that lent it nor the pod, as in a node container that was restarted: OK, and the log says so",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        const hide = 'mount -t tmpfs none /run/netns; exec "$@"';
        const run = t.call("DEL", conf, { wrap: `exec unshare -mnpf --mount-proc sh -c '${hide}' - "$@"` });
        t.silentRun(run);
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
        t.expect(/warning: .*lent by a network namespace/.test(run.stderr), "a warning", run.stderr);
      },
    ),
    one(
      "HDI-53",
      "H",
      "an original state is restored once",
      "the disk is read-only at DEL: E(5), and the device is home; DEL again: OK, and the next pod's DEL leaves what the host has set since",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh("mount -o remount,bind,ro /var/lib/cni");
        t.error(t.call("DEL", conf), [5]);
        t.present(device, "");
        t.sh("mount -o remount,bind,rw /var/lib/cni");
        t.silent("DEL", conf);
        t.sh(`ip link set ${device} address 02:00:00:00:00:99 mtu 1450; ip netns add c2`);
        const before = dressed(t, device);
        const second = { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" };
        t.add(conf, { set: second, ns: "c2" });
        t.silent("DEL", conf, { set: second });
        t.equal(dressed(t, device), before, "name, MAC, MTU and state of the device");
      },
    ),
    one(
      "HDI-44d",
      "H",
      RULE,
      "DEL again, with prevResult, when another pod has the device and the pod has made an interface of its own: OK, both stay",
      (t) => {
        const device = t.freshDevice();
        t.sh("ip netns add c2");
        const conf = config("1.0.0", { device });
        const prevResult = t.add(conf);
        t.silent("DEL", { ...conf, prevResult });
        t.add(conf, { set: { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" }, ns: "c2" });
        t.sh(`ip -n c1 link add eth0 type veth peer name wire; ip -n c1 link set eth0 alias ${device}`);
        t.silent("DEL", { ...conf, prevResult });
        t.present("eth0");
        t.present("eth0", "c2");
      },
    ),
    ...(
      [
        ["a", "hwaddr, and the pod changed the alias", "hwaddr", "ip -n c2 link set eth0 alias cni0"],
        [
          "b",
          "device, and the veth's other end has left the host",
          "device",
          "ip netns add x; ip link set $peer netns x",
        ],
      ] as const
    ).map(([letter, how, key, change]) =>
      one(
        `HDI-49${letter}`,
        "H",
        RULE,
        `a virtual device of the Go plugin, and the record of an earlier attachment proves which it is (${how}): it comes back`,
        (t) => {
          const device = t.freshDevice();
          const { mac } = t.link(device, "")!;
          const conf = config("1.0.0", { [key]: key === "hwaddr" ? mac : device, ipam: POOL });
          t.add(conf);
          t.expect(t.sh(`ls ${RECORDS} 2>/dev/null || true`) !== "", "a record of the lent device", "there is none");
          t.sh(`rm -f /var/lib/cni/networks/${conf.name}/198*; ip -n c1 link set eth0 down
            ip -n c1 link set eth0 netns $$ name ${device}; ip netns add c2; ip link set ${device} netns c2 name eth0
            ip -n c2 link set eth0 alias ${device}; peer=${device}p; ${change}`);
          t.write(`/var/lib/cni/networks/${conf.name}/198.18.79.9`, "second\r\neth0");
          t.silent("DEL", conf, { set: { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" } });
          t.equal(t.link(device, "")?.mac, mac, "MAC of the device");
          t.gone("eth0", "c2");
          t.leaseCount(0, conf.name as string);
        },
      ),
    ),
    one(
      "HDI-45a",
      "H",
      RULE,
      "DEL and GC of what the Go plugin's DEL ended, when another attachment of the pod has the device by its lease: it stays there",
      (t) => {
        const { conf } = givenOn(t, POOL);
        t.write(`/var/lib/cni/networks/${conf.name}/198.18.79.9`, "second\r\nnet7");
        const kept = t.sh(`cat ${RECORDS}/*.json 2>/dev/null || true`);
        t.silent("DEL", conf);
        t.present("net7");
        t.write(`${RECORDS}/cni-plugin-host-device-test:ctr-1:eth0.json`, kept);
        const valid = [{ containerID: "second", ifname: "net7" }];
        t.silent("GC", { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": valid });
        t.present("net7");
        t.leaseCount(1, conf.name as string);
      },
      ["spec:1.1.0:host-device"],
    ),
    one("HDI-45b", "H", RULE, "the same by the result that libcni keeps", (t) => {
      const { conf } = givenOn(t);
      keepSecond(t, conf, t.link("net7")!.mac);
      t.silent("DEL", conf);
      t.present("net7");
    }),
    one(
      "HDI-45g",
      "H",
      RULE,
      "the same by its lease, when the network is a bridge by now: it stays",
      (t) => {
        const { conf } = givenOn(t, POOL);
        t.write(`/var/lib/cni/networks/${conf.name}/198.18.79.9`, "second\r\nnet7");
        t.silentRun(t.call("DEL", { ...conf, type: "bridge" }, { plugin: "bridge" }));
        t.present("net7");
      },
      ["plugin:bridge"],
    ),
    one(
      "HDI-45e",
      "H",
      RULE,
      "the pod gave its device the name of another attachment's interface, and nothing is left of its own ADD: it comes back",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        keepSecond(t, conf, "02:00:00:00:00:77");
        t.sh("ip -n c1 link set eth0 down name net7");
        t.silent("DEL", conf);
        returned(t, device, "net7");
      },
    ),
    one(
      "HDI-45f",
      "H",
      RULE,
      "a device of the Go plugin, and its lease names the container only, as plugins before 0.8 wrote it: it comes back",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device, ipam: POOL });
        keepResult(t, conf, t.add(conf));
        t.sh(
          `rm -f ${RECORDS}/*.json; cd /var/lib/cni/networks/${conf.name}; for i in 198*; do echo -n ctr-1 >$i; done`,
        );
        t.silent("DEL", conf);
        returned(t, device);
        t.leaseCount(0, conf.name as string);
      },
    ),
    one("HDI-45c", "H", RULE, "the pod gave its device that name, and its lease is still there: it comes back", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device, ipam: POOL });
      t.add(conf);
      t.sh(
        "ip -n c1 link set eth0 down; ip -n c1 link set eth0 name net7; ip -n c1 address add 198.18.79.9/28 dev net7",
      );
      t.write(`/var/lib/cni/networks/${conf.name}/198.18.79.9`, "second\r\nnet7");
      t.silent("DEL", conf);
      returned(t, device, "net7");
    }),
    one("HDI-45d", "H", RULE, "DEL of the attachment that has the device by now: it comes back", (t) => {
      const { conf, device } = givenOn(t, POOL);
      t.write(`/var/lib/cni/networks/${conf.name}/198.18.79.9`, "second\r\nnet7");
      t.silent("DEL", conf, { set: { CNI_CONTAINERID: "second", CNI_IFNAME: "net7" } });
      returned(t, device, "net7");
      t.leaseCount(0, conf.name as string);
    }),
    one(
      "HDI-17",
      "H",
      "what the node lives on is not taken down",
      "it came back and is the uplink by now: it stays so",
      (t) => {
        const device = t.freshDevice();
        t.sh(`ip link set ${device} down`);
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`ip -n c1 link set eth0 netns $$ name ${device}; ip addr add 10.99.9.9/24 dev ${device}; ip link set ${device} up
        ip route add default via 10.99.9.1 dev ${device} metric 9999`);
        t.silent("DEL", conf);
        const route = t.sh(`ip route show default metric 9999; ip route del default metric 9999 || true`);
        t.equal(route.includes(device), true, "the default route of the node is there");
      },
    ),
    one(
      "HDI-18",
      "H",
      RULE,
      "DEL runs in another namespace of the node: an error, and the device stays in the pod",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        editRecord(t, 's/"cookie":"[^"]*"},"data"/"cookie":"00000000000fffff"},"data"/');
        t.refused("DEL", conf, [999]);
        t.present("eth0");
        t.gone(device, "");
      },
    ),
    one(
      "HDI-19",
      "H",
      "DEL is about its own attachment",
      "DEL of macvlan, of another network: the host's macvlan stays in the pod",
      (t) => {
        const device = t.freshDevice();
        t.sh(`ip link set ${device} up; ip link add lent0 link ${device} type macvlan mode bridge`);
        const conf = config("1.0.0", { device: "lent0" });
        t.add(conf);
        t.silent("DEL", { cniVersion: "1.0.0", name: "other", type: "macvlan", master: device });
        t.present("eth0");
        t.silent("DEL", conf);
        t.gone("eth0");
      },
    ),
    one("HDI-14", "H", RULE, "two came back, each under the other's name: each is what it was after both DELs", (t) => {
      eachOthersName(t, (a, b) => {
        t.sh(`ip -n c1 link set eth0 netns $$ name ${b}; ip -n c2 link set eth0 netns $$ name ${a}`);
      });
    }),
    one("HDI-15", "H", RULE, "one came back under the name of the other, which is in its pod: as before", (t) => {
      eachOthersName(t, (a) => t.sh(`ip -n c2 link set eth0 netns $$ name ${a}`));
    }),
  ],
};
