// Numbers on the command lines of the test programs: a mistyped one must not become a run of nothing that reads as passed.
import { InvalidArgumentError } from "commander";

/** Parses a number, which is not negative; for commander's options. */
export function numberOption(text: string): number {
  const number = Number(text);
  if (text.trim() === "" || !Number.isFinite(number) || number < 0)
    throw new InvalidArgumentError("Give a number that is not negative.");
  return number;
}
