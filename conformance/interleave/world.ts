// A world in which the calls of a pair run under one schedule after another.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { resolve } from "node:path";
import { Shell } from "../faults/shell.ts";
import { borrowCard, type Card } from "../harness/card.ts";
import { type Namespaces, openNamespaces } from "../harness/namespaces.ts";
import {
  BYSTANDERS_DEVICE,
  bystanderOf,
  type Call,
  isBystanders,
  type Operation,
  type Pair,
  PF,
  PLUGINS,
  VF,
} from "./calls.ts";
import { DELETE_BRIDGE, DELETE_EMPTY_TABLE, EMPTY_TABLE, pictureOf, stateOf, unlike } from "./picture.ts";
import { hasBystander, isKill } from "./schedule.ts";

const CASE = "/run/case";
/** Devices that are there before ADD, but for a borrowed card. */
const LENT = /^(nic[09]|nic[09]p|up0|up1|vf\d|lo)$/;

/** What a schedule has left. */
export interface Outcome {
  /** For each actor: "ok" with its addresses and its whole result, or its error. */
  readonly said: readonly string[];
  /** Beside a call that was killed, of a doctor that found something after it had cleaned up: what the next one says. */
  readonly again?: readonly (string | undefined)[];
  readonly left: readonly string[];
  /** What a pod that takes no part had, and has no more. */
  readonly lost: readonly string[];
  /** What each actor logged, for whoever looks for a cause. */
  readonly logged: readonly string[];
  /** System calls that each actor made, of those that others can notice. */
  readonly calls: readonly number[];
  /** For each turn of the schedule a letter of step.c's. */
  readonly turns: string;
  /** How often the fault was put in. */
  readonly spoiled: number;
}

/** Directories of the plugins. */
export interface Places {
  readonly bin: string;
  readonly peer: string;
}

export class World {
  readonly #ns: Namespaces;
  readonly #shell: Shell;
  readonly #root: string;
  readonly #pair: Pair;
  readonly #bin: string;
  readonly #peer: string;
  readonly #hasRules: boolean;
  #card: Card | undefined;
  /** What there is when nothing is attached. */
  #bare: readonly string[] = [];
  /** What the pod that takes no part has: undefined while it is not attached. */
  #bystanders: readonly string[] | undefined;

  private constructor(ns: Namespaces, pair: Pair, places: Places) {
    this.#ns = ns;
    this.#shell = new Shell(ns);
    this.#root = `/proc/${ns.pid}/root`;
    this.#pair = pair;
    this.#bin = resolve(places.bin);
    this.#peer = resolve(places.peer);
    this.#hasRules = pair.actors.some((actor) => "config" in actor && actor.config.type === "bridge");
  }

