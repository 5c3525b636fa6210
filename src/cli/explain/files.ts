// An overlay over the real files, which writes, creates and removes files only in memory.
import { concat } from "../../host/concat.ts";
import {
  EEXIST,
  ENOENT,
  O_APPEND,
  O_CREAT,
  O_EXCL,
  O_PATH,
  O_RDONLY,
  O_TRUNC,
  S_IFDIR,
  S_IFREG,
} from "../../host/constants.ts";
import { AT_FDCWD, errnoName, errnoText, type Fd, type Host, type Stat, SystemError } from "../../host/host.ts";
import type { Step, Steps } from "./steps.ts";

interface Node {
  directory: boolean;
  data: Uint8Array;
  mode: number;
  ino: number;
  step: (Step & { dropped?: boolean }) | undefined;
}

interface Open {
  node: Node;
  path: string;
  at: number;
  append: boolean;
}

/** Far above the numbers of real descriptors. */
const FIRST_FD = 1 << 20;
/** Bytes. The overlay copies at most about this much of a file that a plugin writes to. */
const LIMIT = 4 << 20;
const ACCESS = 3;
const OWN_FDS = "/proc/self/fd/";
/** host-local's index of leases. All changes to it are shown as one step, because the index only makes host-local faster. */
const INDEX = "/run/podnic/host-local/";

function refusal(call: string, errno: number, path: string): SystemError {
  return new SystemError(call, errno, errnoName(errno), errnoText(errno), path);
}

export class FileOverlay {
  readonly #real: Host;
  readonly #steps: Steps;
  /** Files by their path without links; undefined for a removed file. */
  readonly #nodes = new Map<string, Node | undefined>();
  readonly #open = new Map<Fd, Open>();
  #next = FIRST_FD;

  /** Replaces the methods of `host` that access files. */
  constructor(host: Host, steps: Steps) {
    this.#real = { ...host };
    this.#steps = steps;
    const real = this.#real;
    const virtual = (fd: Fd) => this.#open.get(fd);
    host.open = (path, flags, mode = 0, dir = AT_FDCWD, resolve = 0) => this.#openFile(path, flags, mode, dir, resolve);
    host.close = (fd) => (this.#open.delete(fd) ? undefined : real.close(fd));
    host.read = (fd, max) => this.#read(fd, max);
    host.write = (fd, data) => this.#write(fd, data);
    host.fsync = () => {};
    host.syncAside = () => 0;
    host.fstatfs = (fd) => (virtual(fd) === undefined ? real.fstatfs(fd) : 0);
    host.fchmod = (fd, mode) => {
      const open = virtual(fd);
      if (open !== undefined) open.node.mode = mode;
    };
    host.futimens = () => {};
    host.flock = () => {};
    host.flockWithin = () => true;
    host.fstat = (fd) => {
      const open = virtual(fd);
      return open === undefined ? real.fstat(fd) : statOf(open.node);
    };
    host.stat = (path, follow = true, dir = AT_FDCWD) => this.#stat(path, follow, dir);
    host.readdir = (dir) => this.#readdir(dir);
    host.readEach = (dir, _, select, each) => {
      for (const name of this.#readdir(dir)) {
        const selected = select(name);
        if (selected !== undefined) each(selected, name, undefined, 0);
      }
    };
    host.readlink = (path, dir = AT_FDCWD) => this.#readlink(path, dir);
    host.mkdir = (path, mode, dir = AT_FDCWD) => {
      const target = this.#path(path, dir);
      if (this.#exists(target)) throw refusal("mkdirat", EEXIST, path);
      this.#nodes.set(target, this.#node(true, mode, this.#record("mkdir", target)));
    };
    host.unlink = (path, dir = AT_FDCWD) => this.#remove(path, dir);
    host.rmdir = (path, dir = AT_FDCWD) => this.#remove(path, dir);
    host.link = (from, to, fromDir = AT_FDCWD, toDir = AT_FDCWD) => {
      const target = this.#path(to, toDir);
      if (this.#exists(target)) throw refusal("linkat", EEXIST, to);
      this.#place(this.#existing(this.#path(from, fromDir), "linkat"), target);
    };
    host.rename = (from, to, fromDir = AT_FDCWD, toDir = AT_FDCWD) => {
      const source = this.#path(from, fromDir);
      const node = this.#existing(source, "renameat2");
      this.#nodes.set(source, undefined);
      this.#place(node, this.#path(to, toDir));
    };
    host.symlink = (target, path, dir = AT_FDCWD) => {
      const at = this.#path(path, dir);
      this.#nodes.set(at, this.#node(false, 0o777, this.#steps.add("file", `link   ${at} to ${target}`)));
    };
  }

  /** Forgets all changes. */
  forget(): void {
    this.#nodes.clear();
  }

  /** A descriptor to which anything can be written, without a file in the overlay. */
  sink(path: string): Fd {
    return this.#descriptor({ node: this.#node(false, 0o600, undefined), path, at: 0, append: false });
  }

  /** Sets the text that is read from a sink. */
  fill(fd: Fd, text: string): void {
    this.#open.get(fd)!.node.data = this.#real.encode(text);
  }

  #descriptor(open: Open): Fd {
    this.#open.set(this.#next, open);
    return this.#next++;
  }

  #node(directory: boolean, mode: number, step: Node["step"]): Node {
    return { directory, data: new Uint8Array(0), mode, ino: FIRST_FD + this.#nodes.size, step };
  }

  #record(verb: string, path: string): Step {
    if (path.startsWith(INDEX) || `${path}/` === INDEX)
      return this.#steps.add("file", `update ${INDEX}… (index of the leases)`);
    return this.#steps.add("file", `${verb.padEnd(6)} ${path}`);
  }

  /** The absolute path, without links in the existing part of its directory. */
  #path(path: string, dir: Fd): string {
    const whole = path.startsWith("/") ? path : `${this.#pathOf(dir)}/${path}`;
    const steps = whole.split("/").filter((step) => step !== "" && step !== ".");
    const name = steps.pop();
    if (name === undefined) return "/";
    return `${this.#withoutLinks(steps)}/${name}`;
  }

