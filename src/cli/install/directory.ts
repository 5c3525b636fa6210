// Installs podnic in a directory of CNI plugins and removes it again, while runtimes start plugins from this directory.
//
// A runtime must never find that a file is missing or incomplete. The new executable is therefore written to a temporary file, synced, and
// renamed into place. This does not affect processes that run the old file. Each name is a separate file, because other installers
// (sriov-cni's image, kindnet) run `cp -f`, which writes into an existing file. With hard links, this would change all names.
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

/** The names of temporary files begin with a dot, because no plugin's name does. */
const COPY = ".podnic.new";
const LINK = ".podnic.link";

/** True for the temporary files of an installation, which remain if it is killed. */
export const isLeftover = (name: string): boolean => name.startsWith(COPY) || name === LINK;
/** The directory of replaced files. install --backup creates it, later installations also use it, and uninstall restores its files. */
export const BACKUP = ".podnic.backup";
const LOCK_TIMEOUT = 30_000;

export interface InstallOptions {
  /** Plugins to install; empty: all. The name podnic is always installed. */
  only: string[];
  backup: boolean;
  /** Also replace unknown files. */
  force: boolean;
}

/** The change to one name. */
export interface Change {
  name: string;
  /** What was there before. */
  was: Kind;
  /** install: the old file was kept. uninstall: it was restored, or is still kept because another program's file has the name. */
  backup: boolean;
  did: "installed" | "removed" | "restored" | "left";
}

/** Installs this executable in the directory. Changes nothing if it refuses a name. Throws Failure and SystemError. */
export function install(path: string, options: InstallOptions): Change[] {
  const names = ["podnic", ...chosen(options.only)];
  return inDirectory(path, (dir) => {
    const before = names.map((name) => ({ name, was: recognise(name, dir) }));
    for (const { name, was } of before) if (was === "unknown") refuseUnknown(path, dir, name, options.force);
    // If there is a backup, also keep the files that this installation replaces, so that uninstall restores the latest ones.
    const keeps = options.backup || isThere(BACKUP, dir);
    removeLeftovers(dir);
    try {
      // Write all copies before replacing the first file, because the disk may be full.
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

/** Removes podnic's files, and no others. A rename restores the files that install --backup kept, so no name is missing in between. */
export function uninstall(path: string, only: string[]): Change[] {
  // Remove podnic itself last, so that an interrupted uninstall can be repeated.
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
  // Lock the directory, because two installers would remove each other's temporary files as leftovers.
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
  // Use a new descriptor, because reading `dir` a second time would continue at its end.
  const names = closing(host.open(".", O_RDONLY | O_DIRECTORY, 0, dir), (own) => host.readdir(own));
  for (const name of names) if (isLeftover(name)) unlinkIfThere(name, dir);
}

function copySelf(name: string, dir: Fd): void {
  closing(openSelf(), (from) => {
    const to = host.open(name, O_WRONLY | O_CREAT | O_EXCL, 0o755, dir);
    closing(to, () => {
      for (let part = host.read(from, 16_384); part.length > 0; part = host.read(from, 16_384)) writeAll(to, part);
      host.fchmod(to, 0o755); // ignore the umask, because container runtimes may run as another user
      host.fsync(to);
    });
  });
}

/** Opens this executable. If /proc is not mounted, uses the name under which it was started. */
function openSelf(): Fd {
  try {
    return host.open("/proc/self/exe", O_RDONLY);
  } catch (error) {
    const name = host.args()[0] ?? "";
    if (!hasErrno(error, "ENOENT") || !name.includes("/") || recognise(name) !== "podnic") throw error;
    return host.open(name, O_RDONLY);
  }
}

/** Keeps the current file of a name. Replaces an older backup, because uninstall must restore the latest file. */
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
    unlinkIfThere(LINK, backup); // rename(2) does nothing if both names are links to the same file
    host.fsync(backup);
  });
}

/** Refuses a backup that is not a directory: if it were a link, podnic would write to and rename files in another directory. */
function refuseFalseBackup(path: string, dir: Fd): void {
  if (!isThere(BACKUP, dir) || (host.stat(BACKUP, false, dir).mode & S_IFMT) === S_IFDIR) return;
  throw new Failure(
    "failed",
    `${path}/${BACKUP} is not a directory`,
    "podnic install --backup keeps replaced plugins there. Check what this file is, and remove it.",
  );
}

/** Returns false if there is no backup of this name. */
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
