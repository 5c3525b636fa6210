// podnic install DIR: this executable under its own name and, as hard links, under those of the plugins.
import { pluginNames } from "../cni/registry.ts";
import { ENOENT, O_CREAT, O_DIRECTORY, O_EXCL, O_RDONLY, O_WRONLY } from "../host/constants.ts";
import { type Fd, host, SystemError } from "../host/host.ts";
import { command } from "./command.ts";
import { print } from "./terminal.ts";

function removeIfThere(name: string, dir: Fd): void {
  try {
    host.unlink(name, dir);
  } catch (error) {
    if (!(error instanceof SystemError && error.errno === ENOENT)) throw error;
  }
}

function copySelf(name: string, dir: Fd): void {
  const from = host.open("/proc/self/exe", O_RDONLY);
  const to = host.open(name, O_WRONLY | O_CREAT | O_EXCL, 0o755, dir);
  for (let part = host.read(from, 65536); part.length > 0; part = host.read(from, 65536)) {
    for (let rest = part; rest.length > 0; ) rest = rest.subarray(host.write(to, rest));
  }
  host.fchmod(to, 0o755); // whatever the umask is: container runtimes may run as somebody else
  host.fsync(to);
  host.close(to);
  host.close(from);
}

/**
 * Returns the paths installed. Every name is renamed into place, so that a runtime which starts a plugin meanwhile gets the old or the
 * new one, whole, and never ETXTBSY. Throws SystemError.
 */
export function install(path: string): string[] {
  const dir = host.open(path, O_RDONLY | O_DIRECTORY);
  const copy = ".podnic.new";
  const link = ".podnic.link";
  removeIfThere(copy, dir);
  removeIfThere(link, dir);
  copySelf(copy, dir);
  for (const name of pluginNames()) {
    host.link(copy, link, dir, dir);
    host.rename(link, name, dir, dir);
    removeIfThere(link, dir); // rename(2) of two names of one file does nothing
  }
  host.rename(copy, "podnic", dir, dir);
  removeIfThere(copy, dir);
  host.fsync(dir);
  return ["podnic", ...pluginNames()].map((name) => `${path}/${name}`);
}

export const installCommand = () =>
  command("install", "install this executable and the plugins' names in a directory; safe while plugins run")
    .argument("<dir>", "directory of CNI plugins, usually /opt/cni/bin")
    .action((dir: string) => {
      for (const path of install(dir)) print(`${path}\n`);
    });
