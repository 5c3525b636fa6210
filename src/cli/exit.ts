// How a command exits.
import { Failure } from "../errors.ts";
import { host } from "../host/host.ts";

/** Exit statuses, the same for all commands. */
export const Status = {
  good: 0,
  /** The command failed, or it found a problem. */
  failed: 1,
  /** The command line is wrong. */
  usage: 2,
} as const;

/** Ends a command with an exit status. The command has already printed everything. */
export class Exit extends Error {
  override readonly name = "Exit";
  constructor(readonly status: number) {
    super(`exit status ${status}`);
  }
}

/** The command line is wrong. */
export class UsageError extends Failure {
  constructor(message: string, details: string) {
    super("invalid environment", message, details);
  }
}

/** Throws Failure if the user is not root. `why` tells why the command needs root. */
export function requireRootFor(what: string, why: string): void {
  if (host.geteuid() === 0) return;
  throw new Failure("failed", `${what} needs root: ${why}`, AS_ROOT);
}

const AS_ROOT = "Run it as root.";

/** The cure for EACCES and EPERM. `forUsers` is the text for users other than root. */
export function cureOfRefusal(forUsers = AS_ROOT): string {
  if (host.geteuid() !== 0) return forUsers;
  return "Even root is not allowed to do this. Look for an immutable file (lsattr), SELinux or AppArmor, or a missing capability.";
}
