// What pods ask for: addresses, MAC addresses, names, several networks; what cannot be had; many at once.
import { readFileSync } from "node:fs";
import { basename } from "node:path";
import { attached, attachments, type Case, lan, leavesNothing } from "../case.ts";
import { type Cluster, equal, expect } from "../cluster.ts";
import { leases, link, sh, watchThrottling } from "../node.ts";

async function asked(cluster: Cluster): Promise<void> {
  const capabilities = { ips: true, mac: true };
  cluster.network("asked", lan({ ipam: { type: "static" }, capabilities }));
  const request = { name: "asked", ips: ["198.51.100.222/24"], mac: "02:aa:bb:cc:dd:ee", interface: "data0" };
  await leavesNothing(cluster, async () => {
    cluster.pod("asks", [request]);
    await cluster.running("asks");
    const status = await attached(cluster, "asks", "data0", "default/asked");
    equal([status.ips, status.mac], [["198.51.100.222"], request.mac], "address and MAC address");
    await cluster.delete("asks");
  });
}

async function three(cluster: Cluster): Promise<void> {
  const dual = [[{ subnet: "198.51.100.0/24", rangeStart: "198.51.100.50" }], [{ subnet: "2001:db8:1::/64" }]];
  cluster.network("one", lan());
  cluster.network("two", lan({ ipam: { type: "host-local", ranges: dual }, mtu: 1400 }));
  cluster.network("card", {
    ...{ cniVersion: "1.0.0", type: "host-device", device: "dev1" },
    ipam: { type: "static", addresses: [{ address: "198.51.100.30/24" }] },
  });
  const before = link("dev1")!.address;
  await leavesNothing(cluster, async () => {
    cluster.pod("three", "one, two, card");
    await cluster.running("three");
    await attached(cluster, "three", "net1", "default/one");
    const second = await attached(cluster, "three", "net2", "default/two");
    equal([second.ips, second.mtu], [["198.51.100.50", "2001:db8:1::2"], 1400], "addresses and MTU of net2");
    const third = await attached(cluster, "three", "net3", "default/card");
    equal(third.mac, before, "MAC address of net3: the card's");
    await cluster.delete("three");
  });
}

async function refused(cluster: Cluster): Promise<void> {
  cluster.network("nocard", { cniVersion: "1.0.0", type: "host-device", device: "nosuch0" });
  cluster.network("fine", lan({ name: "fine" }));
  await leavesNothing(cluster, async () => {
    cluster.pod("refused", "fine, nocard");
    const event = await cluster.failed("refused");
    const message = 'network "nocard": failed to find host device: there is no device "nosuch0" (Link not found)';
    expect(event.includes(message), "the event has podnic's message", event);
    equal(leases("fine"), [], "leases of the network that was there");
    await cluster.delete("refused");
  });
}

async function noNetwork(cluster: Cluster): Promise<void> {
  await leavesNothing(cluster, async () => {
    cluster.pod("lost", "not-there");
    const event = await cluster.failed("lost");
    expect(event.includes("network-attachment-definition (not-there)"), "the event names the network", event);
    await cluster.delete("lost");
  });
}

/** What attempts said, without names, and how often. */
function alike(failures: string[]): Map<string, number> {
  const counts = new Map<string, number>();
  for (const failure of failures) {
    const text = failure
      .replace(/many-\d+/g, "POD")
      .replace(/[\da-f-]{30,}/g, "ID")
      .slice(0, 400)
      .slice(-200);
    counts.set(text, (counts.get(text) ?? 0) + 1);
  }
  return counts;
}

/** How long the sandboxes of these pods took, those that there are, and what got in their way. */
function figures(cluster: Cluster, names: string[], throttled: number, failedBefore: number): string {
  const { failures, restarts, sandboxSeconds } = cluster.kubelet;
  const known = names.map((name) => sandboxSeconds.get(`default/${name}`)).filter((one) => one !== undefined);
  const seconds = known.sort((a, b) => a - b);
  const [median, longest] = [seconds[seconds.length >> 1], seconds.at(-1)].map((one) => one?.toFixed(2) ?? "-");
  let line = `sandboxes: ${seconds.length} of ${names.length}, median ${median} s, longest ${longest} s; throttled ${throttled.toFixed(1)} s`;
  if (restarts.length > 0) line += `; restarted: ${restarts.join(", ")}`;
  line += `; ${failures.length - failedBefore} attempts failed`;
  for (const [failure, times] of alike(failures.slice(failedBefore))) line += `\n    ${times} times: ${failure}`;
  return line;
}

