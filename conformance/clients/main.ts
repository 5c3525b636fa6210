// Real clients that drive the plugins: cnitool, Multus thin without Kubernetes, podman with its CNI backend, chained Go plugins.
// A client that is not installed is reported as not run, never as passed. See --help.
import { existsSync } from "node:fs";
import { resolve } from "node:path";
import { Command } from "commander";
import type { Verdict } from "../harness/case.ts";
import { type Offer, probe, unmet } from "../harness/probe.ts";
import { printTotals, writeReport } from "../harness/report.ts";
import { judge } from "../harness/worker.ts";
import { chainedClients } from "./chained.ts";
import { CLIENT_TAG, type Client, type Places } from "./client.ts";
import { cnitoolClients } from "./cnitool.ts";
import { dhcpClients } from "./dhcp.ts";
import { multusClients } from "./multus.ts";
import { nadClients } from "./nad.ts";
import { podmanClients } from "./podman.ts";

/** A client starts programs of its own, podman a container. */
const LIMIT_MS = 60_000;

interface Options {
  bin: string;
  clients: string;
  go: string;
  case?: string[];
  report: string[];
}

const list = (value: string) => value.split(",").filter((part) => part !== "");

function parse(): Options {
  return new Command("clients")
    .description(
      "Drives the plugins by real clients, each case in namespaces of its own. Needs root; what it cannot run it says.\n" +
        "scripts/go-clients builds cnitool and multus; podman, crun, busybox-static and dnsmasq-base are Debian packages.",
    )
    .requiredOption("--bin <dir>", "plugins under test")
    .option("--clients <dir>", "where cnitool and multus are", ".cache/go-clients")
    .option("--go <dir>", "the current Go plugins, to be chained after ours", ".cache/go-plugins/1.9.1")
    .option("--case <ids>", "only cases whose id begins so (comma-separated)", list)
    .option("--report <file>", "write JUnit (.xml) or JSON (repeatable)", (file, all: string[]) => [...all, file], [])
    .parse()
    .opts<Options>();
}

/** Why a client cannot run here; undefined when it can. */
function missing(client: Client, places: Places, offer: Offer): string | undefined {
  for (const need of client.needs) {
    const [kind, what] = need.split(":") as [string, string];
    if (kind === "client" && !existsSync(`${places.clients}/${what}`))
      return `no ${what} (scripts/go-clients builds it)`;
    if (kind === "file" && !existsSync(what)) return `there is no ${what}`;
  }
  return unmet(client.needs, undefined, offer);
}

async function run(client: Client, places: Places, offer: Offer): Promise<Verdict> {
  const { id, expected } = client;
  const spec = { tag: CLIENT_TAG, requirement: "a real client is served", expected };
  console.log(`${id}: ${expected}`);
  const reason = missing(client, places, offer);
  if (reason !== undefined) return { id, ...spec, outcome: "not-run", got: reason, ms: 0 };
  const settings = {
    bin: places.bin,
    root: "",
    spec: "1.0.0",
    main: undefined,
    versions: {},
    limitMs: client.limitMs ?? LIMIT_MS,
  };
  return judge({ id, ...spec, main: undefined, run: (t) => client.run(t, places) }, settings);
}

async function main(): Promise<void> {
  const options = parse();
  const places = { bin: resolve(options.bin), clients: resolve(options.clients) };
  const offer = await probe(places.bin, undefined);
  const clients = [
    ...cnitoolClients,
    ...multusClients,
    ...podmanClients,
    ...dhcpClients,
    ...nadClients,
    ...chainedClients({ version: "1.1.1", dir: "/usr/lib/cni", spec: "1.0.0" }),
    ...chainedClients({ version: "1.9.1", dir: resolve(options.go), spec: "1.1.0" }),
  ].filter(({ id }) => options.case === undefined || options.case.some((prefix) => id.startsWith(prefix)));
  const start = Date.now();
  const verdicts: Verdict[] = [];
  for (const client of clients) {
    const verdict = await run(client, places, offer);
    console.log(`  ${verdict.outcome}${verdict.outcome === "passed" ? "" : `: ${verdict.got}`}`);
    verdicts.push(verdict);
  }
  const seconds = (Date.now() - start) / 1000;
  for (const file of options.report) writeReport(file, verdicts, seconds);
  printTotals(verdicts, seconds);
  process.exitCode = verdicts.length > 0 && verdicts.every((v) => v.outcome !== "failed") ? 0 : 1;
}

await main();
