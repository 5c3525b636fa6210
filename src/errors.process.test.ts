import { execFileSync } from "node:child_process";
import { expect, test } from "vitest";
import { shellWord } from "./errors.ts";

test.each(["eth0", "", "$(id)", "`id`", "it's", 'a"b', "two words [was x]", "-x;y", "a\\b", "~", "*"])(
  "%j is one word of a shell",
  (text) => {
    const said = execFileSync("/bin/sh", ["-c", `printf %s. ${shellWord(text)}`], { encoding: "utf8" });
    expect(said).toBe(`${text}.`);
  },
);

test("a usual name has no quotes", () => {
  expect(shellWord("eth0.100")).toBe("eth0.100");
});
