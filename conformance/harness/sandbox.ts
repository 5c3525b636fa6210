// The mechanics of one case: namespaces, devices, configurations, calls of plugins. Judgement is in trial.ts.
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname } from "node:path";
import { Mismatch, NotRunnable } from "./case.ts";
import { type Run, type RunOptions, runIn } from "./invoke.ts";
import { type Link, parseLinks, parseRoutes, type Route } from "./kernel.ts";
import { type Config, type Main, mainPlugin } from "./mains.ts";
import type { Namespaces } from "./namespaces.ts";
import { PICTURE_SCRIPT, type Picture, parsePicture, stateFiles } from "./state.ts";
import { type Behaviour, Stub } from "./stub.ts";

export type Env = Record<string, string | undefined>;

export interface CallOptions extends RunOptions {
  /** Changes to the baseline environment; undefined removes a variable. */
  readonly set?: Env;
  /** Replaces the whole environment. */
  readonly only?: Record<string, string>;
  /** Shell code around the plugin, which is "$@". */
  readonly wrap?: string;
  /** Another plugin than the configuration's type. */
  readonly plugin?: string;
  /** Directory of the plugin; BIN when absent. */
  readonly bin?: string;
}

export type Stdin = Config | string | Uint8Array;

export interface Settings {
  readonly bin: string;
  readonly peer?: string;
  /** Top of this repository, for example configurations. */
  readonly root: string;
  /** cniVersion of the baseline configuration. */
  readonly spec: string;
  /** The MAIN of this case. */
  readonly main: string | undefined;
  /** What this case says that it needs; unknown when absent. */
  readonly needs?: readonly string[];
  /** Every MAIN of the run. */
  readonly mains?: readonly string[];
  /** Configuration keys of a MAIN that the suite does not know. */
  readonly keys?: Config;
  /** Spec versions each plugin of BIN lists, by plugin. */
  readonly versions: Readonly<Record<string, readonly string[]>>;
  /** How long a case may take, in ms; CASE_LIMIT_MS when absent. */
  readonly limitMs?: number;
}

export const CASE_LIMIT_MS = 20_000;

export const RANGE = "198.51.100.0/24";
export const SYSTEM_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";

const WITHOUT_CHECK = ["0.1.0", "0.2.0", "0.3.0", "0.3.1"];

export class Sandbox {
  readonly root: string;
  readonly #deadline: number;
  #devices = 0;

  constructor(
    readonly ns: Namespaces,
    readonly settings: Settings,
  ) {
    this.root = `/proc/${ns.pid}/root`;
    this.#deadline = Date.now() + (settings.limitMs ?? CASE_LIMIT_MS);
  }

  get main(): Main {
    return mainPlugin(this.settings.main ?? "macvlan", this.settings.keys);
  }

  /** The key of MAIN's configuration that names a device of the host. Ends the case as not runnable when it has none. */
  get deviceKey(): string {
    const { deviceKey, name } = this.main;
    if (deviceKey === undefined) throw new NotRunnable(`no key of ${name} is known to name a device of the host`);
    return deviceKey;
  }

  /** Options of a call that goes to the plugins of --peer. */
  get byPeer(): { bin: string; set: Env } {
    const bin = this.settings.peer ?? "";
    return { bin, set: { CNI_PATH: bin } };
  }

  // Running things

