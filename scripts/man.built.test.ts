import { spawnSync } from "node:child_process";
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { epilogueOf } from "../src/cli/command.ts";
import { podnic } from "../src/cli/main.ts";
import { writeManual } from "./man.ts";

const dir = mkdtempSync(join(tmpdir(), "podnic-man-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const pages = writeManual(dir);
const whole = podnic();

test("a page for podnic and for each command", () => {
  expect(pages).toEqual(
    expect.arrayContaining(["podnic.1", "podnic-validate.1", "podnic-install.1", "podnic-explain.1"]),
  );
});

test.each(pages)("%s is a manual page that says what the help says", (name) => {
  const { stdout } = spawnSync("mandoc", ["-T", "lint", "-W", "warning", join(dir, name)], { encoding: "utf8" });
  // The pages have no date, so that builds are reproducible.
  expect(stdout.split("\n").filter((line) => line !== "" && !line.includes("missing date"))).toEqual([]);
  const text = spawnSync("mandoc", ["-T", "utf8", "-O", "width=200", join(dir, name)], { encoding: "utf8" });
  expect(text.status).toBe(0);
  const words = (page: string) =>
    page
      .replaceAll(/.\u0008/g, "")
      .replaceAll("‐", "-")
      .replaceAll(/\s+/g, " ");
  const shown = words(text.stdout);
  const command = whole.commands.find((each) => name === `podnic-${each.name()}.1`) ?? whole;
  const said = [command.description(), ...command.options.map(({ description }) => description), epilogueOf(command)];
  for (const line of said.join("\n").split("\n")) expect(shown).toContain(words(line).trim().replace(/\.$/, ""));
  expect(readFileSync(join(dir, name), "utf8")).toContain(".SH SYNOPSIS");
});
