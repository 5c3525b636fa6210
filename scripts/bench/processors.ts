// `node scripts/ts.mjs scripts/bench/processors.ts`: prints the size of the executable for each processor, and the instructions of two calls. Needs
// the builds (scripts/build.ts --target NAME); a missing build gives no row. QEMU's user emulation counts by writing a line for each instruction. On
// x86-64, callgrind counts, under which podnic opens directories step by step.
import { spawnSync } from "node:child_process";
import { closeSync, existsSync, mkdtempSync, openSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { cache, dist } from "../build/paths.ts";

/** The emulator for each processor. x64 needs none. */
const EMULATORS = {
  x64: "",
  arm64: "arm64/usr/bin/qemu-aarch64",
  s390x: "s390x/usr/bin/qemu-s390x",
  riscv64: "riscv64/usr/bin/qemu-riscv64",
  ppc64le: "ppc64le/usr/bin/qemu-ppc64le",
};
/** ADD of static creates no device, so its instructions are podnic's own. */
const CALLS = [
  ["macvlan", "VERSION", { cniVersion: "1.0.0" }],
  [
    "static",
    "ADD",
    {
      cniVersion: "1.0.0",
      name: "counted",
      type: "macvlan",
      ipam: {
        type: "static",
        addresses: [{ address: "10.1.0.2/24", gateway: "10.1.0.1" }],
        routes: [{ dst: "0.0.0.0/0" }],
      },
    },
  ],
] as const;

const scratch = mkdtempSync(join(tmpdir(), "podnic-processors-"));

function count(program: string, emulator: string, command: string, config: object): number {
  const log = join(scratch, "log");
  const input = join(scratch, "in");
  writeFileSync(input, JSON.stringify(config));
  const stdin = openSync(input, "r");
  const argv =
    emulator === ""
      ? ["valgrind", "--tool=callgrind", "--callgrind-out-file=/dev/null", `--log-file=${log}`, program]
      : [join(cache, emulator), "-one-insn-per-tb", "-d", "exec,nochain", "-D", log, program];
  const env = {
    PATH: process.env.PATH,
    CNI_COMMAND: command,
    CNI_CONTAINERID: "counted",
    CNI_NETNS: "/proc/self/ns/net",
    CNI_IFNAME: "eth0",
    CNI_PATH: "/nonexistent",
  };
  const run = spawnSync(argv[0]!, argv.slice(1), { env, stdio: [stdin, "pipe", "pipe"], encoding: "utf8" });
  closeSync(stdin);
  if (run.status !== 0) throw new Error(`${program} ${command}: ${run.error ?? run.stdout + run.stderr}`);
  const text = readFileSync(log, "utf8");
  rmSync(log);
  if (emulator === "") return Number(/Collected : (\d+)/.exec(text)?.[1]);
  return text.split("\n").length - 1;
}

const format = (number: number): string => number.toLocaleString("en");

console.log("| processor | bytes | VERSION | ADD of static |\n| --- | ---: | ---: | ---: |");
try {
  for (const [name, emulator] of Object.entries(EMULATORS)) {
    const dir = name === "x64" ? join(dist, "cni") : join(dist, `linux-${name}`, "cni");
    if (!existsSync(dir)) continue;
    const size = statSync(join(dir, "static")).size;
    const counts = CALLS.map(([plugin, command, config]) => count(join(dir, plugin), emulator, command, config));
    console.log(`| ${name} | ${[size, ...counts].map(format).join(" | ")} |`);
  }
} finally {
  rmSync(scratch, { recursive: true });
}
