// Converts any error to a Failure, and a Failure to the JSON document that a runtime reads.
import { Failure, type FailureKind } from "../errors.ts";
import { host, SystemError } from "../host/host.ts";
import { jsonText } from "../json-text.ts";
import { NetlinkError } from "../netlink/errors.ts";

/** What the operator can do about an errno. */
const cures: { [code: string]: string | undefined } = {
  EPERM: "Permission denied. Run podnic as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN.",
  EACCES: "Permission denied. Run podnic as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN.",
  ENOSPC: "The file system is full. Free some space.",
  EDQUOT: "The file system's quota is used up. Free some space.",
  EROFS: "The file system is mounted read-only. Mount it read-write.",
  EIO: "The disk reports an error. See the kernel's log.",
  EMFILE: "The limit on open files is too low. Raise it (ulimit -n).",
  ENFILE: "The node has too many open files.",
  ENOMEM: "The node is short of memory, or the memory limit is too low.",
  ENOBUFS: "The kernel is out of buffers. Try again.",
  EAGAIN: "Another process is using the resource. Try again.",
  EBUSY: "The device is in use. `ip -d link` shows what uses it.",
  EOPNOTSUPP: "This kernel does not support the operation. A kernel module might be missing.",
  EPROTONOSUPPORT: "This kernel does not support the operation. A kernel module might be missing.",
  EAFNOSUPPORT: "This kernel does not support the protocol. IPv6 might be disabled.",
  ENODEV: "The device is gone, or the kernel lacks a module for it.",
  ETXTBSY: "The file is being written. Try again when the installation has finished.",
};

/** The specification's codes (section "Error"). All other errors have 999, as in the Go plugins, because runtimes are used to it. */
const codes: { readonly [kind in FailureKind]: number } = {
  "incompatible version": 1,
  "unknown container": 3,
  "invalid environment": 4,
  "no namespace": 4,
  io: 5,
  "not decodable": 6,
  "invalid config": 7,
  "try again": 11,
  "not available": 50,
  failed: 999,
};

/** The code that a delegate answered, or the specification's code for podnic's own errors. */
export function codeOf(failure: Failure): number {
  return failure instanceof AnsweredFailure ? failure.code : codes[failure.kind];
}

/** A delegate's error document. podnic passes it on with its code, which can be one that podnic itself does not use. */
export class AnsweredFailure extends Failure {
  readonly code: number;

  constructor(code: number, message: string, details = "") {
    super("failed", message, details);
    this.code = Number.isSafeInteger(code) && code > 0 ? code : codes.failed;
  }

  override reworded(message: string, details: string): Failure {
    return new AnsweredFailure(this.code, message, details);
  }
}

/** The kinds of errnos that may go away by themselves, and of those that concern input and output. All others are "failed". */
const kinds: { [errno: string]: FailureKind | undefined } = {
  EAGAIN: "try again",
  ETXTBSY: "try again",
  EMFILE: "try again",
  ENFILE: "try again",
  ENOMEM: "try again",
  ENOBUFS: "try again",
  ENOSPC: "io",
  EDQUOT: "io",
  EIO: "io",
  EROFS: "io",
};

/** Converts any error. The errno determines the kind and the details; the message keeps the kernel's words. */
export function toFailure(error: unknown): Failure {
  if (error instanceof Failure) return error;
  if (error instanceof SystemError || error instanceof NetlinkError) {
    const cure = isRefusedToRoot(error) ? cureForRoot : cures[error.code];
    return new Failure(
      kinds[error.code] ?? "failed",
      error.message,
      cure === undefined ? error.code : `${error.code}: ${cure}`,
    );
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const where = error instanceof Error ? (error.stack ?? "").split("\n").slice(0, 4).join(" ").trim() : "";
  return new Failure("failed", `internal error: ${text}`, `This is a bug in podnic. Please report it: ${where}`);
}

const cureForRoot =
  "permission denied although podnic is root: lsattr shows whether the file or its directory is immutable (chattr -i); " +
  "a security module or missing capabilities can be the cause as well";

/** True if the kernel refuses root access to a file. Permission bits cannot be the reason, so cureForRoot lists other ones. */
function isRefusedToRoot(error: SystemError | NetlinkError): boolean {
  const isOfFile = error instanceof SystemError && error.subject !== "";
  return isOfFile && (error.code === "EPERM" || error.code === "EACCES") && host.geteuid() === 0;
}

/** The error document. Go omits cniVersion and empty details, but the specification requires both (C-061). */
export function errorDocument(error: Failure, version: string): string {
  const message = error.message === "" ? "failed without a message" : error.message;
  return jsonText({ cniVersion: version, code: codeOf(error), msg: message, details: error.details }, 4);
}
