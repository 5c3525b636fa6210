// Tracks the network namespace of this process and of each of its netlink sockets, from the calls that open, enter and create them.
import { AF_NETLINK } from "../../host/constants.ts";
import type { Fd, Host } from "../../host/host.ts";

/** A network namespace. */
export interface Space {
  /** Device and inode of its file. */
  readonly key: string;
  /** As the caller named it; "" is our own. */
  readonly path: string;
}

export class Spaces {
  readonly #host: Host;
  readonly #own: Space;
  /** Paths of the descriptors that could be namespaces. */
  readonly #paths = new Map<Fd, string>();
  readonly #sockets = new Map<Fd, Space>();
  current: Space;

  /** Listens to the calls of `host`, whose methods it replaces. */
  constructor(host: Host) {
    this.#host = { ...host };
    const { open, close, setns, socket } = this.#host;
    const { dev, ino } = host.stat("/proc/thread-self/ns/net");
    this.#own = { key: `${dev}:${ino}`, path: "" };
    this.current = this.#own;
    host.open = (path, ...more) => {
      const fd = open(path, ...more);
      this.#paths.set(fd, this.#meant(path));
      return fd;
    };
    host.close = (fd) => {
      this.#paths.delete(fd);
      this.#sockets.delete(fd);
      close(fd);
    };
    host.setns = (fd, type) => {
      setns(fd, type);
      this.current = this.of(fd);
    };
    host.socket = (domain, type, protocol) => {
      const fd = socket(domain, type, protocol);
      if (domain === AF_NETLINK) this.#sockets.set(fd, this.current);
      return fd;
    };
  }

  /** The path behind /proc/self/fd/N, else the path itself. */
  #meant(path: string): string {
    const prefix = "/proc/self/fd/";
    const known = path.startsWith(prefix) ? this.#paths.get(Number(path.slice(prefix.length))) : undefined;
    return known ?? path;
  }

  /** The namespace behind a descriptor. */
  of(fd: Fd): Space {
    const { dev, ino } = this.#host.fstat(fd);
    const key = `${dev}:${ino}`;
    return key === this.#own.key ? this.#own : { key, path: this.#paths.get(fd) ?? `descriptor ${fd}` };
  }

  /** Calls the namespace behind a descriptor something else than its path. */
  name(fd: Fd, name: string): void {
    this.#paths.set(fd, name);
  }

  /** Where a netlink socket lives; undefined for other descriptors. */
  ofSocket(fd: Fd): Space | undefined {
    return this.#sockets.get(fd);
  }
}

/** As `ip` takes it: the name of one in /run/netns, else the path. */
export function netnsName({ path }: Space): string {
  for (const dir of ["/run/netns/", "/var/run/netns/"]) if (path.startsWith(dir)) return path.slice(dir.length);
  return path;
}

/** A command line of `ip`, or of the program that the words begin with, in its namespace. */
export function ipIn(space: Space, words: string): string {
  const isOther = /^(bridge|nft) /.test(words);
  if (space.path === "") return isOther || words === "" ? words : `ip ${words}`;
  if (isOther) return `nsenter --net=${space.path} ${words}`;
  const name = netnsName(space);
  return name.includes("/") ? `nsenter --net=${name} ip ${words}` : `ip -n ${name} ${words}`;
}