  #withoutLinks(steps: string[]): string {
    if (steps.length === 0) return "";
    const path = `/${steps.join("/")}`;
    if (this.#nodes.get(path) !== undefined) return path;
    try {
      const fd = this.#real.open(path, O_PATH);
      const found = this.#real.readlink(`${OWN_FDS}${fd}`);
      this.#real.close(fd);
      return found === "/" ? "" : found;
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return `${this.#withoutLinks(steps.slice(0, -1))}/${steps.at(-1)}`;
    }
  }

  #pathOf(dir: Fd): string {
    const known = this.#open.get(dir)?.path;
    if (known !== undefined) return known;
    return this.#real.readlink(dir === AT_FDCWD ? "/proc/self/cwd" : `${OWN_FDS}${dir}`);
  }

  /** True if the path is in a directory that exists only in the overlay. */
  #isBelowVirtual(path: string): boolean {
    const parent = path.slice(0, path.lastIndexOf("/"));
    return parent !== "" && (this.#nodes.get(parent) !== undefined || this.#isBelowVirtual(parent));
  }

  #exists(path: string): boolean {
    if (this.#nodes.has(path)) return this.#nodes.get(path) !== undefined;
    return !this.#isBelowVirtual(path) && this.#realStat(path) !== undefined;
  }

  #realStat(path: string): Stat | undefined {
    try {
      return this.#real.stat(path, false);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      return undefined;
    }
  }

  /** The node at a path. For a real file, returns a copy. Throws SystemError (ENOENT) with the name of `call` if there is no such file. */
  #existing(path: string, call: string): Node {
    const node = this.#nodes.get(path);
    if (node !== undefined) return node;
    if (!this.#exists(path)) throw refusal(call, ENOENT, path);
    return this.#copy(path);
  }

  #copy(path: string): Node {
    const node = this.#node(false, this.#realStat(path)?.mode ?? 0, undefined);
    const fd = this.#real.open(path, O_RDONLY);
    // Use the real host's methods, because the descriptor is a real one.
    const { read } = this.#real;
    const parts: Uint8Array[] = [];
    for (let part = read(fd, 16_384), size = 0; part.length > 0 && size < LIMIT; part = read(fd, 16_384)) {
      parts.push(part);
      size += part.length;
    }
    this.#real.close(fd);
    node.data = concat(parts);
    return node;
  }

  /** Sets the path of a node, under which it appears in the list of steps. */
  #place(node: Node, path: string): void {
    if (node.step !== undefined) node.step.dropped = true;
    node.step = this.#record("write", path);
    this.#nodes.set(path, node);
  }

  #remove(path: string, dir: Fd): void {
    const target = this.#path(path, dir);
    const node = this.#nodes.get(target);
    if (node === undefined && !this.#exists(target)) throw refusal("unlinkat", ENOENT, path);
    this.#nodes.set(target, undefined);
    // A file that was only created in the overlay is not shown at all. If the node also has another name, its step remains.
    if (node === undefined) this.#record("remove", target);
    else if (node.step?.text.endsWith(` ${target}`) === true) node.step.dropped = true;
  }

  #openFile(path: string, flags: number, mode: number, dir: Fd, resolve: number): Fd {
    const changes = (flags & ACCESS) !== O_RDONLY || (flags & O_CREAT) !== 0;
    if ((flags & O_PATH) !== 0) return this.#openPath(path, flags, mode, dir, resolve);
    const looked = this.#lookedAt(path);
    if (looked !== undefined && (changes || this.#nodes.has(looked)))
      return this.#openFile(looked, flags, mode, AT_FDCWD, resolve);
    if (path.startsWith("/proc/") || path.startsWith("/sys/")) {
      if (!changes) return this.#real.open(path, flags, mode, dir, resolve);
      this.#record("write", path);
      return this.sink(path);
    }
    const target = this.#path(path, dir);
    const node = this.#nodes.get(target);
    const exists = this.#exists(target);
    const open = (node: Node) => this.#descriptor({ node, path: target, at: 0, append: (flags & O_APPEND) !== 0 });
    if (!changes) {
      if (node !== undefined) return open(node);
      if (!exists) throw refusal("openat", ENOENT, path);
      return this.#real.open(path, flags, mode, dir, resolve);
    }
    if (exists && (flags & O_CREAT) !== 0 && (flags & O_EXCL) !== 0) throw refusal("openat", EEXIST, path);
    if (!exists && (flags & O_CREAT) === 0) throw refusal("openat", ENOENT, path);
    const used = node ?? (exists ? this.#copy(target) : this.#node(false, mode, undefined));
    if ((flags & O_TRUNC) !== 0) used.data = new Uint8Array(0);
    used.step ??= this.#record("write", target);
    this.#nodes.set(target, used);
    return open(used);
  }

  /** Opens a file with O_PATH. */
  #openPath(path: string, flags: number, mode: number, dir: Fd, resolve: number): Fd {
    const target = path.startsWith("/proc/") || path.startsWith("/sys/") ? undefined : this.#path(path, dir);
    if (target === undefined || (!this.#nodes.has(target) && !this.#isBelowVirtual(target)))
      return this.#real.open(path, flags, mode, dir, resolve);
    const node = this.#nodes.get(target);
    if (node === undefined) throw refusal("openat", ENOENT, path);
    return this.#descriptor({ node, path: target, at: 0, append: false });
  }

  /** For /proc/self/fd/N, the path of this descriptor. openLooked opens files in this way after it has checked them. */
  #lookedAt(path: string): string | undefined {
    return path.startsWith(OWN_FDS) ? this.#pathOf(Number(path.slice(OWN_FDS.length))) : undefined;
  }

  #read(fd: Fd, max: number): Uint8Array {
    const open = this.#open.get(fd);
    if (open === undefined) return this.#real.read(fd, max);
    const data = open.node.data.slice(open.at, open.at + max);
    open.at += data.length;
    return data;
  }

  #write(fd: Fd, data: Uint8Array): number {
    const open = this.#open.get(fd);
    if (open === undefined) return this.#real.write(fd, data);
    const { node } = open;
    const at = open.append ? node.data.length : open.at;
    const end = Math.max(node.data.length, at + data.length);
    const whole = new Uint8Array(end);
    whole.set(node.data);
    whole.set(data, at);
    node.data = whole;
    open.at = at + data.length;
    return data.length;
  }

  #stat(path: string, follow: boolean, dir: Fd): Stat {
    if (path.startsWith("/proc/") || path.startsWith("/sys/")) return this.#real.stat(path, follow, dir);
    const target = this.#path(path, dir);
    const node = this.#nodes.get(target);
    if (node !== undefined) return statOf(node);
    if (!this.#exists(target)) throw refusal("statx", ENOENT, path);
    return this.#real.stat(path, follow, dir);
  }

  #readdir(dir: Fd): string[] {
    const path = this.#pathOf(dir);
    const names = new Set(this.#open.has(dir) ? [] : this.#real.readdir(dir));
    for (const [each, node] of this.#nodes) {
      if (each.slice(0, each.lastIndexOf("/")) !== path) continue;
      const name = each.slice(each.lastIndexOf("/") + 1);
      if (node === undefined) names.delete(name);
      else names.add(name);
    }
    return [...names];
  }

  #readlink(path: string, dir: Fd): string {
    const open = path.startsWith(OWN_FDS) ? this.#open.get(Number(path.slice(OWN_FDS.length))) : undefined;
    return open?.path ?? this.#real.readlink(path, dir);
  }
}

function statOf(node: Node): Stat {
  const type = node.directory ? S_IFDIR : S_IFREG;
  return {
    dev: 0,
    ino: node.ino,
    mode: type | (node.mode & 0o7777),
    uid: 0,
    nlink: 1,
    size: node.data.length,
    mtime: 0,
    mtimeNsec: 0,
    ctime: 0,
    ctimeNsec: 0,
  };
}
