// podnic gc NETWORK and podnic gc --all: clean up after attachments whose namespaces were deleted.
import type { Command } from "commander";
import { didYouMean } from "../config/messages.ts";
import { SIGINT, SIGTERM } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { command } from "./command.ts";
import { Exit, Status, UsageError } from "./exit.ts";
import { readCache } from "./node/cache.ts";
import { type Collected, collect, findGarbage, findUnreadable, type Garbage } from "./node/garbage.ts";
import { lookAtNode, type Node, poolsOf } from "./node/node.ts";
import type { Pool } from "./node/pools.ts";
import { removeResult, staleResults } from "./node/results.ts";
import { isPath, networksIn } from "./runtime/networks.ts";
import { type Cell, note, print, printJson, printTable, shortId } from "./terminal.ts";

const epilogue = `Restores each device whose pod's namespace was deleted, or that returned without a DEL. Releases each lease whose container was certainly
deleted (see podnic leases), and removes what bridge created for such pods: ports, rules of macspoofchk and ipMasq, and the gateway of a
VLAN without pods. gc does not change anything that might be in use, so it can run at any time. It also removes old results that
"podnic add" cached.
NETWORK is the name of a network, or a file that defines one.

  podnic gc fast --dry-run
  podnic gc fast
  podnic gc --all                                  all networks on this node
  podnic gc --all --every 15                       every 15 minutes until SIGTERM; prints only what it does

No container runtime calls GC automatically. deploy/systemd contains a timer for gc, and deploy/gc a container for the DaemonSet.

Exit status: 0 nothing is left to do, 1 something could not be removed, or podnic cannot tell what is left over
(leases whose holder is unknown do not count), 2 wrong command line.`;

/** One item for --json: what was left over, and the result if gc tried to remove it. */
export function asJson(garbage: Garbage, collected?: Collected): object {
  const { kind, network, containerId, interface: as, why } = garbage;
  const said = { kind, ...whatOf(garbage), network, containerId, interface: as, why };
  if (collected === undefined) return said;
  const { error, outcome } = collected;
  return { ...said, done: error === "", error, ...(outcome === undefined ? {} : { outcome }) };
}

const DONE = {
  device: "restored",
  lease: "released",
  record: "removed",
  port: "removed",
  rules: "removed",
  gateway: "removed",
};

function inWords({ garbage, error, outcome }: Collected): Cell {
  if (error !== "") return { text: `not done: ${error}`, colour: "red" };
  if (outcome === "lost") return { text: "removed the record, because the device no longer exists", colour: "yellow" };
  if (outcome === "past" || outcome === "another's") return "removed the record, because it describes another device";
  return outcome === "none" ? "done by another process" : DONE[garbage.kind];
}

function whatOf(garbage: Garbage): { [what: string]: string } {
  if (garbage.kind === "device") return { device: garbage.device };
  if ("what" in garbage) return { what: garbage.what };
  return garbage.kind === "lease" ? { address: garbage.address } : { file: garbage.file };
}

