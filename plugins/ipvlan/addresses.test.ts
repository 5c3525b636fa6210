import { expect, test } from "vitest";
import { parsePrefix } from "../../src/ip/address.ts";
import type { Master } from "../../src/link/master.ts";
import { refuseAddresses } from "./addresses.ts";

/** A master whose kernel knows no route: it is asked only about addresses that could be one interface's. */
function outcomes(...addresses: string[]): string[] {
  return addresses.map((text) => {
    const master = { link: { index: 2 }, namespace: { route: undefined } } as unknown as Master;
    try {
      refuseAddresses(master, [{ address: parsePrefix(text)! }]);
    } catch (error) {
      return error instanceof TypeError ? "looked up" : (error as Error).message;
    }
    return "accepted";
  });
}

test("an address to which packets for many go is refused without a look at the routes", () => {
  const all = ["224.0.0.18/32", "239.255.255.255/8", "255.255.255.255/32", "0.0.0.0/32", "ff02::1/128", "::/128"];
  for (const outcome of outcomes(...all)) expect(outcome).toContain("such packets are also for this node");
});

test("the addresses beside them are looked up", () => {
  const all = ["223.255.255.255/32", "240.0.0.1/32", "255.255.255.254/32", "0.0.0.1/32", "fe80::1/64", "::1:0/128"];
  for (const outcome of outcomes(...all)) expect(outcome).toBe("looked up");
});
