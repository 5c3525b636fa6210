// Installs and uninstalls over and over while a crowd of calls runs the plugins of the directory:
//   node scripts/ts.mjs conformance/install/main.ts [--rounds 1000]
// Fails when one call fails, when a name is missing or a file is neither of the two it may be, and when anything is left at the end. Every
// tenth installer is killed. Everything happens in namespaces of its own.
import { type ChildProcess, spawn } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, readdirSync, readFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { Command } from "commander";
import { enterSandbox, hideState } from "../../scripts/sandbox.ts";

interface Options {
  rounds: string;
  podnic: string;
  peer: string;
}

/** Names that are there before, as the Go plugins. */
const NAMES = ["host-device", "host-local", "ipvlan", "macvlan", "static"];
const CALLERS = 4;
/** Rounds that a call hangs in its plugin, which is replaced meanwhile. */
const HELD = 3;

interface Ended {
  status: number | null;
  stdout: string;
  stderr: string;
}

function ended(child: ChildProcess): Promise<Ended> {
  const said = { stdout: "", stderr: "" };
  child.stdout!.setEncoding("utf8").on("data", (data) => (said.stdout += data));
  child.stderr!.setEncoding("utf8").on("data", (data) => (said.stderr += data));
  return new Promise((done) => {
    child.on("error", (error) => done({ status: -1, stdout: "", stderr: error.message }));
    child.on("close", (status) => done({ status, ...said }));
  });
}

const hash = (data: Uint8Array): string => createHash("sha256").update(data).digest("hex");

class Test {
  readonly bin = mkdtempSync(join(tmpdir(), "podnic-install-"));
  readonly data = mkdtempSync(join(tmpdir(), "podnic-leases-"));
  readonly failures: string[] = [];
  readonly #originals: Map<string, string>;
  readonly #podnic: string;
  over = false;
  calls = 0;
  looks = { podnic: 0, original: 0 };

  constructor(readonly options: Options) {
    for (const name of NAMES) copyFileSync(join(options.peer, name), join(this.bin, name));
    this.#originals = new Map(NAMES.map((name) => [name, hash(readFileSync(join(this.bin, name)))]));
    this.#podnic = hash(readFileSync(options.podnic));
  }

  fail(what: string): void {
    this.failures.push(what);
    if (this.failures.length <= 10) console.error(what);
  }

  /** One call, as a runtime makes it. `hold`: its configuration comes only then. */
  async call(command: string, name: string, container: string, hold?: Promise<void>): Promise<void> {
    const env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: container,
      CNI_NETNS: "/run/netns/nowhere",
      CNI_IFNAME: "eth0",
      CNI_PATH: this.bin,
    };
    const child = spawn(join(this.bin, name), { env, stdio: ["pipe", "pipe", "pipe"] });
    const end = ended(child);
    await hold;
    const ipam =
      name === "static"
        ? { type: name, addresses: [{ address: "192.0.2.1/24" }] }
        : { type: name, ranges: [[{ subnet: "10.0.0.0/16" }]], dataDir: this.data };
    child.stdin!.on("error", () => {}).end(JSON.stringify({ cniVersion: "1.0.0", name: "load", type: name, ipam }));
    const { status, stdout, stderr } = await end;
    this.calls++;
    const whole = command === "DEL" ? stdout === "" : isDocument(stdout);
    if (status !== 0 || !whole) this.fail(`${command} of ${name}: status ${status}, ${stdout}${stderr}`);
  }

  /** Calls of all kinds, one after the other, until it is over. */
  async crowd(number: number): Promise<void> {
    for (let i = 0; !this.over; i++) {
      const container = `c${number}-${i}`;
      await this.call("ADD", "host-local", container);
      await this.call("DEL", "host-local", container);
      await this.call("ADD", "static", container);
      for (const name of ["host-device", "ipvlan", "macvlan"]) await this.call("VERSION", name, container);
    }
  }

  /** Reads the files as they are. */
  look(name: string): void {
    try {
      const found = hash(readFileSync(join(this.bin, name)));
      if (found === this.#podnic) this.looks.podnic++;
      else if (found === this.#originals.get(name)) this.looks.original++;
      else this.fail(`${name} is neither podnic nor what it was`);
    } catch (error) {
      this.fail(`${name}: ${error}`);
    }
  }

  async installer(args: string[], kill: boolean): Promise<void> {
    const child = spawn(this.options.podnic, [...args, this.bin], { stdio: ["ignore", "pipe", "pipe"] });
    const timer = kill ? setTimeout(() => child.kill("SIGKILL"), Math.random() * 150) : undefined;
    const { status, stderr } = await ended(child);
    clearTimeout(timer);
    if (status !== 0 && !kill) this.fail(`podnic ${args.join(" ")}: status ${status}, ${stderr}`);
  }

  async rounds(): Promise<void> {
    const looking = setInterval(() => this.look(NAMES[Math.floor(Math.random() * NAMES.length)]!), 10);
    let held: { release: () => void; call: Promise<void> } | undefined;
    for (let round = 0; round < Number(this.options.rounds); round++) {
      if (round % HELD === 0) {
        held?.release();
        await held?.call;
        held = this.holdCall(round);
      }
      await this.installer(["install", "--backup"], round % 20 === 9);
      await this.installer(["uninstall"], round % 20 === 19);
    }
    held?.release();
    await held?.call;
    clearInterval(looking);
  }

  /** A plugin that runs, and waits for its input, while its file is replaced. */
  holdCall(round: number): { release: () => void; call: Promise<void> } {
    let release = (): void => {};
    const hold = new Promise<void>((done) => {
      release = done;
    });
    return { release, call: this.call("ADD", "static", `held-${round}`, hold) };
  }

  /** Everything is what it was. */
  async end(): Promise<void> {
    await this.installer(["install", "--backup"], false);
    await this.installer(["uninstall"], false);
    const left = readdirSync(this.bin).sort();
    if (left.join() !== NAMES.join()) this.fail(`left in the end: ${left.join(", ")}`);
    for (const name of NAMES) {
      if (hash(readFileSync(join(this.bin, name))) !== this.#originals.get(name))
        this.fail(`${name} is not what it was`);
    }
  }

  async run(): Promise<void> {
    const crowd = Array.from({ length: CALLERS }, (_, number) => this.crowd(number));
    await this.rounds();
    this.over = true;
    await Promise.all(crowd);
    await this.end();
  }
}

function isDocument(text: string): boolean {
  try {
    return typeof JSON.parse(text) === "object";
  } catch {
    return false;
  }
}

async function main(): Promise<void> {
  const given = new Command("install")
    .option("--rounds <n>", "how often", "100")
    .option("--podnic <file>", "the executable", "dist/podnic")
    .option("--peer <dir>", "the Go plugins, which are there before", "/usr/lib/cni")
    .parse()
    .opts<Options>();
  hideState();
  // What the sandbox hides goes with it; so must the directories of the test.
  mkdirSync("/run/tmp");
  process.env.TMPDIR = "/run/tmp";
  const test = new Test({ ...given, podnic: resolve(given.podnic) });
  const start = Date.now();
  await test.run();
  const { calls, looks, failures } = test;
  const seconds = ((Date.now() - start) / 1000).toFixed(0);
  console.log(
    `${given.rounds} times installed and uninstalled in ${seconds} s: ${calls} calls, ${looks.podnic} looks at podnic and ${looks.original} at the Go plugins, ${failures.length} failed`,
  );
  const idle = calls === 0 || looks.podnic === 0 || looks.original === 0;
  if (failures.length > 0 || idle) process.exitCode = 1;
}

if (enterSandbox("conformance/install/main.ts")) await main();
