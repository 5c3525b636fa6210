// A tree of files in memory, as far as podnic looks at one.
import { S_IFDIR, S_IFLNK, S_IFREG } from "../../../src/host/constants.ts";
import { EEXIST, EISDIR, ELOOP, ENAMETOOLONG, ENOENT, ENOTDIR, ENOTEMPTY, Errno } from "./errno.ts";

export interface Node {
  ino: number;
  /** st_mode. */
  mode: number;
  uid: number;
  nlink: number;
  /** Of a directory. */
  names?: Map<string, Node>;
  /** Of a file. */
  data: Uint8Array;
  /** Of a symbolic link. */
  target: string;
  /** The network namespace that it is. */
  namespace?: number;
  /** Counts changes; the time of the last one. */
  changed: number;
}

const LONGEST_NAME = 255;
const LINKS = 40;

export class Files {
  #inodes = 100;
  #changes = 0;
  readonly root = this.#make(S_IFDIR | 0o755);

  #make(mode: number): Node {
    const node: Node = { ino: this.#inodes++, mode, uid: 0, nlink: 1, data: new Uint8Array(0), target: "", changed: 0 };
    if ((mode & S_IFDIR) === S_IFDIR) node.names = new Map();
    this.touch(node);
    return node;
  }

  touch(node: Node): void {
    node.changed = ++this.#changes;
  }

  /** The directory that the last name of a path is in, and that name; "" for the root. Links on the way are followed. */
  #parent(path: string, from: Node, links: { left: number }): { dir: Node; name: string } {
    let dir = path.startsWith("/") ? this.root : from;
    const steps = path.split("/").filter((step) => step !== "" && step !== ".");
    const last = steps.pop() ?? "";
    for (const step of steps) dir = this.#follow(this.#child(dir, step), dir, links);
    if (dir.names === undefined) throw new Errno(ENOTDIR);
    return { dir, name: last };
  }

  #child(dir: Node, name: string): Node {
    if (dir.names === undefined) throw new Errno(ENOTDIR);
    // One level is enough for what asks: nothing of podnic goes up on purpose.
    if (name === "..") return this.root;
    if (name.length > LONGEST_NAME) throw new Errno(ENAMETOOLONG);
    const found = dir.names.get(name);
    if (found === undefined) throw new Errno(ENOENT);
    return found;
  }

  #follow(node: Node, dir: Node, links: { left: number }): Node {
    if (node.target === "") return node;
    if (links.left-- === 0) throw new Errno(ELOOP);
    return this.find(node.target, dir, true, links);
  }

  /** Throws ENOENT and its like. `follow`: a link at the end of the path. */
  find(path: string, from: Node = this.root, follow = true, links = { left: LINKS }): Node {
    if (path === "") throw new Errno(ENOENT);
    const { dir, name } = this.#parent(path, from, links);
    if (name === "") return dir;
    const found = this.#child(dir, name);
    return follow ? this.#follow(found, dir, links) : found;
  }

  has(path: string): boolean {
    try {
      this.find(path);
      return true;
    } catch (error) {
      if (error instanceof Errno) return false;
      throw error;
    }
  }

  /** Puts a node under a name that is free. */
  #add(path: string, from: Node, node: Node): Node {
    const { dir, name } = this.#parent(path, from, { left: LINKS });
    if (name.length > LONGEST_NAME) throw new Errno(ENAMETOOLONG);
    if (name === "" || name === ".." || dir.names!.has(name)) throw new Errno(EEXIST);
    dir.names!.set(name, node);
    this.touch(dir);
    return node;
  }

  create(path: string, from: Node, mode: number): Node {
    return this.#add(path, from, this.#make(S_IFREG | mode));
  }

  mkdir(path: string, from: Node, mode: number): Node {
    return this.#add(path, from, this.#make(S_IFDIR | mode));
  }

  symlink(target: string, path: string, from: Node): void {
    const node = this.#make(S_IFLNK | 0o777);
    node.target = target;
    this.#add(path, from, node);
  }

  link(from: string, fromDir: Node, to: string, toDir: Node): void {
    const node = this.find(from, fromDir, false);
    this.#add(to, toDir, node);
    node.nlink++;
  }

  remove(path: string, from: Node, directory: boolean): void {
    const { dir, name } = this.#parent(path, from, { left: LINKS });
    const node = this.#child(dir, name);
    if (!directory && node.names !== undefined) throw new Errno(EISDIR);
    if (directory && node.names === undefined) throw new Errno(ENOTDIR);
    if (directory && node.names!.size > 0) throw new Errno(ENOTEMPTY);
    dir.names!.delete(name);
    node.nlink--;
    this.touch(dir);
  }

  rename(from: string, fromDir: Node, to: string, toDir: Node): void {
    const source = this.#parent(from, fromDir, { left: LINKS });
    const target = this.#parent(to, toDir, { left: LINKS });
    const node = this.#child(source.dir, source.name);
    if (target.name.length > LONGEST_NAME) throw new Errno(ENAMETOOLONG);
    source.dir.names!.delete(source.name);
    target.dir.names!.set(target.name, node);
    this.touch(source.dir);
    this.touch(target.dir);
  }

  /** A file with its directories; what is there already stays. */
  put(path: string, data: Uint8Array): Node {
    const steps = path.split("/").filter((step) => step !== "");
    const name = steps.pop()!;
    let dir = this.root;
    for (const step of steps) {
      const next = dir.names!.get(step);
      dir = next === undefined ? this.mkdir(step, dir, 0o755) : this.#follow(next, dir, { left: LINKS });
      if (dir.names === undefined) throw new Errno(ENOTDIR);
    }
    const node = dir.names!.get(name) ?? this.create(name, dir, 0o600);
    node.data = data;
    return node;
  }

  putDirectory(path: string): void {
    const marker = `${path}/.`;
    const steps = marker.split("/").filter((step) => step !== "" && step !== ".");
    let dir = this.root;
    for (const step of steps) dir = dir.names!.get(step) ?? this.mkdir(step, dir, 0o755);
  }

  /** Every file below, for comparison: path and content. */
  list(path: string): string[] {
    const out: string[] = [];
    const walk = (node: Node, at: string): void => {
      if (node.names === undefined) out.push(`${at} ${String.fromCharCode(...node.data.subarray(0, 4096))}`);
      else for (const name of [...node.names.keys()].sort()) walk(node.names.get(name)!, `${at}/${name}`);
    };
    if (this.has(path)) walk(this.find(path), path);
    return out;
  }
}
