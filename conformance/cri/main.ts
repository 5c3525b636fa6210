// The image and its DaemonSet on a real runtime: containerd, asked by CRI as the kubelet asks it. See --help.
import { existsSync, readdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { Command } from "commander";
import { recognise } from "../../src/cli/install/recognise.ts";
import { installHost } from "../../src/host/host.ts";
import { NodeHost } from "../../src/host/node/host.ts";
import { type Ended, EXITED, RUNNING } from "./cri.ts";
import { inNamespaces } from "./namespaces.ts";
import { BIN, Containerd, makeNode, writeNetwork } from "./node.ts";
import { container, readPod, sandbox } from "./pod.ts";

interface Options {
  image: string;
  containerd: string;
  report?: string;
}

interface Verdict {
  id: string;
  expected: string;
  outcome: "passed" | "failed" | "not-run";
  got: string;
}

const pod = readPod();
const NAMES = ["bridge", "cnv-bridge", "host-device", "host-local", "ipvlan", "macvlan", "podnic", "sriov", "static"];

class Wrong extends Error {}

function equal(got: unknown, wanted: unknown, what: string): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Wrong(`${what}: ${a}, and not ${b}`);
}

const kind = (name: string) => recognise(join(BIN, name));
const kept = () => readdirSync(join(BIN, ".podnic.backup")).sort();

/** Until it is in this state; 20 s. */
async function until(runtime: Containerd, id: string, state: number): Promise<Ended> {
  for (const end = Date.now() + 20_000; ; await sleep(50)) {
    const now = await runtime.cri.containerState(id);
    if (now.state === state || Date.now() > end) return now;
  }
}

/** Starts a container of the DaemonSet's pod with these arguments; the pod is gone after `body`. */
async function withContainer<T>(
  runtime: Containerd,
  name: string,
  args: string[] | undefined,
  body: (id: string) => Promise<T>,
): Promise<T> {
  const { cri } = runtime;
  const config = sandbox(name);
  const id = await cri.runSandbox(config);
  try {
    const made = await cri.createContainer(id, container(pod, "install", args), config);
    await cri.startContainer(made);
    return await body(made);
  } finally {
    await cri.removeSandbox(id);
  }
}

/** To its end. */
async function install(runtime: Containerd, name: string, args?: string[]): Promise<void> {
  const ended = await withContainer(runtime, name, args, (id) => until(runtime, id, EXITED));
  const { state, exitCode, reason, message } = ended;
  equal({ state, exitCode }, { state: EXITED, exitCode: 0 }, `the container (${reason} ${message})`);
}

interface Case {
  id: string;
  expected: string;
  run(runtime: Containerd, options: Options): Promise<void>;
}

