// A kernel that can confine and does not: which calls go on. What confinement does is in confine.built.test.ts.
import { expect, test } from "vitest";
import { installHost, SystemError } from "../host/host.ts";
import { EdgeHost } from "../testing/edge.ts";
import { confineCall } from "./confine.ts";
import type { Call, Plugin } from "./plugin.ts";

class Unwilling extends EdgeHost {
  override confine(): void {
    throw new SystemError("capset", 5, "EIO", "input/output error");
  }
}

function confine(command: string, confinesFiles: boolean): string {
  const host = new Unwilling({});
  installHost(host);
  const plugin = { kind: "ipam", confinesFiles: () => confinesFiles } as unknown as Plugin;
  confineCall(plugin, { command } as Call, undefined, false);
  return host.stderr;
}

test.each([true, false])("DEL and GC go on, ADD does not (with files: %s)", (confinesFiles) => {
  for (const command of ["DEL", "GC"]) expect(confine(command, confinesFiles)).toContain("cannot confine this process");
  expect(() => confine("ADD", confinesFiles)).toThrow("capset");
});
