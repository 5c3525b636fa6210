// What a client case is, and what all of them use.
import type { Tag } from "../harness/case.ts";
import { Mismatch } from "../harness/case.ts";
import { brief, describeRun, type Run } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import { SYSTEM_PATH } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

export interface Places {
  /** The plugins under test. */
  readonly bin: string;
  /** Where scripts/go-clients put cnitool and multus. */
  readonly clients: string;
}

export interface Client {
  readonly id: string;
  readonly expected: string;
  /** "program:NAME", "client:NAME" (of scripts/go-clients), "file:PATH" or "kernel:LINKKIND". */
  readonly needs: readonly string[];
  readonly run: (t: Trial, p: Places) => void;
  /** Milliseconds, for one that takes longer than others in the guest. */
  readonly limitMs?: number;
}

/** All clients are of one kind: runtimes rely on what they demand. */
export const CLIENT_TAG: Tag = "G";

export type Env = Record<string, string>;

/** A list of addresses for every client, and a route that shows in the container. */
export const POOL = {
  type: "host-local",
  ranges: [[{ subnet: "198.51.100.0/24" }]],
  routes: [{ dst: "203.0.113.0/24" }],
};

/** A configuration of each interface plugin, with a device of its own. */
export const MAINS: Readonly<Record<string, (t: Trial) => Config>> = {
  macvlan: () => ({ type: "macvlan", master: "up0" }),
  "host-device": (t) => ({ type: "host-device", device: t.freshDevice() }),
  ipvlan: () => ({ type: "ipvlan", master: "up0" }),
};

/** What the kernel must have for one of MAINS. */
export const kernelOf = (main: string): string[] =>
  main === "host-device" || main === "bridge" ? [] : [`kernel:${main}`];

export function good(run: Run, what: string): Run {
  if (run.status !== 0) throw new Mismatch(`${what} succeeds`, describeRun(run));
  return run;
}

/** Shows a step of a client as it is: the command and what it printed. */
export function show(what: string, run: Run): Run {
  console.log(`    ${what}: exit ${run.status} ${brief((run.stdout || run.stderr).trim())}`);
  return run;
}

export interface CniToolOptions {
  readonly env?: Env;
  /** Directories of plugins after the ones under test. */
  readonly also?: readonly string[];
}

const NET = "/etc/cni/net.d";

/** Writes the list that cnitool then knows as net1. */
export function writeList(t: Trial, cniVersion: string, plugins: readonly Config[]): void {
  t.write(`${NET}/net1.conflist`, JSON.stringify({ cniVersion, name: "net1", plugins }));
}

/** One verb of cnitool on net1 and the container c1. */
export function cnitool(t: Trial, p: Places, verb: string, options: CniToolOptions = {}): Run {
  const path = [p.bin, ...(options.also ?? [])].join(":");
  const env = { PATH: SYSTEM_PATH, NETCONFPATH: NET, CNI_PATH: path, ...options.env };
  return show(`cnitool ${verb}`, t.run([`${p.clients}/cnitool`, verb, "net1", "/run/netns/c1"], { env }));
}
