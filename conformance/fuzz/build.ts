// Builds the fuzzer: the bundle of podnic and of the world it runs in, and the engine with sanitizers and counters.
import { createHash } from "node:crypto";
import { existsSync, mkdirSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { bundleFuzzer } from "../../scripts/build/bundle.ts";
import { engineSource, QUICKJS } from "../../scripts/build/engine.ts";
import { BuildError, cache, root, run } from "../../scripts/build/paths.ts";
import { writeValidators } from "../../scripts/schemas.ts";

const own = join(root, "conformance/fuzz/engine");
const COMPILER = "clang-14";
/**
 * Without the checks of UBSan that look at every pointer, most of which ASan sees too: the interpreter's compilation took longer than
 * anybody waits for. The sanitize variant (scripts/build/engine.ts), which the conformance suite runs on, has them.
 */
const sanitizers = [
  "-fsanitize=address,undefined",
  "-fno-sanitize=alignment,null,object-size,pointer-overflow,nonnull-attribute,returns-nonnull-attribute",
  "-fno-sanitize-recover=all",
  "-fno-omit-frame-pointer",
  "-g1",
];
const flags = () => [
  ...[
    "-std=gnu11",
    "-O1",
    "-fwrapv",
    "-fno-pie",
    "-D_GNU_SOURCE",
    `-DCONFIG_VERSION="${QUICKJS}"`,
    `-DMACHINE="x64"`,
    "-w",
  ],
  ...["-I", own, "-isystem", engineSource()],
];

/** What is added to quickjs.c, and how often its place occurs there. */
const changes: [place: string, addition: string, count: number][] = [
  // The outcomes of conditional jumps: with the place behind the jump, which names it.
  ["                sp--;\n                if (res) {\n", "                PODNIC_EDGE(pc, 1 - !res);\n", 2],
  ["                sp--;\n                if (!res) {\n", "                PODNIC_EDGE(pc, 1 - !res);\n", 2],
  [
    "    sf->prev_frame = rt->current_stack_frame;\n    rt->current_stack_frame = sf;\n    ctx = b->realm;",
    "    PODNIC_EDGE(pc, 0);\n",
    1,
  ],
  [
    "                    goto restart;\n                }\n            }\n        }\n    }\n    ret_val = JS_EXCEPTION;",
    "                    PODNIC_EDGE(pc, 0);\n",
    1,
  ],
  [
    "                res = (js_string_compare(ctx, JS_VALUE_GET_STRING(op1),",
    "                if (!JS_VALUE_GET_STRING(op1)->is_wide_char && !JS_VALUE_GET_STRING(op2)->is_wide_char)\n" +
      "                    podnic_compared(JS_VALUE_GET_STRING(op1)->u.str8, JS_VALUE_GET_STRING(op2)->u.str8,\n" +
      "                                    JS_VALUE_GET_STRING(op1)->len, JS_VALUE_GET_STRING(op2)->len);\n",
    1,
  ],
];

function countedEngine(): string {
  let source = readFileSync(join(engineSource(), "quickjs.c"), "utf8");
  for (const [place, addition, count] of changes) {
    const parts = source.split(place);
    if (parts.length !== count + 1) throw new BuildError(`quickjs.c has ${parts.length - 1} of: ${place}`);
    source = parts.join(addition + place);
  }
  return `#include "counters.h"\n${source}\n#include "edges.h"\n`;
}

/** The engine's object files, kept in .cache by a hash of all that goes in. */
function engineObjects(): string[] {
  const source = countedEngine();
  const headers = ["counters.h", "edges.h"].map((name) => readFileSync(join(own, name), "utf8"));
  const what = JSON.stringify([source, headers, flags(), sanitizers]).replaceAll(root, "");
  const dir = join(cache, "engine", `fuzz-${createHash("sha256").update(what).digest("hex").slice(0, 16)}`);
  const names = ["quickjs", "libregexp", "libunicode", "cutils", "dtoa"];
  if (!existsSync(dir)) {
    console.log(`fuzz: compiling QuickJS ${QUICKJS} with sanitizers and counters`);
    const half = `${dir}.${process.pid}`;
    mkdirSync(half, { recursive: true });
    writeFileSync(join(half, "quickjs.c"), source);
    for (const name of names) {
      const file = name === "quickjs" ? join(half, "quickjs.c") : join(engineSource(), `${name}.c`);
      run(COMPILER, [...flags(), ...sanitizers, "-c", file, "-o", join(half, `${name}.o`)]);
    }
    rmSync(dir, { recursive: true, force: true });
    renameSync(half, dir);
  }
  return names.map((name) => join(dir, `${name}.o`));
}

/** Where modules begin in the bundle: [first line from 1, path]. */
export function modulesOf(bundle: string): [line: number, path: string][] {
  return bundle.split("\n").flatMap((line, i): [number, string][] => {
    const path = /^ {2}\/\/ ((?:src|plugins|conformance|generated|node_modules)\/\S+)$/.exec(line)?.[1];
    return path === undefined ? [] : [[i + 1, path]];
  });
}

/** Lines of the world, and of packages that are not ours, are not counted. */
function uncounted(bundle: string): string {
  const modules = modulesOf(bundle);
  const ranges = modules.flatMap(([line, path], i) =>
    path.startsWith("conformance/") ? [`{${line}, ${modules[i + 1]?.[0] ?? 0x7fffffff}}`] : [],
  );
  return ranges.join(", ");
}

export interface Fuzzer {
  /** The executable. */
  program: string;
  bundle: string;
}

/** The bundle alone, which needs no compiler. */
export async function bundleText(): Promise<string> {
  writeValidators(root);
  return Buffer.from(await bundleFuzzer("conformance/fuzz/entry.ts")).toString();
}

export async function buildFuzzer(dir = join(cache, "fuzz")): Promise<Fuzzer> {
  const bundle = await bundleText();
  mkdirSync(dir, { recursive: true });
  writeFileSync(join(dir, "bundle.js"), bundle);
  // native.c wants them; the fuzzer uses its own.
  for (const name of ["main", "cli"]) writeFileSync(join(dir, `${name}.qbc`), "");
  const objects = engineObjects();
  const program = join(dir, "fuzz");
  const object = join(dir, "fuzz.o");
  const define = `-DUNCOUNTED=${uncounted(bundle)}`;
  run(COMPILER, [
    ...flags(),
    ...sanitizers,
    define,
    `-Wa,-I,${dir}`,
    "-fsanitize=fuzzer-no-link",
    "-c",
    join(own, "fuzz.c"),
    "-o",
    object,
  ]);
  run(COMPILER, [object, ...objects, ...sanitizers, "-no-pie", "-fsanitize=fuzzer", "-lm", "-o", program]);
  return { program, bundle };
}
