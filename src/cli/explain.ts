// podnic explain FILE: what ADD would do here and now, step by step, with nothing done.
import { Failure } from "../errors.ts";
import { host } from "../host/host.ts";
import { oneLine } from "../log.ts";
import { command } from "./command.ts";
import { Exit, Status } from "./exit.ts";
import { type Explanation, explain, SOME_POD } from "./explain/run.ts";
import type { Kind } from "./explain/steps.ts";
import { readInput } from "./input.ts";
import { type AttachmentOptions, attachmentOf } from "./runtime/attachment.ts";
import { type Network, readNetwork } from "./runtime/networks.ts";
import { type Colour, paint, print, printJson } from "./terminal.ts";
import { readContents } from "./validate/documents.ts";

const lesson = `FILE is a CNI configuration, a list, or YAML with a NetworkAttachmentDefinition; "-" is stdin. The plugins run as they do in
an ADD, with this node's devices, leases and policy, but every change is put on the list instead of being made: requests to the
kernel in the words of ip, files, settings, packets. What only the kernel can refuse while it works is not known beforehand.

  podnic explain blue.conflist
  podnic explain blue.conflist --netns demo --ifname net1
  podnic explain network.yaml --cap-args '{"mac": "02:00:5e:10:00:01"}' --json

Without --netns the pod is one that is not there yet, called ${SOME_POD}. Root is needed, as for an ADD.

Exit status: 0 the ADD would succeed (as far as can be known), 1 it would fail, 2 the command line makes no sense.`;

interface Options extends AttachmentOptions {
  netns?: string;
  json?: boolean;
}

/** Explains every network of a file. Throws Failure, SystemError. */
function explainFile(file: string, options: Options): Explanation[] {
  if (host.geteuid() !== 0) {
    throw new Failure(
      "failed",
      "explain needs root",
      "it looks into namespaces and at state, as an ADD does; validate does not",
    );
  }
  const { netns, ...rest } = options;
  const attachment = { ...attachmentOf(netns ?? SOME_POD, rest), ...(netns === undefined ? { netns: "" } : {}) };
  const { networks, remarks } = readContents(file, readInput(file));
  const wrong = remarks.find(({ level }) => level === "error");
  if (wrong !== undefined)
    throw new Failure("invalid config", `${file}: ${wrong.text}`, `podnic validate ${file} says more`);
  const named = networks.map(({ json, origin }): Network => {
    const network = readNetwork(file, json);
    // Multus gives a network without a name that of its definition.
    return { ...network, name: network.name || (origin.defaultName ?? "") };
  });
  return explain(named, attachment);
}

const colours: { [kind in Kind]: Colour | undefined } = {
  kernel: "bold",
  sysctl: undefined,
  file: undefined,
  packet: undefined,
  run: "yellow",
  note: "dim",
};

function show({ network, netns, ifName, containerId, parts, result, refusal, unknown }: Explanation): void {
  print(`${oneLine(`ADD of network "${network}" to ${netns} as ${ifName}, container ${containerId}`)}\n`);
  let number = 0;
  for (const { plugin, steps, log } of parts) {
    print(`\n${plugin}\n`);
    for (const { kind, text } of steps) {
      const head = kind === "note" ? "" : String(++number);
      const colour = colours[kind];
      print(
        `${head.padStart(4)}  ${kind.padEnd(6)}  ${colour === undefined ? oneLine(text) : paint(oneLine(text), colour)}\n`,
      );
    }
    if (steps.length === 0 && refusal === undefined) print("      nothing\n");
    for (const line of log) print(`      ${oneLine(line)}\n`);
  }
  if (refusal !== undefined) {
    print(`\n${paint("It would fail", "red")} with code ${refusal.code}: ${oneLine(refusal.msg)}\n`);
    if (refusal.details !== "") print(`  ${oneLine(refusal.details)}\n`);
    if (number > 0) print("  What the steps above had done would be undone.\n");
  } else if (unknown !== undefined) print(`\nHow it goes on is not known: ${unknown}.\n`);
  else print(`\nIts answer:\n${JSON.stringify(result, null, 2)}\n`);
}

export const explainCommand = () =>
  command("explain", "say what an ADD would do here and now, and do nothing", lesson)
    .argument("<file>", "CNI configuration or NetworkAttachmentDefinition; - is stdin")
    .option("--netns <netns>", "the pod's network namespace: a path, or a name of ip netns")
    .option("-i, --ifname <name>", "name of the interface in the pod (default: eth0)")
    .option("--container-id <id>", "container id (default: made of the namespace's path)")
    .option("--args <pairs>", "CNI_ARGS: K=V;K=V")
    .option("--cap-args <json>", "capability arguments, of which a plugin gets those that its capabilities name")
    .option("--path <dirs>", "directories of other plugins, separated by colons (default: /opt/cni/bin)")
    .option("--json", "print one JSON document")
    .action((file: string, options: Options) => {
      const explained = explainFile(file, options);
      if (options.json === true) printJson(explained);
      else for (const each of explained) show(each);
      if (explained.some(({ refusal }) => refusal !== undefined)) throw new Exit(Status.failed);
    });
