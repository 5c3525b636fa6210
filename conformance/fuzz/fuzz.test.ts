// Every input that once was a fault, and a part of the corpus, on Node: no compiler needed. Each in a context of its own, so that none
// sees what another left. The fuzzer itself begins with the whole corpus.
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { createContext, Script } from "node:vm";
import { beforeAll, describe, expect, test } from "vitest";
import { root } from "../../scripts/build/paths.ts";
import { effort } from "../../src/testing/effort.ts";
import { bundleText } from "./build.ts";

const targets = ["stdin", "netlink", "state", "delegate", "device-info", "yaml"];
const fuzz = join(root, "conformance/fuzz");
/** Milliseconds for an input, on a machine that does other things too. */
const LIMIT = 10_000;

/** From one file of the corpus to the next that is tried. */
const step = effort(4, 48);

let script: Script;

beforeAll(async () => {
  script = new Script(await bundleText(), { filename: "fuzz-bundle.js" });
});

interface Said {
  verdict: string;
  said: string;
  configurations: number;
}

function tryOne(target: string, input: Uint8Array, behind = 0): Said {
  const encoder = new TextEncoder();
  const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });
  const native = {
    encode: (text: string) => encoder.encode(text),
    decode(data: Uint8Array) {
      try {
        return decoder.decode(data);
      } catch {
        return null;
      }
    },
  };
  // Bytes made here and there are of one kind, as in the engine.
  const context = createContext({ native, Uint8Array, ArrayBuffer, DataView, Uint16Array, Uint32Array });
  script.runInContext(context);
  const { podnic, podnicSaid, podnicConfigurations } = context as {
    podnic: (target: string, input: Uint8Array, behind: number) => string;
    podnicSaid: () => string;
    podnicConfigurations: number;
  };
  return { verdict: podnic(target, input, behind), said: podnicSaid(), configurations: podnicConfigurations };
}

function inputsOf(kind: string, target: string): [name: string, path: string][] {
  const dir = join(fuzz, kind, target);
  return existsSync(dir) ? readdirSync(dir).map((name) => [name, join(dir, name)]) : [];
}

function judge(target: string, path: string): void {
  const input = new Uint8Array(readFileSync(path));
  const begin = performance.now();
  const first = tryOne(target, input);
  expect(first.verdict).toBe("");
  expect(performance.now() - begin).toBeLessThan(LIMIT);
  // What lies behind the kernel's answers must not matter.
  if (target === "netlink") expect(tryOne(target, input, 0xa5)).toEqual(first);
}

describe.each(targets)("%s", (target) => {
  const regressions = inputsOf("regressions", target);
  if (regressions.length > 0) test.each(regressions)("once a fault: %s", (_name, path) => judge(target, path));

  const corpus = inputsOf("corpus", target);
  test("has a corpus", () => expect(corpus.length).toBeGreaterThan(5));
  test("a part of the corpus", { timeout: 300_000 }, () => {
    for (const [, path] of corpus.filter((_, i) => i % step === 0)) judge(target, path);
  });
});

// Otherwise the fuzzer gets no further than the first request that the simulation does not know.
test("on the simulated node, an honest kernel and delegate let each command of each configuration succeed", () => {
  const { configurations } = tryOne("netlink", new Uint8Array([0, 0]));
  const all = Array.from({ length: configurations }, (_, n) => [0, 1, 2, 3, 4].map((command) => [n, command])).flat();
  const some = effort(1, 4);
  const failed = all
    .filter((_, i) => i % some === 0)
    .flatMap(([n = 0, command = 0]) => {
      const { verdict, said } = tryOne("netlink", new Uint8Array([n, command]));
      return verdict === "" && said.startsWith("0 ")
        ? []
        : [`configuration ${n}, command ${command}: ${verdict}${said}`];
    });
  expect(failed).toEqual([]);
});

test("an input that says something is told from one that does not", () => {
  const text = "\u001e";
  const call = ["static", "VERSION", "", "", "", "", "", "{}"].join(text);
  expect(tryOne("stdin", new TextEncoder().encode(call)).verdict).toBe("");
  expect(tryOne("no such target", new Uint8Array(0)).verdict).toContain("no target");
});
