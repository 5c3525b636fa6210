// host-device: podnic has no record of the ADD, or an old one, as after ADD or DEL of the Go plugin. What else tells of it decides.
import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import { keepResult } from "../harness/libcni.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { config, returned } from "./host-device.ts";
import { POOL, RECORDS, RULE, second } from "./host-device-shared.ts";

const one = rowsThatNeed(["plugin:host-device"]);

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

export const hostDeviceUnrecorded: CaseTable = {
  perMain: [],
  fixed: [
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
    ...([false, true] as const).map((isHere, n) =>
      one(
        `HDI-56${"ab"[n]}`,
        "H",
        RULE,
        `without a record, as of the Go plugin, and the network names another device since, which is ${isHere ? "on the host" : "not there"}: DEL returns the one of libcni's result, under its name`,
        (t) => {
          const device = t.freshDevice();
          const other = isHere ? t.freshDevice() : "absent0";
          const { mac } = t.link(device, "")!;
          const conf = config("1.0.0", { device, ipam: POOL });
          const prevResult = t.add(conf);
          keepResult(t, conf, prevResult);
          t.sh(`rm -f ${RECORDS}/*.json; ip -n c1 link set eth0 alias ${device}`);
          t.silent("DEL", { ...conf, device: other, prevResult });
          t.equal(t.link(device, "")?.mac, mac, "MAC of the device");
          t.gone("eth0");
          if (!isHere) t.gone(other, "");
          t.leaseCount(0, conf.name as string);
        },
      ),
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
        t.add(conf, { set: second, ns: "c2" });
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
          t.silent("DEL", conf, { set: second });
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
  ],
};