  /** Runs any program in the case's namespaces; it is killed when the case's time is over. */
  run(argv: readonly string[], options: RunOptions = {}): Run {
    const left = Math.max(1, this.#deadline - Date.now());
    return runIn(this.ns, argv, { ...options, timeoutMs: Math.min(options.timeoutMs ?? left, left) });
  }

  sh(script: string, options: RunOptions = {}): string {
    const run = this.run(["sh", "-ec", script], options);
    if (run.status !== 0) throw new Error(`set-up failed (${run.status}): ${script}\n${run.stderr}`);
    return run.stdout;
  }

  /** Runs a plugin as a runtime would. @throws NotRunnable for CHECK in a run with --spec below 0.4.0, which has none */
  call(command: string, stdin: Stdin, options: CallOptions = {}): Run {
    const { spec } = this.settings;
    if (command === "CHECK" && WITHOUT_CHECK.includes(spec) && (stdin as Config).cniVersion === spec)
      throw new NotRunnable(`CNI ${spec} has no CHECK`);
    const plugin = `${options.bin ?? this.settings.bin}/${options.plugin ?? this.typeOf(stdin)}`;
    const env = options.only ?? this.environment(command, options.set);
    const argv = options.wrap === undefined ? [plugin] : ["/bin/sh", "-c", options.wrap, "sh", plugin];
    const run = this.run(argv, { ...options, env, input: this.bytes(stdin) });
    if (command === "ADD" && run.status === 0) this.#declared(stdin);
    return run;
  }

  /** Demands that a case whose ADD has ipMasq names NAT of the family inet among its needs: kernels that lack it would fail it. */
  #declared(stdin: Stdin): void {
    const { needs } = this.settings;
    const { ipMasq, ipam, ipMasqBackend } = stdin as Config;
    const need = "kernel:inet_nat";
    if (ipMasq === true && ipam !== undefined && ipMasqBackend !== "iptables" && needs?.includes(need) === false)
      throw new Mismatch(`${need} among the needs of a case whose ADD has ipMasq`, needs.join(" "));
  }

  environment(command: string, set: Env = {}): Record<string, string> {
    const env: Env = {
      CNI_COMMAND: command,
      CNI_CONTAINERID: "ctr-1",
      CNI_NETNS: "/run/netns/c1",
      CNI_IFNAME: "eth0",
      CNI_PATH: this.settings.bin,
      PATH: SYSTEM_PATH,
      ...set,
    };
    return Object.fromEntries(Object.entries(env).filter((e): e is [string, string] => e[1] !== undefined));
  }

  /** Starts all calls at once and waits for all of them. */
  parallel(calls: readonly { command: string; stdin: Config; set?: Env; bin?: string }[]): Run[] {
    const dir = "/run/par";
    mkdirSync(this.root + dir, { recursive: true });
    const lines = calls.map((c, n) => {
      writeFileSync(`${this.root}${dir}/${n}.in`, JSON.stringify(c.stdin));
      const env = Object.entries(this.environment(c.command, c.set)).map(([k, v]) => quote(`${k}=${v}`));
      const plugin = quote(`${c.bin ?? this.settings.bin}/${this.typeOf(c.stdin)}`);
      return `(env -i ${env.join(" ")} ${plugin} <${n}.in >${n}.out 2>${n}.err; echo $? >${n}.rc) &`;
    });
    const start = Date.now();
    this.sh(`set +e; cd ${dir}\n${lines.join("\n")}\nwait`);
    for (const { command, stdin } of calls) if (command === "ADD") this.#declared(stdin);
    const read = (name: string) => readFileSync(`${this.root}${dir}/${name}`, "utf8");
    return calls.map((_, n) => ({
      status: Number(read(`${n}.rc`)),
      signal: null,
      stdout: read(`${n}.out`),
      stderr: read(`${n}.err`),
      ms: Date.now() - start,
      timedOut: false,
    }));
  }

  typeOf(stdin: Stdin): string {
    if (typeof stdin === "object" && "type" in stdin && typeof stdin.type === "string") return stdin.type;
    return this.settings.main ?? "host-local";
  }

  bytes(stdin: Stdin): string | Uint8Array {
    return typeof stdin === "string" || stdin instanceof Uint8Array ? stdin : JSON.stringify(stdin);
  }

  // Configurations

  /** A configuration of MAIN with a device of its own and without IPAM. */
  l2(extra: Config = {}): Config {
    return { cniVersion: this.settings.spec, name: "net1", type: this.main.name, ...this.main.keys(this), ...extra };
  }

