// Runs before the tests that use the validators of their own schema (src/testing/fixture.schema.json) instead of the plugins'.
import { writeFixture, writeValidators } from "../schemas.ts";

export function setup(): void {
  writeValidators(process.cwd());
  writeFixture(process.cwd());
}
