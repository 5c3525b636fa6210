// Sends the log where the configuration wants it.
import { confinePath } from "../config/policy.ts";
import { CniError, Code } from "../errors.ts";
import { O_APPEND, O_CLOEXEC, O_CREAT, O_NOFOLLOW, O_NONBLOCK, O_WRONLY, S_IFMT, S_IFREG } from "../host/constants.ts";
import { type Fd, host } from "../host/host.ts";
import { configureLog, type Fields, levelOf, log } from "../log.ts";
import { openDirectory } from "../state/files.ts";
import type { NetworkConfig } from "./plugin.ts";

/** A log that nobody rotates must not fill the node's disk. */
const sizeLimit = 100 << 20;

/** Throws CniError(invalidConfig) when `logFile` lies where no log may; a file that merely cannot be opened is a warning on stderr. */
export function setUpLog(config: NetworkConfig, context: Fields): void {
  const { logFile, logLevel } = config as { logFile?: string; logLevel?: string };
  configureLog({ context: { ...context, ...trace() } });
  if (logLevel !== undefined || logFile) configureLog({ level: levelOf(logLevel ?? "info") });
  if (!logFile) return;
  confinePath("logFile", logFile);
  try {
    configureLog({ file: openLog(logFile) });
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log("warning", "logging to stderr instead", { logFile, cause: error.message });
  }
}

function openLog(path: string): Fd {
  const steps = path.split("/").filter((step) => step !== "" && step !== ".");
  const name = steps.pop() ?? "";
  const directory = openDirectory(`/${steps.join("/")}`, { mode: 0o755 });
  if (directory === undefined) throw new CniError(Code.io, `no directory for ${path}`);
  try {
    const flags = O_WRONLY | O_APPEND | O_CREAT | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
    const fd = host.open(name, flags, 0o600, directory);
    const { mode, size } = host.fstat(fd);
    if ((mode & S_IFMT) === S_IFREG && size < sizeLimit) return fd;
    host.close(fd);
    throw new CniError(Code.io, `${path} is not a regular file of less than ${sizeLimit} bytes`);
  } finally {
    host.close(directory);
  }
}

/** The trace that this call belongs to (W3C trace context). The value comes from outside: its form is checked. */
function trace(): Fields {
  const parts = (host.getenv("TRACEPARENT") ?? "").split("-");
  const [, id = "", span = ""] = parts;
  const isHex = (text: string, length: number) =>
    text.length === length && [...text].every((char) => "0123456789abcdef".includes(char));
  return parts.length >= 4 && isHex(id, 32) && isHex(span, 16) ? { trace: id, span } : {};
}