/** `count` pods with two networks each. */
export async function many(cluster: Cluster, count: number): Promise<void> {
  const failedBefore = cluster.kubelet.failures.length;
  cluster.network(`left-${count}`, lan());
  cluster.network(`right-${count}`, lan());
  const names = Array.from({ length: count }, (_, i) => `many-${i}`);
  await leavesNothing(cluster, async () => {
    const throttled = watchThrottling();
    for (const name of names) cluster.pod(name, `left-${count}, right-${count}`);
    try {
      await Promise.all(names.map((name) => cluster.running(name)));
    } finally {
      console.log(`  ${figures(cluster, names, throttled(), failedBefore)}`);
    }
    const held = names.flatMap((name) => attachments(cluster, name));
    const distinct = new Set(held.map((status) => `${status.name} ${status.ips}`));
    equal([held.length, distinct.size], [2 * count, 2 * count], "attachments, and different addresses in each network");
    equal(new Set(held.map(({ mac }) => mac)).size, 2 * count, "different MAC addresses");
    await cluster.delete(...names);
  });
}

/** As Multus' libcni wrote it down; the runtime's copy of that library is too old to. */
function netnsOf(pod: string): string {
  const notes = sh(`grep -rl '"K8S_POD_NAME","${pod}"' /var/lib/cni`).trim().split("\n");
  const found = notes.map((note) => (JSON.parse(readFileSync(note, "utf8")) as { netns?: string }).netns);
  return found.find((netns) => netns !== undefined)!;
}

/** A pod that API and runtime have lost: its leases and libcni's notes are there, its namespace is not. */
async function garbage(cluster: Cluster): Promise<void> {
  cluster.network("leaks", lan());
  await leavesNothing(cluster, async () => {
    cluster.pod("lost", "leaks");
    cluster.pod("stays", "leaks");
    await Promise.all([cluster.running("lost"), cluster.running("stays")]);
    const [[lost], [kept]] = [attachments(cluster, "lost"), attachments(cluster, "stays")];
    equal(leases("leaks"), [...lost!.ips!, ...kept!.ips!].sort(), "leases while both run");
    const netns = netnsOf("lost");
    const sandbox = cluster.kubelet.forget(cluster.get("lost"));
    // A process that was killed has its namespace until it has ended.
    sh(`ip netns pids ${basename(netns)} | xargs kill -9
      while [ -n "$(ip netns pids ${basename(netns)})" ]; do sleep 0.05; done
      umount -l ${netns}; rm -f ${netns}`);
    // As deploy/gc and deploy/systemd call it.
    const { status, output } = await cluster.command("/opt/cni/bin/podnic gc --all");
    equal(status, 0, `exit status of podnic gc: ${output}`);
    equal(leases("leaks"), kept!.ips, `leases after podnic gc: ${output}`);
    await attached(cluster, "stays", "net1", "default/leaks");
    await sandbox.removeSandbox();
    await cluster.delete("stays");
  });
}

export const requestCases: Case[] = [
  {
    id: "requests",
    expected: "ips, mac and interface of a pod's annotation are what it gets",
    needs: ["kernel:macvlan"],
    push: true,
    run: asked,
  },
  {
    id: "three-networks",
    expected: "two macvlan networks, one of both families with an MTU, and a card, in one pod; the card comes back",
    needs: ["kernel:macvlan"],
    push: true,
    run: three,
  },
  {
    id: "refused",
    expected:
      "a network whose card is missing: podnic's message in the pod's event, the pod's other network given back",
    needs: ["kernel:macvlan"],
    push: true,
    run: refused,
  },
  {
    id: "no-network",
    expected: "a network that is not defined: the pod's event names it; nothing is left",
    run: noNetwork,
  },
  {
    id: "ten-pods",
    expected: "ten pods at once, two networks each: all different addresses, nothing is left",
    needs: ["kernel:macvlan"],
    push: true,
    run: (cluster) => many(cluster, 10),
  },
  {
    id: "fifty-pods",
    expected: "fifty pods at once, two networks each: all different addresses, nothing is left",
    needs: ["kernel:macvlan"],
    run: (cluster) => many(cluster, 50),
  },
  {
    id: "gc",
    only: "stand-in",
    expected: "podnic gc, which the timer calls: the lease of a pod whose namespace is gone goes, those of pods stay",
    needs: ["kernel:macvlan"],
    own: true,
    push: true,
    run: garbage,
  },
];