export function showGarbage(garbage: Garbage[], collected?: Collected[]): void {
  const outcomes = new Map(collected?.map((one) => [one.garbage, one]));
  const rows = garbage.map((one): Cell[] => {
    const outcome = outcomes.get(one);
    const what: Cell[] = [one.kind, Object.values(whatOf(one))[0]!];
    const who: Cell[] = [one.network || "?", shortId(one.containerId) || "?", one.interface || "?"];
    return [...what, ...who, outcome === undefined ? one.why : inWords(outcome)];
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

/** Throws UsageError if nothing on this node has the network's name, because the name is then probably a typing error. */
function requireKnown(network: string, { configurations, holders, leftovers }: Node, pools: Pool[]): void {
  const known = new Set([
    ...leftovers.map(({ owner }) => owner.network),
    ...[...configurations, ...pools, ...readCache()].map((one) => one.network),
    ...holders.map(({ key }) => key.network),
  ]);
  if (known.has(network)) return;
  const there = [...known].filter((name) => name !== "").sort();
  const list = there.length === 0 ? "This node has no networks." : `Networks here: ${there.join(", ")}.`;
  throw new UsageError(
    `no network "${network}" on this node${didYouMean(network, there)}`,
    `No configuration, lease, record or cached result names it. ${list}`,
  );
}

/** Runs gc once, for these networks or for all. Returns true if nothing is left to do. */
function collectOnce(networks: string[] | undefined, { dryRun, json, every }: Options): boolean {
  const node = lookAtNode();
  const pools = poolsOf(node);
  for (const network of networks ?? []) requireKnown(network, node, pools);
  const isWanted = (one: { network: string }): boolean => networks === undefined || networks.includes(one.network);
  const garbage = findGarbage(node, pools).filter(isWanted);
  const collected = dryRun === true ? undefined : collect(garbage);
  if (collected !== undefined) {
    const failed = new Set(collected.filter(({ error }) => error !== "").map((one) => one.garbage.containerId));
    const results = staleResults(node.namespaces).filter((one) => isWanted(one) && !failed.has(one.containerId));
    for (const { file } of results) removeResult(file);
  }
  const inDoubt = [saysDoubt(node), saysDamaged(networks)].includes(true);
  if (every === undefined) saysUnknown(pools.filter(isWanted));
  const where = networks === undefined ? "" : ` of network ${networks.join(", ")}`;
  if (every !== undefined && garbage.length === 0) return !inDoubt;
  if (json === true) {
    printJson(collected?.map((each) => asJson(each.garbage, each)) ?? garbage.map((one) => asJson(one)));
  } else if (garbage.length > 0) showGarbage(garbage, collected);
  else if (!inDoubt) print(`Nothing${where} is left over.\n`);
  return !inDoubt && (collected?.every(({ error }) => error === "") ?? true);
}

/** If podnic runs in a container with its own /run/netns, this directory does not tell anything about the node's pods. */
function saysDoubt({ namespaces }: Node): boolean {
  for (const directory of namespaces.doubtful) {
    note(
      `cannot tell which pods still exist: ${directory} contains no network namespace of a pod on this node, so it might not be the node's directory. podnic left ` +
        "everything that belongs to namespaces in this directory unchanged. Run podnic gc on the node, or in a container that has the node's /run and PID namespace (hostPID).",
    );
  }
  return namespaces.doubtful.length > 0;
}

/** A damaged record does not tell which device it describes, so gc cannot find out whether a pod still has the device. */
function saysDamaged(networks: string[] | undefined): boolean {
  const damaged = findUnreadable(networks);
  for (const file of damaged) {
    note(
      `cannot tell what is left over: ${file} is not a valid record. podnic doctor --fix removes the file if no pod has the device.`,
    );
  }
  return damaged.length > 0;
}

/** Unknown holders are not an error, because an ADD that is still running has such a lease too. */
function saysUnknown(pools: Pool[]): void {
  const count = pools.flatMap(({ leases }) => leases).filter(({ life }) => life === "unknown").length;
  if (count === 0) return;
  const what = count === 1 ? "1 lease was" : `${count} leases were`;
  note(`${what} left unchanged: podnic cannot tell whether the holder still exists (see podnic leases)`);
}

/** Repeats `round` until SIGTERM or Ctrl-C. A signal takes effect only when the current round has finished. */
function repeat(minutes: number, round: () => boolean): void {
  const ends = [SIGTERM, SIGINT];
  let end = host.waitSignal(ends, 0); // from here on, the signals stay pending until the next waitSignal
  while (end === 0) {
    try {
      inChild(round);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      note(error.message); // the next round may succeed
    }
    end = host.waitSignal(ends, minutes * 60_000);
  }
}

/** Runs a round in a child process, because the engine frees memory only when the process exits. */
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
  throw new UsageError(`--every ${every} is not a valid number of minutes`, "Use a number from 1 to 10080 (a week).");
}

function runGc(given: string | undefined, options: Options): void {
  const { network = given, all, every, dryRun } = options;
  if ((network === undefined) === (all !== true) || (given !== undefined && network !== given)) {
    throw new UsageError("give one NETWORK, or --all", "Nothing was done.");
  }
  const networks = network === undefined ? undefined : namesOf(network);
  if (every === undefined) {
    if (!collectOnce(networks, options)) throw new Exit(Status.failed);
    return;
  }
  if (dryRun === true) throw new UsageError("--every and --dry-run cannot be combined", "Nothing was done.");
  repeat(minutesOf(every), () => collectOnce(networks, options));
}

/** A plain name is not searched for in configuration files, because a network's leases can remain after its file is deleted. */
function namesOf(given: string): string[] {
  return isPath(given) ? networksIn(given).map(({ name }) => name) : [given];
}

export const gcCommand = (): Command =>
  command("gc", "clean up after deleted pods", epilogue)
    .argument("[network]", "name of a network, or a file")
    .option("--network <name>", "same as the argument")
    .option("--all", "all networks on this node")
    .option("--every <minutes>", "repeat until SIGTERM")
    .option("--dry-run", "list what would be done, without doing it")
    .option("--json", "print JSON; with --every, one document per round")
    .action(runGc);
