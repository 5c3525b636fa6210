import { expect, it } from "vitest";
import type { Result } from "../../src/cni/result.ts";
import { Failure } from "../../src/errors.ts";
import { formatAddress, formatPrefix, parseAddress, parsePrefix } from "../../src/ip/address.ts";
import { gatewayPrefixes, withGateways } from "./addresses.ts";

function given(address: string, gateway?: string, routes: string[] = []): Result {
  const ip = { address: parsePrefix(address)!, ...(gateway === undefined ? {} : { gateway: parseAddress(gateway)! }) };
  return { interfaces: [], ips: [ip], routes: routes.map((dst) => ({ dst: parsePrefix(dst)! })), dns: {} };
}

const gatewayOf = (address: string, gateway?: string): string =>
  formatAddress(withGateways(given(address, gateway), false).ips[0]!.gateway!);

function refusal(address: string, gateway?: string): string {
  try {
    return gatewayOf(address, gateway);
  } catch (error) {
    if (error instanceof Failure) return error.details;
    throw error;
  }
}

it("the gateway is IPAM's, or the subnet's first address", () => {
  expect(gatewayOf("10.1.2.3/24")).toBe("10.1.2.1");
  expect(gatewayOf("10.1.2.3/24", "10.1.2.254")).toBe("10.1.2.254");
  expect(gatewayOf("fd00::9/64")).toBe("fd00::1");
});

it("of a subnet of two it is the other one", () => {
  expect([gatewayOf("10.1.2.0/31"), gatewayOf("10.1.2.1/31"), gatewayOf("fd00::1/127")]).toEqual([
    "10.1.2.1",
    "10.1.2.0",
    "fd00::",
  ]);
});

it("refuses what cannot be", () => {
  expect(refusal("10.1.2.3/32")).toMatch(/no room for a second address/);
  expect(refusal("fd00::1/128")).toMatch(/no room/);
  expect(refusal("10.1.2.1/24")).toMatch(/the gateway are the same/);
  expect(refusal("10.1.2.3/24", "10.9.9.9")).toMatch(/10.9.9.9 is outside the subnet/);
});

it("a default route for each family that has none", () => {
  const routes = (result: Result) =>
    withGateways(result, true).routes.map(
      ({ dst, gw }) => `${formatPrefix(dst)} ${gw === undefined ? "" : formatAddress(gw)}`,
    );
  expect(routes(given("10.1.2.3/24"))).toEqual(["0.0.0.0/0 10.1.2.1"]);
  expect(routes(given("fd00::9/64", undefined, ["0.0.0.0/0"]))).toEqual(["0.0.0.0/0 ", "::/0 fd00::1"]);
  expect(routes(given("10.1.2.3/24", undefined, ["0.0.0.0/0"]))).toEqual(["0.0.0.0/0 "]);
});

it("each address of the host once", () => {
  const { ips } = withGateways(
    {
      ...given("10.1.2.3/24"),
      ips: [...given("10.1.2.3/24").ips, ...given("10.1.2.4/24").ips, ...given("fd00::9/64").ips],
    },
    false,
  );
  expect(gatewayPrefixes(ips).map(formatPrefix)).toEqual(["10.1.2.1/24", "fd00::1/64"]);
});
