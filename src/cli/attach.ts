// podnic add|check|del NETWORK NETNS: attaches a network by hand, as cnitool does.
import type { Command } from "commander";
import { Failure } from "../errors.ts";
import { ENOSYS } from "../host/constants.ts";
import { SystemError } from "../host/host.ts";
import { oneLine } from "../log.ts";
import { command } from "./command.ts";
import { requireRootFor, UsageError } from "./exit.ts";
import { traceNetlink } from "./kernel/trace.ts";
import { type AttachmentOptions, attachmentOf } from "./runtime/attachment.ts";
import { CONF_DIR, directoriesFor, fileOf, type Network, networkIn, sourceOf } from "./runtime/networks.ts";
import { add, check, del } from "./runtime/run.ts";
import { Stage } from "./runtime/stage.ts";
import { printJson } from "./terminal.ts";

// Use only ASCII characters here: with any other character, the engine stores the whole text with 16 bits per character (2 KiB more).
const epilogue = `NETWORK is a file (a path, or a name that ends in .conf, .conflist, .json or .yaml; "-" is stdin), or the "name" of a network in
/etc/cni/net.d or /etc/cni/multus/net.d (.conflist, then .conf and .json, in lexical order; stderr says which file is used). NETNS is
the path of a network namespace, or its name in "ip netns". These commands need root.

  ip netns add demo
  podnic add blue demo --ifname net1
  podnic add ./blue.conflist demo --ifname net1
  podnic check blue demo --ifname net1
  podnic del blue demo --ifname net1 --trace

podnic's own plugins run in this process. podnic looks for other plugins (tuning, dhcp) in CNI_PATH or, by
default, in /opt/cni/bin. It stores results in /var/lib/cni/results in libcni's format, so cnitool and podnic can each check and delete
what the other has added. The container ID is the same as cnitool's. cnitool's variables (NETCONFPATH, CNI_PATH, CNI_IFNAME, CNI_ARGS,
CAP_ARGS) are the defaults of the options.

--trace shows each message to and from the kernel on stderr: ">" marks a request that changes something, written as an ip command,
">?" marks a query, and "<" marks a reply. The type, flags and attributes follow, with the names from the kernel's headers.

Exit status: 0 done, 1 failed (the error is on stderr; with --json, the plugin's error document is also on stdout), 2 wrong command
line.`;

interface Options extends AttachmentOptions {
  confDir?: string;
  trace?: boolean;
  json?: boolean;
}

/** Makes `stage` trace netlink messages to stderr. */
function startTrace(stage: Stage): void {
  traceNetlink(stage.host, (line) => stage.say(oneLine(line)));
  // A child process sends the deletion of a virtual link, and its messages would not be traced.
  stage.host.fork = () => {
    throw new SystemError("fork", ENOSYS, "ENOSYS", "not available with --trace");
  };
}

function findNetwork(given: string, netns: string, confDir: string | undefined): Network {
  const directories = directoriesFor(confDir);
  let file: string;
  try {
    file = fileOf(given, directories);
  } catch (error) {
    if (error instanceof Failure && isNetwork(netns, directories)) {
      throw new UsageError(error.message, `"${netns}" is a network. The network must come first, then the namespace.`);
    }
    throw error;
  }
  return networkIn(file);
}

function isNetwork(given: string, directories: string[]): boolean {
  try {
    return sourceOf(given, directories).byName;
  } catch {
    return false;
  }
}

function attachCommand(
  name: string,
  description: string,
  act: (...args: Parameters<typeof add>) => unknown,
): () => Command {
  return () =>
    command(name, description, epilogue)
      .argument("<network>", "name of a network, or a file")
      .argument("<netns>", "network namespace: a path, or a name from `ip netns`")
      .option("-i, --ifname <name>", "name of the interface in the namespace (default: eth0)")
      .option("--container-id <id>", "container id (default: derived from the namespace's path, as in cnitool)")
      .option("--args <pairs>", "CNI_ARGS: K=V;K=V")
      .option("--cap-args <json>", 'capability arguments; each plugin gets those in its "capabilities"')
      .option(...CONF_DIR)
      .option("--path <dirs>", "directories of other plugins, separated by colons (default: /opt/cni/bin)")
      .option("--trace", "show each netlink message, sent or received, on stderr")
      .option("--json", "print an error as a CNI error document")
      .action((network: string, netns: string, options: Options) => {
        requireRootFor(name, "this command enters namespaces and changes interfaces");
        const attachment = attachmentOf(netns, options);
        const found = findNetwork(network, netns, options.confDir);
        const stage = new Stage();
        if (options.trace === true) startTrace(stage);
        const result = act(stage, found, attachment);
        if (result !== undefined) printJson(result);
      });
}

export const addCommand = attachCommand("add", "add a network's interface to a namespace, as a runtime does", add);
export const checkCommand = attachCommand("check", "check that an interface is unchanged since add", check);
export const delCommand = attachCommand("del", "remove an interface that add created", del);
