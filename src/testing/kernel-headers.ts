// Compiles names against the kernel's uapi headers (linux-libc-dev).
import { execFileSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

/** The value of each name, from the C compiler with these headers of linux/. */
export function valuesInHeaders(names: string[], headers: string[]): { [name: string]: number } {
  const directory = mkdtempSync(join(tmpdir(), "podnic-constants-"));
  try {
    const lines = names.map((name) => `printf("${name} %lld\\n", (long long)(${name}));`);
    const includes = [
      "stdio.h",
      "sys/socket.h",
      "netinet/in.h",
      "limits.h",
      ...headers.map((name) => `linux/${name}.h`),
    ];
    const source = [
      ...includes.map((name) => `#include <${name}>`),
      `int main(void) { ${lines.join("\n")} return 0; }`,
    ];
    const program = join(directory, "constants");
    execFileSync("cc", ["-x", "c", "-o", program, "-"], { input: source.join("\n") });
    const printed = execFileSync(program, { encoding: "utf8" }).trim().split("\n");
    return Object.fromEntries(printed.map((line) => line.split(" ")).map(([name, value]) => [name, Number(value)]));
  } finally {
    rmSync(directory, { recursive: true });
  }
}
