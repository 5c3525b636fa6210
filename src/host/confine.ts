// Gives up everything that the rest of a call does not need, with Landlock (files and programs) and fewer capabilities. This cannot be undone.
// Each call pays for it, so it makes as few system calls as possible, and its structures are part of the snapshot.

import { E2BIG, EINVAL, ENOSYS, EOPNOTSUPP, EPERM } from "./constants.ts";
import { LOW } from "./endian.ts";
import { type Fd, type Grants, SystemError } from "./host.ts";
import type { ProgramHost } from "./run.ts";

type SystemCalls = Pick<ProgramHost, "call">;

const CREATE_RULESET_VERSION = 1;
const RULE_PATH_BENEATH = 1;
const PR_SET_NO_NEW_PRIVS = 38;

/** LANDLOCK_ACCESS_FS_* */
const WRITE_FILE = 1 << 1;
const REMOVE_DIR = 1 << 4;
const REMOVE_FILE = 1 << 5;
const MAKE_DIR = 1 << 7;
const MAKE_REG = 1 << 8;

/**
 * What needs a grant from then on: all rights of ABI 2 (Linux 5.19) but to read files and directories. Not truncate(2) by path and ioctl(2)
 * on devices, of ABI 3 and 5: with these the kernel judges every open, also for reading (0.8 us), and we do neither.
 */
const HANDLED = 0x3ff3;
/** ABI 1 does not know REFER, and refuses it always. */
const HANDLED_BY_1 = 0x1ff3;
/** The ABI from which on all that we ask for is known (Linux 6.12). */
const NEWEST = 6;
/** What is granted: never execution, links to elsewhere, device nodes, sockets, FIFOs, or moving between directories. */
const TREE_RIGHTS = WRITE_FILE | REMOVE_DIR | REMOVE_FILE | MAKE_DIR | MAKE_REG;
/** Binding and connecting TCP (ABI 4). */
const TCP = 3;
/** Abstract sockets and signals to others (ABI 6). */
const SCOPED = 3;

/** Bits of linux/capability.h below 32 that are kept; all others go. */
const DAC_OVERRIDE = 1 << 1;
const DAC_READ_SEARCH = 1 << 2;
/** FOWNER: directories of others. NET_ADMIN and NET_RAW: links, packets. SYS_ADMIN: setns(2). */
const KEPT = DAC_OVERRIDE | (1 << 3) | (1 << 12) | (1 << 13) | (1 << 21);

function words(...values: number[]): Uint8Array {
  return new Uint8Array(new Uint32Array(values).buffer);
}

/** Numbers below 2^32, each in 64 bits. */
function words64(...values: number[]): Uint8Array {
  return words(...values.flatMap((value) => (LOW === 0 ? [value, 0] : [0, value])));
}

/** struct landlock_ruleset_attr: three 64-bit fields, of which older kernels know the first or two. */
function attributesFor(abi: number): Uint8Array {
  const files = abi < 2 ? HANDLED_BY_1 : HANDLED;
  if (abi < 4) return words64(files);
  return abi < 6 ? words64(files, TCP) : words64(files, TCP, SCOPED);
}

const newest = attributesFor(NEWEST);
/** struct __user_cap_header_struct: version 3, ourselves. */
const capabilityHeader = words(0x20080522, 0);
/** struct __user_cap_data_struct[2]: effective, permitted, inheritable of capabilities 0 to 31, then of the others. */
const keptCapabilities = words(KEPT, KEPT, 0, 0, 0, 0);

/**
 * See Host.confine. Throws SystemError when the kernel can confine and did not. One without Landlock leaves all as it was, but for the
 * capabilities; `grants` is not asked then.
 */
export function confineProcess(host: SystemCalls, grants?: () => Grants): void {
  const ruleset = grants && createRuleset(host);
  if (ruleset !== undefined) restrictFiles(host, ruleset, grants!());
  dropCapabilities(host);
}

/** undefined: the kernel has no Landlock, or it is not switched on, or a sandbox around us hides it (EPERM). */
function createRuleset(host: SystemCalls): Fd | undefined {
  try {
    return create(host, newest);
  } catch (error) {
    if (isMissing(error)) return undefined;
    // An older one.
    if (!(error instanceof SystemError) || (error.errno !== EINVAL && error.errno !== E2BIG)) throw error;
  }
  const abi = host.call("landlock_create_ruleset", "", null, 0, CREATE_RULESET_VERSION);
  return create(host, attributesFor(abi));
}

function create(host: SystemCalls, attributes: Uint8Array): Fd {
  return host.call("landlock_create_ruleset", "", attributes, attributes.length, 0);
}

function isMissing(error: unknown): boolean {
  return error instanceof SystemError && [ENOSYS, EOPNOTSUPP, EPERM].includes(error.errno);
}

function restrictFiles(host: SystemCalls, ruleset: Fd, { trees, files }: Grants): void {
  for (let i = 0; i < trees.length; i++) allow(host, ruleset, trees[i]!, TREE_RIGHTS);
  for (let i = 0; i < files.length; i++) allow(host, ruleset, files[i]!, WRITE_FILE);
  try {
    host.call("landlock_restrict_self", "", ruleset, 0);
  } catch (error) {
    // Who has not CAP_SYS_ADMIN promises first that no program gives him more. That he runs none the kernel does not see.
    if (!(error instanceof SystemError) || error.errno !== EPERM) throw error;
    host.call("prctl", "", PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0);
    host.call("landlock_restrict_self", "", ruleset, 0);
  }
}

/** struct landlock_path_beneath_attr, packed: 64 bits of rights, 32 of the descriptor. */
const rule = new Uint32Array(3);
const ruleBytes = new Uint8Array(rule.buffer);

function allow(host: SystemCalls, ruleset: Fd, fd: Fd, rights: number): void {
  rule[LOW] = rights;
  rule[2] = fd;
  host.call("landlock_add_rule", "", ruleset, RULE_PATH_BENEATH, ruleBytes, 0);
}

function dropCapabilities(host: SystemCalls): void {
  try {
    host.call("capset", "", capabilityHeader, keptCapabilities);
    return;
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
  // We have not got all of those.
  try {
    const sets = new Uint32Array(6);
    const bytes = new Uint8Array(sets.buffer);
    host.call("capget", "", capabilityHeader, bytes);
    const permitted = sets[1]!;
    // Root's capabilities, or those that somebody chose for a user who is not root.
    const kept = permitted & (permitted & DAC_OVERRIDE ? KEPT : KEPT | DAC_READ_SEARCH);
    host.call("capset", "", capabilityHeader, words(sets[0]! & kept, kept, 0, 0, 0, 0));
  } catch (error) {
    // EINVAL: a kernel without capabilities.
    if (!isMissing(error) && !(error instanceof SystemError && error.errno === EINVAL)) throw error;
  }
}
