// The operator's command line. It is a separate bytecode, which is loaded only if the executable does not run as a plugin.
import { type Command, CommanderError } from "commander";
import { errorDocument, toFailure } from "../cni/failure.ts";
import { pluginNames } from "../cni/registry.ts";
import { Failure } from "../errors.ts";
import { SystemError } from "../host/host.ts";
import { hasErrno } from "../state/descriptor.ts";
import { podnicVersion } from "../version.ts";
import { addCommand, checkCommand, delCommand } from "./attach.ts";
import { command } from "./command.ts";
import { completionCommand } from "./completion.ts";
import { devicesCommand } from "./devices.ts";
import { doctorCommand } from "./doctor.ts";
import { cureOfRefusal, Exit, Status, UsageError } from "./exit.ts";
import { explainCommand } from "./explain.ts";
import { gcCommand } from "./gc.ts";
import { installCommand, uninstallCommand } from "./install.ts";
import { leasesCommand } from "./leases.ts";
import { schemaCommand } from "./schema.ts";
import { statusCommand } from "./status.ts";
import { note, print } from "./terminal.ts";
import { validateCommand } from "./validate.ts";

const epilogue = `A container runtime runs podnic under the name of a plugin. If podnic runs under its own name and CNI_COMMAND is set, the "type" in the
configuration selects the plugin. Otherwise, podnic is the command that this text describes.

Install podnic in the directory where the runtime looks for plugins:
  podnic install /opt/cni/bin

Try a network by hand, as a runtime would (as root; replace eth0 with your own device):
  ip netns add demo
  echo '{"cniVersion":"1.0.0","name":"lan","type":"macvlan","master":"eth0"}' >lan.conf
  podnic validate lan.conf
  podnic explain lan.conf --netns demo --ifname net1
  podnic add lan.conf demo --ifname net1
  podnic del lan.conf demo --ifname net1

Files:
  /etc/cni/podnic.json   what configurations may do on this node (optional; only root may write to it)
  /var/lib/cni/          state: leases, and the original settings of devices in pods`;

const version = `podnic ${podnicVersion}`;
const versionCommand = () => command("version", "print the version").action(() => print(`${version}\n`));

/** The commands, in the order of the help. */
// biome-ignore format: one row a command
const commands: readonly (() => Command)[] = [
  installCommand,
  uninstallCommand,
  devicesCommand,
  leasesCommand,
  statusCommand,
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
  const about = `Gives a node's network devices to pods: the CNI plugins ${pluginNames().join(", ")} in one executable.`;
  const made = command("podnic", about, epilogue).version(version, "-V, --version", "print the version");
  for (const make of commands) made.addCommand(make());
  return made;
}

/** Runs one command; returns the exit status (see Status). */
export function operator(args: string[]): number {
  try {
    return run(args);
  } catch (ended) {
    // Printing the error message itself failed, because nothing reads stdout.
    if (ended instanceof Exit) return ended.status;
    throw ended;
  }
}

function run(args: string[]): number {
  try {
    podnic().parse(args, { from: "user" });
    return Status.good;
  } catch (thrown) {
    if (thrown instanceof Exit) return thrown.status;
    const json = isJsonWanted(args);
    return thrown instanceof CommanderError ? refused(thrown, json) : failed(inWords(thrown), json);
  }
}

/** Searches the raw arguments for --json, so that the error for a wrong command line is a JSON document too. */
function isJsonWanted(args: string[]): boolean {
  const end = args.indexOf("--");
  return args.slice(0, end < 0 ? args.length : end).includes("--json");
}

/** Handles an error in the command line. commander has already printed the message on stderr. */
function refused({ exitCode, message }: CommanderError, json: boolean): number {
  if (exitCode === 0) return Status.good;
  const [first = "", ...more] = message.replace(/^error: /, "").split("\n");
  if (json) printError(new UsageError(first, more.join(" ") || "See --help."));
  return Status.usage;
}

/** Like toFailure, but with other cures for EACCES and EPERM, because toFailure's are for plugins, which a runtime starts. */
function inWords(thrown: unknown): Failure {
  if (!(thrown instanceof SystemError) || !hasErrno(thrown, "EACCES", "EPERM")) return toFailure(thrown);
  return new Failure("failed", thrown.message, cureOfRefusal());
}

/** Prints an error on stderr, and with --json also on stdout. Returns the exit status. */
function failed(error: Failure, json: boolean): number {
  note(`${error.message}${error.details === "" ? "" : `\n        ${error.details}`}`);
  if (json) printError(error);
  return error instanceof UsageError ? Status.usage : Status.failed;
}

/** Prints the same error document as a plugin. */
function printError(error: Failure): void {
  print(`${errorDocument(error, "1.1.0")}\n`);
}
