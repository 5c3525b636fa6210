// Compares podnic's constants with the kernel's, by compiling each against the uapi headers (linux-libc-dev).
import { expect, it } from "vitest";
import { valuesInHeaders } from "../../testing/kernel-headers.ts";
import * as constants from "../constants.ts";

const HEADERS = [
  "netlink",
  "netfilter",
  "netfilter_ipv4",
  "netfilter_bridge",
  "netfilter/nfnetlink",
  "netfilter/nf_tables",
  "netfilter/nf_tables_compat",
];

it("every constant has the value of the kernel's headers", () => {
  const names = Object.keys(constants);
  expect(names.length).toBeGreaterThan(50);
  expect({ ...constants }).toEqual(valuesInHeaders(names, HEADERS));
});
