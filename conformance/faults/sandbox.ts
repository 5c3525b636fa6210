// A sandbox of the matrix: namespaces with the device of the scenario, and calls of the plugin in it.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { cache } from "../../scripts/build/paths.ts";
import { type Namespaces, openNamespaces } from "../harness/namespaces.ts";
import { differences, type Picture, takePicture } from "./picture.ts";
import type { Scenario } from "./scenario.ts";
import { Shell } from "./shell.ts";

export interface Call {
  /** Exit status as a shell gives it: 137 is SIGKILL. */
  readonly status: number;
  readonly stdout: string;
  readonly stderr: string;
  /** What strace wrote; empty without it. */
  readonly trace: string;
}

export interface Settings {
  readonly bin: string;
  readonly scenario: Scenario;
  readonly ignore: ReadonlySet<string>;
}

const CASE = "/run/case";

export class Sandbox {
  readonly #ns: Namespaces;
  readonly #shell: Shell;
  readonly #settings: Settings;
  readonly #dir: string;
  /** Where leases are: on a disk, because nothing is synced on a tmpfs. */
  readonly #disk: string;
  readonly #told = new Set<string>();
  before: Picture = new Map();

  private constructor(ns: Namespaces, settings: Settings) {
    this.#ns = ns;
    this.#shell = new Shell(ns);
    this.#settings = settings;
    this.#dir = `/proc/${ns.pid}/root${CASE}`;
    mkdirSync(cache, { recursive: true });
    this.#disk = mkdtempSync(join(cache, "faults-"));
  }

  static async open(settings: Settings): Promise<Sandbox> {
    const ns = await openNamespaces();
    const sandbox = new Sandbox(ns, settings);
    mkdirSync(sandbox.#dir);
    outside(settings.scenario.outside, ns.pid);
    const disk = `mount --bind '${sandbox.#disk}' /var/lib/cni`;
    const failed = await sandbox.#shell.run(
      `(set -e; ${disk}; ${settings.scenario.inside}) 2>&1 || echo "failed ($?)"`,
    );
    if (failed.trim() !== "") {
      await sandbox.close();
      throw new Error(`cannot make the device: ${failed.trim()}`);
    }
    if (settings.scenario.names !== undefined) await sandbox.#watchNames();
    sandbox.before = await sandbox.#picture();
    return sandbox;
  }

  async close(): Promise<void> {
    this.#shell.close();
    await this.#ns.close();
    rmSync(this.#disk, { recursive: true });
    outside(this.#settings.scenario.after, 0);
  }

  /** Runs the plugin. `strace` are the options that inject something; "" only records. `more`: variables of the environment, for a shell. */
  async call(command: string, strace?: string, more = ""): Promise<Call> {
    const { bin, scenario } = this.#settings;
    rmSync(`${this.#dir}/trace`, { force: true });
    writeFileSync(`${this.#dir}/in`, JSON.stringify(scenario.config));
    const env = `CNI_COMMAND=${command} CNI_CONTAINERID=ctr-1 CNI_NETNS=/run/netns/c1 CNI_IFNAME=eth0 CNI_PATH='${bin}' ${more}`;
    const tracer = strace === undefined ? "" : `strace -f -q -o ${CASE}/trace ${strace}`;
    const said = await this.#shell.run(
      `env -i PATH="$PATH" ${env} ${tracer} '${bin}/${scenario.config.type}' <${CASE}/in >${CASE}/out 2>${CASE}/err; echo $?`,
    );
    return {
      status: Number(said),
      stdout: this.#read("out"),
      stderr: this.#read("err"),
      trace: strace === undefined ? "" : this.#read("trace"),
    };
  }

  /** What is not as it was at the start. */
  async changes(): Promise<string[]> {
    return differences(this.before, await this.#picture());
  }

  /** What ADD has made: the pod's links, addresses and routes, and which state files there are; not what each ADD may choose anew. */
  async made(): Promise<string> {
    const picture = await this.#picture();
    return [...picture]
      .filter(([what]) => !what.startsWith("host "))
      .map(([what, facts]) => `${what} ${facts.addresses ?? ""} ${facts.flags ?? ""} ${facts.mtu ?? ""}`.trim())
      .sort()
      .join("\n");
  }

  /** From now on, every name that a link has in host or pod is written down, however short it has it. */
  async #watchNames(): Promise<void> {
    const watch = (where: string, enter: string) =>
      `ip ${enter} monitor link >${CASE}/names-${where} 2>&1 </dev/null &`;
    await this.#shell.run(`${watch("host", "")} ${watch("pod", "-n c1")} sleep 0.5`);
  }

  /** Names that the scenario does not allow, each told once. */
  strangeNames(): string[] {
    const allowed = this.#settings.scenario.names;
    if (allowed === undefined) return [];
    return ["host", "pod"].flatMap((where) => {
      const lines = this.#read(`names-${where}`).matchAll(/^(?:Deleted )?\d+: ([^:@ ]+)/gm);
      const strange = [...new Set([...lines].map((match) => match[1]!))].filter((name) => !allowed.includes(name));
      const fresh = strange.map((name) => `${where} ${name}`).filter((name) => !this.#told.has(name));
      for (const name of fresh) this.#told.add(name);
      return fresh.map((name) => `for a moment there was ${name}`);
    });
  }

  /** State directories as on a node that never ran a plugin, so that making them is part of each run. */
  async forget(): Promise<void> {
    await this.#shell.run("rm -rf /var/lib/cni/* /run/cni/* /run/podnic");
  }

  #picture(): Promise<Picture> {
    return takePicture({ shell: this.#shell, ns: this.#ns, ignore: this.#settings.ignore });
  }

  #read(name: string): string {
    return readFileSync(`${this.#dir}/${name}`, "utf8");
  }
}

function outside(script: string, holder: number): void {
  if (script === "") return;
  const run = spawnSync("/bin/sh", ["-ec", script], {
    env: { ...process.env, HOLDER: String(holder) },
    encoding: "utf8",
  });
  if (run.status !== 0) throw new Error(`cannot prepare the device: ${run.stderr}`);
}
