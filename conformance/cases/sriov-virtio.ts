// sriov on a second driver: virtio-net, whose PF knows no attributes of functions, and whose functions are renumbered at each bind.
// `conformance/vm/run --virtio 4`.
import { type Case, type CaseTable, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { borrowVirtio, fetch, rebind, type VirtioCard, virtioPicture } from "../harness/virtio-card.ts";

const inPod = (pod: string) => ({ CNI_CONTAINERID: pod, CNI_NETNS: `/run/netns/${pod}` });
const conf = (card: VirtioCard, n: number, keys: Config = {}): Config => ({
  cniVersion: "1.1.0",
  name: "net1",
  type: "sriov",
  deviceID: card.vfs[n],
  ...keys,
});

function one(
  id: string,
  tag: Tag,
  requirement: string,
  expected: string,
  run: (t: Trial, card: VirtioCard) => void,
  more: readonly string[] = [],
): Case {
  const needs = ["plugin:sriov", "plugin:static", "virtio-card", ...more];
  return row(id, tag, requirement, expected, (t) => run(t, borrowVirtio(t)), { needs });
}

/** All that could be lost of the interface. */
function dress(t: Trial, n: number): void {
  t.sh(`ip link property add dev vf${n} altname rack-${n}
    ip link set vf${n} alias "to switch ${n}" mtu ${1400 + n} txqueuelen 500 up`);
}

function noState(t: Trial): void {
  const files = [...t.picture().files.keys()].filter((file) => file.startsWith("/var/lib/cni") && !file.includes("/."));
  t.equal(files, [], "state files");
}

const pictures = (t: Trial, card: VirtioCard) => card.vfs.map((_, n) => virtioPicture(t, card, n));

function life(t: Trial, card: VirtioCard): void {
  dress(t, 0);
  const before = pictures(t, card);
  const rendered = { vlan: 0, vlanQoS: 0, spoofchk: "off", trust: "off", link_state: "auto", max_tx_rate: 0, ipam: {} };
  for (const keys of [{}, { vlan: 0, vlanQoS: 0, ipam: {} }, rendered, { mac: before[0]!.address }] as Config[]) {
    const config = conf(card, 0, keys);
    const prevResult = t.add(config);
    const mac = before[0]!.address as string;
    t.equal([prevResult.interfaces?.[0]?.mac, t.link("eth0")?.mac, t.link("eth0")?.up], [mac, mac, true], "eth0");
    t.silent("CHECK", { ...config, prevResult });
    t.silent("STATUS", config);
    t.silent("DEL", { ...config, prevResult });
    t.silent("DEL", config);
    t.equal(pictures(t, card), before, `the functions as before ADD with ${JSON.stringify(keys)}:`);
    noState(t);
  }
}

function moreThanItHas(t: Trial, card: VirtioCard): void {
  const before = pictures(t, card);
  for (const keys of [{ vlan: 5 }, { trust: "on" }, { max_tx_rate: 100 }, { mac: "02:00:00:00:01:aa" }] as Config[]) {
    const { msg, details = "" } = t.refused("ADD", conf(card, 0, keys));
    t.expect(
      `${msg} ${details}`.includes("does not support VF attributes"),
      "why, in the message",
      `${msg} ${details}`,
    );
  }
  t.equal(pictures(t, card), before, "the functions as before ADD:");
  noState(t);
}

function traffic(t: Trial, card: VirtioCard): void {
  t.netns("c2");
  const pod = (n: number) =>
    conf(card, n, { vlan: 0, ipam: { type: "static", addresses: [{ address: `10.9.0.${n + 1}/24` }] } });
  t.add(pod(0), { set: inPod("c1"), ns: "c1" });
  t.add(pod(1), { set: inPod("c2"), ns: "c2" });
  const ping = "for i in $(seq 10); do ip netns exec c1 ping -n -c 1 -W 2 10.9.0.2 && exit; done; true";
  t.expect(t.sh(ping).includes("bytes from"), "10.9.0.2 answers", "no answer");
  for (const n of [0, 1]) t.silent("DEL", pod(n), { set: inPod(`c${n + 1}`) });
}

/** c1 and c2 have functions 0 and 1; the host does something to the driver meanwhile; DEL of both gives each its own back. */
function meanwhile(act: (t: Trial, card: VirtioCard) => void): (t: Trial, card: VirtioCard) => void {
  return (t, card) => {
    t.netns("c2");
    for (const n of [0, 1]) dress(t, n);
    const before = pictures(t, card);
    for (const n of [0, 1]) t.add(conf(card, n), { set: inPod(`c${n + 1}`), ns: `c${n + 1}` });
    act(t, card);
    for (const n of [0, 1]) {
      t.silent("DEL", conf(card, n), { set: inPod(`c${n + 1}`) });
      t.equal(pictures(t, card)[n], before[n], `function ${n} as before ADD:`);
    }
    t.equal(pictures(t, card), before, "all functions as before ADD:");
    noState(t);
  };
}

/** The number that function 0 had goes to function 3, which is nobody's. */
function numberTaken(t: Trial, card: VirtioCard): void {
  t.sh("ip link set vf3 down");
  rebind(t, card, [0, 3], [3, 0]);
  fetch(t, card, 3, "vf3");
  fetch(t, card, 0, "eth7");
}

function exchanged(t: Trial, card: VirtioCard): void {
  rebind(t, card, [0, 1], [1, 0]);
  fetch(t, card, 1, "eth7");
  fetch(t, card, 0, "eth8");
}

/** As above, and each has got the other's name, as the kernel gives them: names are taken in the order of the binds. */
function exchangedNames(t: Trial, card: VirtioCard): void {
  rebind(t, card, [0, 1], [1, 0]);
  fetch(t, card, 1, "vf0");
  fetch(t, card, 0, "vf1");
}

function diedAndNext(t: Trial, card: VirtioCard): void {
  dress(t, 0);
  const before = pictures(t, card);
  t.add(conf(card, 0));
  t.sh("ip -n c1 link set eth0 address 02:00:00:00:0c:01; ip netns del c1");
  fetch(t, card, 0, "eth7");
  t.netns("c2");
  t.add(conf(card, 0), { set: inPod("c2"), ns: "c2" });
  t.equal(t.link("eth0", "c2")?.mac, before[0]!.address, "address in the next pod");
  t.silent("DEL", conf(card, 0), { set: inPod("c2") });
  t.equal(pictures(t, card), before, "the functions as before ADD:");
  noState(t);
}

export const sriovVirtio: CaseTable = {
  perMain: [],
  fixed: [
    one("SVV-01", "G", "sriov-cni 208, 285", "what operators render asks nothing; all is as before", life),
    one("SVV-02", "H", "device-plugin 507", "more is refused before anything is touched", moreThanItHas),
    one("SVV-03", "G", "device-plugin 352", "two pods reach each other", traffic, ["program:ping"]),
    one(
      "SVV-04",
      "H",
      "ib-sriov-cni 52",
      "rebound alone in the pod: each comes back as it was",
      meanwhile((t, card) => {
        rebind(t, card, [0]);
        fetch(t, card, 0, "eth7");
      }),
    ),
    one(
      "SVV-05",
      "H",
      "kata; W0, v11",
      "its number is another function's by now: that is not touched",
      meanwhile(numberTaken),
    ),
    one("SVV-06", "H", "kata; W0, v10", "rebound in the other order: each has its own back", meanwhile(exchanged)),
    one("SVV-07", "H", "W0", "the same, each under the other's name", meanwhile(exchangedNames)),
    one("SVV-08", "H", "A.5", "the namespace died: the next pod gets it as it was", diedAndNext),
  ],
};
