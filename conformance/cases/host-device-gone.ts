// host-device: the device is not where ADD put it. Another namespace has it, or it is gone, and only a proof ends the attachment.
import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import { keepResult } from "../harness/libcni.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { config, returned } from "./host-device.ts";
import { eachOthers, POOL, RECORDS, RULE, second } from "./host-device-shared.ts";

const one = rowsThatNeed(["plugin:host-device"]);
const GONE = "gone means proven gone";

/** From here on only a descriptor keeps the namespace, which has the device. The function ends it, and returns when it has ended. */
function holdOnly(t: Trial, device: string, ns: string): () => void {
  t.sh(`mkfifo /run/hold; exec 9</run/netns/${ns}; sh -c 'read line </run/hold' >/dev/null 2>&1 &
    umount -l /run/netns/${ns}; rm /run/netns/${ns}`);
  return () =>
    void t.sh(
      `echo >/run/hold; for i in $(seq 100); do ip link show ${device}p >/dev/null 2>&1 || break; sleep 0.1; done`,
    );
}

/** Of c1's and c2's devices. */
const EXCHANGE =
  "ip netns add x; ip -n c1 link set eth0 netns x; ip -n c2 link set eth0 netns c1; ip -n x link set eth0 netns c2";

export const hostDeviceGone: CaseTable = {
  perMain: [],
  fixed: [
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
      eachOthers(t, () => t.sh(EXCHANGE));
    }),
    one("HDI-23", "H", GONE, "the same, through a namespace that has ended since: each comes back", (t) => {
      eachOthers(t, () => t.sh(`${EXCHANGE}; ip netns del x`));
    }),
    ...(
      [
        ["24", "the namespace lost its path, and a process lives in it: it comes back", ""],
        ["34", "the same, and the path is another pod's by now: it comes back", "; ip netns add c1"],
      ] as const
    ).map(([number, what, more]) =>
      one(`HDI-${number}`, "H", GONE, what, (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.pathByProcess("c1");
        t.sh(`umount /run/netns/c1; rm /run/netns/c1${more}`);
        t.silent("DEL", conf);
        t.equal(t.link(device, "") !== undefined, true, "the device on the host");
      }),
    ),
    ...(
      [
        [
          "",
          "the pod moved it to a namespace that only a process of its own has: it comes back",
          (t: Trial, conf: Config) => t.silent("DEL", conf),
          [],
        ],
        [
          "t",
          "the same, when the network is sriov's by now: it comes back",
          (t: Trial, conf: Config) =>
            t.silentRun(t.call("DEL", { ...conf, type: "sriov", deviceID: "0000:ff:1f.7" }, { plugin: "sriov" })),
          ["plugin:sriov"],
        ],
      ] as const
    ).map(([letter, what, del, needs]) =>
      one(
        `HDI-46${letter}`,
        "H",
        GONE,
        what,
        (t) => {
          const device = t.freshDevice();
          const conf = config("1.0.0", { device });
          t.add(conf);
          t.sh(`unshare -n sleep 30 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do sleep 0.01; done
            ip -n c1 link set eth0 netns $! name other`);
          del(t, conf);
          t.equal(t.link(device, "") !== undefined, true, "the device on the host");
        },
        needs,
      ),
    ),
    one("HDI-37", "H", GONE, "it is back without a DEL, and the node's uplink by now: ADD and DEL leave it so", (t) => {
      const device = t.freshDevice();
      t.sh(`ip link set ${device} up; ip netns add c2`);
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh(`ip -n c1 link set eth0 netns $$ name ${device}; ip link set ${device} address 02:bb:00:00:00:01 mtu 1350 alias wan up
        ip address add 203.0.113.5/24 dev ${device}; ip route add default via 203.0.113.1 dev ${device} metric 5`);
      const look = (): string => t.sh(`ip -o link show ${device}; ip route show dev ${device}`);
      const before = look();
      t.equal(t.error(t.call("ADD", conf, { set: second })).code, 7, "code of the second ADD");
      t.equal(look(), before, "the uplink after a refused ADD");
      t.silent("DEL", conf);
      t.equal(look(), before, "the uplink after DEL");
    }),
    ...(
      [
        ["a", "DEL", (t: Trial, conf: Config) => t.silent("DEL", conf)],
        [
          "b",
          "GC",
          (t: Trial, conf: Config) => t.silent("GC", { ...conf, cniVersion: "1.1.0", "cni.dev/valid-attachments": [] }),
        ],
      ] as const
    ).map(([letter, command, end]) =>
      one(
        `HDI-55${letter}`,
        "H",
        GONE,
        `the pod moved it through two namespaces with a name, and ${command} comes while it lives: it comes back`,
        (t) => {
          const device = t.freshDevice();
          const { mac } = t.link(device, "")!;
          const conf = config("1.0.0", { device, ipam: POOL });
          t.add(conf);
          t.sh(`ip netns add x; ip netns add y; ip -n c1 link set eth0 netns x name other
            ip -n x link set other netns y; ip -n y link set other name eth0 alias mine`);
          end(t, conf);
          t.equal(t.link(device, "")?.mac, mac, "MAC of the device");
          t.gone("eth0", "y");
          t.leaseCount(0, conf.name as string);
        },
        command === "GC" ? ["spec:1.1.0:host-device"] : [],
      ),
    ),
    one("HDI-55c", "H", GONE, "the same, and the first of the two has ended: E(11), record and lease stay", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device, ipam: POOL });
      t.add(conf);
      t.sh(
        "ip netns add x; ip netns add y; ip -n c1 link set eth0 netns x; ip -n x link set eth0 netns y; ip netns del x",
      );
      t.refused("DEL", conf, [11]);
      t.leaseCount(1, conf.name as string);
      t.sh("ip -n y link set eth0 netns $$");
      t.silent("DEL", conf);
      returned(t, device);
      t.leaseCount(0, conf.name as string);
    }),
    one(
      "HDI-55d",
      "H",
      RULE,
      "the Go plugin returned it and gave it to another pod, while this one lives, and libcni keeps the result: it stays there",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(`ip netns add c2; ip -n c1 link set eth0 netns $$ name ${device}
          ip link set ${device} netns c2 name eth0; ip -n c2 link set eth0 alias ${device}`);
        const given = [{ name: "eth0", mac: t.link("eth0", "c2")!.mac, sandbox: "/run/netns/c2" }];
        keepResult(t, conf, { interfaces: given }, "second");
        t.silent("DEL", conf);
        t.present("eth0", "c2");
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
      },
    ),
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
            t.refused("ADD", conf, [11], { set: second });
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
    one("HDI-26", "H", GONE, "it came back and was given to another pod by hand, and nothing says so: E(11)", (t) => {
      const device = t.freshDevice();
      const conf = config("1.0.0", { device, ipam: POOL });
      t.add(conf);
      t.sh("ip netns add x; ip -n c1 link set eth0 netns $$; ip link set eth0 netns x");
      t.refused("DEL", conf, [11]);
      t.present("eth0", "x");
      t.leaseCount(1, conf.name as string);
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
  ],
};
