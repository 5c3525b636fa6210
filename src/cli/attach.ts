// podnic add|check|del NETWORK NETNS: a network by hand, as cnitool does it.
import type { Command } from "commander";
import { ENOSYS } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { oneLine } from "../log.ts";
import { command } from "./command.ts";
import { traceNetlink } from "./kernel/trace.ts";
import { type AttachmentOptions, attachmentOf } from "./runtime/attachment.ts";
import { CONF_DIR, findNetwork } from "./runtime/networks.ts";
import { add, check, del } from "./runtime/run.ts";
import { Stage } from "./runtime/stage.ts";
import { printJson } from "./terminal.ts";

// ASCII: for one other character the engine keeps the whole text in 16 bits, two kilobytes more.
const lesson = `NETWORK is the "name" of a configuration in /etc/cni/net.d (.conflist, then .conf and .json, in lexical order); NETNS the
path of a network namespace, or its name in "ip netns".

  ip netns add demo
  podnic add blue demo --ifname net1
  podnic check blue demo --ifname net1
  podnic del blue demo --ifname net1 --trace

Plugins of podnic run in this process, others (tuning, bridge, dhcp) are looked for in CNI_PATH, else /opt/cni/bin. Results are
kept in /var/lib/cni/results as libcni does, so that cnitool, check and del work on what any of them added; the container id
is cnitool's too. The variables of cnitool (NETCONFPATH, CNI_PATH, CNI_IFNAME, CNI_ARGS, CAP_ARGS) are the defaults of the options.

--trace shows each message to and from the kernel on stderr: ">" a request that changes something, in the words of ip, ">?" one
that asks, "<" an answer; below it type, flags and attributes as the kernel's headers call them.

Exit status: 0 done, 1 it failed (the error is on stderr; with --json the plugin's error document is on stdout too), 2 the command
line makes no sense.`;

interface Options extends AttachmentOptions {
  confDir?: string;
  trace?: boolean;
  json?: boolean;
}

/** One line for each message, on stderr. */
function startTrace(stage: Stage): void {
  traceNetlink(stage.host, (line) => stage.say(oneLine(line)));
  // DEL of a virtual link is sent by a child, which nobody would hear.
  stage.host.fork = () => {
    throw new SystemError("fork", ENOSYS, "ENOSYS", "not while messages are traced");
  };
}

function attachCommand(
  name: string,
  description: string,
  act: (...args: Parameters<typeof add>) => unknown,
): () => Command {
  return () =>
    command(name, description, lesson)
      .argument("<network>", "name of the network")
      .argument("<netns>", "network namespace: a path, or a name of ip netns")
      .option("-i, --ifname <name>", "name of the interface in the namespace (default: eth0)")
      .option("--container-id <id>", "container id (default: made of the namespace's path, as cnitool does)")
      .option("--args <pairs>", "CNI_ARGS: K=V;K=V")
      .option("--cap-args <json>", "capability arguments, of which a plugin gets those that its capabilities name")
      .option("--conf-dir <dir>", `directory of networks (default: ${CONF_DIR})`)
      .option("--path <dirs>", "directories of other plugins, separated by colons (default: /opt/cni/bin)")
      .option("--trace", "show each netlink message, both ways, on stderr")
      .option("--json", "print an error as a CNI error document")
      .action((network: string, netns: string, options: Options) => {
        const attachment = attachmentOf(netns, options);
        const dir = options.confDir ?? (host.getenv("NETCONFPATH") || CONF_DIR);
        const found = findNetwork(network, dir);
        const stage = new Stage();
        if (options.trace === true) startTrace(stage);
        const result = act(stage, found, attachment);
        if (result !== undefined) printJson(result);
      });
}

export const addCommand = attachCommand("add", "add a network's interface to a namespace, as a runtime does", add);
export const checkCommand = attachCommand("check", "check that an interface is as add left it", check);
export const delCommand = attachCommand("del", "take an interface out of a namespace again", del);