  /** @param tools directory of the compiled step.c and picture.c */
  static async open(pair: Pair, places: Places, tools: string): Promise<World> {
    const world = new World(await openNamespaces(), pair, places);
    if (pair.card) world.#card = world.#borrowCard();
    mkdirSync(`${world.#root}${CASE}`);
    for (const tool of ["step", "picture"]) {
      copyFileSync(`${tools}/${tool}`, `${world.#root}${CASE}/${tool}`);
      chmodSync(`${world.#root}${CASE}/${tool}`, 0o755);
    }
    await world.#shell.run(
      `mkdir -p /etc/cni/net.d; ip netns add c2; ip -n c2 link set lo up; ${BYSTANDERS_DEVICE}; ${pair.inside}`,
    );
    // The same in each world, so that what they leave can be compared.
    await world.#shell.run(
      `n=0; for name in up0 up1 nic0 nic0p nic9 nic9p; do n=$((n + 1)); ip link set $name address 02:00:00:00:aa:0$n 2>/dev/null; done; true`,
    );
    pair.actors.forEach((actor, n) => {
      world.#write(String(n), actor);
    });
    for (const actor of pair.actors)
      if ("config" in actor) writeFileSync(`${world.#root}/etc/cni/net.d/net1.conf`, world.#text(actor.config));
    if (pair.installs) await world.#layPlugins();
    world.#bare = await world.#left();
    return world;
  }

  #borrowCard(): Card {
    const sh = (script: string): string => {
      const run = spawnSync("nsenter", [...this.#ns.enter, "--", "sh", "-ec", script], { encoding: "utf8" });
      if (run.status !== 0) throw new Error(`${script}: ${run.stderr}`);
      return run.stdout;
    };
    return borrowCard({ ns: this.#ns, sh }, 1);
  }

  async close(): Promise<void> {
    this.#shell.close();
    await this.#ns.close();
  }

  /** The pair under this schedule. @param fault one of step.c's, in the actors and not in what prepares them */
  async run(schedule: string, fault?: string): Promise<Outcome> {
    if (this.#pair.installs) await this.#layPlugins();
    for (const actor of this.#pair.given) {
      const failed = await this.#alone(actor);
      if (failed !== "") throw new Error(`${nameOf(actor)} before the schedule: ${failed}`);
    }
    if (this.#pair.pods !== undefined) await this.#shell.run(this.#pair.pods);
    for (const pod of this.#pair.dead ?? []) await this.#shell.run(`ip netns del ${pod}`);
    if (this.#pair.dead !== undefined) await this.#shell.run(INTERFACES_GONE);
    this.#cacheDead();
    if (hasBystander(schedule)) await this.#attachBystander();
    const dirs = this.#pair.actors.map((_, n) => `${CASE}/${n}`).join(" ");
    const stepped = await this.#shell.run(
      `${CASE}/step ${fault === undefined ? "" : `-F ${quoted(fault)}`} ${quoted(schedule)} ${dirs} 2>&1`,
      60_000,
    );
    const lines = stepped.trim().split("\n");
    const [turns, spoiled] = lines.pop()!.split(" ");
    if (lines.length !== this.#pair.actors.length) throw new Error(stepped.trim());
    const reports = lines.map((line) => line.split(" ").map(Number));
    const left = await this.#left();
    const said = reports.map(([status], n) => this.#said(n, status!, "podnic" in this.#pair.actors[n]!));
    const again: (string | undefined)[] = [];
    for (const [n, actor] of this.#pair.actors.entries())
      if (isKill(schedule) && foundLater(said[n]!)) again[n] = (await this.#alone(actor)) || "ok";
    return {
      said,
      again,
      calls: reports.map(([, calls]) => calls!),
      turns: turns!,
      spoiled: Number(spoiled),
      left,
      lost: this.#lostOf(left),
      logged: reports.map((_, n) => readFileSync(`${this.#root}${CASE}/${n}/err`, "utf8").trim()),
    };
  }

  /**
   * What the runtime keeps of each attachment: without it nobody knows of a lease that its container is gone. And that of a pod that runs:
   * only with it /run/netns is the directory that the runtime meant, for a command that does not see the machine's processes.
   */
  #cacheDead(): void {
    if (this.#pair.dead === undefined) return;
    const dir = `${this.#root}/var/lib/cni/results`;
    mkdirSync(dir, { recursive: true });
    const keep = (networkName: string, containerId: string, pod: string) => {
      const entry = {
        kind: "cniCacheV1",
        containerId,
        ifName: "eth0",
        networkName,
        netns: `/run/netns/${pod}`,
        result: {},
      };
      writeFileSync(`${dir}/${networkName}-${containerId}-eth0`, JSON.stringify(entry));
    };
    keep("net0", "ctr-0", "c2");
    for (const call of this.#pair.given)
      if ("config" in call && this.#pair.dead.includes(call.pod!)) keep("net1", call.container!, call.pod!);
  }

  async #attachBystander(): Promise<void> {
    const bystander = bystanderOf(this.#pair);
    if (bystander === undefined) return;
    const failed = await this.#alone(bystander);
    if (failed !== "") throw new Error(`ADD of a bystander before the schedule: ${failed}`);
    this.#bystanders = (await this.#left()).filter(isBystanders);
  }

  #lostOf(left: readonly string[]): string[] {
    return (this.#bystanders ?? []).filter((line) => !left.includes(line));
  }

  /** What the others' DELs have taken from it, or its own DEL says. */
  async #detachBystander(): Promise<string[]> {
    if (this.#bystanders === undefined) return [];
    const lost = this.#lostOf(await this.#left()).map((line) => `after the DELs a bystander is without ${line}`);
    this.#bystanders = undefined;
    const failed = await this.#alone({ ...bystanderOf(this.#pair)!, command: "DEL" });
    return failed === "" ? lost : [...lost, `DEL of a bystander: ${failed}`];
  }

  /** DEL of all. @return what is not as in the beginning then */
  async clear(): Promise<string[]> {
    const found: string[] = [];
    for (const call of [...this.#pair.given, ...this.#pair.actors]) {
      if (!("config" in call) || call.container === undefined) continue;
      const failed = await this.#alone({ ...call, command: "DEL" });
      if (failed !== "") found.push(`DEL of ${call.container}: ${failed}`);
    }
    found.push(...(await this.#detachBystander()));
    for (const operation of this.#pair.after ?? []) {
      const failed = await this.#alone(operation);
      if (failed !== "") found.push(`${nameOf(operation)} after it: ${failed}`);
    }
    for (const pod of this.#pair.dead ?? []) await this.#shell.run(`ip netns add ${pod}; ip -n ${pod} link set lo up`);
    // A bridge that ADD made stays, empty, with forwarding and the table for all pods. The runtime forgets.
    if (this.#hasRules) await this.#shell.run(DELETE_BRIDGE);
    if (this.#pair.dead !== undefined) await this.#shell.run("rm -rf /var/lib/cni/results");
    const now = (await this.#left()).filter((line) => !this.#hasRules || !EMPTY_TABLE.includes(line));
    if (this.#hasRules) await this.#shell.run(DELETE_EMPTY_TABLE);
    found.push(...unlike(this.#bare, now));
    await this.#shell.run("rm -rf /var/lib/cni/* /run/cni/* /run/podnic");
    return found;
  }

  /** Two of the Go plugins, since copies of more only make a schedule longer. Links, since who replaces a file leaves the other link alone. */
  #layPlugins(): Promise<string> {
    const copies = `mkdir go; cp ${this.#peer}/macvlan ${this.#peer}/host-local go`;
    return this.#shell.run(`cd ${CASE}; [ -d go ] || { ${copies}; }; rm -rf ${PLUGINS}; cp -al go ${PLUGINS}`);
  }

  async #alone(actor: Call | Operation): Promise<string> {
    this.#write("alone", actor);
    const line = (await this.#shell.run(`${CASE}/step - ${CASE}/alone 2>&1`, 60_000)).trim();
    const said = this.#said("alone", Number(line.split(" ")[0]), "podnic" in actor);
    return said.startsWith("ok") ? "" : said;
  }

  #write(name: string, actor: Call | Operation): void {
    const dir = `${this.#root}${CASE}/${name}`;
    mkdirSync(dir, { recursive: true });
    const bin = this.#pair.installs ? PLUGINS : this.#bin;
    const environment = { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", CNI_PATH: bin };
    if ("podnic" in actor) {
      writeFileSync(`${dir}/exec`, `${this.#bin}/../podnic`);
      writeFileSync(`${dir}/arguments`, actor.podnic.map((text) => `${text}\0`).join(""));
      writeFileSync(`${dir}/in`, "");
    } else {
      Object.assign(environment, { CNI_COMMAND: actor.command, CNI_IFNAME: "eth0" });
      if (actor.container !== undefined) Object.assign(environment, { CNI_CONTAINERID: actor.container });
      if (actor.pod !== undefined) Object.assign(environment, { CNI_NETNS: `/run/netns/${actor.pod}` });
      writeFileSync(`${dir}/exec`, `${actor.peer ? this.#peer : bin}/${actor.config.type}`);
      writeFileSync(`${dir}/arguments`, "");
      writeFileSync(`${dir}/in`, this.#text(withPrevious(actor)));
    }
    writeFileSync(
      `${dir}/env`,
      Object.entries(environment)
        .map(([key, value]) => `${key}=${value}\0`)
        .join(""),
    );
  }

  #text(config: object): string {
    return JSON.stringify(config)
      .replace(VF, this.#card?.vfs[0] ?? VF)
      .replace(PF, this.#card?.pfPci ?? PF);
  }

  #said(name: string | number, status: number, operation: boolean): string {
    const out = readFileSync(`${this.#root}${CASE}/${name}/out`, "utf8");
    if (status === 9) return "killed";
    if (status !== 0 && status !== 256) return `wait status ${status}`;
    if (operation) return status === 0 ? "ok" : `failed: ${out}`;
    if (out === "") return status === 0 ? "ok" : "failed without a word";
    const document = JSON.parse(out) as { code?: number; msg?: string; ips?: { address: string }[] };
    if (status !== 0) return `error ${document.code}: ${document.msg}`;
    return [["ok", ...(document.ips ?? []).map((ip) => ip.address)].join(" "), wholeResult(document)].join(RESULT);
  }

  /** What the kernel has, by namespace, and the state's files. */
  async #left(): Promise<string[]> {
    const lent = this.#card === undefined ? LENT : new RegExp(`${LENT.source}|^${this.#card.pf}$`);
    const lines = await pictureOf((script) => this.#shell.run(script), `${CASE}/picture`, lent);
    if (this.#card !== undefined)
      lines.push(await this.#shell.run(`ip link show ${this.#card.pf} 2>/dev/null | grep 'vf 0' || true`));
    // ipvlan's notes are named by the host's namespace, which each world has its own of.
    for (const line of stateOf(this.#root)) lines.push(line.replace(/(\/ipvlan\/)\d+-/, "$1HOST-"));
    if (this.#pair.installs) lines.push(...(await this.#installed()));
    return lines.sort();
  }

  /** The plugins' directory: whose each file is, also the hidden ones. */
  async #installed(): Promise<string[]> {
    const sums = await this.#shell.run(`cd ${PLUGINS}; find . -type f -exec cksum {} + ; find . ! -type f`);
    return sums
      .trim()
      .split("\n")
      .map((line) => `plugins: ${line}`);
  }
}

/** The kernel deletes a dead pod's interfaces when it has time: until then the master of a macvlan is promiscuous, and a bridge has the port. */
const INTERFACES_GONE = `for n in $(seq 500); do
  ip -d -o link show up0 | grep -q "promiscuity 0 " && ! ip -o link show type veth | grep -qE " veth[0-9a-f]{8}@" && break
  sleep 0.01
done`;

/** doctor --fix has cleaned up what there was, and then reports what a killed call has left since. */
export const foundLater = (said: string): boolean => /; podnic doctor --fix can fix \d+\s*$/.test(said);

/** Between the addresses and the result that they are from. */
export const RESULT = " | ";

/** The members in one order, and what a plugin draws by lot alike: MAC addresses but the test's own, names of a bridge's ports. */
export function wholeResult(document: object): string {
  const sorted = (_: string, value: unknown): unknown =>
    value !== null && typeof value === "object" && !Array.isArray(value)
      ? Object.fromEntries(Object.entries(value).sort(([one], [other]) => (one < other ? -1 : 1)))
      : value;
  return JSON.stringify(document, sorted)
    .replace(/"(?!02:00:00:00:)[\da-f]{2}(:[\da-f]{2}){5}"/g, '"MAC"')
    .replace(/"veth[\da-f]{8}"/g, '"veth"');
}

/** For the shell, which reads nothing into it. */
const quoted = (text: string): string => `'${text.replaceAll("'", "'\\''")}'`;

const nameOf = (actor: Call | Operation): string => ("podnic" in actor ? actor.podnic.join(" ") : actor.command);

/** CHECK wants the result of ADD; it holds whatever address was given. */
function withPrevious(call: Call): object {
  if (call.command !== "CHECK") return call.config;
  return { ...call.config, prevResult: { cniVersion: "1.1.0", ips: [{ address: "198.51.100.10/24" }] } };
}
