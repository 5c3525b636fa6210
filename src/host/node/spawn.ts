// posix_spawn(3) through koffi. The C library does everything between fork and execve.
import koffi from "koffi";
import { SIGPIPE } from "../constants.ts";
import { errnoName, errnoText } from "../errno.ts";
import { type Fd, SystemError } from "../host.ts";

const POSIX_SPAWN_SETPGROUP = 2;
const POSIX_SPAWN_SETSIGDEF = 4;

const libc = koffi.load(null);
const functions = {
  spawn: libc.func("int posix_spawn(_Out_ int *pid, str path, void *actions, void *attributes, void *argv, void *env)"),
  initActions: libc.func("int posix_spawn_file_actions_init(void *actions)"),
  dup2: libc.func("int posix_spawn_file_actions_adddup2(void *actions, int fd, int as)"),
  destroyActions: libc.func("int posix_spawn_file_actions_destroy(void *actions)"),
  initAttributes: libc.func("int posix_spawnattr_init(void *attributes)"),
  setFlags: libc.func("int posix_spawnattr_setflags(void *attributes, short flags)"),
  setDefault: libc.func("int posix_spawnattr_setsigdefault(void *attributes, void *signals)"),
};
/** More than any C library's posix_spawnattr_t, posix_spawn_file_actions_t or sigset_t. */
const ROOM = 512;

/** Memory of C's, which stays where it is. */
class Memory {
  readonly #blocks: bigint[] = [];

  of(data: Uint8Array): bigint {
    const block: bigint = koffi.alloc("uint8_t", data.length);
    this.#blocks.push(block);
    koffi.encode(block, "uint8_t", data, data.length);
    return block;
  }

  /** char *[]; items end in NUL. */
  list(items: readonly Uint8Array[]): bigint {
    const pointers = new BigUint64Array([...items.map((item) => this.of(item)), 0n]);
    return this.of(new Uint8Array(pointers.buffer));
  }

  free(): void {
    for (const block of this.#blocks) koffi.free(block);
  }
}

/** A process group of its own, and SIGPIPE as it was before Node chose to ignore it. */
function attributes(memory: Memory): bigint {
  const all = memory.of(new Uint8Array(ROOM));
  const signals = new Uint8Array(ROOM);
  // sigset_t: signal n is bit n - 1, and SIGPIPE is in the second byte.
  signals[1] = 1 << (SIGPIPE - 9);
  functions.initAttributes(all);
  functions.setDefault(all, memory.of(signals));
  functions.setFlags(all, POSIX_SPAWN_SETPGROUP | POSIX_SPAWN_SETSIGDEF);
  return all;
}

/** Returns the process id. `descriptors` become 0, 1, …; `path` is for the error: SystemError("execve"). */
export function posixSpawn(
  file: string,
  path: string,
  argv: readonly Uint8Array[],
  env: readonly Uint8Array[],
  descriptors: readonly Fd[],
): number {
  const memory = new Memory();
  const actions = memory.of(new Uint8Array(ROOM));
  functions.initActions(actions);
  try {
    descriptors.forEach((fd, as) => void functions.dup2(actions, fd, as));
    const pid = [0];
    const errno = functions.spawn(pid, file, actions, attributes(memory), memory.list(argv), memory.list(env));
    if (errno !== 0) throw new SystemError("execve", errno, errnoName(errno), errnoText(errno), path);
    return pid[0]!;
  } finally {
    functions.destroyActions(actions);
    memory.free();
  }
}
