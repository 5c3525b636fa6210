// GC: what is freed is not in use. Who has the address of an attachment that is not valid, and whose interface is what GC finds.
import { type CaseTable, row } from "../harness/case.ts";
import { hold, untilForgotten } from "./del-whose.ts";

const RULE = "what is freed is not in use";
const virtual = { only: ["macvlan", "ipvlan"] };
const macvlan = { only: ["macvlan"] };

/** Without what looking at a process with more capabilities needs. */
const MAY_NOT_TRACE = 'exec setpriv --bounding-set=-sys_ptrace --inh-caps=-sys_ptrace "$@"';

export const gcWhose: CaseTable = {
  perMain: [
    row(
      "GC-31",
      "H",
      RULE,
      "GC, with IDs of 242 to 255 characters: the stale interface is removed with its lease, the valid one stays",
      (t) => {
        const conf = { ...t.l3(), cniVersion: "1.1.0" };
        for (const length of [242, 243, 255]) {
          const [stale, valid] = ["a", "b"].map((last) => "x".repeat(length - 1) + last);
          t.sh("ip netns add c2");
          t.add(conf, { set: { CNI_CONTAINERID: stale! } });
          t.add(conf, { set: { CNI_CONTAINERID: valid!, CNI_NETNS: "/run/netns/c2" }, ns: "c2" });
          t.silent("GC", { ...conf, "cni.dev/valid-attachments": [{ containerID: valid, ifname: "eth0" }] });
          t.gone("eth0");
          t.present("eth0", "c2");
          t.leaseCount(1);
          t.silent("DEL", conf, { set: { CNI_CONTAINERID: valid!, CNI_NETNS: "/run/netns/c2" } });
          t.sh("ip netns del c2");
        }
      },
      { only: ["macvlan", "ipvlan", "bridge"], needs: ["spec:1.1.0"] },
    ),
    row(
      "GC-32",
      "H",
      RULE,
      "GC: an interface without podnic's marks has the address of an attachment that is not valid: its lease stays until the pod is gone; GC warns",
      (t) => {
        const conf = { ...t.l3(), cniVersion: "1.1.0" };
        t.add(conf);
        t.silent("DEL", conf);
        t.sh("ip netns add c2");
        t.add(conf, { set: { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" }, ns: "c2" });
        t.sh("ip -n c1 link add mine type veth peer name far; ip -n c1 address add 198.18.0.9/24 dev mine");
        t.write("/var/lib/cni/networks/net1/198.18.0.9", "gone\r\neth0");
        // No address of these is anywhere.
        t.write("/var/lib/cni/networks/net1/198.18.0.10", "gone-too\r\neth0");
        const gc = { ...conf, "cni.dev/valid-attachments": [{ containerID: "second", ifname: "eth0" }] };
        const first = t.call("GC", gc);
        t.equal(first.status, 0, first.stdout);
        t.equal(first.stderr.match(/keeps the lease/g)?.length ?? 0, 1, "warnings");
        t.present("mine");
        t.leaseCount(2);
        t.endNetns("c1");
        t.silent("GC", gc);
        t.leaseCount(1);
      },
      { needs: ["spec:1.1.0"] },
    ),
    row(
      "GC-33",
      "H",
      RULE,
      "GC: the interface of another network, which uses the same addresses, has the address of an attachment that is not valid: its lease goes",
      (t) => {
        const conf = { ...t.l3(), cniVersion: "1.1.0" };
        t.sh("ip netns add c2");
        const second = { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" };
        const { ips } = t.add({ ...conf, name: "net2" }, { set: second, ns: "c2" });
        t.write(`/var/lib/cni/networks/net1/${ips![0]!.address.split("/")[0]}`, "gone\r\neth0");
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] });
        t.present("eth0", "c2");
        t.leaseCount(0);
      },
      { needs: ["spec:1.1.0"] },
    ),
    row(
      "GC-34",
      "H",
      RULE,
      "GC: a process in a user namespace of its own, or a pod on its loopback, has the addresses of attachments that are not valid: their leases go",
      (t) => {
        const conf = { ...t.l3(), cniVersion: "1.1.0" };
        const ips = [9, 10, 11].map((last) => `198.18.0.${last}`);
        for (const ip of ips) t.write(`/var/lib/cni/networks/net1/${ip}`, "gone\r\neth0");
        const own = `ip link add mine type veth peer name far; ip address add ${ips[0]} dev mine; ip address add ${ips[1]} dev lo`;
        const pid = t
          .sh(`ip -n c1 address add ${ips[2]} dev lo
            unshare -Urn sh -c '${own}; exec sleep 60' >/dev/null 2>&1 & echo $!
            for i in $(seq 200); do [ "$(cat /proc/$!/comm)" = sleep ] && break; sleep 0.02; done`)
          .trim();
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] });
        t.leaseCount(0);
        t.sh(`kill ${pid}`);
      },
      { needs: ["spec:1.1.0"] },
    ),
    row(
      "GC-35",
      "H",
      RULE,
      "GC: a pod has the address of an attachment that is not valid on a kind of interface that the plugin does not make: the lease goes",
      (t) => {
        const conf = { ...t.l3(), cniVersion: "1.1.0" };
        t.write("/var/lib/cni/networks/net1/198.18.0.9", "gone\r\neth0");
        t.sh("ip -n c1 link add mine type bridge; ip -n c1 address add 198.18.0.9/24 dev mine");
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] });
        t.leaseCount(0);
      },
      { only: ["macvlan", "ipvlan", "bridge"], needs: ["spec:1.1.0", "kernel:bridge"] },
    ),
    ...(["file", "process"] as const).map((by, i) =>
      row(
        `GC-36${"ab"[i]}`,
        "H",
        RULE,
        `GC: the namespace of a pod that is not valid has no name, ${by === "file" ? "nor a process" : "and podnic may not look at its process (EACCES)"}: its interface is removed before its address is free; with the address on an interface without podnic's marks, the lease stays and GC warns`,
        (t) => {
          const conf = { ...t.l3(), cniVersion: "1.1.0" };
          t.add(conf);
          t.sh("ip link add veth9 type veth peer name mine netns c1; ip -n c1 address add 198.18.0.9/24 dev mine");
          t.write("/var/lib/cni/networks/net1/198.18.0.9", "gone\r\neth0");
          const pid = hold(t, by);
          const gc = { ...conf, "cni.dev/valid-attachments": [] };
          const run = t.call("GC", gc, by === "file" ? {} : { wrap: MAY_NOT_TRACE });
          t.equal(run.status, 0, run.stdout);
          t.equal(run.stderr.match(/keeps the lease/g)?.length ?? 0, 1, "warnings");
          t.leaseCount(1);
          const links = t.sh(`nsenter --net=/proc/${pid}/${by === "file" ? "fd/9" : "ns/net"} ip -br link`);
          t.equal([links.includes("eth0@"), links.includes("mine@")], [false, true], "interfaces");
          t.sh(`kill ${pid}; for i in $(seq 100); do ip link show veth9 >/dev/null 2>&1 || break; sleep 0.02; done`);
          t.silent("GC", gc);
          t.leaseCount(0);
        },
        { only: ["macvlan", "ipvlan", "bridge"], needs: ["spec:1.1.0", "program:setpriv"] },
      ),
    ),
    row(
      "GC-36c",
      "H",
      RULE,
      "GC: the interface of a Go plugin in such a namespace, for which the host has no number: E(11), and the lease stays; OK when the namespace ends",
      (t) => {
        const conf = { ...t.l3(), cniVersion: "1.1.0" };
        t.sh(`ip link add eth0 link up0 netns c1 address 02:00:00:00:00:97 type macvlan mode bridge
          ip -n c1 address add 198.18.0.9/24 dev eth0; ip -n c1 link set eth0 up`);
        t.write("/var/lib/cni/networks/net1/198.18.0.9", "gone\r\neth0");
        const pid = hold(t, "process");
        const gc = { ...conf, "cni.dev/valid-attachments": [] };
        const options = { wrap: MAY_NOT_TRACE };
        t.error(t.call("GC", gc, options), [11]);
        t.leaseCount(1);
        t.sh(`kill ${pid}; ${untilForgotten("02:00:00:00:00:97")}`);
        t.silent("GC", gc, options);
        t.leaseCount(0);
      },
      { ...macvlan, needs: ["spec:1.1.0", "program:setpriv"] },
    ),
    row(
      "GC-30",
      "H",
      RULE,
      "GC: a living pod's interface is removed before its address is free; a valid one, renamed by its pod, stays",
      (t) => {
        const conf = { ...t.l3(), cniVersion: "1.1.0" };
        t.sh("ip netns add c2");
        t.add(conf);
        const second = { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" };
        t.add(conf, { set: second, ns: "c2" });
        t.sh("ip -n c2 link set eth0 down; ip -n c2 link set eth0 name mine");
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": [{ containerID: "second", ifname: "eth0" }] });
        t.gone("eth0");
        t.present("mine", "c2");
        t.leaseCount(1);
      },
      { ...virtual, needs: ["spec:1.1.0"] },
    ),
  ],
  fixed: [],
};
