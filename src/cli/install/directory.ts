// Installs podnic in a directory of CNI plugins and removes it again, while runtimes start plugins from this directory.
//
// What must not happen is that a runtime finds a name missing, or half of a file. So the new executable is written aside and synced, and
// renamed into place; what is there before, and a process that runs it, is not touched. Every name is a file of its own: installers of
// others (sriov-cni's image, kindnet) run `cp -f`, which writes into the file that is there. With links it would write into all names.
import { toFailure } from "../../cni/failure.ts";
import { pluginNames } from "../../cni/registry.ts";
import { Failure } from "../../errors.ts";
import { O_CREAT, O_DIRECTORY, O_EXCL, O_NOFOLLOW, O_RDONLY, O_WRONLY, S_IFDIR, S_IFMT } from "../../host/constants.ts";
import { type Fd, host, SystemError } from "../../host/host.ts";
import { hasErrno } from "../../state/descriptor.ts";
import { closing, unlinkIfThere, writeAll } from "../../state/files.ts";
import { withLock } from "../../state/lock.ts";
import { UsageError } from "../exit.ts";
import { openNamedDirectory } from "../input.ts";
import { type Kind, recognise } from "./recognise.ts";

/** Names with a dot in front are no plugin of anybody's. */
const COPY = ".podnic.new";
const LINK = ".podnic.link";

/** What an installer that was killed leaves. */
export const isLeftover = (name: string): boolean => name.startsWith(COPY) || name === LINK;
/** What install --backup replaced, and each later install where it is there; uninstall puts it back. */
export const BACKUP = ".podnic.backup";
const LOCK_TIMEOUT = 30_000;

export interface InstallOptions {
  /** Plugins to install; empty: all. The name podnic is always installed. */
  only: string[];
  backup: boolean;
  /** Replace also what is not known. */
  force: boolean;
}

/** What was done to one name. */
export interface Change {
  name: string;
  /** What was there before. */
  was: Kind;
  /** It was kept (install), has come back, or, where another file was left, is still kept (uninstall). */
  backup: boolean;
  did: "installed" | "removed" | "restored" | "left";
}

/** Puts this executable into the directory. Everything that can be refused is refused first. Throws Failure and SystemError. */
export function install(path: string, options: InstallOptions): Change[] {
  const names = ["podnic", ...chosen(options.only)];
  return inDirectory(path, (dir) => {
    const before = names.map((name) => ({ name, was: recognise(name, dir) }));
    for (const { name, was } of before) if (was === "unknown") refuseUnknown(path, dir, name, options.force);
    // Who has had something kept gets back what was there last, and not what an upgrade replaced long ago.
    const keeps = options.backup || isThere(BACKUP, dir);
    removeLeftovers(dir);
    try {
      // All of them before the first is replaced: the disk may be full.
      for (const { name } of before) copySelf(`${COPY}.${name}`, dir);
      const changes = before.map(({ name, was }): Change => {
        const backup = keeps && was !== "podnic" && was !== "missing";
        if (backup) keep(name, dir);
        host.rename(`${COPY}.${name}`, name, dir, dir);
        return { name, was, backup, did: "installed" };
      });
      host.fsync(dir);
      return changes;
    } finally {
      removeLeftovers(dir);
    }
  });
}

/** Takes away what is ours, and nothing else; what install --backup kept comes back in the same step. */
export function uninstall(path: string, only: string[]): Change[] {
  // Last of all podnic itself, so that one which was interrupted can be repeated with it.
  const names = only.length === 0 ? [...pluginNames(), "podnic"] : chosen(only);
  return inDirectory(path, (dir) => {
    removeLeftovers(dir);
    const changes = names.map((name): Change => {
      const was = recognise(name, dir);
      if (was !== "podnic" && was !== "missing") {
        return { name, was, backup: isThere(`${BACKUP}/${name}`, dir), did: "left" };
      }
      if (restore(name, dir)) return { name, was, backup: true, did: "restored" };
      if (was === "missing") return { name, was, backup: false, did: "left" };
      host.unlink(name, dir);
      return { name, was, backup: false, did: "removed" };
    });
    removeEmptyBackup(dir);
    host.fsync(dir);
    return changes;
  });
}

