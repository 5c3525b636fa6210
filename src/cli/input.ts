// Reads files and directories that the user names on the command line.
import { readAll } from "../cni/stdio.ts";
import { Failure } from "../errors.ts";
import { ENOENT, O_CLOEXEC, O_DIRECTORY, O_RDONLY, S_IFDIR, S_IFMT } from "../host/constants.ts";
import { errnoName, errnoText, type Fd, host, SystemError } from "../host/host.ts";
import { hasErrno } from "../state/descriptor.ts";
import { closing, readUpTo } from "../state/files.ts";
import { notRegular, openLooked } from "../state/look.ts";

/** Bytes. Larger than a manifest with hundreds of networks. */
const LIMIT = 4 << 20;

/** Reads a file, or stdin if the path is "-". Throws Failure("io"). */
export function readInput(path: string): string {
  try {
    const data = path === "-" ? readAll(LIMIT) : readRegular(path);
    if (data !== undefined) return host.decode(data);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    throw new Failure("io", error.message, "Specify a readable file.");
  }
  throw new Failure("io", `${path} is larger than ${LIMIT} bytes`, "Check whether this is the right file.");
}

function readRegular(path: string): Uint8Array | undefined {
  const looked = openLooked(undefined, path, O_RDONLY, notRegular, true);
  if (looked === undefined) throw new SystemError("openat", ENOENT, errnoName(ENOENT), errnoText(ENOENT), path);
  const { fd, why, stat } = looked;
  if (fd !== undefined) return closing(fd, () => readUpTo(fd, stat.size, LIMIT));
  if ((stat.mode & S_IFMT) === S_IFDIR)
    throw new Failure("io", `${path} is a directory`, "Specify the files in it instead.");
  throw new Failure("io", `${path} ${why}`, "Specify a readable file.");
}

/** Opens a directory. Throws Failure("io") with `cure` if it does not exist, and SystemError for other errors. */
export function openNamedDirectory(path: string, cure: string): Fd {
  try {
    return host.open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  } catch (error) {
    if (!hasErrno(error, "ENOENT", "ENOTDIR")) throw error;
    throw new Failure("io", `there is no directory ${path}`, cure);
  }
}
