// host-device: which device comes back. What resembles the device (name, index, kind, MAC, alias) is not it, and what the pod made is never taken.
import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { config, returned } from "./host-device.ts";
import { dressed, eachOthers, inPod, POOL, RECORDS, RULE, second } from "./host-device-shared.ts";

const one = rowsThatNeed(["plugin:host-device"]);
const NAME = "a device that came home under a spare name is the one that was lent";

/** sed's `script` on the record of the device. Plugins that keep none fail here. */
function editRecord(t: Trial, script: string): void {
  t.expect(t.sh(`ls ${RECORDS} 2>/dev/null || true`) !== "", "a record of the lent device", "there is none");
  t.sh(`sed -i '${script}' ${RECORDS}/*.json`);
}

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

/** For rawInPod: other texts of the device, and a neighbour, that are not UTF-8 either. */
const RAW_TOO = `ip -n c1 link property add dev "$raw" altname "$(printf '\\200\\355\\263\\277')"
  ip -n c1 link set "$raw" alias "$(printf '\\300\\257')"; ip -n c1 link add "$(printf '\\355\\263\\277X')" type veth peer name other`;

const indexOf = (t: Trial, name: string): string => t.sh(`cat /sys/class/net/${name}/ifindex`).trim();

/** In the pod: the device is gone, and a veth pair of the pod's own has its name, MAC and this alias. */
const impostor = (mac: string, alias: string, before = "ip -n c1 link del eth0"): string =>
  `${before}; ip -n c1 link add eth0 address ${mac} type veth peer name wire; ip -n c1 link set eth0 alias ${alias} up`;

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
        const error = t.error(t.call("ADD", conf, { set: second }));
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
    one(
      "HDI-16",
      "H",
      RULE,
      "the path is another pod's by now, the device was put there by hand, and nothing says so: E(11)",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        // The first namespace lives on, so that its number is not given again.
        t.sh(`ip -n c1 link set eth0 netns $$ name moved; ip netns attach earlier $(ip netns exec c1 sh -c 'sleep 30 >/dev/null 2>&1 & echo $!')
        ip netns del c1; ip netns add c1; ip link set moved netns c1 name eth0`);
        t.refused("DEL", conf, [11]);
        t.present("eth0");
        t.gone(device, "");
      },
    ),
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
        t.add(conf, { set: second, ns: "c2" });
        t.sh(`cp -a /run/old/*.json ${RECORDS}`);
        t.silent("DEL", conf);
        t.present("eth0", "c2");
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
        t.expect(/warning: .*came from a network namespace/.test(run.stderr), "a warning", run.stderr);
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
        t.add(conf, { set: second, ns: "c2" });
        t.silent("DEL", conf, { set: second });
        t.equal(dressed(t, device), before, "name, MAC, MTU and state of the device");
      },
    ),
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
      eachOthers(t, (a, b) => {
        t.sh(`ip -n c1 link set eth0 netns $$ name ${b}; ip -n c2 link set eth0 netns $$ name ${a}`);
      });
    }),
    one("HDI-15", "H", RULE, "one came back under the name of the other, which is in its pod: as before", (t) => {
      eachOthers(t, (a) => t.sh(`ip -n c2 link set eth0 netns $$ name ${a}`));
    }),
  ],
};
