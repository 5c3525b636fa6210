// Our constants are the kernel's: each is compiled against the uapi headers (linux-libc-dev).
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, it } from "vitest";
import * as constants from "../constants.ts";

const HEADERS = [
  ...["netlink", "rtnetlink", "if", "if_link", "if_addr", "if_bridge", "veth", "net_namespace", "nexthop", "fib_rules"],
];

it("every constant has the value of the kernel's headers", () => {
  const directory = mkdtempSync(join(tmpdir(), "podnic-constants-"));
  try {
    const names = Object.keys(constants);
    const lines = names.map((name) => `printf("${name} %lld\\n", (long long)(${name}));`);
    const includes = HEADERS.map((header) => `#include <linux/${header}.h>`);
    const source = [
      "#include <stdio.h>",
      "#include <sys/socket.h>",
      ...includes,
      `int main(void) { ${lines.join("\n")} return 0; }`,
    ];
    const program = join(directory, "constants");
    execFileSync("cc", ["-x", "c", "-o", program, "-"], { input: source.join("\n") });
    const actual = Object.fromEntries(
      execFileSync(program, { encoding: "utf8" })
        .trim()
        .split("\n")
        .map((line) => line.split(" "))
        .map(([name, value]) => [name, Number(value)]),
    );
    expect(names.length).toBeGreaterThan(100);
    expect({ ...constants }).toEqual(actual);
  } finally {
    rmSync(directory, { recursive: true });
  }
});
