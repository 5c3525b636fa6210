// Multus thin, standalone: no kubeconfig, the delegates in its configuration.
import type { Run } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { ResultInterface } from "../harness/result.ts";
import { SYSTEM_PATH } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import { type Client, type Env, good, type Places, POOL, show } from "./client.ts";

const ENV: Env = { CNI_CONTAINERID: "ctr-1", CNI_NETNS: "/run/netns/c1", CNI_IFNAME: "eth0", CNI_ARGS: "" };

function multus(t: Trial, p: Places, command: string, delegates: readonly Config[], extra: Config = {}): Run {
  const conf = {
    cniVersion: "1.0.0",
    name: "mn",
    type: "multus",
    cniDir: "/run/cni/multus",
    binDir: p.bin,
    logLevel: "error",
    delegates,
    ...extra,
  };
  const env = { PATH: SYSTEM_PATH, ...ENV, CNI_COMMAND: command, CNI_PATH: `${p.clients}:${p.bin}` };
  return show(`multus ${command}`, t.run([`${p.clients}/multus`], { env, input: JSON.stringify(conf) }));
}

const delegates = (t: Trial): Config[] => [
  { cniVersion: "1.0.0", name: "def", type: "macvlan", master: "up0", ipam: POOL },
  {
    cniVersion: "1.0.0",
    name: "dev",
    type: "host-device",
    device: t.freshDevice(),
    ipam: { type: "static", addresses: [{ address: "10.0.10.93/24" }] },
  },
  { cniVersion: "1.0.0", name: "more", type: "macvlan", master: "up0", mode: "bridge", ipam: POOL },
];

function threeInterfaces(t: Trial, p: Places): void {
  const list = delegates(t);
  const before = t.picture();
  good(multus(t, p, "ADD", list), "ADD");
  for (const name of ["eth0", "net1", "net2"]) t.present(name);
  good(multus(t, p, "CHECK", list), "CHECK");
  good(multus(t, p, "DEL", list), "DEL");
  t.unchangedSince(before, "", false);
}

function thirdFails(t: Trial, p: Places): void {
  const list = delegates(t);
  list[2] = { ...list[2], master: "nosuch0" };
  const before = t.picture();
  t.expect(multus(t, p, "ADD", list).status !== 0, "ADD fails", "it succeeded");
  // Multus keeps its own note of the delegates until DEL.
  t.sh("rm -rf /run/cni/multus");
  t.unchangedSince(before, "", false);
}

/** The runtime's DEL after that: Multus gives it to all three, also to the one that was never added. */
function delAfterFailure(t: Trial, p: Places): void {
  const list = delegates(t);
  list[1] = { ...list[1], device: "nosuch0" };
  const before = t.picture();
  t.expect(multus(t, p, "ADD", list).status !== 0, "ADD fails", "it succeeded");
  good(multus(t, p, "DEL", list), "DEL");
  t.unchangedSince(before, "", false);
}

/** DEL of a pod whose configuration has changed and whose namespace is gone: Multus has the delegates in its own cache. */
function fromCache(t: Trial, p: Places): void {
  const list = delegates(t);
  const before = t.picture();
  const result = JSON.parse(good(multus(t, p, "ADD", list), "ADD").stdout) as { interfaces: ResultInterface[] };
  t.equal(result.interfaces[0]?.name, "eth0", "interface of the result");
  t.sh("ip netns del c1");
  good(multus(t, p, "DEL", [{ ...list[0], name: "changed" }]), "DEL without the namespace");
  t.leaseCount(0, "def");
  t.leaseCount(0, "more");
  t.expect((before.files.size ?? 0) === 0, "no state before", [...before.files.keys()]);
}

/** MAC, addresses and deviceID of runtimeConfig reach the delegate that declares the capabilities, and no other. */
function runtimeConfig(t: Trial, p: Places): void {
  const capabilities = { mac: true, ips: true, deviceID: true };
  const list: Config[] = [
    { cniVersion: "1.0.0", name: "def", type: "macvlan", master: "up0", ipam: POOL },
    { cniVersion: "1.0.0", name: "asked", type: "macvlan", master: "up0", capabilities, ipam: POOL },
    {
      ...{
        cniVersion: "1.0.0",
        name: "dev",
        type: "host-device",
        device: t.freshDevice(),
        capabilities: { ips: true },
      },
      ipam: { type: "static" },
    },
  ];
  const before = t.picture();
  const asked = { mac: "02:aa:bb:cc:dd:ee", ips: ["198.51.100.99/24"], deviceID: "0000:01:10.0" };
  good(multus(t, p, "ADD", list, { runtimeConfig: asked }), "ADD");
  const held = (name: string) =>
    t
      .link(name)
      ?.addresses.filter((a) => a.cidr.includes("."))
      .map((a) => a.cidr);
  t.equal(held("net1"), ["198.51.100.99/24"], "addresses of net1");
  t.equal(t.link("net1")?.mac, "02:aa:bb:cc:dd:ee", "MAC of net1");
  t.equal(held("net2"), ["198.51.100.99/24"], "addresses of net2");
  t.equal(held("eth0"), ["198.51.100.2/24"], "addresses of eth0, which declares no capability");
  good(multus(t, p, "DEL", list, { runtimeConfig: asked }), "DEL");
  t.unchangedSince(before, "", false);
}

const thin = (id: string, expected: string, run: Client["run"]): Client => ({
  id: `MULTUS-${id}`,
  expected,
  needs: ["client:multus", "kernel:macvlan"],
  run,
});

export const multusClients: readonly Client[] = [
  thin("three", "three interfaces in one pod", threeInterfaces),
  thin("third-fails", "a failing third delegate rolls the others back", thirdFails),
  thin("del-after-failure", "DEL after a failed ADD, also of delegates that were never added", delAfterFailure),
  thin("cache", "DEL from Multus' cache, the namespace gone", fromCache),
  thin("runtime-config", "runtimeConfig reaches the delegates that declare it", runtimeConfig),
];
