// Which calls continue if the kernel refuses to confine them. confine.built.test.ts tests the confinement itself.
import { expect, test } from "vitest";
import type { StaticConfig } from "../../plugins/static/config.schema.ts";
import { staticIpam } from "../../plugins/static/plugin.ts";
import { installHost, SystemError } from "../host/host.ts";
import { EdgeHost } from "../testing/edge.ts";
import { prepareCall } from "./call.ts";
import { confineCall } from "./confine.ts";
import type { Call, Plugin } from "./plugin.ts";
import { readRequest } from "./request.ts";

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

// Without this note about the failed ADD, the runtime's DEL would remove what the container has from another network.
test.each([
  ["cannot be confined", "192.0.2.1/24"],
  ["is refused, and cannot be confined", "nonsense"],
])("an ADD that %s has failed, once", (_, address) => {
  const failed: unknown[] = [];
  const plugin: Plugin<StaticConfig> = { ...staticIpam, addFailed: (whose) => failed.push(whose) };
  const stdin = { cniVersion: "1.0.0", name: "net", type: "any", ipam: { type: "static", addresses: [{ address }] } };
  const env = { CNI_CONTAINERID: "c", CNI_NETNS: "/run/netns/c", CNI_IFNAME: "eth0" };
  installHost(new Unwilling({ env, stdin: JSON.stringify(stdin) }));
  expect(() => prepareCall(plugin as Plugin, readRequest("ADD"), confineCall)).toThrow("capset");
  expect(failed).toEqual([{ network: "net", containerId: "c", ifName: "eth0" }]);
});
