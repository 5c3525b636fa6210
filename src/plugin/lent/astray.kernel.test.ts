// A device that is in neither its pod nor on the host: what is proven, and what cannot be told.
import { closeSync, openSync, readdirSync } from "node:fs";
import { afterEach, beforeAll, beforeEach, expect, test } from "vitest";
import { identify } from "../../link/identity.ts";
import { getLink } from "../../link/link.ts";
import { type NetNs, openNamespace } from "../../link/namespace.ts";
import { type NamedNamespace, named } from "../../link/return.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import { Bytes } from "../../netlink/bytes.ts";
import { NLM_F_DUMP, RTM_GETLINK } from "../../netlink/constants.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { type Fate, seek } from "./astray.ts";

let home: NetNs;
let count = 0;
/** Each test has its own: a namespace stays open under its path. */
let a = "";
let x = "";
let held: number[] = [];
let saved: LinkSnapshot;
let netns: NamedNamespace;

beforeAll(() => {
  home = enterSandbox().own;
});

beforeEach(() => {
  count++;
  [a, x] = [`a${count}`, `x${count}`];
  sh(`ip netns add ${a}; ip netns add ${x}`);
});

afterEach(() => {
  for (const fd of held) closeSync(fd);
  held = [];
  sh(`for ns in ${a} ${x}; do ip netns del $ns 2>/dev/null || true; done; ip link del v0 2>/dev/null || true`);
});

const kinds = { veth: "type veth peer name v0", macvlan: "link v0 type macvlan mode bridge" };

/** A device that is lent to the pod. */
function lend(kind: keyof typeof kinds): void {
  if (kind !== "veth") sh("ip link add v0 type veth peer name v1");
  sh(`ip link add d0 ${kinds[kind]}`);
  saved = identify(home, getLink(home.route, "d0")!);
  // The pod's namespace is not kept open here: only its path does that.
  const pod = openNamespace(`/run/netns/${a}`)!;
  netns = named(pod, `/run/netns/${a}`);
  sh(`ip link set d0 netns ${a} name net1`);
}

function find(isAlive = true, pods: NamedNamespace[] = []): Fate {
  const pod = isAlive ? openNamespace(netns.path)! : undefined;
  return seek({ saved, ifName: "net1", netns, pod, home, pods });
}

/** It loses its name, and lives on as long as we have it open. */
function unname(name: string): void {
  held.push(openSync(`/run/netns/${name}`, "r"));
  sh(`umount -l /run/netns/${name}; rm /run/netns/${name}`);
}

const both = Object.keys(kinds) as (keyof typeof kinds)[];

test.each(both)("a %s that its living pod has deleted is gone", (kind) => {
  lend(kind);
  sh(`ip -n ${a} link del net1`);
  expect(find()).toEqual({ place: "nowhere" });
});

test.each(both)("a %s that its living pod has moved is found", (kind) => {
  lend(kind);
  sh(`ip -n ${a} link set net1 netns ${x} name other; ip -n ${x} link set other alias y address 02:00:00:00:00:17`);
  expect(find()).toMatchObject({ place: "astray", in: { path: `/run/netns/${x}` }, link: { name: "other" } });
});

test.each(both)("a %s in a namespace that nothing leads to is not called gone", (kind) => {
  lend(kind);
  sh(`ip -n ${a} link set net1 netns ${x}`);
  unname(x);
  expect(find()).toMatchObject({ place: "unseen" });
});

test("a namespace that nothing leads to, with links of another parent only, does not hold it up", () => {
  lend("macvlan");
  sh(`ip -n ${a} link add other type veth peer name far netns ${x}; ip -n ${a} link del net1`);
  unname(x);
  expect(find()).toEqual({ place: "nowhere" });
});

test.each(both)("a %s that was handed from namespace to namespace is found in that of another loan", (kind) => {
  lend(kind);
  sh(`ip netns add ${x}b; ip -n ${a} link set net1 netns ${x}; ip -n ${x} link set net1 netns ${x}b`);
  const pods = [named(openNamespace(`/run/netns/${x}b`)!, `/run/netns/${x}b`)];
  sh(`ip netns del ${x}`);
  expect(find(true, pods)).toMatchObject({ place: "astray", in: { path: `/run/netns/${x}b` }, isFromPod: true });
  expect(find()).toMatchObject({ place: "astray", isFromPod: false });
  sh(`ip netns del ${a}`);
  expect(find(false)).toMatchObject({ place: "astray", in: { path: `/run/netns/${x}b` }, isFromPod: false });
  sh(`ip netns del ${x}b`);
});

