// Before the tests that put the validators of a schema of their own in the place of the plugins' (src/testing/fixture.schema.json).
import { writeFixture, writeValidators } from "../schemas.ts";

export function setup(): void {
  writeValidators(process.cwd());
  writeFixture(process.cwd());
}
