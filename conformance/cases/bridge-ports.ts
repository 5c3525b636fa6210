// bridge: layer 2, the bridge and its ports (B-21 to B-36).
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Result } from "../harness/result.ts";
import type { Trial } from "../harness/trial.ts";
import {
  addDown,
  BRIDGE_MAC,
  conf,
  demandPing,
  FULL,
  fixed,
  framesDuring,
  gc,
  hostLocal,
  makeBridge,
  pod,
  portOf,
  ports,
} from "./bridge-shared.ts";

const one = rowsThatNeed(["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "plugin:static"]);

/** The harness shows no sysfs of the case's own namespace. */
const assignType = (t: Trial, name: string): string =>
  t
    .sh(`mkdir -p /run/case/sys; mountpoint -q /run/case/sys || mount -t sysfs sysfs /run/case/sys
      cat /run/case/sys/class/net/${name}/addr_assign_type`)
    .trim();

/** Those from or to a MAC address. */
const of = (frames: string[], mac: string): string[] =>
  frames.filter((frame) => frame.slice(0, 24).includes(mac.replaceAll(":", "")));

/** What the kernel tells of a bridge and its ports, without what traffic changes. */
const details = (t: Trial, name: string): string[] =>
  t
    .sh(
      `ip -d link show ${name}; ip address show ${name}; bridge -d link show; bridge fdb show br ${name} | grep -E "master.* (static|permanent)" | sort`,
    )
    .split("\n")
    .map((line) =>
      line.replace(/(hello_timer|tcn_timer|topology_change_timer|gc_timer) +[\d.]+|tentative|valid_lft.*/g, "").trim(),
    );

function same(t: Trial, after: string[], before: string[]): void {
  const [lost, found] = [
    before.filter((line) => !after.includes(line)),
    after.filter((line) => !before.includes(line)),
  ];
  t.equal({ lost, found }, { lost: [], found: [] }, "lines");
}

const attributes = (n: number, keys: Config, hairpin: boolean, isolated: boolean): Case =>
  one(`B-26${"abcd"[n]}`, "G", "port attributes", `${JSON.stringify(keys)}: exactly these; CHECK OK`, (t) => {
    makeBridge(t);
    const prevResult = t.add(conf(keys));
    const port = portOf(t);
    t.equal([port.hairpin, port.isolated], [hairpin, isolated], "hairpin, isolated");
    t.silent("CHECK", { ...conf(keys), prevResult });
  });

export const bridgePorts: CaseTable = {
  perMain: [],
  fixed: [
    one(
      "B-21",
      "H",
      "the bridge's MAC is its own",
      "made up, of type set; later ports change nothing; result and link agree",
      (t) => {
        const first = t.add(conf(hostLocal()));
        const mac = t.link("br0", "")!.mac;
        t.equal(
          [t.link("br0", "")?.up, first.interfaces?.[0]?.mac, assignType(t, "br0")],
          [true, mac, "3"],
          "up, MAC, addr_assign_type",
        );
        for (const name of ["c2", "c3", "c4"])
          t.equal(t.add(conf(hostLocal()), pod(t, name)).interfaces?.[0]?.mac, mac, "MAC");
        t.sh("ip link add low0 address 02:00:00:00:00:01 type veth peer name low1; ip link set low0 master br0");
        t.equal(t.link("br0", "")?.mac, mac, "MAC");
      },
    ),
    one("B-22", "H", "never a MAC of zeros", "10 ADDs and DELs of all: the MAC is as it was", (t) => {
      const pods = Array.from({ length: 10 }, (_, n) => pod(t, `p${n}`));
      for (const options of pods) t.add(conf({}, "1.0.0"), options);
      const mac = t.link("br0", "")?.mac;
      for (const options of pods) t.silent("DEL", conf({}, "1.0.0"), options);
      t.equal([t.link("br0", "")?.mac, ports(t).length], [mac, 0], "MAC, ports");
    }),
    one("B-23", "H", "udev leaves it alone", "addr_assign_type of the host's end is 3", (t) => {
      makeBridge(t);
      t.add(conf());
      const { name } = portOf(t);
      t.equal(assignType(t, name), "3", "addr_assign_type");
      t.expect(/^veth[0-9a-f]{8}$/.test(name), "a name of veth and eight digits", name);
    }),
    one("B-24", "H", "plugins#620", "ADD, DEL, ADD with gateway on the same bridge: OK", (t) => {
      const gateway = conf({ isGateway: true, ...hostLocal() });
      t.add(conf());
      t.silent("DEL", conf());
      t.add(gateway);
      t.silent("DEL", gateway);
      t.add(gateway);
    }),
    one("B-25", "H", "plugins#620", "gateway on a bridge of others with a MAC of zeros: OK, and it gets one", (t) => {
      t.sh(
        "ip link add br0 up type bridge; ip link add x0 type veth peer name x1; ip link set x0 master br0; ip link del x0",
      );
      t.equal(t.link("br0", "")?.mac, "00:00:00:00:00:00", "MAC before");
      t.add(conf({ isGateway: true, ...hostLocal() }));
      t.expect(t.link("br0", "")?.mac !== "00:00:00:00:00:00", "a MAC", t.link("br0", "")?.mac);
      const mac = t.link("br0", "")?.mac;
      t.add(conf({ isGateway: true, ...hostLocal() }), pod(t, "c2"));
      t.equal(t.link("br0", "")?.mac, mac, "MAC");
    }),
    attributes(0, {}, false, false),
    attributes(1, { hairpinMode: true }, true, false),
    attributes(2, { portIsolation: true }, false, true),
    attributes(3, { hairpinMode: true, portIsolation: true }, true, true),
    one(
      "B-26e",
      "G",
      "isolated ports",
      "do not reach each other, but the uplink",
      (t) => {
        makeBridge(t);
        t.sh("ip link set up0 master br0; ip address add 10.61.0.9/24 dev up1");
        t.add(conf({ portIsolation: true, ...fixed("10.61.0.2/24") }));
        t.add(conf({ portIsolation: true, ...fixed("10.61.0.3/24") }), pod(t, "c2"));
        demandPing(t, "c1", "10.61.0.9");
        demandPing(t, "c2", "10.61.0.9");
        demandPing(t, "c1", "10.61.0.3", true);
      },
      ["program:ping"],
    ),
    one(
      "B-27",
      "H",
      "a bridge that we found is left as it was",
      "all that the kernel tells of it is equal after ADD and DEL",
      (t) => {
        // Its port listens for half a minute: nothing changes by itself meanwhile.
        makeBridge(t, "stp_state 1 ageing_time 12300 group_fwd_mask 8 mcast_snooping 0 forward_delay 3000");
        t.sh("ip link set br0 alias mine mtu 1400; ip address add 192.0.2.1/24 dev br0; ip link set up0 master br0");
        t.sh("sleep 1");
        const before = details(t, "br0");
        const config = conf({ macspoofchk: true, hairpinMode: true });
        addDown(t, config);
        t.silent("DEL", config);
        same(t, details(t, "br0"), before);
      },
    ),
    one("B-28", "H", "ports of others", "as they were after 20 ADDs and DELs", (t) => {
      makeBridge(t);
      t.sh(`ip link set up0 master br0; ip link add d0 type veth peer name d1; ip link set d0 master br0 up
        bridge link set dev d0 isolated on hairpin on; bridge fdb add 02:00:00:00:00:77 dev d0 master static; sleep 0.5`);
      const before = details(t, "br0");
      for (let n = 0; n < 20; n++) {
        t.add(conf({ macspoofchk: true }, "1.0.0"));
        t.silent("DEL", conf({ macspoofchk: true }, "1.0.0"));
      }
      same(t, details(t, "br0"), before);
    }),
    one("B-29a", "H", "a bridge of ours that is down", "comes up", (t) => {
      t.add(conf({}, "1.0.0"));
      t.sh("ip link set br0 down");
      t.add(conf({}, "1.0.0"), pod(t, "c2"));
      t.equal(t.link("br0", "")?.up, true, "up");
    }),
    one("B-29b", "H", "a bridge of others that is down", "E that says how to bring it up, nothing touched", (t) => {
      makeBridge(t);
      t.sh("ip link set br0 down");
      const { details: cure = "" } = t.refused("ADD", conf());
      t.expect(cure.includes("ip link set br0 up"), "the command", cure);
    }),
    one("B-29c", "H", "a bridge of ours that is down", "STATUS: OK, since ADD brings it up", (t) => {
      t.add(conf());
      t.sh("ip link set br0 down");
      t.silent("STATUS", conf());
    }),
    one("B-30", "H", "1,023 ports", "E that names the limit, nothing left", (t) => {
      makeBridge(t);
      t.sh(`for n in $(seq 512); do echo "link add q$n type veth peer name r$n"; done | ip -batch -
        for n in $(seq 512); do
          echo "link set q$n master br0"
          if [ $n -le 511 ]; then echo "link set r$n master br0"; fi
        done | ip -batch -`);
      t.equal(ports(t).length, 1023, "ports");
      const { msg, details: cure = "" } = t.error(t.call("ADD", conf(hostLocal())));
      t.expect(/1023/.test(msg + cure), "the limit", `${msg}: ${cure}`);
      t.gone();
      t.leaseCount(0);
      t.equal(ports(t).length, 1023, "ports");
    }),
    one("B-31", "H", "the port's name is taken", "the next one; the link of others stays", (t) => {
      makeBridge(t);
      const names: string[] = [];
      for (let n = 0; n < 3; n++) {
        t.add(conf({}, "1.0.0"));
        names.push(portOf(t).name);
        t.silent("DEL", conf({}, "1.0.0"));
        // The last one's address begins as those of podnic's ports do; the others get what the kernel draws.
        const address = n === 2 ? "address fe:00:00:00:31:00 " : "";
        t.sh(`ip link add ${names.at(-1)} ${address}type veth peer name other${n}`);
      }
      t.add(conf({}, "1.0.0"));
      t.silent("DEL", conf({}, "1.0.0"));
      for (const name of names) t.present(name, "");
    }),
    one("B-32", "H", "promiscMode", "stays on for a network without it; CHECK of both OK", (t) => {
      makeBridge(t);
      const [on, off] = [conf({ promiscMode: true }), { ...conf(), name: "net2" }];
      const first = t.add(on);
      const second = pod(t, "c2");
      const prevResult = t.add(off, second);
      t.equal(t.link("br0", "")?.promiscuous, true, "promiscuous");
      t.silent("CHECK", { ...on, prevResult: first });
      t.silent("CHECK", { ...off, prevResult }, second);
      t.sh("ip link set br0 promisc off");
      t.error(t.call("CHECK", { ...on, prevResult: first }));
    }),
    one("B-32a", "H", "promiscMode", "off again with the last pod that has it: by DEL, by GC, by a failed ADD", (t) => {
      makeBridge(t);
      const config = conf({ promiscMode: true });
      const promiscuous = () => t.link("br0", "")?.promiscuous;
      const second = pod(t, "c2");
      t.add(config);
      t.add({ ...config, name: "net2" }, second);
      t.add({ ...conf(), name: "net3" }, pod(t, "c3"));
      t.silent("DEL", config);
      t.equal(promiscuous(), true, "promiscuous while one pod has it");
      t.silent("GC", ...gc({ ...config, name: "net2" }));
      t.equal(promiscuous(), false, "promiscuous after GC");
      t.equal(t.call("ADD", config, FULL).status, 1, "status");
      t.equal(promiscuous(), false, "promiscuous after a failed ADD");
    }),
    one("B-32b", "H", "promiscMode", "a bridge that was promiscuous before stays so", (t) => {
      makeBridge(t);
      t.sh("ip link set br0 promisc on");
      t.add(conf({ promiscMode: true }));
      t.silent("DEL", conf({ promiscMode: true }));
      t.equal(t.link("br0", "")?.promiscuous, true, "promiscuous");
    }),
    one(
      "B-33",
      "G",
      "disableContainerInterface",
      "pod's end down, port up, CHECK OK, no frame in 3 s",
      (t) => {
        makeBridge(t);
        t.sh("ip link set up0 master br0; sleep 1");
        const config = conf({ disableContainerInterface: true });
        let prevResult: Result | undefined;
        const frames = framesDuring(t, 3, (wrap) => {
          prevResult = addDown(t, config, { wrap });
        });
        t.equal([t.link("eth0")?.up, t.link(portOf(t).name, "")?.up], [false, true], "pod's end, port");
        t.silent("CHECK", { ...config, prevResult });
        t.equal(of(frames, t.link("eth0")!.mac), [], "frames of the pod");
      },
      ["program:perl"],
    ),
    one(
      "B-34",
      "H",
      "kubevirt#17195",
      "silent, without IPAM: no frame with the pod's MAC in 4 s",
      (t) => {
        makeBridge(t);
        t.sh("ip link set up0 master br0; sleep 1");
        const frames = framesDuring(t, 4, (wrap) => void t.add(conf({ silent: true }), { wrap }));
        t.equal(of(frames, t.link("eth0")!.mac), [], "frames of the pod");
      },
      ["program:perl"],
    ),
    one(
      "B-35",
      "H",
      "others learn of the pod at once",
      "ARP and neighbour advertisement on another port in 300 ms, 5 of 5",
      (t) => {
        makeBridge(t);
        t.sh("ip link set up0 master br0; sleep 1");
        for (let n = 0; n < 5; n++) {
          const config = conf(fixed("10.61.0.2/24", "fd00:61::2/64"));
          const frames = framesDuring(t, 0.3, (wrap) => void t.add(config, { wrap }));
          const mac = t.link("eth0")!.mac.replaceAll(":", "");
          const arp = frames.some((frame) => new RegExp(`^f{12}${mac}0806.{28}0a3d0002`).test(frame));
          const advertised = frames.some((frame) =>
            new RegExp(`^3333.{8}${mac}86dd.{12}3aff.{64}88.{14}fd000061.{20}0002`).test(frame),
          );
          t.equal([arp, advertised], [true, true], "ARP, neighbour advertisement");
          t.silent("DEL", config);
        }
      },
      ["program:perl"],
    ),
    one(
      "B-36",
      "G",
      "traffic",
      "pod to pod, uplink and host, both families",
      (t) => {
        // Another host of the uplink's network.
        pod(t, "lan");
        t.sh("ip link set up1 netns lan; ip -n lan link set up1 up");
        t.sh("ip -n lan address add 10.61.0.9/24 dev up1; ip -n lan address add fd00:61::9/64 dev up1 nodad");
        const at = (n: number) => conf({ isGateway: true, ...fixed(`10.61.0.${n}/24`, `fd00:61::${n}/64`) });
        t.add(at(2));
        t.add(at(3), pod(t, "c2"));
        t.sh("ip link set up0 master br0; sleep 0.3");
        for (const to of ["10.61.0.3", "10.61.0.9", "10.61.0.1", "fd00:61::3", "fd00:61::9", "fd00:61::1"])
          demandPing(t, "c1", to);
        demandPing(t, "c2", "10.61.0.2");
        t.expect(t.link("br0", "")?.mac !== BRIDGE_MAC, "a bridge of the plugin", "another");
      },
      ["program:ping"],
    ),
  ],
};
