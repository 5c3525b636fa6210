// How a command exits.
import { Failure } from "../errors.ts";
import { host } from "../host/host.ts";

/** Exit statuses, the same for all commands. */
export const Status = {
  good: 0,
  /** It could not be done, or what was looked at is not as it should be. */
  failed: 1,
  /** The command line makes no sense. */
  usage: 2,
} as const;

/** Ends a command with a status after it has said all there is to say. */
export class Exit extends Error {
  override readonly name = "Exit";
  constructor(readonly status: number) {
    super(`exit status ${status}`);
  }
}

/** What was asked for on the command line makes no sense. */
export class UsageError extends Failure {
  constructor(message: string, details: string) {
    super("invalid environment", message, details);
  }
}

/** `why`: what root is needed for. */
export function requireRootFor(what: string, why: string): void {
  if (host.geteuid() === 0) return;
  throw new Failure("failed", `${what} needs root: ${why}`, AS_ROOT);
}

const AS_ROOT = "Run it as root.";

/** What to do when the kernel refuses (EACCES, EPERM). `forUsers`: who is not root. */
export function cureOfRefusal(forUsers = AS_ROOT): string {
  if (host.geteuid() !== 0) return forUsers;
  return "Even root is not allowed to do this. Look for an immutable file (lsattr), SELinux or AppArmor, or a missing capability.";
}
