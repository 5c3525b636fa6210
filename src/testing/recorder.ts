// A plugin that only records its calls, and a way to call it in this process: from environment and stdin to the printed answer. Tests that import
// this mock "#validators" with those of the fixture.

import type { Call, Plugin } from "../cni/plugin.ts";
import { registerPlugins } from "../cni/registry.ts";
import { emptyResult, type Result } from "../cni/result.ts";
import { parsePrefix } from "../ip/address.ts";
import { main } from "../main.ts";
import { type Edge, type EdgeHost, installEdge } from "./edge.ts";

/** The commands that the recorder got since the last `run`, and its last call. */
export let journal: string[] = [];
export let last: Call | undefined;

export const address: Result = { ...emptyResult(), ips: [{ address: parsePrefix("192.0.2.5/24")! }] };
let answer: (call: Call) => Result = () => address;

/** Sets what the recorder's ADD returns; by default `address`. */
export function answerWith(given: (call: Call) => Result = () => address): void {
  answer = given;
}

function note(what: string) {
  return (call: Call): void => {
    journal.push(what);
    last = call;
  };
}

/** An IPAM plugin, so that no namespace is needed. */
const recorder: Plugin = {
  name: "recorder",
  kind: "ipam",
  knownArgs: ["IP"],
  schema: "fixture",
  validate: note("validate"),
  add(call) {
    note("add")(call);
    return answer(call);
  },
  check: note("check"),
  del: note("del"),
  gc: note("gc"),
  status: note("status"),
};
registerPlugins([recorder, { ...recorder, name: "recorder-interface", kind: "interface" }]);

const base = {
  CNI_CONTAINERID: "ctr-1",
  CNI_IFNAME: "eth0",
  CNI_NETNS: "/nonexistent/netns",
  CNI_PATH: "/nonexistent",
};
export const config = { cniVersion: "1.0.0", name: "net", type: "recorder", ipam: {} };

export interface Answer {
  status: number;
  out: { code?: number; msg?: string; details?: string; cniVersion?: string; [key: string]: unknown };
  host: EdgeHost;
}

export function run(
  command: string,
  stdin: unknown = config,
  env: Record<string, string | undefined> = {},
  edge: Edge = {},
): Answer {
  journal = [];
  last = undefined;
  const given = Object.entries({ CNI_COMMAND: command, ...base, ...env }).filter(([, value]) => value !== undefined);
  const input = typeof stdin === "string" || stdin instanceof Uint8Array ? stdin : JSON.stringify(stdin);
  const host = installEdge({
    args: ["/opt/cni/bin/recorder"],
    stdin: input,
    env: Object.fromEntries(given) as Record<string, string>,
    ...edge,
  });
  const status = main(
    () => 77,
    () => {},
  );
  return { status, out: host.stdout === "" ? {} : JSON.parse(host.stdout), host };
}
