// Files that a person names on the command line.
import { readAll } from "../cni/stdio.ts";
import { CniError, Code } from "../errors.ts";
import { O_CLOEXEC, O_NONBLOCK, O_RDONLY, S_IFMT, S_IFREG } from "../host/constants.ts";
import { host } from "../host/host.ts";
import { closing, readUpTo } from "../state/files.ts";

/** More than any network's configuration, and than a manifest with hundreds of them. */
const LIMIT = 4 << 20;

/** Text of a file, of stdin for "-". Throws SystemError, or CniError(io) for what is no file of a sensible size. */
export function readInput(path: string): string {
  const data = path === "-" ? readAll(LIMIT) : readRegular(path);
  if (data === undefined) throw new CniError(Code.io, `${path} has more than ${LIMIT} bytes`);
  return host.decode(data);
}

function readRegular(path: string): Uint8Array | undefined {
  // A fifo would make us wait for its other end.
  return closing(host.open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC), (fd) => {
    const { mode, size } = host.fstat(fd);
    if ((mode & S_IFMT) !== S_IFREG) throw new CniError(Code.io, `${path} is not a regular file`);
    return readUpTo(fd, size, LIMIT);
  });
}
