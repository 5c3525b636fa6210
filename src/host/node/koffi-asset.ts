// koffi in dist/podnic-node: its native part is an asset of the executable, and replaces the package (scripts/build-pkg.ts). The C library can
// load shared objects only from files. This file has no name, so nothing is left behind, and no other program can replace it.
import { closeSync, openSync, writeSync } from "node:fs";
import { constants, tmpdir } from "node:os";
import { getRawAsset } from "node:sea";
import { O_RDWR } from "../constants.ts";

const O_DIRECTORY = process.arch === "arm64" ? 0o40000 : 0o200000;
const O_TMPFILE = 0o20000000 | O_DIRECTORY;
/** Some are mounted noexec, or are no place for files without a name. */
const directories = [tmpdir(), "/dev/shm", "/run", "/var/tmp"];

function load(directory: string): unknown {
  const fd = openSync(directory, O_TMPFILE | O_RDWR, 0o700);
  try {
    const library = new Uint8Array(getRawAsset("koffi.node") as ArrayBuffer);
    for (let at = 0; at < library.length; ) at += writeSync(fd, library, at);
    const module = { exports: {} };
    process.dlopen(module, `/proc/self/fd/${fd}`, constants.dlopen.RTLD_LAZY);
    return module.exports;
  } finally {
    closeSync(fd);
  }
}

function loadAnywhere(): unknown {
  const failures: string[] = [];
  for (const directory of directories) {
    try {
      return load(directory);
    } catch (error) {
      failures.push(`${directory}: ${error instanceof Error ? error.message : error}`);
    }
  }
  throw new Error(`podnic-node needs a directory for a temporary executable file; tried ${failures.join("; ")}`);
}

export default loadAnywhere();
