// Failure is the only error type that podnic creates, in every layer. It describes the kind of failure in words. cni/failure.ts assigns the
// specification's codes to these kinds, and converts SystemError (host/host.ts) and NetlinkError (netlink/errors.ts) to a Failure.

export type FailureKind =
  | "incompatible version"
  | "unknown container"
  /** What the caller gave by environment variables, or as arguments. */
  | "invalid environment"
  /** There is no network namespace at the path, or this is uncertain. */
  | "no namespace"
  | "io"
  | "not decodable"
  | "invalid config"
  /** May pass by itself. */
  | "try again"
  /** STATUS: an ADD would fail now. */
  | "not available"
  /** Everything else. */
  | "failed";

/**
 * Base of the kernel's refusals, which are everyday answers (no such file, no such link): an Error, but made without the stack trace
 * that Error's constructor writes and that takes the engine longer than the system call.
 */
export const Refusal = function (this: Error, message: string): void {
  this.message = message;
} as unknown as new (
  message: string,
) => Error;
Refusal.prototype = Object.create(Error.prototype);

/** `message` says what went wrong in one line; `details` says why and what to do about it. */
export class Failure extends Error {
  override readonly name: string = "Failure";
  readonly kind: FailureKind;
  readonly details: string;

  constructor(kind: FailureKind, message: string, details = "") {
    super(message);
    this.kind = kind;
    this.details = details;
  }

  /** The same failure, told otherwise. */
  reworded(message: string, details: string): Failure {
    return new Failure(this.kind, message, details);
  }
}

/** Details, and one more sentence. Those of the kernel's refusals and of other plugins need not end in a stop. */
export function addDetails(details: string, sentence: string): string {
  return details === "" ? ended(sentence) : `${ended(details)} ${ended(sentence)}`;
}

function ended(text: string): string {
  return /[.!?]$/.test(text) ? text : `${text}.`;
}

/** For a command that people paste. A pod chooses names and aliases, of devices that are on the host by now too, and `$(…)` is a valid name. */
export function shellWord(text: string): string {
  return /^[\w./:@%+-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`;
}
