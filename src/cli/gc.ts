// podnic gc --network N: takes away what attachments left whose namespace is gone.
import type { Command } from "commander";
import { command } from "./command.ts";
import { Exit, Status } from "./exit.ts";
import { type Collected, collect, findGarbage, type Garbage } from "./node/garbage.ts";
import { lookAtNode, poolsOf } from "./node/node.ts";
import { type Cell, print, printJson, printTable, shortId } from "./terminal.ts";

const lesson = `A device whose pod's namespace is gone goes back to what it was before; a lease is released when its container is
certainly gone (see podnic leases). What may be alive is not touched. It can be repeated.

  podnic gc --network fast --dry-run
  podnic gc --network fast

Exit status: 0 nothing is left to be done, 1 something could not be taken away.`;

/** For programs: what it was, and what became of it. */
export function asJson(garbage: Garbage, error?: string): object {
  const { kind, network, containerId, interface: as, why } = garbage;
  const what = garbage.kind === "device" ? { device: garbage.device } : { address: garbage.address };
  const said = { kind, ...what, network, containerId, interface: as, why };
  return error === undefined ? said : { ...said, done: error === "", error };
}

export function showGarbage(garbage: Garbage[], collected?: Collected[]): void {
  const rows = garbage.map((one): Cell[] => {
    const outcome = collected?.find((each) => each.garbage === one);
    const what: Cell[] = [one.kind, one.kind === "device" ? one.device : one.address];
    const who: Cell[] = [one.network || "?", shortId(one.containerId), one.interface || "?"];
    const did = one.kind === "device" ? "made what it was" : "released";
    if (outcome === undefined) return [...what, ...who, one.why];
    return [...what, ...who, outcome.error === "" ? did : { text: `not done: ${outcome.error}`, colour: "red" }];
  });
  printTable(["WHAT", "", "NETWORK", "CONTAINER", "AS", collected === undefined ? "BECAUSE" : "DONE"], rows);
}

interface Options {
  network: string;
  dryRun?: boolean;
  json?: boolean;
}

export const gcCommand = (): Command =>
  command("gc", "take away what is left of pods whose namespace is gone", lesson)
    .requiredOption("--network <name>", "of this network")
    .option("--dry-run", "say what would be done, and do nothing")
    .option("--json", "as JSON")
    .action(({ network, dryRun, json }: Options) => {
      const node = lookAtNode();
      const garbage = findGarbage(node, poolsOf(node)).filter((one) => one.network === network);
      const collected = dryRun === true ? undefined : collect(garbage);
      if (json === true) {
        printJson(collected?.map(({ garbage: one, error }) => asJson(one, error)) ?? garbage.map((one) => asJson(one)));
      } else if (garbage.length === 0) print(`Nothing of network ${network} is left behind.\n`);
      else showGarbage(garbage, collected);
      if (collected?.some(({ error }) => error !== "") === true) throw new Exit(Status.failed);
    });
