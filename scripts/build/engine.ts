// The engine's source with our patches, its object files, and the bytecode compiler made of them; kept in .cache by a hash of all that goes in.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "../../src/host/syscalls.ts";
import { BuildError, cache, root, run } from "./paths.ts";

export const QUICKJS = "2025.04.26";
const original = join(cache, "quickjs", QUICKJS);
const patches = join(root, "scripts/build/patches");
/** With what is added to a toolchain's flags: only the interpreter itself needs to be fast. */
const SOURCES: [names: string[], flags: string[]][] = [
  [["quickjs"], []],
  [["libregexp", "libunicode", "cutils", "dtoa"], ["-Os"]],
];

/** How the C of one kind of executable is compiled and linked. */
export interface Toolchain {
  name: string;
  compiler: string;
  compile: string[];
  link: string[];
  /** Program that runs its executables, when this machine does not. */
  emulator?: string;
  bigEndian?: boolean;
  /** As host/syscalls.ts calls it; x64 when absent. */
  machine?: Machine;
  /** Flags for native.c alone. */
  own?: string[];
}

const common = [
  "-std=gnu11",
  "-O2",
  "-fwrapv", // the engine counts on it
  "-fno-pie",
  "-D_GNU_SOURCE",
  `-DCONFIG_VERSION="${QUICKJS}"`,
];
// 26 KB of padding, without which nothing was measurably slower.
const dense = ["-falign-jumps=1", "-falign-labels=1", "-falign-loops=1"];
const small = [...dense, "-ffunction-sections", "-fdata-sections", "-fno-asynchronous-unwind-tables", "-fno-ident"];
// musl brings no kernel headers: the distribution's, after musl's own.
const kernelHeaders = ["-idirafter", "/usr/include", "-idirafter", "/usr/include/x86_64-linux-gnu"];
const tight = [
  "-static",
  "-no-pie",
  "-s",
  "-Wl,--gc-sections",
  "-Wl,--build-id=none",
  "-Wl,-z,noexecstack",
  "-Wl,-z,noseparate-code",
];

export const musl: Toolchain = {
  name: "musl",
  compiler: "musl-gcc",
  compile: [...common, ...small, ...kernelHeaders],
  link: tight,
};

/**
 * Nobody makes these pages read-only after the start, as a dynamic linker would. With pages of 64 KiB they cost up to as much of the file, so that
 * they begin on one of their own. x86-64 has pages of 4 KiB.
 */
const withoutRelro = "-Wl,-z,norelro";

/** Debian's cross compiler with musl's own specs for it (scripts/cross). */
export const muslArm64: Toolchain = {
  name: "musl-arm64",
  compiler: "aarch64-linux-gnu-gcc",
  // The engine uses no atomics: no need to ask the processor which it has.
  compile: [...common, ...small, `-specs=${join(cache, "arm64/musl.specs")}`, "-mno-outline-atomics"],
  link: [...tight, withoutRelro, `-specs=${join(cache, "arm64/musl.specs")}`],
  machine: "arm64",
  emulator: join(cache, "arm64/usr/bin/qemu-aarch64"),
};

/** The same for s390x (scripts/cross s390x), which is big-endian: its bytecode is of its own compiler. With -O2 it would be larger than the budget. */
export const muslS390x: Toolchain = {
  name: "musl-s390x",
  compiler: "s390x-linux-gnu-gcc",
  compile: [...common, ...small, `-specs=${join(cache, "s390x/musl.specs")}`, "-Os"],
  link: [...tight, withoutRelro, `-specs=${join(cache, "s390x/musl.specs")}`],
  machine: "s390x",
  emulator: join(cache, "s390x/usr/bin/qemu-s390x"),
  bigEndian: true,
};

/** The same for riscv64 (scripts/cross riscv64). */
export const muslRiscv64: Toolchain = {
  name: "musl-riscv64",
  compiler: "riscv64-linux-gnu-gcc",
  compile: [...common, ...small, `-specs=${join(cache, "riscv64/musl.specs")}`],
  // The engine's Atomics, which podnic never calls: this compiler does not make them of instructions.
  link: [...tight, withoutRelro, `-specs=${join(cache, "riscv64/musl.specs")}`, "-latomic"],
  machine: "riscv64",
  emulator: join(cache, "riscv64/usr/bin/qemu-riscv64"),
};

/**
 * The same for ppc64le (scripts/cross ppc64le). Its compiler has a long double of two doubles, musl one of one. With -O2 it would be larger
 * than the budget.
 */
export const muslPpc64le: Toolchain = {
  name: "musl-ppc64le",
  compiler: "powerpc64le-linux-gnu-gcc",
  compile: [...common, ...small, `-specs=${join(cache, "ppc64le/musl.specs")}`, "-mlong-double-64", "-Os"],
  link: [...tight, withoutRelro, `-specs=${join(cache, "ppc64le/musl.specs")}`],
  machine: "ppc64le",
  emulator: join(cache, "ppc64le/usr/bin/qemu-ppc64le"),
};

