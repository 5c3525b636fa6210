// podnic doctor: checks whether this node is ready for podnic, and lists the problems.
import type { Command } from "commander";
import { host } from "../host/host.ts";
import { oneLine } from "../log.ts";
import { command } from "./command.ts";
import { examine } from "./doctor/examine.ts";
import { type Finding, type Level, levelColours } from "./doctor/finding.ts";
import { Exit, Status, UsageError } from "./exit.ts";
import { asJson, showGarbage } from "./gc.ts";
import { collect, findDamaged, findGarbage } from "./node/garbage.ts";
import { lookAtNode, poolsOf, requireRoot } from "./node/node.ts";
import { note, paint, plural, print, printJson, terminalWidth } from "./terminal.ts";

const epilogue = `Without --fix, doctor changes nothing. --fix cleans up after pods whose namespaces were certainly deleted (podnic gc NETWORK does this for one
network). doctor first shows what it would do, and asks for confirmation. You must fix all other problems yourself; each finding says how.

  podnic doctor
  podnic doctor --fix           asks for confirmation; without a terminal, or with --json, use --yes
  podnic doctor --json | jq -r '.findings[] | select(.level == "error") | .found'

Exit status: 0 nothing needs to be done, 1 there are warnings or errors (with --fix: some remain).`;

/** Maximum number of findings with the same cure that are shown. After a power failure, a node can have hundreds of old leases. */
const ALIKE = 10;

/** `isFixed` is true if --fix has run. */
export function showFindings(findings: Finding[], isFixed = false): void {
  const headings = new Set<string>();
  let alike = 0;
  for (const [i, { about, level, found, cure }] of findings.entries()) {
    if (!headings.has(about)) print(`${headings.size === 0 ? "" : "\n"}${paint(about.toUpperCase(), "bold")}\n`);
    headings.add(about);
    alike = cure !== "" && cure === findings[i - 1]?.cure ? alike + 1 : 0;
    if (alike < ALIKE) {
      print(`  ${paint(level.padEnd(8), levelColours[level])} ${oneLine(found)}\n`);
      if (cure !== "") print(`           ${oneLine(cure)}\n`);
    } else if (cure !== findings[i + 1]?.cure)
      print(`           and ${alike - ALIKE + 1} more like this; --json shows all\n`);
  }
  const count = (level: Level): number => findings.filter((one) => one.level === level).length;
  const fixable = findings.filter((one) => one.fixable).length;
  print(`\n${plural(count("error"), "error")}, ${plural(count("warning"), "warning")}`);
  const can = isFixed ? "did not fix" : "can fix";
  print(fixable === 0 ? "\n" : `; podnic doctor --fix ${can} ${fixable}\n`);
}

/** Shows what it would do, asks for confirmation, and does it. Returns the results for --json. */
function fix(yes: boolean, json: boolean): object[] {
  requireRoot();
  const node = lookAtNode();
  const garbage = [...findGarbage(node, poolsOf(node)), ...findDamaged(node).garbage];
  if (garbage.length === 0) return [];
  if (!json) {
    print("To do:\n");
    showGarbage(garbage);
    print("\n");
  }
  if (!yes && (json || !agreed())) {
    note(json ? "nothing was done: --json does not ask for confirmation, so add --yes" : "nothing was done");
    return [];
  }
  const collected = collect(garbage);
  if (!json) {
    print("Done:\n");
    showGarbage(garbage, collected);
    print("\n");
  }
  return collected.map((each) => asJson(each.garbage, each));
}

function agreed(): boolean {
  if (terminalWidth(0) === undefined) {
    note("there is no terminal on which to ask for confirmation; add --yes");
    return false;
  }
  print("Do this? [y/N] ", 2);
  return /^y(es)?\s*$/i.test(host.decode(host.read(0, 100)));
}

interface Options {
  fix?: boolean;
  yes?: boolean;
  json?: boolean;
}

export const doctorCommand = (): Command =>
  command("doctor", "check this node: kernel, plugins, configurations, state", epilogue)
    .option("--fix", "clean up after deleted pods, after showing what would be done")
    .option("--yes", "with --fix: do not ask for confirmation")
    .option("--json", "as JSON")
    .action(({ fix: wanted, yes, json }: Options) => {
      if (yes === true && wanted !== true) throw new UsageError("--yes needs --fix", "Nothing was done.");
      const fixed = wanted === true ? fix(yes === true, json === true) : [];
      const { findings } = examine();
      if (json === true) printJson({ findings, fixed });
      else showFindings(findings, fixed.length > 0);
      if (findings.some(({ level }) => level === "warning" || level === "error")) throw new Exit(Status.failed);
    });
