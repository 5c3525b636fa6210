// Prepares the engine's source with our patches, its object files, and the bytecode compiler. They are kept in .cache under a hash of their inputs.
import { createHash } from "node:crypto";
import { copyFileSync, existsSync, mkdirSync, readdirSync, readFileSync, renameSync, rmSync } from "node:fs";
import { join } from "node:path";
import type { Machine } from "../../src/host/syscalls.ts";
import { BuildError, cache, root, run } from "./paths.ts";

export const QUICKJS = "2025.04.26";
const original = join(cache, "quickjs", QUICKJS);
const patches = join(root, "scripts/build/patches");
/** The engine's files, and additional flags for each group: only the interpreter itself needs to be fast. */
const SOURCES: [names: string[], flags: string[]][] = [
  [["quickjs"], []],
  [["libregexp", "libunicode", "cutils", "dtoa"], ["-Os"]],
];

/** How the C code of one kind of executable is compiled and linked. */
export interface Toolchain {
  name: string;
  compiler: string;
  compile: string[];
  link: string[];
  /** The program that runs the executables, if this machine cannot. */
  emulator?: string;
  bigEndian?: boolean;
  /** The name in host/syscalls.ts; by default x64. */
  machine?: Machine;
  /** Flags for native.c alone. */
  own?: string[];
}

const common = [
  "-std=gnu11",
  "-O2",
  "-fwrapv", // the engine relies on it
  "-fno-pie",
  "-D_GNU_SOURCE",
  `-DCONFIG_VERSION="${QUICKJS}"`,
];
// Without alignment, the executable is 26 KB smaller, and nothing was measurably slower.
const dense = ["-falign-jumps=1", "-falign-labels=1", "-falign-loops=1"];
const small = [...dense, "-ffunction-sections", "-fdata-sections", "-fno-asynchronous-unwind-tables", "-fno-ident"];
// musl has no kernel headers, so use the distribution's, after musl's own.
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
 * In a static executable, nothing makes these pages read-only after the start, as a dynamic linker would. On machines with pages of 64 KiB, RELRO
 * would add up to 64 KiB to the file, because it begins on its own page. x86-64 has pages of 4 KiB.
 */
const withoutRelro = "-Wl,-z,norelro";

/** Debian's cross compiler with musl's own specs for it (scripts/cross). */
export const muslArm64: Toolchain = {
  name: "musl-arm64",
  compiler: "aarch64-linux-gnu-gcc",
  // The engine uses no atomics, so it need not ask which ones the processor has.
  compile: [...common, ...small, `-specs=${join(cache, "arm64/musl.specs")}`, "-mno-outline-atomics"],
  link: [...tight, withoutRelro, `-specs=${join(cache, "arm64/musl.specs")}`],
  machine: "arm64",
  emulator: join(cache, "arm64/usr/bin/qemu-aarch64"),
};

/**
 * The same for s390x (scripts/cross s390x). It is big-endian, so its bytecode needs its own compiler. With -O2, the executable would exceed its
 * budget.
 */
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
  // For the engine's Atomics, which podnic never calls: this compiler implements some of them as calls of libatomic.
  link: [...tight, withoutRelro, `-specs=${join(cache, "riscv64/musl.specs")}`, "-latomic"],
  machine: "riscv64",
  emulator: join(cache, "riscv64/usr/bin/qemu-riscv64"),
};

/**
 * The same for ppc64le (scripts/cross ppc64le). The compiler's long double consists of two doubles, but musl's is one double. With -O2, the
 * executable would exceed its budget.
 */
export const muslPpc64le: Toolchain = {
  name: "musl-ppc64le",
  compiler: "powerpc64le-linux-gnu-gcc",
  compile: [...common, ...small, `-specs=${join(cache, "ppc64le/musl.specs")}`, "-mlong-double-64", "-Os"],
  link: [...tight, withoutRelro, `-specs=${join(cache, "ppc64le/musl.specs")}`],
  machine: "ppc64le",
  emulator: join(cache, "ppc64le/usr/bin/qemu-ppc64le"),
};

/** Collects garbage at every allocation, so that a use after free shows at once. */
export const gcStress: Toolchain = { ...musl, name: "gc-stress", compile: [...musl.compile, "-DFORCE_GC_AT_MALLOC"] };

/** Refuses the allocation that a test selects (conformance/faults/allocations.ts). */
export const refusing: Toolchain = { ...musl, own: ["-DREFUSE"] };

/** Address and undefined-behaviour sanitizers; the first finding ends the program with a report. */
const sanitizers = ["-fsanitize=address,undefined", "-fno-sanitize-recover=all", "-fno-omit-frame-pointer", "-g1"];
export const sanitize: Toolchain = {
  name: "sanitize",
  compiler: "gcc",
  compile: [...common, ...sanitizers, "-DLIBC_MALLOC"],
  link: ["-no-pie", ...sanitizers],
};

/** Each memory access calls a function of written.h. The executable runs only a dozen times, so it is compiled fast rather than well. */
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

/** Creates a directory of .cache completely or not at all, because builds may run at the same time. */
function makeOnce(dir: string, fill: (half: string) => void): void {
  if (existsSync(dir)) return;
  const half = `${dir}.${process.pid}`;
  mkdirSync(half, { recursive: true });
  fill(half);
  rmSync(dir, { recursive: true, force: true });
  renameSync(half, dir);
}

/** Returns the directory of the engine's source with our patches. Throws BuildError if a patch does not fit exactly. */
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

/** Returns the engine's object files: only its five own files, without quickjs-libc. */
export function engineObjects(toolchain: Toolchain): string[] {
  const flags = [...toolchain.compile, "-w"]; // the engine is not ours, so its warnings do not matter
  const source = engineSource();
  // The hash leaves out the clone's path, because clones may share a cache.
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

/** Compiles JavaScript to bytecode. All variants of the engine with the same byte order use the same bytecode. */
export function compileBytecode(javascript: Uint8Array, { bigEndian = false }: Partial<Toolchain> = {}): Buffer {
  const toolchain = bigEndian ? muslS390x : musl;
  const source = join(root, "src/host/quickjs/compile.c");
  const objects = engineObjects(toolchain);
  const key = createHash("sha256").update(readFileSync(source)).update(objects.join()).digest("hex").slice(0, 16);
  const tool = join(cache, "engine", `compile-${key}`);
  if (!existsSync(tool)) {
    const own = [...toolchain.compile, "-Wall", "-Wextra", "-isystem", engineSource(), source];
    // The compiler accepts the option -specs only once.
    const rest = toolchain.link.filter((flag) => !toolchain.compile.includes(flag));
    run(toolchain.compiler, [...own, ...objects, ...rest, "-lm", "-o", `${tool}.${process.pid}`]);
    renameSync(`${tool}.${process.pid}`, tool);
  }
  const bytecode =
    toolchain.emulator === undefined ? run(tool, [], javascript) : run(toolchain.emulator, [tool], javascript);
  // s390x requires symbols at even addresses, such as the symbol after the bytecode.
  return bytecode.length % 2 === 0 ? bytecode : Buffer.concat([bytecode, Buffer.alloc(1)]);
}