  /** The same with host-local. */
  l3(extra: Config = {}, ipam: Config = {}): Config {
    return this.l2({ ipam: { type: "host-local", ranges: [[{ subnet: RANGE }]], ...ipam }, ...extra });
  }

  /** The same with static. */
  withStatic(addresses: readonly Config[], ipam: Config = {}, extra: Config = {}): Config {
    return this.l2({ ipam: { type: "static", addresses, ...ipam }, ...extra });
  }

  /** A configuration of an IPAM plugin called directly. */
  ipam(type: string, keys: Config, extra: Config = {}): Config {
    return { cniVersion: this.settings.spec, name: "net1", type, ipam: { type, ...keys }, ...extra };
  }

  stub(behaviour: Behaviour, name = "stub"): Stub {
    return new Stub(this.root, name, behaviour);
  }

  // Devices and namespaces

  /** A new veth of the host that is up and has carrier, for plugins that take a device away. */
  freshDevice(): string {
    const name = `dev${this.#devices++}`;
    this.sh(`ip link add ${name} type veth peer name ${name}p; ip link set ${name} up; ip link set ${name}p up`);
    return name;
  }

  netns(name: string): string {
    this.sh(`ip netns add ${name}; ip -n ${name} link set lo up`);
    return `/run/netns/${name}`;
  }

  /** Deletes the namespace, and returns when the kernel has deleted its interfaces, too, which live a moment longer than the name. */
  endNetns(name: string): void {
    this.sh(`ip link add end0 type veth peer name end1 netns ${name}; ip netns del ${name}
      for i in $(seq 500); do ip link show end0 >/dev/null 2>&1 || exit 0; sleep 0.02; done; exit 1`);
  }

  /** The namespace as a runtime names it that knows the process of its pod. */
  pathByProcess(ns: string): string {
    // It is in the namespace once it is no longer `ip`.
    const start = `ip netns exec ${ns} sleep 300 >/dev/null 2>&1 & until grep -q sleep /proc/$!/comm; do sleep 0.01; done; echo $!`;
    return `/proc/${this.sh(start).trim()}/ns/net`;
  }

  /** Another process has the lock of this file when it returns, and for so long. Needs program:flock. */
  holdLock(file: string, seconds = 15): void {
    // The shell's file stays open in the program that it leaves.
    this.sh(`exec 9<${file}; flock 9; sleep ${seconds} >/dev/null 2>&1 &`);
  }

  // Reading the world

  /** Links of a container, or of the host when ns is "". */
  links(ns = "c1"): Link[] {
    return parseLinks(this.sh(`ip ${ns === "" ? "" : `-n ${ns}`} -j -d address show`));
  }

  link(name: string, ns = "c1"): Link | undefined {
    return this.links(ns).find((link) => link.name === name || link.altnames.includes(name));
  }

  routes(ns = "c1"): Route[] {
    const show = (family: number) => `ip ${ns === "" ? "" : `-n ${ns}`} -${family} -j -d route show table all`;
    const [v4, v6] = this.sh(`${show(4)}; echo @; ${show(6)}`).split("@") as [string, string];
    return [...parseRoutes(v4.trim(), 4), ...parseRoutes(v6.trim(), 6)];
  }

  picture(): Picture {
    return { links: parsePicture(this.sh(PICTURE_SCRIPT)), files: stateFiles(this.root) };
  }

  /** Lease files of host-local: address to content. */
  leases(network = "net1", dir = "/var/lib/cni/networks"): Map<string, string> {
    const files = stateFiles(this.root, [`${dir}/${network}`]);
    return new Map([...files].map(([path, content]) => [path.slice(dir.length + network.length + 2), content]));
  }

  read(path: string): string {
    return readFileSync(this.root + path, "utf8");
  }

  write(path: string, content: string | Uint8Array, mode = 0o644): void {
    mkdirSync(dirname(this.root + path), { recursive: true });
    writeFileSync(this.root + path, content, { mode });
  }
}

/** For the shell. */
export function quote(text: string): string {
  return `'${text.replaceAll("'", "'\\''")}'`;
}
