// Any failure as the one JSON document that a runtime reads, and one line for a person.
import { CniError, Code } from "../errors.ts";
import { SystemError } from "../host/host.ts";
import { jsonText } from "../json-text.ts";
import { NetlinkError } from "../netlink/errors.ts";

/** What helps, by errno. */
const cures: { [code: string]: string | undefined } = {
  EPERM: "permission denied: podnic must run as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN",
  EACCES: "permission denied: podnic must run as root, or with CAP_NET_ADMIN and CAP_SYS_ADMIN",
  ENOSPC: "the file system is full: free some space",
  EDQUOT: "the quota of the file system is used up: free some space",
  EROFS: "the file system is mounted read-only: mount it writable",
  EIO: "the disk reports an error: see the kernel's log",
  EMFILE: "the limit of open files is too low: raise it (ulimit -n)",
  ENFILE: "the node has too many open files",
  ENOMEM: "memory is short, or its limit too low",
  ENOBUFS: "the kernel is short of buffers: try again",
  EAGAIN: "somebody else holds it for now: try again",
  EBUSY: "somebody else uses it: see who with `ip -d link`",
  EOPNOTSUPP: "this kernel does not support it: is the module there?",
  EPROTONOSUPPORT: "this kernel does not support it: is the module there?",
  EAFNOSUPPORT: "this kernel does not have the protocol (IPv6 may be switched off)",
  ENODEV: "the device has gone, or the kernel lacks the module for it",
  ETXTBSY: "the file is being written: try again when the installation has finished",
};

/** Codes of the spec for what may pass by itself, and for input and output. */
const codes: { [code: string]: number | undefined } = {
  EAGAIN: Code.tryAgain,
  ETXTBSY: Code.tryAgain,
  EMFILE: Code.tryAgain,
  ENFILE: Code.tryAgain,
  ENOMEM: Code.tryAgain,
  ENOBUFS: Code.tryAgain,
  ENOSPC: Code.io,
  EDQUOT: Code.io,
  EIO: Code.io,
  EROFS: Code.io,
};

/** Decides on the errno; the kernel's words stay in the message. */
export function toCniError(error: unknown): CniError {
  if (error instanceof CniError) return error;
  if (error instanceof SystemError || error instanceof NetlinkError) {
    const cure = cures[error.code];
    return new CniError(
      codes[error.code] ?? Code.generic,
      error.message,
      cure === undefined ? error.code : `${error.code}: ${cure}`,
    );
  }
  const text = error instanceof Error ? `${error.name}: ${error.message}` : String(error);
  const where = error instanceof Error ? (error.stack ?? "").split("\n").slice(0, 4).join(" ").trim() : "";
  return new CniError(
    Code.generic,
    `internal error: ${text}`,
    `this is a defect of podnic, please report it: ${where}`,
  );
}

/** The document. Go leaves out cniVersion and empty details; the spec wants both (C-061). */
export function errorDocument(error: CniError, version: string): string {
  const message = error.message === "" ? "failed without a message" : error.message;
  const code = Number.isSafeInteger(error.code) && error.code > 0 ? error.code : Code.generic;
  return jsonText({ cniVersion: version, code, msg: message, details: error.details }, 4);
}
