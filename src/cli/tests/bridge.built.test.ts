import { mkdirSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { assumePolicy } from "../../config/policy.ts";
import { filtersVlans } from "../../testing/sandbox.ts";
import { call, endPods, enterNode, sh } from "./node.ts";
import { run } from "./run.ts";
import { emptyNode, json, pool } from "./state.ts";

beforeAll(enterNode);
beforeEach(emptyNode);

describe("bridge", () => {
  const bridged = { type: "bridge", bridge: "br9", ipMasq: true, macspoofchk: true, macspoofchkBackend: "nftables" };
  const add = (name: string, more = {}, from = {}): void => {
    sh(`ip netns add ${name}`);
    const options = { container: `c-${name}`, netns: `/run/netns/${name}`, ...from };
    const result = JSON.parse(call("ADD", { ...bridged, ipam: pool, ipMasqBackend: "nftables", ...more }, options));
    mkdirSync("/var/lib/cni/results", { recursive: true });
    const cached = {
      kind: "cniCacheV1",
      containerId: `c-${name}`,
      ifName: "net1",
      networkName: "net",
      netns: options.netns,
      result,
    };
    writeFileSync(`/var/lib/cni/results/net-c-${name}-net1`, JSON.stringify(cached));
  };

  it("ports are devices, and what it left is found and taken away, podnic's and the Go plugin's", () => {
    sh("nft flush ruleset");
    for (const name of ["blue", "grey"]) add(name);
    add("brown", {}, { bin: resolve(".cache/go-plugins/1.9.1") });
    sh(`ip netns add black; ip link add other0 up master br9 type veth peer name in0 netns black
      ip link add out0 type veth peer name in1 netns black`);
    const ports = () => json("devices").filter(({ driver }: { driver: string }) => driver === "veth");
    const port = (container: string, by = "bridge", network = "net", pod = container.slice(2), name = "net1") => ({
      ...{
        bridge: "br9",
        state: "pod",
        why: by === "" ? "port of br9, without podnic's alias" : "port of br9",
        interface: { name, namespace: `/run/netns/${pod}` },
      },
      holder: { by, network, containerId: container, interface: name, namespace: `/run/netns/${pod}` },
    });
    const byContainer = (a: { holder: { containerId: string } }, b: { holder: { containerId: string } }) =>
      a.holder.containerId < b.holder.containerId ? -1 : 1;
    // libcni's cache contains the owners of the Go plugin's ports, but not of other programs' ports.
    const brown = port("c-brown", "");
    const black = port("", "", "", "black", "in0");
    expect(ports().sort(byContainer)).toMatchObject([black, port("c-blue"), brown, port("c-grey")]);
    sh("mv /var/lib/cni/results/net-c-brown-net1 /run/kept");
    const at = ({ holder }: ReturnType<typeof port>) => `${holder.containerId} ${holder.namespace}`;
    const places = ["c-blue /run/netns/blue", "c-grey /run/netns/grey", " /run/netns/black", " /run/netns/brown"];
    expect(ports().map(at).sort()).toEqual(places.sort());
    sh("mv /run/kept /var/lib/cni/results/net-c-brown-net1");
    endPods("grey", "brown");
    const rules = (): string[] =>
      json("gc", "--all", "--dry-run")
        .filter(({ kind }: { kind: string }) => kind === "rules")
        .map(({ what, containerId }: { what: string; containerId: string }) => `${containerId} ${what}`)
        .sort();
    const left = ["c-brown ipMasq", "c-brown macspoofchk", "c-grey ipMasq", "c-grey macspoofchk"];
    expect(rules()).toEqual(left);
    expect(run(["doctor"]).stdout).toContain(
      "rules macspoofchk of container c-grey (net1, network net): there is no port veth",
    );
    expect(json("gc", "--all").every(({ done }: { done: boolean }) => done)).toBe(true);
    expect(rules()).toEqual([]);
    const ruleset = sh("nft list ruleset");
    expect(ruleset).toContain("c-blue");
    expect(ruleset).not.toMatch(/c-grey|c-brown/);
  });

  it("the Go plugin's rules of iptables are taken away if the pod is certainly gone", () => {
    sh("nft flush ruleset");
    const bin = resolve(".cache/go-plugins/1.9.1");
    const names = ["brown", "lime", "tan"];
    for (const name of names) add(name, { macspoofchk: false, ipMasqBackend: "iptables" }, { bin });
    endPods("brown", "tan");
    // After this, nothing on the node contains the namespace of this pod.
    sh("rm /var/lib/cni/results/net-c-tan-net1");
    const rules = () => json("gc", "--all").filter(({ kind }: { kind: string }) => kind === "rules");
    expect(rules()).toMatchObject([{ what: "ipMasq (iptables)", network: "net", containerId: "c-brown", done: true }]);
    expect(rules()).toEqual([]);
    const left = sh("iptables -t nat -S");
    expect(names.filter((name) => left.includes(`c-${name}`))).toEqual(["lime", "tan"]);
    expect(left.match(/^-N CNI-/gm)).toHaveLength(2);
  });

  it.runIf(filtersVlans())(
    "gateways of VLANs without a pod are taken away, VLAN devices and veths, and nobody else's",
    () => {
      // br8 itself is untagged in VLAN 6, so its gateway in this VLAN is a veth.
      sh(`ip link add br8 up type bridge vlan_filtering 1 vlan_default_pvid 0
      bridge vlan add dev br8 vid 6 self untagged; ip link add link br8 name br8.9 type vlan id 9`);
      const gateway = { type: "bridge", bridge: "br8", isGateway: true };
      for (const vlan of [5, 6, 7]) {
        const ipam = { type: "static", addresses: [{ address: `10.44.${vlan}.2/24`, gateway: `10.44.${vlan}.1` }] };
        add(`pod${vlan}`, { ...gateway, ipMasq: false, macspoofchk: false, vlan, ipam });
      }
      endPods("pod5", "pod6");
      const left = () =>
        json("gc", "--all")
          .filter(({ kind }: { kind: string }) => kind === "gateway")
          .map(({ what, done }: { what: string; done: boolean }) => `${what} ${done}`);
      expect(left().sort()).toEqual(["br8.5 true", "br8.6 true"]);
      expect(left()).toEqual([]);
      const names = JSON.parse(sh("ip -j link")).map(({ ifname }: { ifname: string }) => ifname);
      expect(names.filter((name: string) => name.startsWith("br8.")).sort()).toEqual(["br8.7", "br8.9"]);
    },
  );

  it("doctor looks at the bridges that configurations name", () => {
    mkdirSync("/etc/cni/net.d");
    const write = (name: string, more: object) =>
      writeFileSync(
        `/etc/cni/net.d/${name}.conf`,
        JSON.stringify({ cniVersion: "1.0.0", name, type: "bridge", ...more }),
      );
    sh("ip link add br8 type bridge; ip link add br7 up type bridge; ip link add no8 type veth peer name no9");
    write("down", { bridge: "br8" });
    write("new", { bridge: "br6" });
    write("none", { bridge: "no8" });
    write("vlan", { bridge: "br7", vlan: 5 });
    const found = json("doctor").findings.filter(({ about }: { about: string }) => about === "bridges");
    const texts = found.map(({ level, found: text }: { level: string; found: string }) => `${level} ${text}`);
    expect(texts.slice(0, 4)).toEqual([
      'error network "down": bridge "br8" is down: network is down',
      'ok network "new": the first ADD creates bridge br6',
      'error network "none": "no8" already exists but is not a bridge',
      'error network "vlan": bridge "br7" does not filter VLANs',
    ]);
    expect(found[3].cure).toContain("vlan_filtering 1");
    for (const bridge of ["<bridge-interface>", "a/b"]) {
      write("zz", { bridge });
      const { findings } = json("doctor");
      const about = findings
        .filter(({ found: text }: { found: string }) => JSON.stringify(text).includes("zz"))
        .map(({ about: what, level }: { about: string; level: string }) => `${level} ${what}`);
      expect(about).toEqual(["error configurations"]);
    }
  });

  it("doctor says which networks ADD would refuse their bridge or gateway", () => {
    mkdirSync("/etc/cni/net.d");
    const write = (name: string, more: object) =>
      writeFileSync(
        `/etc/cni/net.d/${name}.conf`,
        JSON.stringify({ cniVersion: "1.0.0", name, type: "bridge", bridge: "br7", isGateway: true, ...more }),
      );
    const range = (subnet: string) => ({ ipam: { type: "host-local", ranges: [[{ subnet }]] } });
    sh("ip link add br7 up type bridge; ip link add v0 up type veth peer v1; ip address add 192.0.2.9/24 dev v0");
    write("a", range("10.88.0.0/24"));
    write("b", range("192.0.2.0/24"));
    write("c", { ipam: { type: "static", addresses: [{ address: "10.88.1.5/24", gateway: "10.88.1.9" }] } });
    write("d", { bridge: "br8", isGateway: false });
    const texts = () =>
      json("doctor")
        .findings.filter(({ about }: { about: string }) => about === "bridges")
        .map(({ level, found }: { level: string; found: string }) => `${level} ${found}`)
        .slice(0, 4);
    expect(texts()).toEqual([
      'ok network "a": bridge br7 exists and is up',
      'error network "b": isGateway: 192.0.2.1/24 is in the subnet 192.0.2.9/24 of v0',
      'ok network "c": bridge br7 exists and is up',
      'ok network "d": the first ADD creates bridge br8',
    ]);
    // Set the policy directly, because a process reads the policy file only once.
    assumePolicy({ bridges: { names: ["br7"], gateways: ["10.88.0.0/24"] } });
    expect(texts()).toEqual([
      'ok network "a": bridge br7 exists and is up',
      'error network "b": isGateway: 192.0.2.1/24 is not in any subnet that this node allows for gateways',
      'error network "c": isGateway: 10.88.1.9/24 is not in any subnet that this node allows for gateways',
      'error network "d": this node does not allow networks to use bridge "br8"',
    ]);
    assumePolicy({});
  });
});
