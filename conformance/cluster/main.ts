// A cluster's own path to the plugins: API server, kubelet, CRI, containerd, Multus, podnic. See --help.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, rmSync, statSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { inNamespaces } from "../cri/namespaces.ts";
import { Containerd } from "../cri/node.ts";
import { Exit } from "../harness/options.ts";
import { probe } from "../harness/probe.ts";
import { compileTools } from "../interleave/picture.ts";
import { type Case, unmet, type Verdict } from "./case.ts";
import { guideCases } from "./cases/guides.ts";
import { realCases } from "./cases/real.ts";
import { requestCases } from "./cases/requests.ts";
import { restartCases } from "./cases/restarts.ts";
import { wayCases } from "./cases/ways.ts";
import { Cluster, type Flavour, type Places, Wrong } from "./cluster.ts";
import { inGuest, sh } from "./node.ts";
import { BIN, commandLine, flavoursOf, IMAGE, listed, type Options, refusal, selectedOf } from "./options.ts";
import { logsOf } from "./real/programs.ts";
import { type Second, secondNode } from "./real/second.ts";

/** What the process in the namespaces gets from the one outside. */
interface Inside {
  flavour: Flavour;
  kept: string;
  ids: string[];
  /** Of a case with two starts. */
  boot?: 1 | 2;
}

const BOOT_IDS = ["", "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"];

const cases: readonly Case[] = [...realCases, ...guideCases, ...requestCases, ...restartCases, ...wayCases];

const placesOf = ({ bin, image }: Options): Places => ({
  podnic: resolve(bin),
  image: resolve(image),
  containerd: resolve(".cache/containerd"),
  clients: resolve(".cache/go-clients"),
  programs: resolve(".cache/go-cluster"),
});

async function judge(test: Case, cluster: Cluster, flavour: Flavour): Promise<Verdict> {
  const start = Date.now();
  let got = "";
  try {
    await test.run(cluster);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    got = error instanceof Wrong ? error.message : `${error.stack}\n${Containerd.log()}`;
  }
  const seconds = (Date.now() - start) / 1000;
  return verdict(test, flavour, got === "" ? "passed" : "failed", got, seconds);
}

function verdict(test: Case, flavour: Flavour, outcome: Verdict["outcome"], got: string, seconds = 0): Verdict {
  const id = `${flavour}/${test.id}`;
  const why = got === "" ? "" : `\n  ${got}`;
  console.log(`${id} ${outcome}${outcome === "not-run" ? "" : `, ${seconds.toFixed(1)} s`}: ${test.expected}${why}`);
  return { id, expected: test.expected, outcome, got, seconds };
}

/** In the namespaces: the node starts, its cases run, and all of it ends with this process. */
async function inside({ flavour, kept, ids, boot = 1 }: Inside, options: Options): Promise<void> {
  const start = Date.now();
  const mine = cases.filter(({ id }) => ids.includes(id));
  const own = mine[0]?.restart?.kind === "container";
  const bootId = own ? undefined : BOOT_IDS[boot];
  const { real } = options;
  const cluster = await Cluster.start({ flavour, kept, bootId, cards: own ? boot : 1, real }, placesOf(options));
  const ready = (Date.now() - start) / 1000;
  if (boot === 1) {
    if (options.plugins === undefined) await cluster.installPodnic();
    else cluster.installPlugins(resolve(options.plugins));
    await cluster.installMultus();
    const [whole, api] = [((Date.now() - start) / 1000).toFixed(1), real ? "real API server and kubelet" : "stand-ins"];
    console.log(`node with ${api}: ready after ${ready.toFixed(1)} s; with podnic and Multus ${flavour}: ${whole} s`);
  }
  const verdicts: Verdict[] = [];
  for (const test of mine) {
    const part = boot === 1 && test.restart !== undefined ? { ...test, run: test.restart.before } : test;
    const before = cluster.remains();
    const found = await judge(part, cluster, flavour);
    verdicts.push(found);
    if (found.outcome === "passed") continue;
    // What its pods hold and go on trying would spoil the cases after it.
    const left = await cluster.clear(before);
    if (left.length > 0) console.log(`  left on the node after it: ${left.join("; ")}`);
  }
  cluster.save(kept);
  writeFileSync(join(kept, "verdicts.json"), JSON.stringify(verdicts));
  // Process 1 of the node: the kernel kills all others, and nobody hears of it before.
  process.exit(0);
}

/** Directories of runs that were killed go with the next run. */
function keptDirectory(): string {
  const place = resolve(".cache/cluster");
  mkdirSync(place, { recursive: true });
  // The guest's root is an overlay, and containerd's snapshots would be overlays on that.
  if (inGuest()) sh(`mountpoint -q ${place} || mount -t tmpfs tmpfs ${place}`);
  for (const owner of readdirSync(place))
    if (!existsSync(`/proc/${Number.parseInt(owner, 10)}`))
      rmSync(join(place, owner), { recursive: true, force: true });
  return join(place, String(process.pid));
}

