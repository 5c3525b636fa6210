// Stores the name of one interface for each ipvlan master, because podnic can read the master's mode only from such an interface. There is one
// file for each master below /run. It is lost at a reboot, like the links themselves. If the file is missing, damaged or wrong, podnic
// searches for an interface.
import type { Call } from "../../src/cni/plugin.ts";
import { policy } from "../../src/config/policy.ts";
import { type Fd, host, SystemError } from "../../src/host/host.ts";
import type { Master } from "../../src/link/master.ts";
import { log } from "../../src/log.ts";
import { openDirectory, readFile, removeLeftovers, unlinkIfThere, writeFile } from "../../src/state/files.ts";
import { withLock } from "../../src/state/lock.ts";

export const KNOWN_SLAVES = "/run/cni/podnic";
const directory = `${KNOWN_SLAVES}/ipvlan`;

/** Where the interface is, and to which attachment it belongs. */
export interface KnownSlave {
  netns: string;
  network: string;
  containerId: string;
  ifName: string;
}

/** Opens the directory, and creates it if necessary. undefined: this failed. */
export function slaveDirectory(): Fd | undefined {
  try {
    return openDirectory(directory, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log("warning", "no state directory, so every call searches for interfaces on the master", { error: error.message });
    return undefined;
  }
}

/** An interface index is unique only within its namespace. */
function fileOf(master: Master): string {
  return `${master.namespace.ino}-${master.link.index}`;
}

export function readKnownSlave(dir: Fd, master: Master): KnownSlave | undefined {
  return read(dir, fileOf(master));
}

function read(dir: Fd, file: string): KnownSlave | undefined {
  try {
    const data = readFile(dir, file, 8192);
    const value = JSON.parse(data === undefined ? "null" : host.decode(data));
    return typeof value?.netns === "string" && typeof value.ifName === "string" ? value : undefined;
  } catch {
    return undefined;
  }
}

export function writeKnownSlave(dir: Fd, master: Master, { netns, attachment }: Call): void {
  const { network, containerId, ifName } = attachment;
  const slave: KnownSlave = { netns, network, containerId, ifName };
  try {
    writeFile(dir, fileOf(master), host.encode(JSON.stringify(slave)), 0o600);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log("warning", "cannot write the state", { error: error.message });
  }
}

/**
 * Removes the files of attachments that no longer exist, and the temporary files of killed writers. Removes a file under the lock that an ADD holds
 * when it writes one: without the lock, a new attachment could write the file between the check and the removal.
 */
export function forgetSlaves(isGone: (slave: KnownSlave) => boolean): void {
  const dir = openDirectory(directory);
  if (dir === undefined) return;
  const files = host.readdir(dir);
  for (const file of files) {
    const isOver = () => {
      const slave = read(dir, file);
      return slave !== undefined && isGone(slave);
    };
    if (!isOver()) continue;
    withLock(dir, "lock", policy().lockTimeout, () => {
      if (isOver()) unlinkIfThere(file, dir);
    });
  }
  removeLeftovers(dir, files);
}

/** For forgetSlaves: true for the interface of this attachment. */
export function isOf({ attachment }: Call): (slave: KnownSlave) => boolean {
  const { network, containerId, ifName } = attachment;
  return (slave) => slave.network === network && slave.containerId === containerId && slave.ifName === ifName;
}
