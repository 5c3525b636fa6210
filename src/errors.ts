// The one error type that leaves podnic; every layer may throw it. SystemError (host/host.ts) and NetlinkError (netlink/errors.ts)
// become one in cni/dispatch.ts, with the errno and the kernel's own words in `details`.

/** Codes of the spec (section "Error"), and ours from 100. */
export const Code = {
  incompatibleVersion: 1,
  unsupportedField: 2,
  unknownContainer: 3,
  invalidEnvironment: 4,
  io: 5,
  decoding: 6,
  invalidConfig: 7,
  tryAgain: 11,
  notAvailable: 50,
  limitedConnectivity: 51,
  /** Everything functional; the Go plugins use 999 for it and runtimes have learnt to live with that. */
  generic: 999,
} as const;

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
export class CniError extends Error {
  override readonly name = "CniError";
  readonly code: number;
  readonly details: string;

  constructor(code: number, message: string, details = "") {
    super(message);
    this.code = code;
    this.details = details;
  }
}
