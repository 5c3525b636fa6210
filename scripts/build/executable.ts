// Makes an executable from bytecode: links it, takes the heap snapshot, and writes the snapshot into the file.
import { chmodSync, mkdirSync, mkdtempSync, readFileSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { engineObjects, engineSource, type Toolchain } from "./engine.ts";
import { pack } from "./lz4.ts";
import { BuildError, cache, root, run } from "./paths.ts";

const PAGE = 4096;
/** Offsets in struct heap of native.c. */
const HEAD = { address: 0, used: 8, overflowed: 16, misplaced: 24 };

export interface Bytecode {
  main: Uint8Array;
  cli: Uint8Array;
}

/** The inputs of a snapshot. `plan` says where each allocation goes (plan.ts); if it is empty, allocations follow one another. */
export interface Program extends Bytecode {
  plan: Uint8Array;
}

/** Links the executable in `dir`. `shape`: macros, which native.c describes. */
export function link(toolchain: Toolchain, dir: string, bytecode: Bytecode, shape: string[]): string {
  const output = join(dir, "podnic");
  const source = join(root, "src/host/quickjs/native.c");
  const objects = engineObjects(toolchain);
  writeFileSync(join(dir, "main.qbc"), bytecode.main);
  writeFileSync(join(dir, "cli.qbc"), pack(bytecode.cli));
  const warnings = ["-Wall", "-Wextra", "-Werror"];
  // The assembler looks for .incbin files in its -I directories.
  const includes = ["-isystem", engineSource(), `-Wa,-I,${dir}`, `-ffile-prefix-map=${root}/=`];
  const own = join(dir, "native.o");
  run(toolchain.compiler, [
    ...toolchain.compile,
    ...(toolchain.own ?? []),
    `-DMACHINE="${toolchain.machine ?? "x64"}"`,
    ...warnings,
    ...shape,
    ...includes,
    "-c",
    source,
    "-o",
    own,
  ]);
  run(toolchain.compiler, [
    own,
    ...objects,
    ...toolchain.link,
    ...(toolchain.link.includes("-static") ? layOut(dir) : []),
    "-lm",
    "-o",
    output,
  ]);
  return output;
}

/**
 * Linker flags that put the functions of calls next to one another. Otherwise they would be spread over all of the code, of which the kernel maps 64
 * KiB at a time. The linker ignores a name that is in no object file, because compilers differ in what they inline.
 */
function layOut(dir: string): string[] {
  const names = readFileSync(join(root, "scripts/build/hot-functions.txt"), "utf8").trim().split("\n");
  // musl has a file instead of a section for each of its functions.
  const assembly = ["memcpy", "memmove", "memset", "__set_thread_area", "clone", "syscall_ret", "syscall_cp"];
  const libc = [...assembly, ...names].map((name) => `*libc.a:${name}.*(.text .text.*)`);
  const own = names.map((name) => `*(.text.${name} .text.${name}.*)`);
  const script = join(dir, "hot.ld");
  writeFileSync(
    script,
    `SECTIONS { .hot : { ${["*crt1.o(.text .text.*)", ...libc, ...own].join("\n")} } } INSERT BEFORE .text;\n`,
  );
  return [`-Wl,-T,${script}`];
}

/** File offset of a virtual address in a static 64-bit ELF file. */
function fileOffset(elf: Buffer, address: bigint, little: boolean): number {
  const fields = new DataView(elf.buffer, elf.byteOffset, elf.byteLength);
  const word = (at: number): bigint => fields.getBigUint64(at, little);
  const table = Number(word(32));
  for (let i = 0; i < fields.getUint16(56, little); i++) {
    const at = table + i * 56;
    const start = word(at + 16);
    const isLoad = fields.getUint32(at, little) === 1;
    if (isLoad && address >= start && address < start + word(at + 32)) return Number(word(at + 8) + address - start);
  }
  throw new BuildError("the executable's arena is not in its file");
}

interface Snapshot {
  image: Buffer;
  address: bigint;
  used: number;
  overflowed: boolean;
  misplaced: boolean;
}

/** Starts the executable with an empty arena. It writes out its arena after the evaluation of the bundle. */
function takeSnapshot(toolchain: Toolchain, executable: string, program: Program): Snapshot {
  const plan = `${executable}.plan`;
  writeFileSync(plan, program.plan);
  const command = toolchain.emulator === undefined ? [executable, plan] : [toolchain.emulator, executable, plan];
  const image = run(command[0]!, command.slice(1), program.main, {});
  const field = (at: number) => (toolchain.bigEndian ? image.readBigUInt64BE(at) : image.readBigUInt64LE(at));
  const isSet = (at: number) => field(at) !== 0n;
  const [used, address] = [Number(field(HEAD.used)), field(HEAD.address)];
  return { image, address, used, overflowed: isSet(HEAD.overflowed), misplaced: isSet(HEAD.misplaced) };
}

const sizeFile = join(cache, "engine", "arena-size");

/** Links with an arena of exactly the needed size. The size is known only after the first snapshot, so the last build's size is a first guess. */
function linkWithSnapshot(toolchain: Toolchain, dir: string, program: Program): string {
  let arena = 4 << 20;
  try {
    arena = Number(readFileSync(sizeFile, "utf8")) || arena;
  } catch {
    // This is the first build.
  }
  for (let tries = 0; tries < 8; tries++) {
    const executable = link(toolchain, dir, program, [`-DSNAPSHOT=${arena}`]);
    const { image, address, used, overflowed, misplaced } = takeSnapshot(toolchain, executable, program);
    if (misplaced) throw new BuildError(`the plan of the snapshot does not hold for ${toolchain.name}`);
    const exact = Math.ceil(used / PAGE) * PAGE;
    if (!overflowed && exact === arena) {
      const elf = readFileSync(executable);
      image.copy(elf, fileOffset(elf, address, !toolchain.bigEndian));
      writeFileSync(executable, elf);
      writeFileSync(sizeFile, String(arena));
      return executable;
    }
    arena = overflowed ? Math.max(arena * 2, 4 << 20) : exact;
  }
  throw new BuildError("the arena does not settle on a size");
}

/** Builds one executable into `target`. */
export function buildExecutable(toolchain: Toolchain, program: Program, snapshot: boolean, target: string): void {
  const dir = mkdtempSync(join(cache, "link-"));
  try {
    const executable = snapshot ? linkWithSnapshot(toolchain, dir, program) : link(toolchain, dir, program, []);
    chmodSync(executable, 0o755);
    mkdirSync(dirname(target), { recursive: true });
    // Renamed into place, so that a running plugin keeps its file.
    renameSync(executable, target);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
}
