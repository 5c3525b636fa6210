// Files that survive a crash: written aside, synced, then linked or renamed into place.
import type { Fd } from "../host/host.ts";

/** Opens a directory without following a symbolic link in its last component; creates it and its parents (mode 0755 for parents, `mode` for itself) when asked. undefined: it does not exist. */
export function openDirectory(_path: string, _create?: { mode: number }): Fd | undefined {
  throw new Error("not built yet");
}

/** Whole contents of a regular file in `dir`, never following a link. undefined: not there. Throws when it is larger than `limit` or not a regular file. */
export function readFile(_dir: Fd, _name: string, _limit: number): Uint8Array | undefined {
  throw new Error("not built yet");
}

/** Replaces `name` in `dir` atomically: temp, fsync, rename, fsync of the directory. */
export function writeFile(_dir: Fd, _name: string, _data: Uint8Array, _mode: number): void {
  throw new Error("not built yet");
}

/** Creates `name` in `dir` with its contents atomically, durable when it returns. false: it exists. */
export function createFile(_dir: Fd, _name: string, _data: Uint8Array, _mode: number): boolean {
  throw new Error("not built yet");
}
