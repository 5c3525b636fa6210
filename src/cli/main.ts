// The operator's command line. It is a bytecode of its own, loaded only when the executable is not called as a plugin.
import { Command, CommanderError } from "commander";
import { version } from "../../package.json";
import { host } from "../host/host.ts";
import { install } from "./install.ts";

function print(fd: number, text: string): void {
  let rest = host.encode(text);
  while (rest.length > 0) rest = rest.subarray(host.write(fd, rest));
}

function commands(): Command {
  const podnic = new Command("podnic")
    .description("CNI plugins host-device, sriov, ipvlan, macvlan, static and host-local in one executable.")
    .configureOutput({ writeOut: (text) => print(1, text), writeErr: (text) => print(2, text) })
    .exitOverride()
    .showHelpAfterError("(podnic --help shows what there is)")
    .addHelpText("after", "\nCalled by the name of a plugin, or with CNI_COMMAND set, it is that plugin.");
  podnic
    .command("version")
    .description("print the version")
    .action(() => print(1, `podnic ${version}\n`));
  podnic
    .command("install")
    .argument("<dir>", "directory of CNI plugins, usually /opt/cni/bin")
    .description("install this executable and the plugins' names in a directory")
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
