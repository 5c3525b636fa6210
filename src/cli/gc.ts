// podnic gc --network N, podnic gc --all: takes away what attachments left whose namespace is gone.
import type { Command } from "commander";
import { SIGINT, SIGTERM } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { command } from "./command.ts";
import { Exit, Status, UsageError } from "./exit.ts";
import { readCache } from "./node/cache.ts";
import { type Collected, collect, findGarbage, type Garbage } from "./node/garbage.ts";
import { lookAtNode, type Node, poolsOf } from "./node/node.ts";
import type { Pool } from "./node/pools.ts";
import { removeResult, staleResults } from "./node/results.ts";
import { type Cell, note, print, printJson, printTable, shortId } from "./terminal.ts";

const lesson = `A device whose pod's namespace is gone goes back to what it was before; a lease is released when its container is
certainly gone (see podnic leases). What may be alive is not touched. It can be repeated. Results that "podnic add" kept go with
their attachments.

  podnic gc --network fast --dry-run
  podnic gc --network fast
  podnic gc --all                                  of all networks of this node
  podnic gc --all --every 15                       again each 15 minutes, until SIGTERM; says only what it did

No runtime calls GC by itself: deploy/systemd has a timer, deploy/gc the same for a DaemonSet.

Exit status: 0 nothing is left to be done, 1 something could not be taken away.`;

/** For programs: what it was, and what became of it. */
export function asJson(garbage: Garbage, error?: string): object {
  const { kind, network, containerId, interface: as, why } = garbage;
  const said = { kind, ...whatOf(garbage), network, containerId, interface: as, why };
  return error === undefined ? said : { ...said, done: error === "", error };
}

function whatOf(garbage: Garbage): { [what: string]: string } {
  if (garbage.kind === "device") return { device: garbage.device };
  return garbage.kind === "lease" ? { address: garbage.address } : { file: garbage.file };
}

export function showGarbage(garbage: Garbage[], collected?: Collected[]): void {
  const rows = garbage.map((one): Cell[] => {
    const outcome = collected?.find((each) => each.garbage === one);
    const what: Cell[] = [one.kind, Object.values(whatOf(one))[0]!];
    const who: Cell[] = [one.network || "?", shortId(one.containerId) || "?", one.interface || "?"];
    const did = { device: "made what it was", lease: "released", record: "removed" }[one.kind];
    if (outcome === undefined) return [...what, ...who, one.why];
    return [...what, ...who, outcome.error === "" ? did : { text: `not done: ${outcome.error}`, colour: "red" }];
  });
  printTable(["WHAT", "", "NETWORK", "CONTAINER", "AS", collected === undefined ? "BECAUSE" : "DONE"], rows);
}

interface Options {
  network?: string;
  all?: boolean;
  every?: string;
  dryRun?: boolean;
  json?: boolean;
}

/** A name that nothing here knows is a mistake, and not a network of which nothing is left. */
function requireKnown(network: string, { configurations, holders }: Node, pools: Pool[]): void {
  const known = new Set([
    ...[...configurations, ...pools, ...readCache()].map((one) => one.network),
    ...holders.map(({ key }) => key.network),
  ]);
  if (known.has(network)) return;
  const there = [...known].filter((name) => name !== "").sort();
  const cure = `No configuration, lease, record or result names it. ${there.length === 0 ? "There is no network." : `There are ${there.join(", ")}.`}`;
  throw new UsageError(`no network is called "${network}" on this node`, cure);
}

/** Returns whether all of it could be done. */
function collectOnce({ network, dryRun, json, every }: Options): boolean {
  const node = lookAtNode();
  const pools = poolsOf(node);
  if (network !== undefined) requireKnown(network, node, pools);
  const isWanted = (one: { network: string }): boolean => network === undefined || one.network === network;
  const garbage = findGarbage(node, pools).filter(isWanted);
  const collected = dryRun === true ? undefined : collect(garbage);
  if (collected !== undefined) {
    const failed = new Set(collected.filter(({ error }) => error !== "").map((one) => one.garbage.containerId));
    const results = staleResults(node.namespaces).filter((one) => isWanted(one) && !failed.has(one.containerId));
    for (const { file } of results) removeResult(file);
  }
  const where = network === undefined ? "" : ` of network ${network}`;
  if (every !== undefined && garbage.length === 0) return true;
  if (json === true) {
    printJson(collected?.map(({ garbage: one, error }) => asJson(one, error)) ?? garbage.map((one) => asJson(one)));
  } else if (garbage.length === 0) print(`Nothing${where} is left behind.\n`);
  else showGarbage(garbage, collected);
  return collected?.every(({ error }) => error === "") ?? true;
}

/** Until SIGTERM or Ctrl-C, which do not cut a round short. */
function repeat(minutes: number, round: () => boolean): void {
  const ends = [SIGTERM, SIGINT];
  let end = host.waitSignal(ends, 0); // from here on they wait for us
  while (end === 0) {
    try {
      inChild(round);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      note(error.message); // the next round may be luckier
    }
    end = host.waitSignal(ends, minutes * 60_000);
  }
}

/** The engine gives memory back at the end of a process, so each round has its own. */
function inChild(round: () => boolean): void {
  let child: number;
  try {
    child = host.fork([0, 1, 2]);
  } catch (error) {
    if (!(error instanceof SystemError) || error.code !== "ENOSYS") throw error;
    round();
    return;
  }
  if (child > 0) {
    host.waitpid(child);
    return;
  }
  try {
    host.exit(round() ? Status.good : Status.failed);
  } catch (error) {
    note(error instanceof Error ? error.message : String(error));
    host.exit(Status.failed);
  }
}

function minutesOf(every: string): number {
  const minutes = Number(every);
  if (/^\d+$/.test(every) && minutes >= 1 && minutes <= 10_080) return minutes;
  throw new UsageError(`--every ${every}: not a number of minutes`, "From 1 to 10080, a week.");
}

function runGc(options: Options): void {
  const { network, all, every, dryRun } = options;
  if ((network === undefined) === (all !== true)) {
    throw new UsageError("--network NAME or --all says of which networks", "Nothing was done.");
  }
  if (every === undefined) {
    if (!collectOnce(options)) throw new Exit(Status.failed);
    return;
  }
  if (dryRun === true) throw new UsageError("--every does not go with --dry-run", "Nothing was done.");
  repeat(minutesOf(every), () => collectOnce(options));
}

export const gcCommand = (): Command =>
  command("gc", "take away what is left of pods whose namespace is gone", lesson)
    .option("--network <name>", "of this network")
    .option("--all", "of all networks")
    .option("--every <minutes>", "again and again, until SIGTERM")
    .option("--dry-run", "say what would be done, and do nothing")
    .option("--json", "as JSON; with --every one document a round")
    .action(runGc);
