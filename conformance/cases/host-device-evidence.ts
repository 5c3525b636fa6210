// host-device: podnic has no record, CNI_NETNS does not lead to the pod, and pods forge what they can. Which device goes where, by what no pod can change.
import { borrowCard, type Card, outliveNetns } from "../harness/card.ts";
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import { keepResult } from "../harness/libcni.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { config, returned } from "./host-device.ts";
import { POOL, RECORDS, RULE, second } from "./host-device-shared.ts";

const one = rowsThatNeed(["plugin:host-device"]);
const card = rowsThatNeed(["plugin:host-device", "card", "card:pci"]);

/** A virtual device with the pod, as after an ADD of the Go plugin whose result libcni keeps. */
function givenByGo(t: Trial, ipam: object | undefined = POOL): { device: string; conf: Config; mac: string } {
  const device = t.freshDevice();
  const { mac } = t.link(device, "")!;
  const conf = config("1.0.0", ipam === undefined ? { device } : { device, ipam });
  keepResult(t, conf, t.add(conf));
  t.sh(`rm -f ${RECORDS}/*.json; ip -n c1 link set eth0 alias ${device}`);
  return { device, conf, mac };
}

/** Function `n` of the card to a pod, as the Go plugin gives it; libcni keeps the result when `keys` are those of the network. */
function functionByGo(t: Trial, n: number, pod: string, container: string, keys?: Config): void {
  const { mac } = t.link(`vf${n}`, "")!;
  t.sh(`ip link set vf${n} down; ip link set vf${n} alias vf${n}; ip link set vf${n} netns ${pod} name eth0
    ip -n ${pod} link set eth0 up`);
  if (keys === undefined) return;
  const interfaces = [{ name: "eth0", mac, sandbox: `/run/netns/${pod}` }];
  keepResult(t, config("1.0.0", keys), { interfaces }, container);
}

/** c1's pod writes the alias of the other function, which c2 has, and its namespace dies: the kernel returns the first one. */
function forged(t: Trial, it: Card, isKept: boolean): void {
  t.netns("c2");
  functionByGo(t, 0, "c1", "ctr-1", isKept ? { device: "vf0" } : undefined);
  functionByGo(t, 1, "c2", "second", isKept ? { device: "vf1" } : undefined);
  t.sh("ip -n c1 link set eth0 alias vf1");
  outliveNetns(t, it, 0, "c1");
}

const third = { CNI_CONTAINERID: "third", CNI_NETNS: "/run/netns/c3" };

const elsewhere = (
  [
    ["a", "CNI_NETNS is empty", undefined, ""],
    ["b", "nothing is at CNI_NETNS", "/run/netns/nosuch", ""],
    ["c", "CNI_NETNS leads to another pod, which has an eth0", "/run/netns/c2", "netns add c2"],
  ] as const
).map(
  ([letter, how, netns, before]): Case =>
    one(
      `HDI-60${letter}`,
      "H",
      RULE,
      `without a record, as of the Go plugin, and ${how}: the device comes back from where libcni's result says that it is`,
      (t) => {
        const { device, conf, mac } = givenByGo(t);
        if (before !== "")
          t.sh(`ip ${before}; ip -n c2 link add eth0 type veth peer name wire; ip -n c2 link set eth0 alias ${device}`);
        t.silent("DEL", conf, { set: { CNI_NETNS: netns } });
        t.equal(t.link(device, "")?.mac, mac, "MAC of the device");
        t.gone("eth0");
        if (before !== "") t.present("eth0", "c2");
        t.leaseCount(0, conf.name as string);
      },
    ),
);

