// The native layer and the QuickJS host, inside executables built like the shipped one.
import { spawnSync } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { contract } from "../../testing/host-contract.ts";

const dir = mkdtempSync(join(tmpdir(), "podnic-native-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));

const build = ["scripts/ts.mjs", "scripts/build.ts", "--entry", "src/testing/host-selftest.ts"];

/** Cases that make sense only where memory is ours: a sanitizer has its own ends of memory and stack. */
const OURS_ONLY = [
  "memory has an end, and is there again after it",
  "JSON that is nested without end is an error, not a crash",
];
/** qemu-user refuses a process that shares our memory and is no thread; podnic then does without. */
const NOT_EMULATED = ["what is sent aside is answered to us, and what is closed aside is closed"];
/** Only a snapshot has pages that are worth not being written to. (A collection at each of its allocations takes minutes.) */
const COUNTED = ["references to what was evaluated are not written down"];
const SLOW = [
  "a directory of 3,000 names is read whole",
  "the loops in C answer as those in TypeScript do",
  "blocks of every size grow and shrink with their contents",
  ...OURS_ONLY,
];

const cases = [
  "what was evaluated is there",
  "JSON is as the language says",
  "the loops in C answer as those in TypeScript do",
  ...COUNTED,
  "a property is added to what was evaluated, and to nothing else",
  "a property is taken from what was evaluated, and from nothing else",
  "a text that was evaluated is not appended to in place",
  "a variable is an error before it has a value, and each turn of a loop has its own",
  "what was evaluated stays when references to it come and go",
  "JSON of 9,999 levels is read and written",
  "JSON that is nested without end is an error, not a crash",
  "memory has an end, and is there again after it",
  "blocks of every size grow and shrink with their contents",
  "an argument that is no argument is an error",
  "programs get the signals, the stack and the environment that we got",
  "what a program leaves behind does not hold us up",
  "the deadline ends the whole group",
  "a file that is no program is an error",
  "a program that is being written is ETXTBSY",
  "what was opened is what runs",
  "what is sent aside is answered to us, and what is closed aside is closed",
  "what is left aside stays open for us, and a process beside us has it until it ends",
  "a forked child has its own session and only what it keeps",
];

/** Programs in front of an executable that this machine cannot run by itself. */
const emulators: Record<string, string[]> = { arm64: [".cache/arm64/usr/bin/qemu-aarch64"] };

const variants: [name: string, flags: string[], without: string[]][] = [
  ["snapshot", [], []],
  ["no-snapshot", ["--no-snapshot"], COUNTED],
  ["sanitize", ["--sanitize"], [...OURS_ONLY, ...COUNTED]],
  ["gc-stress", ["--gc-stress"], [...SLOW, ...COUNTED, "JSON of 9,999 levels is read and written"]],
  // Emulated, these take half a minute each.
  [
    "arm64",
    ["--target", "linux-arm64"],
    [...SLOW, ...COUNTED, ...NOT_EMULATED, "JSON of 9,999 levels is read and written"],
  ],
];

describe.each(variants)("%s", (name, flags, without) => {
  const executable = join(dir, name);

  beforeAll(() => {
    const { status, stderr } = spawnSync("node", [...build, "--output", executable, ...flags], { encoding: "utf8" });
    expect(status, stderr).toBe(0);
  }, 300_000);

  function selftest(kind: string, testName: string): string {
    const place = mkdtempSync(join(dir, "case-"));
    // A small soft limit, so that it shows whether programs get theirs back; BROKEN is not UTF-8.
    const shell = `ulimit -Ss 4096; export EXPECTED_STACK=4096 BROKEN=$(printf 'f\\377o'); exec "$0" "$@"`;
    const command = [...(emulators[name] ?? []), executable, kind, testName, place];
    const child = spawnSync("bash", ["-c", shell, ...command], {
      encoding: "utf8",
      timeout: 60_000,
    });
    return child.stdout + child.stderr + (child.signal ?? "");
  }

  test("runs all cases there are", () => {
    expect(JSON.parse(selftest("list", ""))).toEqual(cases);
  });

  test.each(Object.keys(contract).filter((test) => !without.includes(test)))("%s", (test) => {
    expect(selftest("contract", test)).toBe("ok");
  });

  test.each(cases.filter((test) => !without.includes(test)))("%s", (test) => {
    expect(selftest("case", test)).toBe("ok");
  });
});
