// Compares the parsing and formatting of addresses, prefixes and MACs with Go's net package.
import { execFileSync, spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import fc from "fast-check";
import { describe, expect, it } from "vitest";
import { BAD, bytes16, GOOD, noise, ours, text4, text6 } from "../testing/address-texts.ts";
import { addressOf, formatAddress } from "./address.ts";

const hasGo = spawnSync("go", ["version"]).status === 0;

/** One line of oracle.go for each text. */
function askGo(texts: string[]): { address: string; prefix: string; mac: string }[] {
  const program = fileURLToPath(new URL("oracle.go", import.meta.url));
  const output = execFileSync("go", ["run", program], { input: `${texts.join("\n")}\n`, encoding: "utf8" });
  return output
    .trimEnd()
    .split("\n")
    .map((line) => {
      const [address = "", prefix = "", mac = ""] = line.split("\t");
      return { address, prefix, mac };
    });
}

describe("addresses", () => {
  it.skipIf(!hasGo)("agrees with Go's net package", { timeout: 120_000 }, () => {
    const generated = fc.sample(fc.oneof(text4, text6, noise), { numRuns: 20_000, seed: 1 });
    // Go prints a v4-mapped prefix below /96 as a different prefix. podnic refuses it.
    const texts = [...BAD, ...GOOD, ...generated].filter(
      (text) => text !== "" && !/^::ffff:.*\/([0-8]?\d|9[0-5])$/i.test(text),
    );
    const answers = askGo(texts);
    expect(answers).toHaveLength(texts.length);
    texts.forEach((text, i) => {
      expect([text, ours(text)]).toEqual([text, answers[i]]);
    });
  });

  it.skipIf(!hasGo)("prints IPv6 as Go does", { timeout: 120_000 }, () => {
    const samples = fc.sample(bytes16, { numRuns: 20_000, seed: 2 });
    const long = samples.map((bytes) =>
      Array.from({ length: 8 }, (_, i) => (bytes[i * 2]! * 256 + bytes[i * 2 + 1]!).toString(16)).join(":"),
    );
    const answers = askGo(long);
    samples.forEach((bytes, i) => {
      expect(formatAddress(addressOf(bytes))).toBe(answers[i]!.address);
    });
  });
});
