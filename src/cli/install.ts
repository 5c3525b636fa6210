// podnic install DIR, podnic uninstall DIR.
import type { Command } from "commander";
import { Failure } from "../errors.ts";
import { SIGINT, SIGTERM } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { hasErrno } from "../state/descriptor.ts";
import { command } from "./command.ts";
import { cureOfRefusal, UsageError } from "./exit.ts";
import { BACKUP, type Change, type InstallOptions, install, isDirectory, uninstall } from "./install/directory.ts";
import { note, printJson, printTable } from "./terminal.ts";

const installLesson = `During the installation, no plugin is missing or incomplete. Runtimes can start plugins, and running plugins are not affected. Without
--force, install replaces a file only if it is podnic, a Go plugin or sriov-cni. After the first --backup, every install keeps the files
that it replaces. podnic uninstall restores the last replaced version of each file.

  podnic install /opt/cni/bin                      all plugins
  podnic install --backup /opt/cni/bin             keep replaced files, so that podnic uninstall can restore them
  podnic install --only macvlan ipvlan -- /opt/cni/bin
  podnic install /host/opt/cni/bin                 in a container, with the host's directory mounted there

Without <dir>, install accepts the arguments of sriov-cni's image and does the same as that image: it installs sriov (and podnic) in
/host/opt/cni/bin, and then waits for SIGTERM, so that its container keeps running. The SR-IOV operator and dra-driver-sriov use it this
way.

  podnic install --no-sleep                        do not wait
  podnic install --cni-bin-dir=/host/usr/libexec/cni`;

const uninstallLesson = `Removes only podnic's files. In the same step, it restores the files that "install --backup" kept, so no plugin is missing in between.
It also restores a kept file if the podnic file that replaced it has already been removed. Running pods are not
affected, and the Go plugins' DEL can clean up after podnic.

  podnic uninstall /opt/cni/bin
  podnic uninstall --only sriov -- /opt/cni/bin`;

const directory = "directory of CNI plugins, usually /opt/cni/bin";

function show(dir: string, changes: Change[], json: boolean | undefined): void {
  if (json === true) {
    printJson({ directory: dir, changes });
    return;
  }
  const path = dir.replace(/(?<=.)\/+$/, "");
  const words = { installed: "installed", removed: "removed", restored: "restored", left: "left unchanged" };
  const before = ({ was, did, backup }: Change): string => {
    if (was === "missing") return "nothing";
    return did === "installed" && backup ? `${was}, kept` : was;
  };
  printTable(
    ["FILE", "", "WAS"],
    changes.map((change) => [`${path}/${change.name}`, words[change.did], before(change)]),
  );
}

/** The path at which sriov-cni's image and podnic's image have the node's plugin directory. */
const IN_CONTAINER = "/host/opt/cni/bin";

interface Options extends Partial<InstallOptions> {
  cniBinDir?: string;
  sleep?: boolean;
  json?: boolean;
}

/** Without a directory, podnic accepts the arguments of sriov-cni's image. Like this image, it then installs only sriov by default. */
function asImage({ cniBinDir, only = ["sriov"] }: Options): { dir: string; only: string[] } {
  if (cniBinDir !== undefined) return { dir: cniBinDir, only };
  if (isDirectory(IN_CONTAINER)) return { dir: IN_CONTAINER, only };
  throw new UsageError(
    `no directory given, and there is no ${IN_CONTAINER}`,
    "Specify the directory where the runtime looks for plugins, usually /opt/cni/bin.",
  );
}

/** Adds the directory to the kernel's errors, because the user named the directory, and the errors name one of its files. */
function changing<T>(dir: string, act: () => T): T {
  try {
    return act();
  } catch (error) {
    if (!(error instanceof SystemError) || !hasErrno(error, "EACCES", "EPERM", "EROFS")) throw error;
    throw new Failure("io", `cannot write to ${dir}: ${error.message}`, cureOf(error.code));
  }
}

function cureOf(errno: string): string {
  if (errno === "EROFS") return "The file system is mounted read-only. Choose a directory on another one.";
  return cureOfRefusal("Run it as root, or specify a directory that you can write to.");
}

function runInstall(dir: string | undefined, options: Options): void {
  const { only = [], backup = false, force = false, json } = options;
  if (dir !== undefined) {
    if (options.cniBinDir !== undefined) throw new UsageError("two directories given", "Give only one.");
    const changes = changing(dir, () => install(dir, { only, backup, force }));
    show(dir, changes, json);
    return;
  }
  const image = asImage(options);
  const ends = options.sleep === false ? [] : [SIGTERM, SIGINT];
  // From here on, a signal stays pending, so that a signal during the installation is not lost.
  const end = ends.length > 0 ? host.waitSignal(ends, 0) : 0;
  const changes = changing(image.dir, () => install(image.dir, { only: image.only, backup, force }));
  show(image.dir, changes, json);
  if (ends.length === 0 || end !== 0) return;
  note("installed; waiting for SIGTERM (--no-sleep exits instead)");
  host.waitSignal(ends, -1);
}

export const installCommand = (): Command =>
  command("install", "install podnic under the plugins' names; safe while plugins run", installLesson)
    .argument("[dir]", directory)
    .option("--only <name...>", "only these plugins, and podnic itself; -- ends the list")
    .option("--backup", "keep replaced files, so that podnic uninstall can restore them")
    .option("--force", "also replace files that are not known plugins")
    .option("--cni-bin-dir <dir>", "argument of sriov-cni's image, see below")
    .option("--no-sleep", "argument of sriov-cni's image: exit when done")
    .option("--json", "print what was done as JSON")
    .action(runInstall);

export const uninstallCommand = (): Command =>
  command("uninstall", "remove podnic's plugins, and restore the plugins that they replaced", uninstallLesson)
    .argument("<dir>", directory)
    .option("--only <name...>", "only these plugins, and not podnic itself; -- ends the list")
    .option("--json", "print what was done as JSON")
    .action((dir: string, { only = [], json }: Options) => {
      const changes = changing(dir, () => uninstall(dir, only));
      show(dir, changes, json);
      const foreign = changes.filter(({ did, was }) => did === "left" && was !== "missing");
      if (foreign.length > 0)
        note(`left unchanged, because they do not belong to podnic: ${foreign.map(({ name }) => name).join(", ")}`);
      const kept = foreign.filter(({ backup }) => backup).map(({ name }) => `${dir}/${BACKUP}/${name}`);
      if (kept.length > 0) note(`the plugins that they replaced have been kept: ${kept.join(", ")}`);
    });
