// The world that one call sees: a Kernel (src/host/syscalls.ts) whose files, network and delegates are in memory. Nothing of the
// machine is touched. Time passes only where podnic looks at it or waits.
import {
  CLOCK_MONOTONIC,
  CLONE_NEWNET,
  NSFS_MAGIC,
  O_CREAT,
  O_DIRECTORY,
  O_EXCL,
  O_NOFOLLOW,
  O_TRUNC,
  RESOLVE_NO_SYMLINKS,
} from "../../../src/host/constants.ts";
import type { Command, Outcome } from "../../../src/host/host.ts";
import { LinuxHost } from "../../../src/host/linux.ts";
import { type Argument, type Kernel, type Machine, NUMBERS, type Syscall } from "../../../src/host/syscalls.ts";
import { EAGAIN, EBADF, EINVAL, EISDIR, ELOOP, ENOENT, ENOSYS, ENOTDIR, ENOTTY, Errno } from "./errno.ts";
import { Files, type Node } from "./files.ts";
import { Network } from "./links.ts";

/** What recvfrom gives. */
export interface Datagram {
  data: Uint8Array;
  sender?: number;
  /** Longer than its buffer. */
  truncated?: boolean;
}

export interface Call {
  args: string[];
  env: Map<string, Uint8Array>;
  stdin: Uint8Array;
  /** What delegates answer, one after the other; without any it ends as a program that cannot be started. */
  delegates?: Omit<Outcome, "killed">[];
  /** Changes the nth answer of the kernel's network: other datagrams, or an errno. */
  edit?: (answer: Uint8Array, nth: number) => Datagram[] | Errno;
  /** What the buffer of recvfrom holds behind a datagram. */
  behind?: number;
}

/** Thrown at exit_group. */
export class Ended {
  constructor(readonly status: number) {}
}

interface Open {
  node: Node;
  path: string;
  at: number;
  /** Of a socket: the namespace it is in, and what waits to be received. */
  socket?: { namespace: number; queue: (Datagram | Errno)[] };
}

/** What the engine brings along. */
export type Conversions = Pick<Kernel, "encode" | "decode">;

const names = new Map<number, Syscall>();
for (const name of Object.keys(NUMBERS) as Syscall[]) names.set(NUMBERS[name][0], name);

const FIRST_FD = 3;
/** Of pod and node. */
export const POD = 2;
export const NODE = 1;

function text(argument: Argument | undefined): string {
  if (typeof argument !== "string") throw new Errno(EINVAL);
  return argument;
}

function bytes(argument: Argument | undefined): Uint8Array {
  if (!(argument instanceof Uint8Array)) throw new Error("a system call without its buffer");
  return argument;
}

function view(data: Uint8Array): DataView {
  return new DataView(data.buffer, data.byteOffset, data.byteLength);
}

function u64(fields: DataView, at: number, value: number): void {
  fields.setUint32(at, value % 0x1_0000_0000, true);
  fields.setUint32(at + 4, Math.floor(value / 0x1_0000_0000), true);
}

// biome-ignore lint/suspicious/noConfusingVoidType: most calls give 0
type Handler = (args: Argument[]) => number | undefined | void;

export class World implements Kernel {
  readonly machine: Machine = "x64";
  readonly files = new Files();
  readonly network = new Network((fd) => this.#open(fd).node.namespace ?? NODE);
  readonly encode: Kernel["encode"];
  readonly decode: Kernel["decode"];
  call!: Call;
  stdout: Uint8Array[] = [];
  stderr: Uint8Array[] = [];
  /** System calls made; a loop that waits for something shows in it. */
  calls = 0;
  readonly #fds = new Map<number, Open>();
  #read = 0;
  #received = 0;
  #delegates = 0;
  /** Milliseconds. */
  #now = 1_000_000;
  #namespace = NODE;
  #random = 1;
  readonly #sysctls = new Map<string, Uint8Array>();

  constructor({ encode, decode }: Conversions) {
    this.encode = encode;
    this.decode = decode;
  }

  strings(which: 0 | 1): Uint8Array[] {
    const variables = () => [...this.call.env].map(([name, value]) => [...this.encode(`${name}=`), ...value]);
    const all = which === 0 ? this.call.args.map((arg) => this.encode(arg)) : variables();
    return all.map((one) => new Uint8Array([...one, 0]));
  }

  getenv(name: string): string | null | undefined {
    const value = this.call.env.get(name);
    return value && this.decode(value);
  }

  syscall(nr: number, ...args: Argument[]): number {
    this.calls++;
    const name = names.get(nr);
    const handler = name === undefined ? undefined : this.#handlers[name];
    if (handler === undefined) return -ENOSYS;
    if (args.some((arg) => typeof arg === "string" && arg.includes("\0"))) return -EINVAL;
    try {
      return handler(args) ?? 0;
    } catch (error) {
      if (error instanceof Errno) return -error.number;
      throw error;
    }
  }

  /**
   * A new process, which has read nothing yet. What the one before has open stays open: podnic's modules are evaluated once, and hold their
   * sockets for as long as a process lives.
   */
  begin(call: Call): void {
    this.call = call;
    this.stdout = [];
    this.stderr = [];
    this.#read = 0;
    this.#delegates = 0;
    this.#namespace = NODE;
  }

  #open(fd: Argument | undefined): Open {
    const found = this.#fds.get(fd as number);
    if (found === undefined) throw new Errno(EBADF);
    return found;
  }

