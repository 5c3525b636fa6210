// The operator's command line. It is a bytecode of its own, loaded only when the executable is not called as a plugin.
import { type Command, CommanderError } from "commander";
import { pluginNames } from "../cni/registry.ts";
import { CniError } from "../errors.ts";
import { podnicVersion } from "../version.ts";
import { addCommand, checkCommand, delCommand } from "./attach.ts";
import { command, Exit, Status } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { devicesCommand } from "./devices.ts";
import { doctorCommand } from "./doctor.ts";
import { explainCommand } from "./explain.ts";
import { gcCommand } from "./gc.ts";
import { installCommand, uninstallCommand } from "./install.ts";
import { leasesCommand } from "./leases.ts";
import { schemaCommand } from "./schema.ts";
import { note, print } from "./terminal.ts";
import { validateCommand } from "./validate.ts";

const lesson = `A container runtime calls it by the name of a plugin. Called as podnic with CNI_COMMAND set, the "type" of
the configuration says which plugin it is; otherwise it is what you see here.

Install it where the runtime looks for plugins:
  podnic install /opt/cni/bin

Try a network by hand, doing what a runtime does (as root; eth0 stands for a device of yours):
  ip netns add demo
  echo '{"cniVersion":"1.0.0","name":"lan","type":"macvlan","master":"eth0"}' >lan.conf
  podnic validate lan.conf
  podnic explain lan.conf --netns demo --ifname net1
  podnic add lan demo --ifname net1 --conf-dir .
  podnic del lan demo --ifname net1 --conf-dir .

Files:
  /etc/cni/podnic.json   what configurations may do on this node (optional; root's, not writable by others)
  /var/lib/cni/          state: leases, and what devices were before pods got them`;

const versionCommand = () => command("version", "print the version").action(() => print(`podnic ${podnicVersion}\n`));

/** One row a command, in the order of the help. */
// biome-ignore format: one row a command
const commands: readonly (() => Command)[] = [
  installCommand,
  uninstallCommand,
  devicesCommand,
  leasesCommand,
  doctorCommand,
  gcCommand,
  validateCommand,
  explainCommand,
  addCommand,
  checkCommand,
  delCommand,
  schemaCommand,
  completionCommand,
  versionCommand,
];

/** The whole command line. */
export function podnic(): Command {
  const about = `Hands a node's network devices to pods: the CNI plugins ${pluginNames().join(", ")} in one executable.`;
  const made = command("podnic", about, lesson);
  for (const make of commands) made.addCommand(make());
  return made;
}

/** Runs one command; returns the exit status (see Status). */
export function operator(args: string[]): number {
  try {
    podnic().parse(args, { from: "user" });
    return Status.good;
  } catch (error) {
    if (error instanceof Exit) return error.status;
    if (error instanceof CommanderError) return error.exitCode === 0 ? Status.good : Status.usage;
    note(error instanceof Error ? error.message : String(error));
    if (error instanceof CniError && error.details !== "") note(error.details);
    return Status.failed;
  }
}