const cases: readonly Case[] = [
  {
    id: "CRI-01",
    expected: "what `ctr images import` loaded is found under the name in deploy/daemonset.yaml",
    async run(runtime, { image }) {
      runtime.import(image);
      equal(await runtime.cri.imageNames(pod.initContainers[0].image), [pod.initContainers[0].image], "its names");
    },
  },
  {
    id: "CRI-02",
    expected: "the install container of the DaemonSet ends with 0; all plugins are podnic's, the Go plugins are kept",
    async run(runtime) {
      equal([kind("macvlan"), kind("sriov")], ["Go plugin", "missing"], "before");
      await install(runtime, "first");
      for (const name of NAMES) equal(kind(name), "podnic", name);
      equal(kept(), ["bridge", "host-device", "host-local", "ipvlan", "macvlan", "static"], "what is kept");
      equal(kind("ptp"), "Go plugin", "a plugin that podnic does not have");
    },
  },
  {
    id: "CRI-03",
    expected: "a second time the same, and what is kept stays the Go plugins'",
    async run(runtime) {
      await install(runtime, "second");
      for (const name of NAMES) equal(kind(name), "podnic", name);
      for (const name of kept()) equal(kind(`.podnic.backup/${name}`), "Go plugin", name);
    },
  },
  {
    id: "CRI-04",
    expected:
      "with the arguments that the SR-IOV operator gives sriov-cni's image (--no-sleep) it installs sriov and ends",
    async run(runtime) {
      // As cp -f of sriov-cni's own image: into the file that is there.
      writeFileSync(join(BIN, "sriov"), "k8snetworkplumbingwg/sriov-cni");
      equal([kind("sriov"), kind("macvlan")], ["sriov-cni", "podnic"], "when sriov-cni's image came last");
      await install(runtime, "operator", ["--no-sleep"]);
      equal([kind("sriov"), kind("podnic")], ["podnic", "podnic"], "what is there");
      await install(runtime, "dra", ["--no-sleep", "--cni-bin-dir=/host/opt/cni/bin"]);
    },
  },
  {
    id: "CRI-05",
    expected: "without --no-sleep it stays, and StopContainer ends it long before its time is over",
    async run(runtime) {
      await withContainer(runtime, "stays", ["--cni-bin-dir=/host/opt/cni/bin"], async (id) => {
        await sleep(1000);
        equal((await runtime.cri.containerState(id)).state, RUNNING, "its state after a second");
        const before = Date.now();
        await runtime.cri.stopContainer(id, 25);
        equal(Date.now() - before < 10_000, true, "stopped within 10 s");
        equal((await runtime.cri.containerState(id)).exitCode, 0, "exit code");
      });
    },
  },
  {
    id: "CRI-06",
    expected: "a pod's network by podnic's macvlan and host-local: it has its address, and nothing is left after it",
    async run(runtime) {
      const ipam = { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]] };
      writeNetwork("10-lan", { type: "macvlan", master: "up0", ipam });
      // The runtime watches the directory.
      let address = "";
      for (let i = 0; i < 40 && !address.startsWith("198.51.100."); i++, await sleep(100)) {
        const id = await runtime.cri.runSandbox(sandbox(`lan${i}`));
        address = await runtime.cri.sandboxAddress(id);
        await runtime.cri.removeSandbox(id);
      }
      equal(address.startsWith("198.51.100."), true, `address ${address} of the pool`);
      for (const network of ["10-lan", "50-bridge"]) {
        const left = readdirSync(`/var/lib/cni/networks/${network}`).filter((name) => /^\d/.test(name));
        equal(left, [], `leases of ${network}`);
      }
    },
  },
];

async function runAll(options: Options): Promise<Verdict[]> {
  installHost(new NodeHost());
  makeNode();
  const runtime = await Containerd.start(join(options.containerd, "usr/bin"));
  const verdicts: Verdict[] = [];
  for (const { id, expected, run } of cases) {
    const start = Date.now();
    let got = "";
    try {
      await run(runtime, options);
    } catch (error) {
      if (!(error instanceof Error)) throw error;
      got = error instanceof Wrong ? error.message : `${error.stack}\n${Containerd.log()}`;
    }
    const outcome = got === "" ? "passed" : "failed";
    console.log(`${id} ${outcome}, ${Date.now() - start} ms: ${expected}${got === "" ? "" : `\n  ${got}`}`);
    verdicts.push({ id, expected, outcome, got });
  }
  runtime.stop();
  return verdicts;
}

/** What is missing here; "" when nothing is. */
function missing({ image, containerd }: Options): string {
  if (!existsSync(join(containerd, "usr/bin/containerd"))) return "no containerd: scripts/containerd fetches it";
  if (!existsSync("/usr/bin/crun")) return "no crun";
  return existsSync(image) ? "" : `no ${image}: npm run image makes it`;
}

function notRun(got: string): Verdict[] {
  console.log(`not run: ${got}`);
  return cases.map(({ id, expected }) => ({ id, expected, outcome: "not-run", got }));
}

async function main(): Promise<void> {
  const options = new Command("cri")
    .description(
      "Loads the image into containerd (Debian's, which scripts/containerd unpacks), asks for it by CRI under the name in\n" +
        "deploy/daemonset.yaml and runs its container as the DaemonSet says. In namespaces of its own, as root.",
    )
    .option("--image <file>", "what npm run image made", "dist/podnic-image.tar")
    .option("--containerd <dir>", "what scripts/containerd unpacked", ".cache/containerd")
    .option("--report <file>", "write JSON")
    .parse()
    .opts<Options>();
  const places = { ...options, image: resolve(options.image), containerd: resolve(options.containerd) };
  const why = missing(places);
  if (why === "" && process.env.PODNIC_CRI_OUTSIDE === undefined) {
    process.exitCode = inNamespaces("conformance/cri/main.ts");
    return;
  }
  const verdicts = why === "" ? await runAll(places) : notRun(why);
  if (options.report !== undefined) writeFileSync(options.report, JSON.stringify({ cases: verdicts }, null, 2));
  process.exitCode = verdicts.every(({ outcome }) => outcome === "passed") ? 0 : 1;
}

await main();
