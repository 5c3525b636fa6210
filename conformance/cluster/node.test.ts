import { expect, test } from "vitest";
import { linesIn } from "../interleave/picture.ts";
import { LENT } from "./node.ts";

/** What picture.c prints of a device. */
const linesOf = (name: string, alias: string) =>
  linesIn(["link", "host", name, "1500", "up", "02:00:00:00:00:01", alias, "", "qlen 1000", "44=00"].join("\t"), LENT);

test("a network's own bridge is compared without its random address, a card with all that it has", () => {
  for (const [name, alias] of [
    ["br1", ""],
    ["br2", "podnic:bridge"],
    ["veth12345678", "podnic:ctr"],
  ] as const)
    expect(linesOf(name, alias).join("\n"), name).not.toMatch(/02:00|44=/);
  for (const alias of ["", "rack 7"])
    expect(linesOf("ens5", alias).slice(0, 1)).toEqual([`host ens5 mtu 1500 up 02:00:00:00:00:01 alias "${alias}"`]);
  expect(linesOf("eth0", "ens5")).toContain("of host eth0: 44=00");
});
