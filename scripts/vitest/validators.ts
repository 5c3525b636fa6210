// Runs before the tests and writes the validators that the code under test imports.
import { writeValidators } from "../schemas.ts";

export function setup(): void {
  writeValidators(process.cwd());
}