function inDirectory<T>(path: string, body: (dir: Fd) => T): T {
  const cure =
    "Specify the directory where the runtime looks for plugins, usually /opt/cni/bin, or create it with mkdir -p.";
  const dir = openNamedDirectory(path, cure);
  // The directory is its own lock: two installers would take each other's files for leftovers.
  try {
    return closing(dir, () =>
      withLock(dir, ".", LOCK_TIMEOUT, () => {
        refuseFalseBackup(path, dir);
        return body(dir);
      }),
    );
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    const failure = toFailure(error);
    throw failure.reworded(`${path}: ${failure.message}`, failure.details);
  }
}

function chosen(only: string[]): string[] {
  for (const name of only) {
    if (pluginNames().includes(name)) continue;
    throw new UsageError(`there is no plugin "${name}"`, `Plugins: ${pluginNames().join(", ")}.`);
  }
  return only.length === 0 ? pluginNames() : [...new Set(only)];
}

function refuseUnknown(path: string, dir: Fd, name: string, force: boolean): void {
  const directory = (host.stat(name, false, dir).mode & S_IFMT) === S_IFDIR;
  if (force && !directory) return;
  throw new Failure(
    "failed",
    `${path}/${name} was not replaced: it is ${directory ? "a directory" : "neither podnic, nor a Go plugin, nor sriov-cni"}`,
    directory ? "Move it away." : "Nothing was changed. --force replaces it; add --backup to keep a copy.",
  );
}

function removeLeftovers(dir: Fd): void {
  // Opened anew: a second reading of one descriptor goes on where the first one ended, and finds nothing.
  const names = closing(host.open(".", O_RDONLY | O_DIRECTORY, 0, dir), (own) => host.readdir(own));
  for (const name of names) if (isLeftover(name)) unlinkIfThere(name, dir);
}

function copySelf(name: string, dir: Fd): void {
  closing(openSelf(), (from) => {
    const to = host.open(name, O_WRONLY | O_CREAT | O_EXCL, 0o755, dir);
    closing(to, () => {
      for (let part = host.read(from, 16_384); part.length > 0; part = host.read(from, 16_384)) writeAll(to, part);
      host.fchmod(to, 0o755); // whatever the umask is: container runtimes may run as somebody else
      host.fsync(to);
    });
  });
}

/** Without /proc (an empty root that nobody mounted it in) the name we were called by must do. */
function openSelf(): Fd {
  try {
    return host.open("/proc/self/exe", O_RDONLY);
  } catch (error) {
    const name = host.args()[0] ?? "";
    if (!hasErrno(error, "ENOENT") || !name.includes("/") || recognise(name) !== "podnic") throw error;
    return host.open(name, O_RDONLY);
  }
}

/** Keeps what a name leads to now. What was kept before goes: a package's newer plugin is what has to come back. */
function keep(name: string, dir: Fd): void {
  try {
    host.mkdir(BACKUP, 0o755, dir);
  } catch (error) {
    if (!hasErrno(error, "EEXIST")) throw error;
  }
  closing(host.open(BACKUP, O_RDONLY | O_DIRECTORY | O_NOFOLLOW, 0, dir), (backup) => {
    unlinkIfThere(LINK, backup);
    host.link(name, LINK, dir, backup);
    host.rename(LINK, name, backup, backup);
    unlinkIfThere(LINK, backup); // rename(2) of two names of one file does nothing
    host.fsync(backup);
  });
}

/** What is kept lies in a directory of this one: a link would have us write and rename wherever it leads. */
function refuseFalseBackup(path: string, dir: Fd): void {
  if (!isThere(BACKUP, dir) || (host.stat(BACKUP, false, dir).mode & S_IFMT) === S_IFDIR) return;
  throw new Failure(
    "failed",
    `${path}/${BACKUP} is not a directory`,
    "podnic install --backup keeps replaced plugins there. Check what this file is, and remove it.",
  );
}

/** false: nothing was kept under this name. */
function restore(name: string, dir: Fd): boolean {
  try {
    host.rename(`${BACKUP}/${name}`, name, dir, dir);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

export function isDirectory(path: string): boolean {
  try {
    return (host.stat(path).mode & S_IFMT) === S_IFDIR;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

function isThere(path: string, dir: Fd): boolean {
  try {
    host.stat(path, false, dir);
    return true;
  } catch (error) {
    if (hasErrno(error, "ENOENT", "ENOTDIR")) return false;
    throw error;
  }
}

function removeEmptyBackup(dir: Fd): void {
  try {
    host.rmdir(BACKUP, dir);
  } catch (error) {
    if (!hasErrno(error, "ENOENT", "ENOTEMPTY", "EEXIST")) throw error;
  }
}
