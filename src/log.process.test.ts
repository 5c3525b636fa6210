import fc from "fast-check";
import { beforeEach, expect, test } from "vitest";
import { configureLog, levelOf, log, logLeftOut, oneLine, timestamp } from "./log.ts";
import { character } from "./testing/character.ts";
import { type EdgeHost, installEdge } from "./testing/edge.ts";

let host: EdgeHost;
beforeEach(() => {
  host = installEdge({});
  configureLog({ level: "warning", file: undefined, context: {}, sparing: false });
});

test("one line for a person, with what it is about", () => {
  configureLog({ context: { plugin: "static" } });
  log("warning", "two\nlines", { cause: 'a "b"\u001b[31m', code: 7 });
  expect(host.stderr).toBe('podnic: warning: two\\u000alines plugin="static" cause="a \\"b\\"\\u001b[31m" code=7\n');
});

test("levels below the one set are silent", () => {
  log("info", "x");
  expect(host.stderr).toBe("");
  configureLog({ level: levelOf("debug") });
  log("debug", "x");
  expect(host.stderr).toBe("podnic: debug: x\n");
  expect(["panic", "verbose", "nonsense"].map(levelOf)).toEqual(["error", "debug", "info"]);
});

test("a call's log has 20 lines of each message, and then how many more there were", () => {
  configureLog({ sparing: true });
  for (let n = 0; n < 1000; n++) log("warning", "many", { n });
  log("error", "one");
  log("debug", "below the level");
  logLeftOut();
  const lines = host.stderr.split("\n");
  expect(lines.filter((line) => line.startsWith("podnic: warning: many n="))).toHaveLength(20);
  expect(lines.slice(-3)).toEqual([
    "podnic: error: one",
    'podnic: warning: left out more lines with the same message message="many" count=980',
    "",
  ]);
  logLeftOut();
  log("warning", "many");
  expect(host.stderr.split("\n").slice(-2)).toEqual(["podnic: warning: many", ""]);
});

test("a long message or field is cut", () => {
  log("warning", "m".repeat(100_000), { field: "f".repeat(100_000) });
  expect(host.stderr.length).toBeLessThan(17_000);
});

test("lines in a file are JSON", () => {
  configureLog({ file: 2 });
  log("error", "a\nb", { path: "\u001b" });
  expect(host.stderr.endsWith("\n")).toBe(true);
  expect(host.stderr.slice(0, -1)).not.toMatch(/[\u0000-\u001f]/);
  expect(JSON.parse(host.stderr)).toMatchObject({ level: "error", msg: "a\nb", path: "\u001b" });
});

const control = fc
  .constantFrom(
    ...Array.from({ length: 0xa0 }, (_, code) => code),
    0x2028,
    0x2029,
    0x61c,
    0x200e,
    0x200f,
    0x202a,
    0x202e,
    0x2066,
    0x2069,
  )
  .map((code) => String.fromCharCode(code));

test("no text makes more than one line", () => {
  fc.assert(
    // Drawn from all of Unicode the 65 controls would be met once in 17,000 characters.
    fc.property(fc.string({ unit: fc.oneof(control, character) }), (text) => {
      expect(oneLine(text)).not.toMatch(
        /[\u0000-\u001f\u007f-\u009f\u2028\u2029\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069]/,
      );
    }),
  );
});

test("a timestamp is what Date says", () => {
  const range = { min: Date.UTC(1, 0), max: Date.UTC(9999, 11) };
  fc.assert(
    fc.property(fc.integer(range), (milliseconds) => {
      expect(timestamp(milliseconds)).toBe(new Date(milliseconds).toISOString());
    }),
  );
  const days = Array.from({ length: 80_000 }, (_, at) => Date.UTC(1890, 0, 1 + at));
  expect(days.filter((at) => timestamp(at) !== new Date(at).toISOString())).toEqual([]);
  expect(timestamp(Date.UTC(2024, 1, 29, 23, 59, 59, 999))).toBe("2024-02-29T23:59:59.999Z");
});