/** Collects garbage at every allocation: what is used after it was let go shows at once. */
export const gcStress: Toolchain = { ...musl, name: "gc-stress", compile: [...musl.compile, "-DFORCE_GC_AT_MALLOC"] };

/** Refuses the allocation that it is told to refuse (conformance/faults/allocations.ts). */
export const refusing: Toolchain = { ...musl, own: ["-DREFUSE"] };

/** Address and undefined-behaviour sanitizers; the first finding ends the program with a report. */
const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1"];
export const sanitize: Toolchain = {
  name: "sanitize",
  compiler: "gcc",
  compile: [...common, ...sanitizers, "-DLIBC_MALLOC"],
  link: ["-no-pie", ...sanitizers],
};

/** Each access to memory calls a function of written.h. Runs a dozen times: compiled fast rather than well. */
const watched = ["asan-instrumentation-with-call-threshold=0", "asan-globals=0", "asan-stack=0"];
export const train: Toolchain = {
  ...musl,
  name: "train",
  compile: [
    ...musl.compile,
    ...["-fsanitize=kernel-address", ...watched.map((parameter) => `--param=${parameter}`)],
    ...["-DTRAIN", "-DARENA=8388608", "-O1"],
  ],
};

function compilerVersion(compiler: string): string {
  return run(compiler, ["--version"]).toString();
}

/** Makes a directory of .cache that is there whole or not at all; builds may run side by side. */
function makeOnce(dir: string, fill: (half: string) => void): void {
  if (existsSync(dir)) return;
  const half = `${dir}.${process.pid}`;
  mkdirSync(half, { recursive: true });
  fill(half);
  rmSync(dir, { recursive: true, force: true });
  renameSync(half, dir);
}

/** Directory of the engine's source with our patches. A patch that does not fit to the letter ends the build. */
export function engineSource(): string {
  if (!existsSync(join(original, "quickjs.c"))) throw new BuildError("no engine source in .cache: run npm run setup");
  const files = readdirSync(patches).sort();
  const hash = createHash("sha256").update(QUICKJS);
  for (const file of files) hash.update(readFileSync(join(patches, file)));
  const dir = join(cache, "engine", `source-${hash.digest("hex").slice(0, 16)}`);
  makeOnce(dir, (half) => {
    const sources = readdirSync(original).filter((name) => /\.[ch]$/.test(name));
    for (const name of sources) copyFileSync(join(original, name), join(half, name));
    for (const file of files) run("patch", ["-s", "-p1", "--fuzz=0", "-d", half, "-i", join(patches, file)]);
  });
  return dir;
}

/** Object files of the engine. Only the five files of the engine proper: nothing of quickjs-libc. */
export function engineObjects(toolchain: Toolchain): string[] {
  const flags = [...toolchain.compile, "-w"]; // it is not ours to fix
  const source = engineSource();
  // Without the clone's path: clones may share a cache.
  const what = JSON.stringify([source, toolchain.compiler, flags, SOURCES]).replaceAll(cache, "");
  const hash = createHash("sha256").update(what);
  const key = hash.update(compilerVersion(toolchain.compiler)).digest("hex").slice(0, 16);
  const dir = join(cache, "engine", `${toolchain.name}-${key}`);
  makeOnce(dir, (half) => {
    console.log(`engine: compiling QuickJS ${QUICKJS} (${toolchain.name})`);
    for (const [names, more] of SOURCES) {
      const own = [...flags, ...more, `-ffile-prefix-map=${source}/=`];
      const one = [toolchain.compiler, ...own, "-c", join(source, "{}.c"), "-o", join(half, "{}.o")];
      run("xargs", ["-P", "4", "-I{}", ...one], Buffer.from(names.join("\n")));
    }
  });
  return SOURCES.flatMap(([names]) => names).map((name) => join(dir, `${name}.o`));
}

/** JavaScript to bytecode. The same bytecode serves all variants of the engine with one order of bytes. */
export function compileBytecode(javascript: Uint8Array, { bigEndian = false }: Partial<Toolchain> = {}): Buffer {
  const toolchain = bigEndian ? muslS390x : musl;
  const source = join(root, "src/host/quickjs/compile.c");
  const objects = engineObjects(toolchain);
  const key = createHash("sha256").update(readFileSync(source)).update(objects.join()).digest("hex").slice(0, 16);
  const tool = join(cache, "engine", `compile-${key}`);
  if (!existsSync(tool)) {
    const own = [...toolchain.compile, "-Wall", "-Wextra", "-isystem", engineSource(), source];
    // Specs may be given once.
    const rest = toolchain.link.filter((flag) => !toolchain.compile.includes(flag));
    run(toolchain.compiler, [...own, ...objects, ...rest, "-lm", "-o", `${tool}.${process.pid}`]);
    renameSync(`${tool}.${process.pid}`, tool);
  }
  const bytecode =
    toolchain.emulator === undefined ? run(tool, [], javascript) : run(toolchain.emulator, [tool], javascript);
  // s390x wants symbols, such as the one behind it, at even addresses.
  return bytecode.length % 2 === 0 ? bytecode : Buffer.concat([bytecode, Buffer.alloc(1)]);
}
