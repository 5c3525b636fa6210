// The port on Node: the same structures as the shipped executable, its system calls made through koffi (synchronous FFI).
// For development, in-process tests and the pkg package.
import { spawnSync } from "node:child_process";
import { constants } from "node:os";
import koffi from "koffi";
import { EINVAL, ENOSYS } from "../constants.ts";
import { errnoName, errnoOf, errnoText } from "../errno.ts";
import { type Command, type Fd, type Outcome, SystemError } from "../host.ts";
import { LinuxHost } from "../linux.ts";
import type { Argument, Kernel, Machine } from "../syscalls.ts";

const libc = koffi.load(null);
/** Any argument fits a pointer: koffi takes numbers and buffers for it. */
const syscall = libc.func("long syscall(long nr, void *a, void *b, void *c, void *d, void *e, void *f)");
const encoder = new TextEncoder();
const decoder = new TextDecoder("utf-8", { fatal: true, ignoreBOM: true });

function toPointer(argument: Argument | undefined): number | Uint8Array | null {
  if (typeof argument === "string") return encoder.encode(`${argument}\0`);
  if (Array.isArray(argument)) throw new TypeError("no lists through koffi: programs are run by node:child_process");
  return (argument as number | Uint8Array | null | undefined) ?? null;
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
    const list =
      which === 0 ? process.argv.slice(1) : Object.entries(process.env).map(([name, value]) => `${name}=${value}`);
    return list.map((text) => encoder.encode(`${text}\0`));
  },
  getenv(name) {
    const value = process.env[name];
    return value === undefined ? undefined : encoder.encode(value);
  },
};

/** Differences from the executable: programs see a copy of the environment that went through UTF-16, and only they are killed, not their group. */
export class NodeHost extends LinuxHost {
  constructor() {
    super(kernel);
  }

  override run(command: Command): Outcome {
    const { status, signal, error, stdout } = spawnSync(`/proc/${process.pid}/fd/${command.file}`, [], {
      argv0: command.path,
      env: { ...process.env, ...command.env },
      input: command.stdin,
      maxBuffer: command.maxOutput,
      timeout: command.timeout,
      killSignal: "SIGKILL",
      stdio: ["pipe", "pipe", "inherit"],
    });
    const code = (error as NodeJS.ErrnoException | undefined)?.code;
    const killed = code === "ETIMEDOUT" ? "timeout" : code === "ENOBUFS" ? "output" : "";
    if (code !== undefined && killed === "" && code !== "EPIPE") {
      const errno = errnoOf(code);
      throw new SystemError("execve", errno, errnoName(errno), errnoText(errno), command.path);
    }
    return {
      status: status ?? -1,
      signal: signal === null ? 0 : constants.signals[signal],
      stdout: stdout.subarray(0, command.maxOutput),
      killed,
    };
  }

  override fork(_keep: Fd[]): number {
    throw new SystemError("fork", ENOSYS, errnoName(ENOSYS), "Node.js cannot fork");
  }
}
