// podnic install DIR, podnic uninstall DIR.
import type { Command } from "commander";
import { command } from "./command.ts";
import { BACKUP, type Change, type InstallOptions, install, uninstall } from "./install/directory.ts";
import { note, printJson, printTable } from "./terminal.ts";

const installLesson = `Nothing is ever missing or half-written while it works: runtimes may start plugins, older ones may run. It refuses to
replace a file that is neither podnic, nor one of the Go plugins, nor sriov-cni. Once something is kept here, every install keeps
what it replaces: podnic uninstall puts back what was there last.

  podnic install /opt/cni/bin                      all plugins
  podnic install --backup /opt/cni/bin             keep what was there; podnic uninstall puts it back
  podnic install --only macvlan ipvlan -- /opt/cni/bin
  podnic install /host/opt/cni/bin                 in a container, with the host's directory mounted there`;

const uninstallLesson = `Removes what is podnic's and nothing else. What "install --backup" kept comes back in the same step, so that no name
is missing in between, and also where podnic's file has been removed. Pods keep running; the Go plugins' DEL understands what podnic left.

  podnic uninstall /opt/cni/bin
  podnic uninstall --only sriov -- /opt/cni/bin`;

const directory = "directory of CNI plugins, usually /opt/cni/bin";

function show(dir: string, changes: Change[], json: boolean | undefined): void {
  if (json === true) {
    printJson({ directory: dir, changes });
    return;
  }
  const path = dir.replace(/(?<=.)\/+$/, "");
  const words = { installed: "installed", removed: "removed", restored: "put back", left: "left alone" };
  const before = ({ was, did, backup }: Change): string => {
    if (was === "missing") return "nothing";
    return did === "installed" && backup ? `${was}, kept` : was;
  };
  printTable(
    ["FILE", "", "WAS"],
    changes.map((change) => [`${path}/${change.name}`, words[change.did], before(change)]),
  );
}

interface Options extends Partial<InstallOptions> {
  json?: boolean;
}

export const installCommand = (): Command =>
  command("install", "install this executable and the plugins' names; safe while plugins run", installLesson)
    .argument("<dir>", directory)
    .option("--only <name...>", "these plugins, and podnic itself; -- ends the list")
    .option("--backup", "keep what is replaced, for podnic uninstall")
    .option("--force", "replace also what is not known")
    .option("--json", "say what was done as JSON")
    .action((dir: string, { only = [], backup = false, force = false, json }: Options) =>
      show(dir, install(dir, { only, backup, force }), json),
    );

export const uninstallCommand = (): Command =>
  command("uninstall", "remove podnic's plugins, and put back what was there before", uninstallLesson)
    .argument("<dir>", directory)
    .option("--only <name...>", "these plugins; podnic itself stays; -- ends the list")
    .option("--json", "say what was done as JSON")
    .action((dir: string, { only = [], json }: Options) => {
      const changes = uninstall(dir, only);
      show(dir, changes, json);
      const foreign = changes.filter(({ did, was }) => did === "left" && was !== "missing");
      if (foreign.length > 0) note(`not podnic's, left alone: ${foreign.map(({ name }) => name).join(", ")}`);
      const kept = foreign.filter(({ backup }) => backup).map(({ name }) => `${dir}/${BACKUP}/${name}`);
      if (kept.length > 0) note(`what was there before them is still kept: ${kept.join(", ")}`);
    });
