import { readdirSync, readFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { failure, failureCode, HAS_MANY, ipsOf, routesOf, run, VERSIONS } from "../../src/testing/calls.ts";
import { staticIpam } from "./plugin.ts";

const ROUTES = [{ dst: "0.0.0.0/0" }, { dst: "192.168.0.0/16", gw: "10.10.5.1" }, { dst: "3ffe:ffff:0:01ff::1/64" }];
const ROUTE_TEXTS = ["0.0.0.0/0", "192.168.0.0/16 10.10.5.1", "3ffe:ffff:0:1ff::1/64"];

function config(cniVersion: string, ipam: object | undefined, more: object = {}) {
  return { name: "mynet", type: "bar", cniVersion, ...(ipam && { ipam: { type: "static", ...ipam } }), ...more };
}

const add = (raw: object, args = "") => run(staticIpam, "ADD", raw as { name: string }, { args });
const PAIR = ["10.10.0.1/24", "3ffe:ffff:0:01ff::1/64"];

describe.each(VERSIONS)("static %s", (version) => {
  it("ST-1: gives addresses, routes and dns as configured", () => {
    const dns = { nameservers: ["8.8.8.8"], domain: "example.com", search: ["example.com"], options: ["ndots:1"] };
    const addresses = [
      { address: "10.10.0.1/24", gateway: "10.10.0.254" },
      { address: "3ffe:ffff:0:01ff::1/64", gateway: "3ffe:ffff:0::1", version: "6" },
    ];
    const raw = config(version, { addresses, routes: ROUTES, dns });
    const answer = add(raw);
    expect(ipsOf(answer)).toEqual(["10.10.0.1/24 10.10.0.254", "3ffe:ffff:0:1ff::1/64 3ffe:ffff::1"]);
    expect(routesOf(answer)).toEqual(ROUTE_TEXTS);
    expect(answer.result.dns).toEqual(dns);
    expect(answer.text.includes('"version":')).toBe(["0.3.0", "0.3.1", "0.4.0"].includes(version));
    run(staticIpam, "DEL", raw);
  });

  it("ST-2: keeps routes to one destination apart", () => {
    const routes = [
      { dst: "0.0.0.0/0", gw: "10.10.0.254" },
      { dst: "0.0.0.0/0", gw: "10.10.0.253" },
    ];
    const answer = add(config(version, { addresses: [{ address: "10.10.0.1/24" }], routes }));
    expect(routesOf(answer)).toEqual(["0.0.0.0/0 10.10.0.254", "0.0.0.0/0 10.10.0.253"]);
  });

  it("ST-3: DEL without ADD, and with nothing valid", () => {
    run(staticIpam, "DEL", config(version, { addresses: [] }));
    run(staticIpam, "DEL", config(version, undefined));
    run(staticIpam, "DEL", config(version, { addresses: [{ address: "x", gateway: "y" }], routes: [{ dst: "z" }] }));
  });

  it("ST-4: address and gateway from CNI_ARGS", () => {
    const answer = add(config(version, { routes: ROUTES.slice(0, 2) }), "IP=10.10.0.1/24;GATEWAY=10.10.0.254");
    expect(ipsOf(answer)).toEqual(["10.10.0.1/24 10.10.0.254"]);
    expect(routesOf(answer)).toEqual(ROUTE_TEXTS.slice(0, 2));
  });

  it("ST-5: several addresses from CNI_ARGS, a gateway for the one it fits", () => {
    const raw = config(version, {});
    const args = "IP=10.10.0.1/24,11.11.0.1/24;GATEWAY=10.10.0.254";
    if (HAS_MANY.includes(version)) expect(ipsOf(add(raw, args))).toEqual(["10.10.0.1/24 10.10.0.254", "11.11.0.1/24"]);
    else {
      expect(failure(() => add(raw, args))).toBe(
        `CNI version ${version} does not support more than 1 address per family`,
      );
    }
  });

  it("ST-6, ST-7: addresses of the runtime, of args", () => {
    for (const more of [{ RuntimeConfig: { ips: PAIR } }, { args: { cni: { ips: PAIR } } }]) {
      const answer = add(config(version, { routes: ROUTES }, more));
      expect(ipsOf(answer)).toEqual(["10.10.0.1/24", "3ffe:ffff:0:1ff::1/64"]);
      expect(routesOf(answer)).toEqual(ROUTE_TEXTS);
    }
  });

  it("ST-8: the runtime wins over args, args over CNI_ARGS", () => {
    const other = ["10.10.0.2/24", "3ffe:ffff:0:01ff::2/64"];
    const args = "IP=10.10.0.3/24,11.11.0.3/24;GATEWAY=10.10.0.254";
    const both = config(version, {}, { runtimeConfig: { ips: PAIR }, args: { cni: { ips: other } } });
    expect(ipsOf(add(both, args))).toEqual(["10.10.0.1/24", "3ffe:ffff:0:1ff::1/64"]);
    const one = config(version, {}, { runtimeConfig: { ips: [] }, args: { cni: { ips: other } } });
    expect(ipsOf(add(one, args))).toEqual(["10.10.0.2/24", "3ffe:ffff:0:1ff::2/64"]);
  });

  it("ST-9, ST-10: no ipam", () => {
    expect(failure(() => add(config(version, undefined), "IP=10.10.0.1/24"))).toBe("IPAM config missing 'ipam' key");
    const raw = config(version, undefined, { runtimeConfig: { ips: PAIR } });
    expect(failure(() => add(raw))).toBe("IPAM config missing 'ipam' key");
  });

  it("ST-11 to ST-14: says which address is not in CIDR notation", () => {
    const bare = "10.10.0.1";
    expect(failure(() => add(config(version, { addresses: [{ address: bare }] })))).toBe(
      "the 'address' field is expected to be in CIDR notation, got: '10.10.0.1'",
    );
    expect(failure(() => add(config(version, { addresses: [{}] })))).toBe(
      "the 'address' field is expected to be in CIDR notation, got: ''",
    );
    expect(failure(() => add(config(version, {}), `IP=${bare}`))).toBe(
      "the 'ip' field is expected to be in CIDR notation, got: '10.10.0.1'",
    );
    for (const more of [{ args: { cni: { ips: [bare] } } }, { RuntimeConfig: { ips: [bare] } }]) {
      expect(failure(() => add(config(version, {}, more)))).toBe(
        "an entry in the 'ips' field is NOT in CIDR notation, got: '10.10.0.1'",
      );
    }
    expect(failure(() => add(config(version, {}), "IP=10.10.0.1/24;GATEWAY=x"))).toBe("invalid gateway address: x");
  });
});

describe("static, where it does better", () => {
  it("GATEWAY serves configured addresses too, and gateways of the configuration the runtime's addresses", () => {
    const raw = config("1.0.0", {
      addresses: [{ address: "10.10.0.1/24" }, { address: "10.11.0.1/24", gateway: "10.11.0.9" }],
    });
    expect(ipsOf(add(raw, "GATEWAY=10.10.0.254,10.11.0.254"))).toEqual([
      "10.10.0.1/24 10.10.0.254",
      "10.11.0.1/24 10.11.0.9",
    ]);
    expect(ipsOf(add({ ...raw, runtimeConfig: { ips: ["10.11.0.7/24", "10.12.0.7/24"] } }))).toEqual([
      "10.11.0.7/24 10.11.0.9",
      "10.12.0.7/24",
    ]);
  });

  it("CHECK wants every address as it was given", () => {
    const raw = config("1.0.0", { addresses: [{ address: "10.10.0.1/24", gateway: "10.10.0.254" }] });
    const check = (prevResult: unknown) => () => run(staticIpam, "CHECK", raw, { prevResult });
    expect(failure(check({ ips: [{ address: "10.10.0.1/24", gateway: "10.10.0.254" }] }))).toBe("nothing thrown");
    expect(failure(check(undefined))).toBe("Required prevResult missing");
    for (const ip of [
      { address: "10.10.0.1/24", gateway: "10.10.0.253" },
      { address: "10.10.0.1/24" },
      { address: "10.10.0.1/25", gateway: "10.10.0.254" },
      { address: "10.10.0.2/24", gateway: "10.10.0.254" },
    ]) {
      expect(failure(check({ ips: [ip] }))).toBe("static: Failed to match addr 10.10.0.1/24 on interface eth0");
    }
    expect(failure(check({}))).toBe("static: Failed to match addr 10.10.0.1/24 on interface eth0");
    // bridge adds a gateway if the configuration has none.
    const without = config("1.0.0", { addresses: [{ address: "10.10.0.1/24" }] });
    const filled = { ips: [{ address: "10.10.0.1/24", gateway: "10.10.0.254" }] };
    expect(failure(() => run(staticIpam, "CHECK", without, { prevResult: filled }))).toBe("nothing thrown");
  });

  it("codes say where the fault is", () => {
    expect(failureCode(() => add(config("1.0.0", { addresses: [{ address: "x" }] })))).toBe(7);
    expect(failureCode(() => add(config("1.0.0", {}), "IP=x"))).toBe(4);
    expect(failureCode(() => add(config("1.0.0", { addresses: [{ address: "10.0.0.1/24", gateway: "x" }] })))).toBe(7);
  });

  it("examples are valid", () => {
    const folder = new URL("examples/", import.meta.url);
    const names = readdirSync(folder);
    expect(names.length).toBeGreaterThan(0);
    for (const name of names) {
      const { ipam, cniVersion, name: network, plugins } = JSON.parse(readFileSync(new URL(name, folder), "utf8"));
      for (const plugin of plugins ?? [{ ipam }]) {
        expect(ipsOf(run(staticIpam, "ADD", { cniVersion, name: network, ...plugin })).length).toBeGreaterThan(0);
      }
    }
  });
});
