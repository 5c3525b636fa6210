// The operator's command line. It is a bytecode of its own, loaded only when the executable is not called as a plugin.
import { Command, CommanderError } from "commander";
import { pluginNames } from "../cni/registry.ts";
import { host } from "../host/host.ts";
import { podnicVersion } from "../version.ts";
import { install } from "./install.ts";

function print(fd: number, text: string): void {
  let rest = host.encode(text);
  while (rest.length > 0) rest = rest.subarray(host.write(fd, rest));
}

const lesson = `
A container runtime calls it by the name of a plugin. Called as podnic with CNI_COMMAND set, the "type" of
the configuration says which plugin it is; otherwise it is what you see here.

Install it where the runtime looks for plugins:
  podnic install /opt/cni/bin

Try a plugin by hand, doing what a runtime does (as root; eth0 stands for a device of yours):
  ip netns add demo
  export CNI_CONTAINERID=demo CNI_NETNS=/run/netns/demo CNI_IFNAME=net1 CNI_PATH=/opt/cni/bin
  echo '{"cniVersion":"1.0.0","name":"demo","type":"macvlan","master":"eth0"}' >demo.json
  CNI_COMMAND=ADD podnic <demo.json
  CNI_COMMAND=DEL podnic <demo.json

Files:
  /etc/cni/podnic.json   what configurations may do on this node (optional; root's, not writable by others)
  /var/lib/cni/          state: leases, and what devices were before pods got them`;

function commands(): Command {
  const podnic = new Command("podnic")
    .description(
      `Hands a node's network devices to pods: the CNI plugins ${pluginNames().join(", ")} in one executable.`,
    )
    .configureOutput({
      writeOut: (text) => print(1, text),
      writeErr: (text) => print(2, text),
      getOutHelpWidth: () => 100,
    })
    .exitOverride()
    .showHelpAfterError("(podnic --help shows what there is)")
    .addHelpText("after", lesson);
  podnic
    .command("version")
    .description("print the version")
    .action(() => print(1, `podnic ${podnicVersion}\n`));
  podnic
    .command("install")
    .argument("<dir>", "directory of CNI plugins, usually /opt/cni/bin")
    .description("install this executable and the plugins' names in a directory; safe while plugins run")
    .action((dir: string) => {
      for (const path of install(dir)) print(1, `${path}\n`);
    });
  return podnic;
}

/** Runs one command; returns the exit status: 0, 1 for a failure, 2 for a command line that makes no sense. */
export function operator(args: string[]): number {
  try {
    commands().parse(args, { from: "user" });
    return 0;
  } catch (error) {
    if (error instanceof CommanderError) return error.exitCode === 0 ? 0 : 2;
    print(2, `podnic: ${error instanceof Error ? error.message : String(error)}\n`);
    return 1;
  }
}
