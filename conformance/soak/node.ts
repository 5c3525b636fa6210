// A node in namespaces of its own, and one hand of its runtime: a shell that makes calls.
import { copyFileSync, mkdirSync, readdirSync, readFileSync } from "node:fs";
import { resolve } from "node:path";
import { Shell } from "../faults/shell.ts";
import { type Namespaces, openNamespaces } from "../harness/namespaces.ts";
import { EMPTY_TABLE, pictureOf, stateOf } from "../interleave/picture.ts";
import { devices } from "./pods.ts";
import { LENT } from "./strays.ts";

const CASE = "/run/case";
/** With the processes that it starts: a file of its own for each says what. */
const VALGRIND = "/usr/bin/valgrind --tool=callgrind --trace-children=yes --callgrind-out-file=/dev/null";

export interface Answer {
  /** 137: killed. */
  readonly status: number;
  readonly out: string;
}

export interface Call {
  readonly command: string;
  readonly config: object;
  readonly container?: string;
  readonly ifName?: string;
  readonly netns?: string;
}

/** What one call costs. */
export interface Cost {
  readonly cpu: number;
  readonly peak: number;
  readonly instructions: number;
}

export class Node {
  readonly #ns: Namespaces;
  readonly root: string;
  readonly bin: string;

  private constructor(ns: Namespaces, bin: string) {
    this.#ns = ns;
    this.root = `/proc/${ns.pid}/root`;
    this.bin = resolve(bin);
  }

  /** @param launch scripts/bench/launch.c, compiled. @param picture interleave/picture.c, compiled */
  static async open(bin: string, launch: string, picture: string): Promise<Node> {
    const node = new Node(await openNamespaces(), bin);
    mkdirSync(`${node.root}${CASE}`);
    copyFileSync(launch, `${node.root}${CASE}/launch`);
    copyFileSync(picture, `${node.root}${CASE}/picture`);
    const hand = node.hand("first");
    await hand.run(`ip netns del c1; chmod 755 ${CASE}/launch ${CASE}/picture`);
    for (const name of devices) await hand.makeDevice(name);
    hand.close();
    return node;
  }

  hand(name: string): Hand {
    return new Hand(this.#ns, this.bin, name);
  }

  close(): Promise<void> {
    return this.#ns.close();
  }

  leases(): Map<string, string> {
    const leases = new Map<string, string>();
    const top = `${this.root}/var/lib/cni/networks`;
    for (const network of names(top))
      for (const name of names(`${top}/${network}`))
        if (!/^(lock|last_reserved_ip\..*)$/.test(name))
          leases.set(`${network}/${name}`, readFileSync(`${top}/${network}/${name}`, "utf8"));
    return leases;
  }

  records(): string[] {
    return names(`${this.root}/var/lib/cni/podnic/host-device`).filter((name) => name !== "lock");
  }

  /** What the kernel and the disk have, but for leases and a masquerade's empty table: see interleave's picture.ts. */
  async lines(hand: Hand): Promise<string[]> {
    const kernel = await pictureOf((script) => hand.run(script, 60_000), `${CASE}/picture`, LENT);
    const disk = stateOf(this.root).filter((line) => !/^file \/var\/lib\/cni\/networks\/[^/]+\/[\d.]+ /.test(line));
    return [...kernel.filter((line) => !EMPTY_TABLE.includes(line)), ...disk].sort();
  }
}

/** Of all processes that callgrind tells of. */
export function instructionsOf(said: string): number {
  const counts = [...said.matchAll(/Collected : (\d+)/g)].map(([, count]) => Number(count));
  if (counts.length === 0) throw new Error(`callgrind counted nothing: ${said.slice(0, 500)}`);
  return counts.reduce((sum, count) => sum + count, 0);
}

function names(dir: string): string[] {
  try {
    return readdirSync(dir);
  } catch {
    return [];
  }
}

/** Makes one call after the other. */
export class Hand {
  readonly #shell: Shell;
  readonly #bin: string;
  readonly #files: string;

  constructor(ns: Namespaces, bin: string, name: string) {
    this.#shell = new Shell(ns);
    this.#bin = bin;
    this.#files = `${CASE}/${name}`;
  }

  run(script: string, limit = 30_000): Promise<string> {
    return this.#shell.run(script, limit);
  }

  close(): void {
    this.#shell.close();
  }

  /** A card of the node: a veth whose other end is up, with what host-device has to bring home. The one before it goes when the kernel has time. */
  makeDevice(name: string): Promise<string> {
    const mac = `02:00:00:00:0${name.slice(3)}`;
    return this.run(
      `for n in $(seq 100); do ip link add ${name} address ${mac}:01 type veth peer name ${name}p address ${mac}:02 && break; sleep 0.1; done 2>/dev/null; ip link set ${name}p up; ip link set ${name} up mtu 1400 alias 'rack ${name}'`,
    );
  }

  /** @param killAfter seconds */
  async call(call: Call, killAfter?: number): Promise<Answer> {
    const killer = killAfter === undefined ? "" : `timeout -s KILL ${killAfter.toFixed(4)}`;
    const said = await this.run(
      `${this.#prepared(call)} ${killer} ${this.#program(call)} <${this.#files}.in >${this.#files}.out 2>/dev/null; echo $?; cat ${this.#files}.out`,
      120_000,
    );
    const end = said.indexOf("\n");
    return { status: Number(said.slice(0, end)), out: said.slice(end + 1) };
  }

  /**
   * CPU time in microseconds and peak memory in KiB, and the fewest instructions in user space (callgrind).
   * A call takes one of a few paths, a tenth apart: of 3 calls, none may take the cheapest one.
   * @param most calls whose instructions are counted. @param enough instructions with which no more calls are
   */
  async cost(call: Call, undo: Call, rounds: number, most: number, enough: number): Promise<Cost> {
    const samples: { cpu: number; peak: number }[] = [];
    for (let round = 0; round < rounds; round++) {
      const line = await this.run(`${this.#prepared(call)} ${CASE}/launch ${this.#files}.in ${this.#program(call)}`);
      const [, cpu, peak, status] = line.split(" ").map(Number);
      if (status !== 0) throw new Error(`measured ${call.command}: wait status ${status}`);
      samples.push({ cpu: cpu!, peak: peak! });
      await this.call(undo);
    }
    const counted: number[] = [];
    while (counted.length < most && !counted.some((count) => count <= enough)) {
      const said = await this.run(
        `${this.#prepared(call)} ${VALGRIND} --log-file=${this.#files}.count.%p ${this.#program(call)} <${this.#files}.in >/dev/null 2>&1; cat ${this.#files}.count.*; rm ${this.#files}.count.*`,
        120_000,
      );
      counted.push(instructionsOf(said));
      await this.call(undo);
    }
    const median = (key: "cpu" | "peak") => samples.map((one) => one[key]).sort((a, b) => a - b)[rounds >> 1]!;
    return { cpu: median("cpu"), peak: median("peak"), instructions: Math.min(...counted) };
  }

  #program(call: Call): string {
    return `${this.#bin}/${(call.config as { type: string }).type}`;
  }

  #prepared({ command, config, container, ifName, netns }: Call): string {
    const environment = [
      `CNI_COMMAND=${command}`,
      `CNI_PATH=${this.#bin}`,
      ...(container === undefined ? [] : [`CNI_CONTAINERID=${container}`, `CNI_IFNAME=${ifName}`]),
      ...(netns === undefined ? [] : [`CNI_NETNS=${netns}`]),
    ];
    return `printf %s '${JSON.stringify(config)}' >${this.#files}.in; ${environment.join(" ")}`;
  }
}
