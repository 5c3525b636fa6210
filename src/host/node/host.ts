// The port on Node. It uses the same structures as the released executable, and makes its system calls through koffi (synchronous FFI). It is
// for development, in-process tests and the pkg package.
import { readFileSync } from "node:fs";
import koffi from "koffi";
import { EINVAL, ENOSYS } from "../constants.ts";
import { errnoName } from "../errno.ts";
import { type Command, type Fd, type Grants, SystemError } from "../host.ts";
import { LinuxHost } from "../linux.ts";
import { environmentWith } from "../run.ts";
import type { Argument, Kernel, Machine } from "../syscalls.ts";
import { encodeName } from "../utf8.ts";
import { posixSpawn } from "./spawn.ts";

const libc = koffi.load(null);
/** Any argument fits a pointer: koffi takes numbers and buffers for it. */
const syscall = libc.func("long syscall(long nr, void *a, void *b, void *c, void *d, void *e, void *f)");
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function toPointer(argument: Argument | undefined): number | Uint8Array | null {
  if (typeof argument === "string") return encodeName(`${argument}\0`);
  if (Array.isArray(argument)) throw new TypeError("no lists through koffi: programs are started by posix_spawn");
  return (argument as number | Uint8Array | null | undefined) ?? null;
}

/** The environment byte for byte: process.env has gone through UTF-16. */
function environment(): Uint8Array[] {
  const block = readFileSync("/proc/self/environ");
  const entries: Uint8Array[] = [];
  for (let at = 0; at < block.length; at += entries.at(-1)!.length) {
    entries.push(block.subarray(at, block.indexOf(0, at) + 1));
  }
  return entries;
}

const kernel: Kernel = {
  machine: process.arch as Machine,
  syscall(nr, ...args) {
    if (args.some((arg) => typeof arg === "string" && arg.includes("\0"))) return -EINVAL;
    const [a, b, c, d, e, f] = args.map(toPointer);
    const result: number = syscall(nr, a ?? null, b ?? null, c ?? null, d ?? null, e ?? null, f ?? null);
    return result === -1 ? -koffi.errno() : result;
  },
  encode: (text) => encoder.encode(text),
  decode(data) {
    try {
      return decoder.decode(data);
    } catch {
      return null;
    }
  },
  strings(which) {
    return which === 0 ? process.argv.slice(1).map((text) => encoder.encode(`${text}\0`)) : environment();
  },
  getenv: (name) => process.env[name],
};

/** Differences from the executable: programs outlive us when we are killed or asked to end, and nothing goes on in the background. */
export class NodeHost extends LinuxHost {
  constructor() {
    super(kernel);
  }

  /** Node's other threads would take them, and end us. */
  override holdSignals(): undefined {}

  /** V8 keeps its heap out of forked children (MADV_DONTFORK), so that nothing of ours could run between fork and execve. */
  override spawn(command: Command, stdin: Fd, stdout: Fd): number {
    const argv = [encodeName(`${command.path}\0`)];
    const file = `/proc/${process.pid}/fd/${command.file}`;
    // stderr too: Node has it closed on execve.
    return posixSpawn(file, command.path, argv, environmentWith(this, command.env), [stdin, stdout, 2]);
  }

  /** Not here: Node's other threads would go on unconfined. */
  override confine(_grants?: () => Grants): void {}

  override fork(_keep: Fd[]): number {
    throw new SystemError("fork", ENOSYS, errnoName(ENOSYS), "Node.js cannot continue after fork(2)");
  }
}