  #directory(dir: Argument | undefined): Node {
    return dir === -100 ? this.files.root : this.#open(dir).node;
  }

  #install(open: Open): number {
    let fd = FIRST_FD;
    while (this.#fds.has(fd)) fd++;
    this.#fds.set(fd, open);
    return fd;
  }

  /** A file that is made when it is looked at. */
  #special(path: string): Node | undefined {
    const fd = /^\/proc\/(?:self|thread-self)\/fd\/(\d+)$/.exec(path);
    if (fd !== null) return this.#open(Number(fd[1])).node;
    if (/^\/proc\/(?:self|thread-self)\/ns\/net$/.test(path)) return this.files.find(`/namespaces/${this.#namespace}`);
    if (!path.startsWith("/proc/sys/net/")) return undefined;
    const key = `${this.#namespace}${path}`;
    const usual = this.encode(path.endsWith("/forwarding") ? "1\n" : "0\n");
    const node = this.files.put(`/sysctls/${key.replaceAll("/", "_")}`, this.#sysctls.get(key) ?? usual);
    return node;
  }

  #openAt(dir: Argument | undefined, path: string, flags: number, mode: number, resolve: number): number {
    const special = this.#special(path);
    if (special !== undefined) return this.#install({ node: special, path, at: 0 });
    const from = this.#directory(dir);
    if ((resolve & RESOLVE_NO_SYMLINKS) !== 0 && this.#crossesLink(path, from)) throw new Errno(ELOOP);
    const follow = (flags & O_NOFOLLOW) === 0;
    let node: Node;
    try {
      node = this.files.find(path, from, follow);
      if ((flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) throw new Errno(17);
    } catch (error) {
      if (!(error instanceof Errno) || error.number !== ENOENT || (flags & O_CREAT) === 0) throw error;
      node = this.files.create(path, from, mode);
    }
    if (node.target !== "") throw new Errno((flags & O_DIRECTORY) !== 0 ? ENOTDIR : ELOOP);
    if ((flags & O_DIRECTORY) !== 0 && node.names === undefined) throw new Errno(ENOTDIR);
    if (node.names !== undefined && (flags & 3) !== 0) throw new Errno(EISDIR);
    if ((flags & O_TRUNC) !== 0) node.data = new Uint8Array(0);
    const base = dir === -100 || path.startsWith("/") ? "" : this.#open(dir).path;
    return this.#install({ node, path: base === "" ? path : `${base}/${path}`, at: 0 });
  }

  #crossesLink(path: string, from: Node): boolean {
    const steps = path.split("/").filter((step) => step !== "");
    let at = path.startsWith("/") ? "" : ".";
    for (const step of steps) {
      at = `${at}/${step}`;
      if (this.files.find(at, from, false).target !== "") return true;
    }
    return false;
  }

  #stat(node: Node, out: Uint8Array): void {
    const fields = view(out);
    fields.setUint32(16, node.nlink, true);
    fields.setUint32(20, node.uid, true);
    fields.setUint16(28, node.mode, true);
    u64(fields, 32, node.ino);
    u64(fields, 40, node.data.length);
    u64(fields, 112, 1_700_000_000);
    fields.setUint32(120, node.changed, true);
    fields.setUint32(136, 0, true);
    fields.setUint32(140, node.namespace === undefined ? 8 : 4, true);
  }

  #readAt(fd: number, into: Uint8Array, size: number): number {
    if (fd === 0) {
      const part = this.call.stdin.subarray(this.#read, this.#read + size);
      into.set(part);
      this.#read += part.length;
      return part.length;
    }
    const open = this.#open(fd);
    if (open.node.names !== undefined) throw new Errno(EISDIR);
    const part = open.node.data.subarray(open.at, open.at + size);
    into.set(part);
    open.at += part.length;
    return part.length;
  }

  #write(fd: number, data: Uint8Array): number {
    if (fd === 1 || fd === 2) {
      (fd === 1 ? this.stdout : this.stderr).push(data.slice());
      return data.length;
    }
    const { node, path } = this.#open(fd);
    if (path.startsWith("/proc/sys/net/")) this.#sysctls.set(`${this.#namespace}${path}`, data.slice());
    const joined = new Uint8Array(node.data.length + data.length);
    joined.set(node.data);
    joined.set(data, node.data.length);
    node.data = joined;
    this.files.touch(node);
    return data.length;
  }

  /** Everything at once: none of our directories is large. */
  #list(fd: number, out: Uint8Array, size: number): number {
    const open = this.#open(fd);
    if (open.node.names === undefined) throw new Errno(ENOTDIR);
    const fields = view(out);
    let at = 0;
    for (const name of [...open.node.names.keys()].slice(open.at)) {
      const encoded = this.encode(name);
      const length = (19 + encoded.length + 1 + 7) & ~7;
      if (at + length > size) break;
      fields.setUint16(at + 16, length, true);
      out.set(encoded, at + 19);
      out[at + 19 + encoded.length] = 0;
      at += length;
      open.at++;
    }
    return at;
  }

  #receive(fd: number, buffer: Uint8Array, sender: Uint8Array): number {
    const { socket } = this.#open(fd);
    const next = socket?.queue.shift();
    if (next === undefined) {
      this.#now += 10_000;
      throw new Errno(EAGAIN);
    }
    if (next instanceof Errno) throw next;
    view(sender).setUint32(4, next.sender ?? 0, true);
    buffer.set(next.data.subarray(0, buffer.length));
    buffer.fill(this.call.behind ?? 0, Math.min(next.data.length, buffer.length));
    return next.truncated === true ? buffer.length + 1 : next.data.length;
  }

  #send(fd: number, data: Uint8Array): number {
    const { socket } = this.#open(fd);
    if (socket === undefined) throw new Errno(EBADF);
    if (socket.namespace < 0) return data.length;
    for (const answer of this.network.answer(socket.namespace, data.slice())) {
      const edited = this.call.edit?.(answer, this.#received++) ?? [{ data: answer }];
      if (edited instanceof Errno) socket.queue.push(edited);
      else socket.queue.push(...edited);
    }
    return data.length;
  }

  #poll(fds: Uint8Array, count: number, limit: Argument | undefined): number {
    const fields = view(fds);
    let ready = 0;
    for (let at = 0; at < count * 8; at += 8) {
      const fd = fields.getInt32(at, true);
      const is = fd < FIRST_FD || (this.#fds.get(fd)?.socket?.queue.length ?? 0) > 0;
      fields.setInt16(at + 6, is ? fields.getInt16(at + 4, true) : 0, true);
      if (is) ready++;
    }
    if (ready === 0 && limit instanceof Uint8Array) {
      this.#now += view(limit).getUint32(0, true) * 1000 + view(limit).getUint32(8, true) / 1e6;
    }
    return ready;
  }

  #clock(clock: number, out: Uint8Array): void {
    this.#now += 0.01;
    const now = clock === CLOCK_MONOTONIC ? this.#now : this.#now + 1_700_000_000_000;
    u64(view(out), 0, Math.floor(now / 1000));
    u64(view(out), 8, Math.floor((now % 1000) * 1e6));
  }

  readonly #handlers: Partial<Record<Syscall, Handler>> = {
    read: ([fd, into, size]) => this.#readAt(fd as number, bytes(into), size as number),
    write: ([fd, data, size]) => this.#write(fd as number, bytes(data).subarray(0, size as number)),
    close: ([fd]) => {
      this.#fds.delete(fd as number);
    },
    openat: ([dir, path, flags, mode]) => this.#openAt(dir, text(path), flags as number, mode as number, 0),
    openat2: ([dir, path, how]) => {
      const fields = view(bytes(how));
      const [flags, mode, resolve] = [0, 8, 16].map((at) => fields.getUint32(at, true));
      return this.#openAt(dir, text(path), flags!, mode!, resolve!);
    },
    fsync: ([fd]) => void this.#open(fd),
    fchmod: ([fd, mode]) => {
      const { node } = this.#open(fd);
      node.mode = (node.mode & ~0o7777) | (mode as number);
    },
    statx: ([dir, path, flags, , out]) => {
      const follow = ((flags as number) & 0x100) === 0;
      // 0, 1 and 2 are pipes.
      const standard = path === "" && (dir as number) >= 0 && (dir as number) < FIRST_FD;
      const node =
        path === ""
          ? standard
            ? this.files.root
            : this.#open(dir).node
          : (this.#special(text(path)) ?? this.files.find(text(path), this.#directory(dir), follow));
      this.#stat(node, bytes(out));
      return 0;
    },
    fstatfs: ([fd, out]) => {
      view(bytes(out)).setUint32(0, this.#open(fd).node.namespace === undefined ? 0xef53 : NSFS_MAGIC, true);
      return 0;
    },
    getdents64: ([fd, out, size]) => this.#list(fd as number, bytes(out), size as number),
    readlinkat: ([dir, path, out]) => {
      const fd = /^\/proc\/self\/fd\/(\d+)$/.exec(text(path));
      const target =
        fd === null ? this.files.find(text(path), this.#directory(dir), false).target : this.#open(Number(fd[1])).path;
      if (target === "") throw new Errno(EINVAL);
      const encoded = this.encode(target);
      bytes(out).set(encoded);
      return encoded.length;
    },
    mkdirat: ([dir, path, mode]) => void this.files.mkdir(text(path), this.#directory(dir), mode as number),
    unlinkat: ([dir, path, flags]) => this.files.remove(text(path), this.#directory(dir), flags === 0x200) as undefined,
    linkat: ([fromDir, from, toDir, to]) =>
      this.files.link(text(from), this.#directory(fromDir), text(to), this.#directory(toDir)) as undefined,
    renameat2: ([fromDir, from, toDir, to]) =>
      this.files.rename(text(from), this.#directory(fromDir), text(to), this.#directory(toDir)) as undefined,
    symlinkat: ([target, dir, path]) => this.files.symlink(text(target), text(path), this.#directory(dir)) as undefined,
    flock: ([fd]) => void this.#open(fd),
    socket: ([domain]) => {
      const node = this.files.find("/namespaces/1");
      // What is sent to neighbours is not answered.
      const namespace = domain === 16 ? this.#namespace : -1;
      return this.#install({ node, path: "socket:[1]", at: 0, socket: { namespace, queue: [] } });
    },
    bind: ([fd]) => void this.#open(fd),
    setsockopt: ([fd]) => void this.#open(fd),
    sendto: ([fd, data, size]) => this.#send(fd as number, bytes(data).subarray(0, size as number)),
    recvfrom: ([fd, buffer, , , sender]) => this.#receive(fd as number, bytes(buffer), bytes(sender)),
    ppoll: ([fds, count, limit]) => this.#poll(bytes(fds), count as number, limit),
    ioctl: ([fd]) => {
      if ((fd as number) < FIRST_FD || this.#open(fd).node.namespace === undefined) throw new Errno(ENOTTY);
      return CLONE_NEWNET;
    },
    setns: ([fd]) => {
      const { namespace } = this.#open(fd).node;
      if (namespace === undefined) throw new Errno(EINVAL);
      this.#namespace = namespace;
      return 0;
    },
    pipe2: ([ends]) => {
      const node = this.files.root;
      for (const at of [0, 4]) view(bytes(ends)).setInt32(at, this.#install({ node, path: "pipe:[1]", at: 0 }), true);
      return 0;
    },
    rt_sigaction: () => 0,
    prctl: () => 0,
    utimensat: ([fd, , times]) => {
      const { node } = this.#open(fd);
      node.changed = view(bytes(times)).getUint32(24, true);
      return 0;
    },
    geteuid: () => 0,
    getpid: () => 4711,
    exit_group: ([status]) => {
      throw new Ended(status as number);
    },
    clock_gettime: ([clock, out]) => this.#clock(clock as number, bytes(out)) as undefined,
    clock_nanosleep: ([, , time]) => {
      this.#now += view(bytes(time)).getUint32(0, true) * 1000 + view(bytes(time)).getUint32(8, true) / 1e6;
      return 0;
    },
    getrandom: ([out]) => {
      const data = bytes(out);
      for (let i = 0; i < data.length; i++) {
        this.#random = (this.#random * 1103515245 + 12345) % 2 ** 31;
        data[i] = this.#random >> 16;
      }
      return data.length;
    },
  };

  /** Host.run. */
  delegate(command: Command): Outcome {
    const answer = this.call.delegates?.[this.#delegates++];
    void command;
    if (answer === undefined) return { status: 1, signal: 0, stdout: new Uint8Array(0), killed: "" };
    const killed = answer.stdout.length > command.maxOutput ? "output" : "";
    return { ...answer, stdout: answer.stdout.subarray(0, command.maxOutput), killed };
  }
}

/** The port on that kernel. */
export class WorldHost extends LinuxHost {
  readonly #world: World;

  constructor(world: World) {
    super(world);
    this.#world = world;
  }

  override run(command: Command): Outcome {
    return this.#world.delegate(command);
  }
}
