// Options of the test programs: a mistyped one must not become a run of nothing that reads as passed, nor be found out after the run.
import { closeSync, openSync, rmSync, statSync } from "node:fs";
import { Command, type CommanderError, InvalidArgumentError } from "commander";

/** What a test program exits with. */
export const Exit = {
  passed: 0,
  /** Something is wrong with what was tested. */
  wrong: 1,
  /** The command line says nothing that can be done. */
  refused: 2,
  /** Nothing was tested, or not what was asked for: neither passed nor wrong. */
  untested: 3,
} as const;

/** A command line whose mistakes are no verdict. */
export function testProgram(name: string): Command {
  return new Command(name).exitOverride((error: CommanderError) => {
    process.exit(error.exitCode === 0 ? 0 : Exit.refused);
  });
}

/** Parses a number, which is not negative; for commander's options. */
export function numberOption(text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number) || number < 0)
    throw new InvalidArgumentError("Give a number that is not negative.");
  return number;
}

/** Parses a count of things, of which there are at least so many. */
export function countOption(least = 0): (text: string) => number {
  return (text) => {
    const number = numberOption(text);
    if (!Number.isSafeInteger(number) || number < least)
      throw new InvalidArgumentError(`Give a whole number, at least ${least}.`);
    return number;
  };
}

/** A file that is written at the end of the run, when it would be too late to hear that it cannot be. What is there stays until then. */
export function fileOption(text: string): string {
  try {
    const isNew = statSync(text, { throwIfNoEntry: false }) === undefined;
    closeSync(openSync(text, "a"));
    if (isNew) rmSync(text);
  } catch (error) {
    throw new InvalidArgumentError(`It cannot be written: ${(error as Error).message}`);
  }
  return text;
}

/** One of a list, for an option that is given once or more. */
export function severalOf(names: readonly string[]): (text: string, before: string[]) => string[] {
  return (text, before) => {
    if (!names.includes(text)) throw new InvalidArgumentError(`There are: ${names.join(", ")}.`);
    return [...before, text];
  };
}
