// Before the unit tests: the validators that the code under test imports.
import { writeFixture, writeValidators } from "./schemas.ts";

export function setup(): void {
  writeValidators(process.cwd());
  writeFixture(process.cwd());
}