test.each(both)("a %s that was handed from one visible namespace to the next is found, and is from its pod", (kind) => {
  lend(kind);
  sh(`ip netns add ${x}b; ip -n ${a} link set net1 netns ${x}; ip -n ${x} link set net1 netns ${x}b`);
  expect(find()).toMatchObject({ place: "astray", in: { path: `/run/netns/${x}b` }, isFromPod: true });
  sh(`ip netns add ${x}c; ip -n ${x}b link set net1 netns ${x}c`);
  expect(find()).toMatchObject({ place: "astray", in: { path: `/run/netns/${x}c` }, isFromPod: true });
  sh(`ip netns del ${x}b`);
  expect(find()).toMatchObject({ place: "astray", isFromPod: false });
  sh(`ip netns del ${x}c`);
});

test("what came home and was given to another pod since is not from its pod, although the host leads there", () => {
  lend("veth");
  sh(`ip -n ${a} link set net1 netns ${process.pid}; ip link set net1 netns ${x} name eth0`);
  expect(find()).toMatchObject({
    place: "astray",
    in: { path: `/run/netns/${x}` },
    link: { name: "eth0" },
    isFromPod: false,
  });
});

/** The pod takes the device back from the other namespace just before the first one is read. */
function takingBack<T>(run: () => T): T {
  sh(`ip -n ${a} link set net1 netns ${x}`);
  let moved = false;
  traceMessages((direction, message) => {
    const { u16 } = Bytes.from(message);
    if (moved || direction !== "send" || u16[2] !== RTM_GETLINK || (u16[3]! & NLM_F_DUMP) === 0) return;
    moved = true;
    sh(`ip -n ${x} link set net1 netns ${a}`);
  });
  try {
    return run();
  } finally {
    traceMessages(undefined);
  }
}

test.each(both)("a %s that is in the other namespace whenever one is read is not called gone", (kind) => {
  lend(kind);
  expect(takingBack(find)).toEqual({ place: "back", at: "pod" });
});

test("one that comes to its pod before the search begins is seen there", () => {
  lend("veth");
  expect(find()).toEqual({ place: "back", at: "pod" });
  sh(`ip -n ${a} link set net1 netns ${process.pid}`);
  expect(find()).toEqual({ place: "back", at: "host" });
  sh("ip link del net1");
});

test("one that is gone is known to be, although there are more namespaces than descriptors", () => {
  lend("macvlan");
  sh(`ip -n ${a} link del net1; for n in $(seq 60); do echo netns add m$n; done | ip -batch -`);
  sh(`prlimit --pid ${process.pid} --nofile=${readdirSync("/proc/self/fd").length + 45}:`);
  try {
    expect(find()).toEqual({ place: "nowhere" });
  } finally {
    sh(`prlimit --pid ${process.pid} --nofile=4096:; for n in $(seq 60); do ip netns del m$n; done`);
  }
});

test("a pod's end of our bridge's port does not hold it up, when the veth has ended with its pod", () => {
  lend("veth");
  sh(`ip -n ${a} link del net1; ip netns del ${a}
    ip link add br7 type bridge; ip link add port7 type veth peer name eth0 netns ${x}; ip link set port7 master br7`);
  unname(x);
  expect(find(false)).toMatchObject({ place: "unseen" });
  sh("ip link set port7 alias podnic:net:ctr:eth0");
  expect(find(false)).toEqual({ place: "nowhere" });
  sh("ip link set port7 nomaster");
  expect(find(false)).toMatchObject({ place: "unseen" });
  sh("ip link del br7");
});

test("a link of another pod does not hold it up, although it is made on a device with the same index there", () => {
  lend("macvlan");
  sh(`ip -n ${a} link add other type veth peer name far netns ${x}; ip -n ${a} link del net1
    ip -n ${x} link add low index ${saved.parent} type veth peer name low2; ip -n ${x} link add m0 link low type macvlan`);
  unname(x);
  expect(find()).toEqual({ place: "nowhere" });
});
