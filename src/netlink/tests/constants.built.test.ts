// Our constants are the kernel's: each is compiled against the uapi headers (linux-libc-dev).
import { expect, it } from "vitest";
import { valuesInHeaders } from "../../testing/kernel-headers.ts";
import * as constants from "../constants.ts";

const HEADERS = [
  ...["netlink", "rtnetlink", "if", "if_link", "if_addr", "if_bridge", "veth", "net_namespace", "nexthop", "fib_rules"],
];

it("every constant has the value of the kernel's headers", () => {
  const names = Object.keys(constants);
  expect(names.length).toBeGreaterThan(100);
  expect({ ...constants }).toEqual(valuesInHeaders(names, HEADERS));
});
