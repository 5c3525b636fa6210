// podnic explain FILE: shows what an ADD would do on this node now, step by step, without changing anything.
import { oneLine } from "../log.ts";
import { command } from "./command.ts";
import { Exit, requireRootFor, Status } from "./exit.ts";
import { type Explanation, explain, SOME_POD } from "./explain/run.ts";
import type { Kind } from "./explain/steps.ts";
import { type AttachmentOptions, attachmentOf } from "./runtime/attachment.ts";
import { CONF_DIR, directoriesFor, fileOf, networksIn } from "./runtime/networks.ts";
import { type Colour, paint, print, printJson } from "./terminal.ts";

const epilogue = `NETWORK is a file (a CNI configuration, a list, or YAML with NetworkAttachmentDefinitions; "-" is stdin), or the name of a network in
/etc/cni/net.d or /etc/cni/multus/net.d. The plugins run as in an ADD, with this node's devices, leases and policy, but podnic
lists each change instead of making it: requests to the kernel (as ip commands), files, settings and packets. podnic cannot know in
advance which requests the kernel will refuse during the ADD.

  podnic explain blue
  podnic explain blue.conflist
  podnic explain blue.conflist --netns demo --ifname net1
  podnic explain network.yaml --cap-args '{"mac": "02:00:5e:10:00:01"}' --json

Without --netns, podnic assumes a new pod, called ${SOME_POD}. This command needs root, as an ADD does.

Exit status: 0 the ADD would probably succeed, 1 it would fail, 2 wrong command line.`;

interface Options extends AttachmentOptions {
  netns?: string;
  confDir?: string;
  json?: boolean;
}

/** Explains all networks in a file, or the named network. Throws Failure and SystemError. */
function explainNetworks(given: string, options: Options): Explanation[] {
  requireRootFor("explain", "it reads namespaces and state, as an ADD does");
  const { netns, confDir, ...rest } = options;
  const attachment = { ...attachmentOf(netns ?? SOME_POD, rest), ...(netns === undefined ? { netns: "" } : {}) };
  return explain(networksIn(fileOf(given, directoriesFor(confDir))), attachment);
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
    print(`\n${paint("It would fail:", "red")} ${oneLine(refusal.msg)}\n`);
    if (refusal.details !== "") print(`  ${oneLine(refusal.details)}\n`);
    if (number > 0) print("  The steps above would be undone.\n");
  } else if (unknown !== undefined) print(`\npodnic cannot determine the next steps: ${unknown}.\n`);
  else print(`\nResult:\n${JSON.stringify(result, null, 2)}\n`);
}

export const explainCommand = () =>
  command("explain", "show what an ADD would do on this node now, without doing it", epilogue)
    .argument("<network>", "name of a network, or a file; - is stdin")
    .option("--netns <netns>", "the pod's network namespace: a path, or a name from `ip netns`")
    .option("-i, --ifname <name>", "name of the interface in the pod (default: eth0)")
    .option("--container-id <id>", "container id (default: derived from the namespace's path)")
    .option("--args <pairs>", "CNI_ARGS: K=V;K=V")
    .option("--cap-args <json>", 'capability arguments; each plugin gets those in its "capabilities"')
    .option(...CONF_DIR)
    .option("--path <dirs>", "directories of other plugins, separated by colons (default: /opt/cni/bin)")
    .option("--json", "print one JSON document")
    .action((network: string, options: Options) => {
      const explained = explainNetworks(network, options);
      if (options.json === true) printJson(explained);
      else for (const each of explained) show(each);
      if (explained.some(({ refusal }) => refusal !== undefined)) throw new Exit(Status.failed);
    });
