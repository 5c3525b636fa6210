// What a pod can leave on a device that was lent to it: nothing of it is there for the node or for the next pod.
import { borrowCard } from "../harness/card.ts";
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Trial } from "../harness/trial.ts";
import { BPF_DROP, BPF_TCX, BPF_TWICE } from "../harness/xdp.ts";
import { allow, config } from "./host-device.ts";

const one = rowsThatNeed(["plugin:host-device"]);
const RULE = "nothing of a pod stays on a lent device";

interface Settings {
  id: string;
  what: string;
  /** Shell on the host, before ADD; the device is `$dev`. */
  setup?: string;
  /** Shell in the pod, whose device is eth0. */
  inPod: string;
  /** Shell on the host that shows what the pod changed. */
  show: string;
  needs?: string[];
  /** A device with several queues. */
  many?: boolean;
  /** Shell that makes a device called "lent", on `$low`. */
  make?: string;
}

/** ADD, what the pod does, DEL: what the host sees of the device is the same as before. */
const leavesNothing = ({ id, what, setup = "true", inPod, show, needs = [], many = false, make }: Settings): Case =>
  one(
    id,
    "H",
    RULE,
    `${what}: as before after DEL`,
    (t: Trial) => {
      const device = many ? "many" : make === undefined ? t.freshDevice() : "lent";
      if (make !== undefined) t.sh(`low=${t.freshDevice()}; ${make}; ip link set lent up`);
      if (many) t.sh("ip link add many numrxqueues 2 numtxqueues 2 up type veth peer name wire; ip link set wire up");
      t.sh(`dev=${device}; ${setup}`);
      const seen = () => t.sh(`dev=${device}; ${show}`);
      const before = seen();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh(inPod);
      t.silent("DEL", conf);
      t.equal(seen(), before, what);
    },
    needs,
  );

const FLAGS = "printf '%x\\n' $(($(cat /sys/class/net/$dev/flags) & 0xf1b6))";

/** Some plugins leave the device down, where the kernel tells nothing of its carrier. */
const CARRIER = "cd /sys/class/net/$dev; cat carrier 2>/dev/null || { echo down; ip link set $dev up; cat carrier; }";
const OF_KIND = `ip -d link show dev $dev | tail -n +2; ${CARRIER}`;

/** Attaches a program that drops all packets to an interface, in the shell. */
const drop = (ip: string, name: string, how: string): string =>
  `${ip} perl -e '${BPF_DROP}' $(${ip} cat /sys/class/net/${name}/ifindex) ${how}`;
const IN_POD = "ip netns exec c1";
const PROGRAMS = `perl -e '${BPF_TCX}' $(cat /sys/class/net/$dev/ifindex); ip -d link show dev $dev | grep -o 'prog/xdp' || true`;
const needs = ["kernel:tcx", "program:perl"];

/** The pod after the next one gets its packets, and the device is up. */
const leavesNoProgram = (id: string, what: string, inPod: string): Case =>
  leavesNothing({ id, what, inPod, show: `${PROGRAMS}; cat /sys/class/net/$dev/operstate`, needs });

/** ADD of a device on which somebody has left a program. */
const refusesProgram = (id: string, what: string, how: string): Case =>
  one(
    id,
    "H",
    RULE,
    `ADD of a device with ${what}: E(7); taken with devices.allow, and the program is still there after DEL`,
    (t) => {
      const device = t.freshDevice();
      t.sh(drop("", device, how));
      const seen = () => t.sh(`dev=${device}; ${PROGRAMS}`);
      const before = seen();
      const conf = config("1.0.0", { device });
      const picture = t.picture();
      const { code, msg } = t.error(t.call("ADD", conf));
      t.expect(code === 7 && msg.includes("BPF program"), "code 7 and the program", `${code}: ${msg}`);
      t.unchangedSince(picture);
      allow(t, device);
      t.add(conf);
      t.sh(drop(IN_POD, "eth0", "47"));
      t.silent("DEL", conf);
      t.equal(seen(), before, "programs");
    },
    needs,
  );