function missing(flavour: Flavour, { containerd, clients, programs }: Places, real: boolean): string {
  if (real && !existsSync(join(programs, "kubelet"))) return "no Kubernetes: scripts/go-cluster kubernetes builds it";
  if (real && !existsSync(join(programs, "containerd")))
    return "no containerd 2: scripts/go-cluster containerd builds it";
  if (!existsSync(join(containerd, "usr/bin/containerd"))) return "no containerd: scripts/containerd fetches it";
  if (flavour === "thin" && !existsSync(join(clients, "multus"))) return "no Multus: scripts/go-clients builds it";
  if (flavour === "thick" && !existsSync(join(programs, "multus-daemon")))
    return "no Multus thick: scripts/go-cluster builds it";
  return "";
}

/** One flavour, from an empty node. */
function runFlavour(flavour: Flavour, selected: readonly Case[], offer: Offer, options: Options): Verdict[] {
  const places = placesOf(options);
  const why = missing(flavour, places, options.real);
  const reasonOf = (test: Case) => (why === "" ? unmet(test, offer, options) : why);
  const [mine, others] = [selected.filter(({ flavours }) => flavours?.includes(flavour) ?? true), [] as Verdict[]];
  for (const test of mine) {
    const reason = reasonOf(test);
    if (reason !== undefined) others.push(verdict(test, flavour, "not-run", reason));
  }
  const ids = mine.filter((test) => reasonOf(test) === undefined).map(({ id }) => id);
  if (ids.length === 0) return others;
  const restarts = mine.filter(({ id, restart }) => ids.includes(id) && restart !== undefined).map(({ id }) => id);
  const plain = ids.filter((id) => !restarts.includes(id));
  const groups = [...(plain.length > 0 ? [plain] : []), ...restarts.map((id) => [id])];
  return [...others, ...groups.flatMap((group) => runNode(flavour, group, restarts.includes(group[0]!), options.real))];
}

/** A node from its first start to its end: its cases, or one case with another start in its middle. */
function runNode(flavour: Flavour, ids: string[], twice: boolean, real: boolean): Verdict[] {
  const kept = keptDirectory();
  mkdirSync(kept);
  const file = join(kept, "verdicts.json");
  const once = (boot: 1 | 2): Verdict[] => {
    rmSync(file, { force: true });
    inNamespaces("conformance/cluster/main.ts", { PODNIC_CLUSTER: JSON.stringify({ flavour, kept, ids, boot }) });
    return existsSync(file) ? JSON.parse(readFileSync(file, "utf8")) : [];
  };
  try {
    let done = once(1);
    if (twice && done[0]?.outcome === "passed") done = once(2);
    const lost = cases.filter(({ id }) => ids.includes(id) && !done.some((one) => one.id === `${flavour}/${id}`));
    if (real) console.log(`logs: ${relative(".", logsOf(kept))}`);
    return [...done, ...lost.map((test) => verdict(test, flavour, "failed", "the node ended before it"))];
  } finally {
    rmSync(kept, { recursive: true, force: true });
  }
}

type Offer = Awaited<ReturnType<typeof probe>>;

/** Made when there is none, or one of an earlier build. Returns what went wrong. */
function makeImage({ bin, image }: Options): string | undefined {
  const age = (file: string) => statSync(file).mtimeMs;
  if (existsSync(image) && (image !== IMAGE || bin !== BIN || age(image) >= age(join(bin, "podnic")))) return undefined;
  console.log("$ npm run image");
  const { status } = spawnSync("npm", ["run", "--silent", "image"], { stdio: "inherit" });
  return status === 0 ? undefined : `cases need ${IMAGE}, and npm run image failed`;
}

function end(message: string, status: number = Exit.refused): never {
  console.error(`cluster: ${message}`);
  process.exit(status);
}

async function main(): Promise<void> {
  const options = commandLine();
  const told = process.env.PODNIC_CLUSTER;
  const early = told === "check";
  if (told !== undefined && !early) {
    const { second, ...first } = JSON.parse(told) as Inside & { second?: Second };
    return second === undefined ? inside(first, options) : secondNode(second);
  }
  if (options.list && options.case !== undefined) end("--case has no effect with --list: leave one of them out");
  if (options.list) {
    console.log(listed(cases));
    return;
  }
  const why = refusal(cases, options, { root: process.getuid!() === 0, inGuest: inGuest(), early });
  if (why !== undefined) end(why);
  if (early) return;
  compileTools();
  const start = Date.now();
  const offer = await probe(join(options.bin, "cni"), undefined);
  const selected = selectedOf(cases, options, inGuest());
  const flavours = flavoursOf(options, inGuest());
  const isNeeded = selected.some((test) => test.image && unmet(test, offer, options) === undefined);
  const failed = isNeeded ? makeImage(options) : undefined;
  if (failed !== undefined) end(failed, Exit.untested);
  const verdicts = flavours.flatMap((flavour) => runFlavour(flavour, selected, offer, options));
  if (options.report !== undefined) writeFileSync(options.report, JSON.stringify({ cases: verdicts }, null, 2));
  const count = (outcome: string) => verdicts.filter((one) => one.outcome === outcome).length;
  console.log(
    `${count("passed")} passed, ${count("failed")} failed, ${count("not-run")} not run, ${Math.round((Date.now() - start) / 1000)} s`,
  );
  process.exitCode = count("failed") > 0 ? Exit.wrong : count("passed") > 0 ? Exit.passed : Exit.untested;
}

await main();
