// Code that all operator's commands share.
import { Command } from "commander";
import { DEFAULT_WIDTH, print, terminalWidth } from "./terminal.ts";

const epilogues = new WeakMap<Command, string>();

/** The text below the help of a command. The manual page contains it too. */
export function epilogueOf(made: Command): string {
  return epilogues.get(made) ?? "";
}

/** Creates a command with the common settings for output, errors and help. `epilogue` is the text below its help. */
export function command(name: string, description: string, epilogue = ""): Command {
  const made = new Command(name)
    .description(description)
    .configureOutput({
      writeOut: (text) => print(text),
      writeErr: (text) => print(text, 2),
      outputError: (text, write) => write(text.replace(/^error: /, "podnic: ")),
      getOutHelpWidth: () => terminalWidth() ?? DEFAULT_WIDTH,
      getErrHelpWidth: () => terminalWidth(2) ?? DEFAULT_WIDTH,
    })
    .exitOverride()
    .showHelpAfterError(`(see ${name === "podnic" ? "podnic" : `podnic ${name}`} --help)`);
  if (epilogue !== "") made.addHelpText("after", `\n${epilogue}`);
  epilogues.set(made, epilogue);
  return made;
}
