// The power is cut, between any two writes that a disk may keep apart: see README.md and --help.
import { spawnSync } from "node:child_process";
import { existsSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { cache, root } from "../../scripts/build/paths.ts";
import { Random } from "../../src/testing/random.ts";
import { Shell } from "../faults/shell.ts";
import { countOption, Exit, fileOption, severalOf, testProgram } from "../harness/options.ts";
import { compileTools } from "../interleave/picture.ts";
import { Disk, lookAt, type Node, prepareNode } from "./aftermath.ts";
import { type Cut, cutPoints, cutsAt, type Judged, verdictOf } from "./cuts.ts";
import { drawSteps, record } from "./recording.ts";
import { type FileSystem, fileSystems } from "./systems.ts";

const FAULTS = ["none", "fsync-file", "fsync-directory"];

interface Options {
  bin: string;
  fs: string[];
  without: string[];
  calls: number;
  looks?: number;
  subsets: number;
  brief: boolean;
  seed: number;
  json?: string;
  timeout: number;
}

interface Report extends Judged {
  readonly system: string;
  /** "none", or what was taken away. */
  readonly without: string;
  readonly points: number;
  readonly wrong: readonly { readonly cut: string; readonly found: readonly string[] }[];
  readonly ownerless: number;
  /** Disks on which a new name was another file's, as a file system without a journal may leave it. */
  readonly renamed: number;
  readonly seconds: number;
}

const inGuest = process.env.PODNIC_VM !== undefined;
const systems = fileSystems.map(({ name }) => name);
const program = testProgram("powercut")
  .description(
    "Records the writes of ADDs and DELs on a file system in a QEMU guest, and looks at what a node finds when the power was cut:\n" +
      "after each flush and acknowledgement, with nothing, all and parts of what had not been flushed.\n\n" +
      "Needs root, gcc and what conformance/vm needs.",
  )
  .option("--bin <dir>", "directory of the plugins", "dist/cni")
  .option("--fs <name>", `only this file system: ${systems.join(", ")} (repeatable)`, severalOf(systems), [])
  .option("--without <fsync>", `only with this taken away: ${FAULTS.join(", ")} (repeatable)`, severalOf(FAULTS), [])
  .option("--calls <n>", "ADDs and DELs to record", countOption(1), 60)
  .option("--looks <n>", "cuts to look at, drawn (default: all)", countOption(1))
  .option("--subsets <n>", "parts of what was not flushed, at each point, besides nothing and all", countOption(), 3)
  .option("--brief", "only mount and read the leases, and call nothing: a look takes a third of the time", false)
  .option("--seed <n>", "draws others", countOption(), 1)
  .option("--timeout <s>", "seconds that the guest may take", countOption(1), 7200)
  // The machine writes it, not the guest.
  .option("--json <file>", "write the outcome there", inGuest ? (text: string) => text : fileOption);
const options = program.parse().opts<Options>();
const tools = join(cache, "powercut");

function complain(text: string): never {
  console.error(`powercut: ${text}`);
  process.exit(Exit.refused);
}

/** Builds what the guest needs, and goes on in there. */
function outside(): number {
  if (process.getuid?.() !== 0) complain("needs root");
  for (const plugin of ["host-local", "host-device"])
    if (!existsSync(join(resolve(options.bin), plugin)))
      complain(`no ${plugin} in ${options.bin}: --bin is the plugins' directory; run npm run build`);
  try {
    compileTools(tools, ["conformance/powercut/mark.c"], ["-static"]);
  } catch (error) {
    complain((error as Error).message);
  }
  const run = (...command: string[]) =>
    spawnSync(command[0]!, command.slice(1), { stdio: "inherit", cwd: root }).status ?? Exit.untested;
  const setUp = run("conformance/vm/setup", "--filesystems");
  if (setUp !== 0) return setUp;
  // Several guests may be at work.
  process.env.POWERCUT_REPORT = `powercut-${process.pid}.json`;
  const inner = join(cache, "vm/out", process.env.POWERCUT_REPORT);
  const guest = ["conformance/vm/run", "--igb", "0", "--timeout", String(options.timeout), "--"];
  const status = run(...guest, "node", "scripts/ts.mjs", "conformance/powercut/main.ts", ...process.argv.slice(2));
  if (options.json !== undefined && existsSync(inner)) writeFileSync(options.json, readFileSync(inner));
  rmSync(inner, { force: true });
  return status;
}

/** A cut of the whole log on a file system. */
async function examine(system: FileSystem, without: string, shell: Shell, node: Node): Promise<Report> {
  const began = Date.now();
  const random = new Random(options.seed);
  const fault = without === "none" ? undefined : without;
  const recording = record(system, drawSteps(options.calls, random), fault, resolve(options.bin), tools);
  const points = cutPoints(recording.log);
  const all = points.flatMap((at) => cutsAt(recording.log, at, options.subsets, random));
  const looks = some(all, options.looks ?? all.length, random);
  const disk = new Disk(recording);
  const wrong: { cut: string; found: readonly string[] }[] = [];
  let ownerless = 0;
  let renamed = 0;
  for (const cut of looks) {
    const found = await disk.during(cut, () =>
      lookAt(shell, system, recording, cut, resolve(options.bin), options.brief, node),
    );
    ownerless += found.ownerless;
    if (found.renamed) renamed++;
    if (found.wrong.length === 0) continue;
    const text = `${cut.at} of ${recording.log.length}${cut.more.length === 0 ? "" : ` and ${cut.more.join(" ")}`}`;
    wrong.push({ cut: text, found: found.wrong });
    if (without === "none" && wrong.length <= 5)
      console.log(`  ${text}\n      ${found.wrong.slice(0, 6).join("\n      ")}`);
  }
  disk.close();
  const asExpected = without === "none" ? wrong.length === 0 : wrong.length > 0 || !system.needs.includes(without);
  const seconds = (Date.now() - began) / 1000;
  return {
    system: system.name,
    without,
    points: points.length,
    looks: looks.length,
    wrong,
    ownerless,
    renamed,
    asExpected,
    seconds,
  };
}

/** In the order of the log, because the disk is played forward only. */
function some(all: readonly Cut[], count: number, random: Random): Cut[] {
  if (count >= all.length) return [...all];
  const chosen = new Set<Cut>();
  while (chosen.size < count) chosen.add(random.pick(all));
  return all.filter((cut) => chosen.has(cut));
}

async function inside(): Promise<number> {
  const packages = join(cache, "vm/filesystems/root");
  const { PATH } = process.env;
  process.env.PATH = `${packages}/sbin:${packages}/bin:${PATH}`;
  process.env.LD_LIBRARY_PATH = `${packages}/usr/lib/x86_64-linux-gnu:${packages}/lib/x86_64-linux-gnu`;
  process.env.DM_DISABLE_UDEV = "1";
  const node = prepareNode(tools);
  const shell = new Shell({ enter: [] });
  const reports: Report[] = [];
  for (const system of fileSystems.filter(({ name }) => options.fs.length === 0 || options.fs.includes(name))) {
    for (const without of FAULTS.filter((one) => options.without.length === 0 || options.without.includes(one))) {
      const report = await examine(system, without, shell, node);
      reports.push(report);
      const { points, looks, wrong, ownerless, renamed, seconds } = report;
      const what = without === "none" ? "" : ` without ${without}`;
      const other = renamed === 0 ? "" : `, ${renamed} with a new name on another file`;
      const counts = `${points} cut points, ${looks} looks, ${wrong.length} wrong, ${ownerless} leases without an owner${other}`;
      console.log(
        `${system.name}${what}: ${counts} (${seconds.toFixed(0)} s)${report.asExpected ? "" : " UNEXPECTED"}`,
      );
      if (without !== "none") console.log(`  ${wrong[0]?.found[0] ?? "nobody noticed"}`);
    }
  }
  shell.close();
  writeFileSync(
    join(process.env.PODNIC_VM_OUT!, process.env.POWERCUT_REPORT!),
    `${JSON.stringify(reports, null, 1)}\n`,
  );
  return verdictOf(reports);
}

process.exitCode = inGuest ? await inside() : outside();