export const attacksDevice: CaseTable = {
  perMain: [],
  fixed: [
    leavesNothing({
      id: "ATK-D1a",
      what: "link mode and operational state",
      inPod: "ip -n c1 link set eth0 mode dormant; ip -n c1 link set eth0 state dormant",
      show: "cat /sys/class/net/$dev/link_mode; for i in $(seq 50); do [ $(cat /sys/class/net/$dev/operstate) = up ] && break; sleep 0.02; done; cat /sys/class/net/$dev/operstate",
    }),
    leavesNothing({
      id: "ATK-D1b",
      what: "flags that mean nothing to the kernel",
      inPod: "ip -n c1 link set eth0 dynamic on; ip -n c1 link set eth0 trailers off",
      show: FLAGS,
    }),
    leavesNothing({
      id: "ATK-D1c",
      what: "a link mode and flags that the administrator has chosen",
      setup: "ip link set $dev mode dormant; ip link set $dev dynamic on",
      inPod: "ip -n c1 link set eth0 mode default; ip -n c1 link set eth0 dynamic off",
      show: `cat /sys/class/net/$dev/link_mode; ${FLAGS}`,
    }),
    leavesNothing({
      id: "ATK-D1d",
      what: "mode, queue and protodown of a macvlan",
      make: "ip link add lent link $low type macvlan mode bridge",
      inPod:
        "ip -n c1 link set eth0 type macvlan mode private bcqueuelen 5; ip -n c1 link set eth0 protodown on; ip -n c1 link set eth0 protodown_reason 3 on",
      show: OF_KIND,
      needs: ["kernel:bcqueuelen"],
    }),
    ...["", "; ip -n c1 link set eth0 mode default; ip -n c1 link set eth0 down"].map((rest, i) =>
      leavesNothing({
        id: `ATK-D1${"lm"[i]}`,
        what: `operational state of a macvlan, whose carrier does not change${rest === "" ? "" : ", hidden again"}`,
        make: "ip link add lent link $low type macvlan mode bridge",
        setup: "ip link set $dev up",
        inPod: `ip -n c1 link set eth0 mode dormant; ip -n c1 link set eth0 state dormant${rest}`,
        show: "cat /sys/class/net/$dev/link_mode; sleep 0.1; cat /sys/class/net/$dev/operstate",
        needs: ["kernel:macvlan"],
      }),
    ),
    leavesNothing({
      id: "ATK-D1n",
      what: "reason of a macvlan to be down, which it is not",
      make: "ip link add lent link $low type macvlan mode bridge",
      inPod: "ip -n c1 link set eth0 protodown_reason 3 on",
      show: OF_KIND,
      needs: ["kernel:bcqueuelen"],
    }),
    leavesNothing({
      id: "ATK-D1e",
      what: "senders that a macvlan in source mode takes",
      make: "ip link add lent link $low type macvlan mode source; ip link set lent type macvlan macaddr add 02:00:00:00:00:77",
      inPod: "ip -n c1 link set eth0 type macvlan macaddr set 02:00:00:00:00:88",
      show: OF_KIND,
      needs: ["kernel:macvlan"],
    }),
    leavesNothing({
      id: "ATK-D1f",
      what: "flags and priorities of a VLAN",
      make: "ip link add lent link $low type vlan id 5 egress-qos-map 1:1",
      inPod:
        "ip -n c1 link set eth0 type vlan reorder_hdr off loose_binding on; ip -n c1 link set eth0 type vlan egress-qos-map 0:5 1:3 ingress-qos-map 2:4",
      show: OF_KIND,
      needs: ["kernel:vlan"],
    }),
    leavesNothing({
      id: "ATK-D1i",
      what: "flags and priorities of a VLAN that has no flags, of which the kernel tells nothing",
      make: "ip link add lent link $low type vlan id 5 reorder_hdr off egress-qos-map 1:1",
      inPod: "ip -n c1 link set eth0 type vlan reorder_hdr on loose_binding on egress-qos-map 1:3 ingress-qos-map 2:4",
      show: OF_KIND,
      needs: ["kernel:vlan"],
    }),
    leavesNothing({
      id: "ATK-D1j",
      what: "priorities of a VLAN that has no flags",
      make: "ip link add lent link $low type vlan id 5 reorder_hdr off egress-qos-map 1:1",
      inPod: "ip -n c1 link set eth0 type vlan egress-qos-map 1:3 ingress-qos-map 2:4",
      show: OF_KIND,
      needs: ["kernel:vlan"],
    }),
    leavesNothing({
      id: "ATK-D1g",
      what: "a macsec that no longer encrypts",
      make: "ip link add lent link $low type macsec sci 1 encrypt on",
      inPod: "ip -n c1 link set eth0 type macsec encrypt off validate disabled protect off",
      show: OF_KIND,
      needs: ["kernel:macsec"],
    }),
    leavesNothing({
      id: "ATK-D1h",
      what: "carrier of a dummy interface",
      make: "ip link add lent type dummy",
      inPod: "ip -n c1 link set eth0 carrier off",
      show: CARRIER,
      needs: ["kernel:dummy"],
    }),
    leavesNothing({
      id: "ATK-D1k",
      what: "mode and flag of an ipvlan, which all ipvlans of its master have, and ARP",
      make: "ip link add lent link $low type ipvlan mode l2",
      inPod: "ip -n c1 link set eth0 type ipvlan mode l3 vepa",
      show: `${OF_KIND}; ${FLAGS}`,
      needs: ["kernel:ipvlan"],
    }),
    leavesNoProgram("ATK-D2a", "programs of tcx", `${drop(IN_POD, "eth0", "46")}; ${drop(IN_POD, "eth0", "47")}`),
    leavesNoProgram("ATK-D2b", "a program of tcx whose link a process still has", drop(IN_POD, "eth0", "46 hold")),
    leavesNoProgram("ATK-D2c", "a program of XDP whose link a process still has", drop(IN_POD, "eth0", "37 hold")),
    leavesNothing({
      id: "ATK-D3a",
      what: "deferral of NAPI",
      setup: "echo 2000 > /sys/class/net/$dev/gro_flush_timeout",
      inPod: `${IN_POD} sh -c 'cd /sys/class/net/eth0; echo 30000000000 > gro_flush_timeout; echo 2000000000 > napi_defer_hard_irqs'`,
      show: "cd /sys/class/net/$dev; cat gro_flush_timeout napi_defer_hard_irqs",
    }),
    leavesNothing({
      id: "ATK-D3b",
      what: "processors that receive from a queue",
      setup: "cd /sys/class/net/$dev/queues; echo 2 > rx-0/rps_cpus",
      inPod: `${IN_POD} sh -c 'cd /sys/class/net/eth0/queues; echo 1 > rx-0/rps_cpus; echo 64 > rx-0/rps_flow_cnt'`,
      show: "cd /sys/class/net/$dev/queues; cat rx-0/rps_cpus rx-0/rps_flow_cnt",
    }),
    leavesNothing({
      id: "ATK-D3c",
      what: "processors that send over a queue",
      inPod: `${IN_POD} sh -c 'cd /sys/class/net/eth0/queues; for q in tx-*; do echo 1 > $q/xps_cpus; done'`,
      show: "cat /sys/class/net/$dev/queues/tx-*/xps_cpus",
      many: true,
    }),
    one(
      "ATK-D3d",
      "H",
      RULE,
      "threads of NAPI, limits of queues and XPS of a card: as before after DEL",
      (t) => {
        const device = borrowCard(t).pf;
        const limits = "queues/tx-0/byte_queue_limits";
        const seen = () =>
          t.sh(
            `cd /sys/class/net/${device}; cat threaded ${limits}/limit_max ${limits}/hold_time queues/tx-*/xps_cpus`,
          );
        t.sh(`echo 500000 > /sys/class/net/${device}/${limits}/limit_max`);
        const before = seen();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(
          `${IN_POD} sh -c 'cd /sys/class/net/eth0; echo 1 > threaded; echo 1 > ${limits}/limit_max; echo 60000 > ${limits}/hold_time; echo 2 > queues/tx-0/xps_cpus'`,
        );
        t.silent("DEL", conf);
        t.equal(seen(), before, "settings");
      },
      ["card:igb"],
    ),
    one(
      "ATK-D4a",
      "H",
      RULE,
      "a tap interface that a process of the pod still has open: DEL leaves it down and warns; the next ADD: E(7)",
      (t) => {
        t.sh("ip tuntap add ta9 mode tap; ip link set ta9 up");
        const conf = config("1.0.0", { device: "ta9" });
        t.add(conf);
        t.sh(
          `${IN_POD} perl -e 'open(T, "+<", "/dev/net/tun") or die; ioctl(T, 0x400454ca, pack("a16s@40", "eth0", 0x1002)) or die; if (fork == 0) { close STDIN; close STDOUT; close STDERR; sleep 5; exit }'`,
        );
        const run = t.call("DEL", conf);
        t.equal(run.status, 0, "exit status");
        t.expect(run.stderr.includes("stays down"), "a warning", run.stderr);
        t.equal(t.link("ta9", "")?.up, false, "up");
        t.equal(t.error(t.call("ADD", conf)).code, 7, "code");
      },
      ["kernel:tun", "program:perl"],
    ),
    one(
      "ATK-D4b",
      "H",
      "a pod cannot keep its device",
      "hundreds of interfaces and alternative names in the pod: DEL brings the device back, without them",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        const names = "for i in $(seq 300); do echo link property add dev eth0 altname a$i; done";
        t.sh(`(for i in $(seq 100); do echo link add v$i link eth0 type macvlan; done; ${names}) | ip -n c1 -batch -`);
        t.silent("DEL", conf);
        t.equal(t.sh(`ip link show ${device} | grep -c altname || true`).trim(), "0", "alternative names");
      },
      ["kernel:altname"],
    ),
    one(
      "ATK-D9a",
      "H",
      "a pod does not block the networks of others",
      "a device with another one's address has come back without DEL: hwaddr means the other one",
      (t) => {
        const [device, other] = [t.freshDevice(), t.freshDevice()];
        const mac = t.link(other, "")!.mac;
        t.sh("ip netns add gone");
        t.add(config("1.0.0", { device }), {
          set: { CNI_CONTAINERID: "gone", CNI_NETNS: "/run/netns/gone" },
          ns: "gone",
        });
        // As a device comes back when its namespace ends.
        t.sh(`ip -n gone link set eth0 down; ip -n gone link set eth0 address ${mac}
          ip -n gone link set eth0 netns $$ name net9; ip netns del gone; sleep 0.1`);
        const conf = { ...config("1.0.0", { hwaddr: mac }), name: "other" };
        t.add(conf);
        t.equal(t.link(other, "") === undefined, true, "the other device has left the host");
        t.silent("DEL", conf);
        t.present(other, "");
      },
    ),
    one(
      "ATK-D4c",
      "H",
      "a pod cannot keep its device",
      "interfaces on the device that the pod has moved to another namespace: DEL removes them",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.netns("c2");
        t.sh("for i in 1 2; do ip -n c1 link add v$i link eth0 type macvlan; ip -n c1 link set v$i netns c2 up; done");
        t.sh("ip -n c2 link add link v1 name w1 type macvlan");
        t.silent("DEL", conf);
        t.equal(t.sh("ip -n c2 -o link show type macvlan") === "", true, "no interface in the other namespace");
      },
    ),
    one(
      "ATK-D4e",
      "H",
      "a pod cannot keep its device",
      "interfaces that stay in the pod when it moves the device on to another namespace: DEL removes them",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.netns("c2");
        t.sh("ip -n c1 link add v0 link eth0 type macvlan; ip -n c1 link set eth0 netns c2");
        t.silent("DEL", conf);
        t.present(device, "");
        t.equal(t.sh("ip -n c1 -o link show type macvlan") === "", true, "no interface in the pod");
      },
      ["kernel:macvlan"],
    ),
    one(
      "ATK-D4d",
      "H",
      "a pod cannot keep its device",
      "a pod that stacks interfaces on its device during DEL: DEL removes them",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device });
        t.add(conf);
        t.sh(
          "(for i in $(seq 1500); do echo link add v$i link eth0 type macvlan; done) | ip -n c1 -force -batch - >/dev/null 2>/run/stack.err & for i in $(seq 200); do ip -n c1 link show v5 >/dev/null 2>&1 && break; done",
        );
        t.silent("DEL", conf);
        t.sh("sleep 0.1");
        // Those after the device has moved.
        t.expect(t.sh("cat /run/stack.err") !== "", "requests of the pod that come too late", "none");
        t.equal(t.sh("ip -n c1 -o link show type macvlan") === "", true, "no interface in the pod");
      },
    ),
    one(
      "ATK-D5b",
      "H",
      RULE,
      "what a pod that has a physical function sets on its virtual functions: as before after DEL",
      (t) => {
        const { pf } = borrowCard(t);
        t.sh(`ip link set ${pf} vf 1 vlan 7 trust on`);
        const functions = () => t.sh(`ip link show ${pf} | grep ' vf '`);
        const before = functions();
        const conf = config("1.0.0", { device: pf });
        t.add(conf);
        t.sh(`ip -n c1 link set eth0 vf 0 vlan 9 spoofchk off; ip -n c1 link set eth0 vf 0 trust on
          ip -n c1 link set eth0 vf 0 mac 02:00:00:00:66:66; ip -n c1 link set eth0 vf 1 vlan 0 trust off`);
        t.silent("DEL", conf);
        t.equal(functions(), before, "virtual functions");
      },
      ["card:igb"],
    ),
    refusesProgram("ATK-D2d", "a program of tcx", "46"),
    refusesProgram("ATK-D2e", "a program of XDP, by a link", "37 hold"),
    one(
      "ATK-D2f",
      "H",
      RULE,
      "a program of XDP that podnic cannot tell from another pod's: DEL leaves the device down and warns; the next ADD: E(7)",
      (t) => {
        // Two links of the same program on interfaces with one index: the kernel tells no more of either.
        const device = t.freshDevice();
        const index = t.link(device, "")!.index;
        const conf = config("1.0.0", { device });
        t.sh(`ip netns add c2; ip -n c2 link add twin index ${index} type veth peer name t; ip -n c2 link set twin up`);
        t.add(conf);
        t.sh(`${IN_POD} perl -e '${BPF_TWICE}' ${index} /run/netns/c2`);
        const run = t.call("DEL", conf);
        t.equal(run.status, 0, "exit status");
        t.expect(run.stderr.includes("stays down"), "a warning", run.stderr);
        t.equal(t.link(device, "")?.up, false, "up");
        t.equal(t.sh("ip -n c2 -d link show dev twin | grep -c 'prog/xdp'").trim(), "1", "programs of the other");
        t.equal(t.error(t.call("ADD", conf)).code, 7, "code");
      },
      needs,
    ),
  ],
};