export const hostDeviceEvidence: CaseTable = {
  perMain: [],
  fixed: [
    ...elsewhere,
    one(
      "HDI-60d",
      "H",
      RULE,
      "the same, and only a process is left in the pod's namespace: E(11), device and lease stay; OK when it has ended",
      (t) => {
        const { device, conf } = givenByGo(t);
        const pid = t.sh("nsenter --net=/run/netns/c1 sleep 60 >/dev/null 2>&1 & echo $!; sleep 0.1").trim();
        t.sh("umount -l /run/netns/c1; rm /run/netns/c1");
        t.refused("DEL", conf, [11]);
        t.leaseCount(1, conf.name as string);
        t.sh(`nsenter --net=/proc/${pid}/ns/net ip link show eth0; kill ${pid}
          for i in $(seq 100); do ip link show ${device}p >/dev/null 2>&1 || break; sleep 0.1; done`);
        t.silent("DEL", conf);
        t.leaseCount(0, conf.name as string);
      },
    ),
    one(
      "HDI-60e",
      "H",
      RULE,
      "the same, and libcni keeps that another pod got the device since: OK, it stays there, whatever CNI_NETNS is",
      (t) => {
        const { device, conf, mac } = givenByGo(t, undefined);
        t.sh(`ip netns add c2; ip -n c1 link set eth0 netns c2; ip -n c2 link set eth0 alias ${device}`);
        keepResult(t, conf, { interfaces: [{ name: "eth0", mac, sandbox: "/run/netns/c2" }] }, "second");
        for (const CNI_NETNS of [undefined, "/run/netns/c1", "/run/netns/nosuch", "/run/netns/c2"]) {
          t.silent("DEL", conf, { set: { CNI_NETNS } });
          t.present("eth0", "c2");
        }
        t.silent("DEL", conf, { set: second });
        t.present(device, "");
      },
    ),
    one(
      "HDI-60f",
      "H",
      RULE,
      "no ADD of the attachment, and CNI_NETNS is empty: OK, and another's device stays where it is",
      (t) => {
        const { conf } = givenByGo(t);
        t.silent("DEL", conf, { set: { CNI_NETNS: undefined, CNI_CONTAINERID: "never-added" } });
        t.present("eth0");
        t.leaseCount(1, conf.name as string);
      },
    ),
    one(
      "HDI-60g",
      "H",
      RULE,
      "CNI_NETNS is empty, and a lease alone tells of the ADD: E(11), device and lease stay; OK when it is back",
      (t) => {
        const { device, conf } = givenByGo(t);
        t.sh("rm -r /var/lib/cni/results");
        const set = { CNI_NETNS: undefined };
        t.refused("DEL", conf, [11], { set });
        t.present("eth0");
        t.leaseCount(1, conf.name as string);
        t.sh(`ip -n c1 link set eth0 netns $$ name ${device}`);
        t.silent("DEL", conf, { set });
        t.leaseCount(0, conf.name as string);
      },
    ),
    ...(["eth0", "net1"] as const).map((name, n) =>
      one(
        `HDI-61${"ab"[n]}`,
        "H",
        RULE,
        `the path is a newer pod's by now, which has the same device of the Go plugin as ${name}, without a lease: DEL of the older one OK, it stays`,
        (t) => {
          const device = t.freshDevice();
          const { mac } = t.link(device, "")!;
          const conf = config("1.0.0", { device });
          const prevResult = t.add(conf);
          keepResult(t, conf, prevResult);
          t.sh(
            `rm -f ${RECORDS}/*.json; ip -n c1 link set eth0 down; ip -n c1 link set eth0 name ${name} alias ${device}`,
          );
          keepResult(t, conf, { interfaces: [{ name, mac, sandbox: "/run/netns/c1" }] }, "second", name);
          for (let i = 0; i < 2; i++) t.silent("DEL", { ...conf, prevResult });
          t.present(name);
          t.silent("DEL", conf, { set: { CNI_CONTAINERID: "second", CNI_IFNAME: name } });
          returned(t, device, name);
        },
      ),
    ),
    one(
      "HDI-62",
      "H",
      RULE,
      "podnic's pod died, the Go plugin gave the device to another one, and libcni keeps both results: DEL of the dead pod OK, it stays",
      (t) => {
        const device = t.freshDevice();
        const conf = config("1.0.0", { device, ipam: POOL });
        keepResult(t, conf, t.add(conf));
        t.sh(`ip netns add c2; ip -n c1 link set eth0 netns $$ name ${device}; ip netns del c1
          ip link set ${device} netns c2 name eth0; ip -n c2 link set eth0 alias ${device}`);
        const given = [{ name: "eth0", mac: t.link("eth0", "c2")!.mac, sandbox: "/run/netns/c2" }];
        keepResult(t, conf, { interfaces: given }, "second");
        t.silent("DEL", conf);
        t.present("eth0", "c2");
        t.equal(t.sh(`ls ${RECORDS} | grep json || true`).trim(), "", "records left");
        t.leaseCount(0, conf.name as string);
      },
    ),
    ...([true, false] as const).map((isKept, n) =>
      card(
        `HDI-63${"ab"[n]}`,
        "H",
        RULE,
        `a pod gives its card the alias of another pod's card, and dies: the other card's name is not given to it, ${isKept ? "by libcni's results" : "as the other one is still with its pod"}`,
        (t) => {
          const it = borrowCard(t);
          const { mac } = t.link("vf0", "")!;
          forged(t, it, isKept);
          t.netns("c3");
          t.refused("ADD", config("1.0.0", { device: "vf1" }), "any", { set: third });
          t.gone("eth0", "c3");
          t.present("eth0", "c2");
          if (!isKept) return;
          // DEL never came; the next pod gets the card by what no pod can change.
          t.add(config("1.0.0", { device: "vf0" }), { set: third, ns: "c3" });
          t.equal(t.link("eth0", "c3")?.mac, mac, "MAC of the card");
          t.silent("DEL", config("1.0.0", { device: "vf0" }), { set: third });
          t.present("vf0", "");
        },
      ),
    ),
    card("HDI-63c", "H", RULE, "the same, and DEL of the dead pod comes: its card has its own name again", (t) => {
      const it = borrowCard(t);
      const { mac } = t.link("vf0", "")!;
      forged(t, it, true);
      t.silent("DEL", config("1.0.0", { device: "vf0" }));
      t.equal(t.link("vf0", "")?.mac, mac, "MAC of the card");
    }),
    ...([false, true] as const).map((isBare, n) =>
      card(
        `HDI-64${"ab"[n]}`,
        "H",
        RULE,
        `kernelpath, and nothing is left of the Go plugin's ADD but the card in the pod${isBare ? ", whose alias the pod has removed" : ""}: it comes back`,
        (t) => {
          const it = borrowCard(t);
          const kernelpath = t.sh(`readlink -f /sys/bus/pci/devices/${it.vfs[1]}`).trim();
          functionByGo(t, 1, "c1", "ctr-1");
          if (isBare) t.sh('ip -n c1 link set eth0 alias ""');
          t.silent("DEL", config("0.3.1", { kernelpath }));
          t.gone("eth0");
          t.equal(t.sh(`ls ${kernelpath}/net`).trim() !== "", true, "the card is on the host");
        },
      ),
    ),
    card(
      "HDI-65",
      "H",
      RULE,
      "pciBusID, and CNI_NETNS leads to another pod: the card comes back from where libcni's result says that it is; another's function stays",
      (t) => {
        const it = borrowCard(t);
        const conf = config("1.0.0", { pciBusID: it.vfs[1] });
        t.netns("c2");
        functionByGo(t, 1, "c1", "ctr-1", { pciBusID: it.vfs[1] });
        functionByGo(t, 0, "c2", "second", { pciBusID: it.vfs[0] });
        t.silent("DEL", conf, { set: { CNI_NETNS: "/run/netns/c2" } });
        t.gone("eth0");
        t.present("vf1", "");
        t.present("eth0", "c2");
      },
    ),
  ],
};
