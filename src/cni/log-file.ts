// Writes the log to the file that the configuration specifies.
import { openParent } from "../config/place.ts";
import { confinePath, type Place } from "../config/policy.ts";
import { Failure } from "../errors.ts";
import { O_APPEND, O_CLOEXEC, O_CREAT, O_EXCL, O_NOFOLLOW, O_RDWR } from "../host/constants.ts";
import { type Fd, host, type Stat } from "../host/host.ts";
import { configureLog, type Fields, levelOf, log } from "../log.ts";
import { hasErrno } from "../state/descriptor.ts";
import { closing } from "../state/files.ts";
import { notOurs, openLooked } from "../state/look.ts";
import type { NetworkConfig } from "./plugin.ts";

/** Bytes. A log that is never rotated must not fill the node's disk. */
const sizeLimit = 100 << 20;
/** See src/log.ts. */
const LINE_BEGIN = '{"time":';

/**
 * Sets the context and the level of the log. Returns the place of the log file, or undefined if the log goes to stderr. Throws
 * Failure("invalid config") if `logFile` is not in an allowed directory.
 */
export function setUpLog(config: NetworkConfig, context: Fields): Place | undefined {
  const { logFile, logLevel } = config as { logFile?: string; logLevel?: string };
  configureLog({ context: { ...context, ...trace() } });
  if (logLevel !== undefined || logFile) configureLog({ level: levelOf(logLevel ?? "info") });
  return logFile ? confinePath("logFile", logFile) : undefined;
}

/** Opens the log file. If that fails, logs a warning, and the log goes to stderr. */
export function startLog(place: Place): void {
  try {
    configureLog({ file: openLog(place, LINE_BEGIN) });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log("warning", "logging to stderr instead", { logFile: place.path, cause: error.message });
  }
}

/**
 * Opens or creates a log file. podnic's own files of this kind begin with `begin`. Throws Failure for a non-empty file that begins
 * differently, or that others can access; throws SystemError for the kernel's errors.
 */
export function openLog(place: Place, begin: string): Fd {
  const { path } = place;
  const parent = openParent("logFile", place);
  if (parent === undefined) throw new Failure("io", `the directory of ${path} does not exist`);
  const { dir, name } = parent;
  return closing(dir, () => {
    for (;;) {
      const looked = openLooked(dir, name, O_RDWR | O_APPEND, notOurLog);
      if (looked?.fd !== undefined) return begunByUs(looked.fd, path, begin);
      if (looked !== undefined) throw new Failure("io", `${path} ${looked.why}`);
      try {
        return host.open(name, O_RDWR | O_APPEND | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0o600, dir);
      } catch (error) {
        if (!hasErrno(error, "EEXIST")) throw error;
      }
    }
  });
}

function notOurLog(stat: Stat): string {
  const why = notOurs(stat);
  if (why !== "") return why;
  if ((stat.mode & 0o077) !== 0) return "is not a podnic log: its mode must be 0600, so that only root can use it";
  return stat.size < sizeLimit ? "" : `has reached the limit of ${sizeLimit} bytes`;
}

/** A tenant can name any log file. podnic therefore writes only to a file that is empty, or that begins with `expected`. */
function begunByUs(fd: Fd, path: string, expected: string): Fd {
  const begin = host.decode(host.read(fd, expected.length));
  if (begin === "" || begin === expected) return fd;
  host.close(fd);
  throw new Failure("io", `${path} is not a podnic file: it does not begin with ${expected}`);
}

/** The trace to which this call belongs (W3C Trace Context). An invalid value of the environment variable is ignored. */
function trace(): Fields {
  const parts = (host.getenv("TRACEPARENT") ?? "").split("-");
  const [, id = "", span = ""] = parts;
  const isHex = (text: string, length: number) =>
    text.length === length && [...text].every((char) => "0123456789abcdef".includes(char));
  return parts.length >= 4 && isHex(id, 32) && isHex(span, 16) ? { trace: id, span } : {};
}
