import { expect, it } from "vitest";
import type { Link } from "../link/link.ts";
import { fits, isListed } from "./device-list.ts";

const link = {
  name: "ens5",
  altnames: ["enp0s5", "a-long-alternative-name"],
  mac: "02:00:00:00:0a:01",
  kind: "",
  parentDevice: "0000:3b:00.5",
} as Link;

it("names, alternative names, addresses and places, and patterns of them", () => {
  for (const entry of [
    "ens5",
    "enp0s5",
    "02:00:00:00:0A:01",
    "02-00-00-00-0A-01",
    "0000:3b:00.5",
    "ens*",
    "ens?",
    "*",
    "0000:3b:*",
    "02:00:00:*",
    "a-*-name",
  ])
    expect([entry, isListed(link, ["x", entry])]).toEqual([entry, true]);
  for (const entry of ["", "ens", "ens50", "ens??", "*6", "0000:3c:*", "pf:ens5", "pf:*", "pf:"])
    expect([entry, isListed(link, ["x", entry])]).toEqual([entry, false]);
  expect(isListed(link, [])).toBe(false);
  // A pattern does not match an address that the device does not have.
  expect(isListed({ ...link, mac: "", parentDevice: "", kind: "dummy" }, ["02*", "0000*"])).toBe(false);
});

it("addresses in any case, also of a physical function's virtual ones", () => {
  expect(isListed({ ...link, parentDevice: "0000:af:00.5" }, ["0000:AF:00.5"])).toBe(true);
  expect(isListed({ ...link, parentDevice: "fd58A000.ethernet" }, ["fd58A000.*"])).toBe(true);
});

it("patterns: any run, one character, nothing else, in time that does not explode", () => {
  expect(fits("a*b*c", "a--b--b--c")).toBe(true);
  expect(fits("a*b?c", "abbc")).toBe(true);
  expect(fits("a*b?c", "abc")).toBe(false);
  expect(fits("[a-z]", "b")).toBe(false);
  expect(fits("*", "")).toBe(true);
  expect(fits("", "")).toBe(true);
  expect(fits("*a".repeat(500), "a".repeat(5000))).toBe(true);
  expect(fits(`${"*a".repeat(500)}b`, "a".repeat(5000))).toBe(false);
});
