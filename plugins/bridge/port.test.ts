import { expect, it } from "vitest";
import { isNetworkInAlias } from "../../src/plugin/hash.ts";
import { isAliasOf, isPromiscuous, ownerOf, portAlias, rulesOf } from "./alias.ts";
import { kubevirtName, macMark, portNames } from "./port.ts";
import { vlanInterfaceName } from "./vlan-gateway.ts";

const attachment = { network: "net1", containerId: "ctr-1", ifName: "eth0" };

it("a port's names look as everybody expects, and are the attachment's own", () => {
  const names = portNames(attachment);
  expect(names.every((name) => /^veth[0-9a-f]{8}$/.test(name))).toBe(true);
  expect(new Set(names).size).toBe(4);
  expect(portNames({ ...attachment, ifName: "eth1" })).not.toContain(names[0]);
  expect(portNames(attachment)).toEqual(names);
});

it("a port's MAC address repeats its name", () => {
  expect(macMark("veth0a1b2c3d")).toBe("fe:0a:1b:2c:3d:");
});

it("a port's alias says whose it is", () => {
  expect(portAlias(attachment)).toBe("podnic:net1:ctr-1:eth0");
  expect(ownerOf("podnic:net1:ctr-1:eth0")).toEqual(attachment);
  for (const other of ["", "podnic:bridge", "podnic:net1:ctr-1", "podnic:net1:ctr-1:eth0:", "other:net1:ctr-1:eth0"])
    expect(ownerOf(other)).toBeUndefined();
});

it("a port's alias says which rules ADD made, or that it made none", () => {
  for (const [rules, alias] of [
    [{ masquerade: [] }, "podnic:net1:ctr-1:eth0:-"],
    [{ masquerade: [12, 13], jump: 7 }, "podnic:net1:ctr-1:eth0:m12,m13,j7"],
  ] as const) {
    expect(portAlias(attachment, { rules: { ...rules, masquerade: [...rules.masquerade] } })).toBe(alias);
    expect([ownerOf(alias), rulesOf(alias), isAliasOf(alias, attachment)]).toEqual([attachment, rules, true]);
  }
  expect(rulesOf("podnic:net1:ctr-1:eth0")).toBeUndefined();
  for (const [marks, alias] of [
    [{ promiscuous: true }, "podnic:net1:ctr-1:eth0:p"],
    [{ promiscuous: true, rules: { masquerade: [] } }, "podnic:net1:ctr-1:eth0:p,-"],
    [{ promiscuous: true, rules: { masquerade: [12], jump: 7 } }, "podnic:net1:ctr-1:eth0:p,m12,j7"],
  ] as const) {
    const { rules } = { rules: undefined, ...marks };
    expect(portAlias(attachment, { ...marks, rules: rules && { ...rules, masquerade: [...rules.masquerade] } })).toBe(
      alias,
    );
    expect([ownerOf(alias), rulesOf(alias), isPromiscuous(alias)]).toEqual([attachment, rules, true]);
  }
  expect(isPromiscuous("podnic:net1:ctr-1:eth0:-")).toBe(false);
  expect(isAliasOf("podnic:net1:ctr-1:eth01", attachment)).toBe(false);
  // It says nothing rather than half of it.
  const long = { ...attachment, network: "n".repeat(225) };
  expect(portAlias(long, { rules: { masquerade: [12345678] } })).toBe(portAlias(long));
  for (const other of [
    "podnic:net1:ctr-1:eth0:x",
    "podnic:net1:ctr-1:eth0:m",
    "podnic:net1:ctr-1:eth0:m1:j2",
    "podnic:net1:ctr-1:eth0:p,",
  ])
    expect([ownerOf(other), rulesOf(other)]).toEqual([undefined, undefined]);
});

it("a network's name that leaves no room in an alias is cut, and the alias is found by the whole name", () => {
  const long = (network: string, id = 64) => ({ network, containerId: "c".repeat(id), ifName: "名名名名名" });
  const [one, other] = [long(`${"n".repeat(250)}1`), long(`${"n".repeat(250)}2`)];
  const rules = { masquerade: [4294967295], jump: 4294967295 };
  const alias = portAlias(one, { promiscuous: true, rules });
  expect(rulesOf(alias)).toEqual(rules);
  expect(isNetworkInAlias(ownerOf(alias)!.network, one.network)).toBe(true);
  expect(isNetworkInAlias(ownerOf(alias)!.network, other.network)).toBe(false);
  expect([isAliasOf(alias, one), isAliasOf(alias, other)]).toEqual([true, false]);
  // As versions before wrote it.
  const whole = long("n".repeat(175));
  const full = `podnic:${whole.network}:${whole.containerId}:${whole.ifName}`;
  expect(full.length).toBeGreaterThan(portAlias(whole).length);
  expect([isAliasOf(full, whole), isAliasOf(portAlias(whole), whole)]).toEqual([true, true]);
  for (const network of ["n", "n".repeat(100), "n".repeat(1000)])
    for (const id of [1, 64, 128, 1000])
      expect(new TextEncoder().encode(portAlias(long(network, id), { rules })).length).toBeLessThanOrEqual(255);
});

it("knows what KubeVirt makes of a name", () => {
  expect([kubevirtName("pod37a8eec1ce1"), kubevirtName("eth0")]).toEqual(["37a8eec1ce1-nic", "eth0-nic"]);
});

it("the gateway's interface is called as the Go plugin calls it, or shorter", () => {
  expect(vlanInterfaceName("br0", 100)).toBe("br0.100");
  const long = ["fifteen-letters", "fifteen-lettert"].map((name) => vlanInterfaceName(name, 4000));
  expect(long.every((name) => name.length === 15 && name.endsWith(".4000"))).toBe(true);
  expect(long[0]).not.toBe(long[1]);
});
