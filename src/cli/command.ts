// What every command of the operator has in common.
import { Command } from "commander";
import { DEFAULT_WIDTH, print, terminalWidth } from "./terminal.ts";

/** Exit statuses, the same for all commands. */
export const Status = {
  good: 0,
  /** It could not be done, or what was looked at is not as it should be. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
} as const;

/** Ends a command with a status after it has said all there is to say. */
export class Exit extends Error {
  override readonly name = "Exit";
  constructor(readonly status: number) {
    super(`exit status ${status}`);
  }
}

const lessons = new WeakMap<Command, string>();

/** What is shown below the help of a command; the manual has it too. */
export function lessonOf(made: Command): string {
  return lessons.get(made) ?? "";
}

/** A command that prints, fails and explains itself like the others. `lesson` is shown below its help: examples, mostly. */
export function command(name: string, description: string, lesson = ""): Command {
  const made = new Command(name)
    .description(description)
    .configureOutput({
      writeOut: (text) => print(text),
      writeErr: (text) => print(text, 2),
      getOutHelpWidth: () => terminalWidth() ?? DEFAULT_WIDTH,
      getErrHelpWidth: () => terminalWidth(2) ?? DEFAULT_WIDTH,
    })
    .exitOverride()
    .showHelpAfterError(`(${name === "podnic" ? "podnic" : `podnic ${name}`} --help shows what there is)`);
  if (lesson !== "") made.addHelpText("after", `\n${lesson}`);
  lessons.set(made, lesson);
  return made;
}
