// Tracks the network namespace of this process and of each of its netlink sockets, from the calls that open, enter and create them.
import { AF_NETLINK } from "../../host/constants.ts";
import type { Fd, Host } from "../../host/host.ts";

/** A network namespace. */
export interface Space {
  /** The device and inode of the namespace's file. */
  readonly key: string;
  /** The path under which it was opened; "" for this process's own namespace. */
  readonly path: string;
}

export class Spaces {
  readonly #host: Host;
  readonly #own: Space;
  /** The paths of open descriptors, which could be namespaces. */
  readonly #paths = new Map<Fd, string>();
  readonly #sockets = new Map<Fd, Space>();
  current: Space;

  /** Replaces methods of `host` in order to observe its calls. */
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

  /** For /proc/self/fd/N, the path of this descriptor; otherwise the path itself. */
  #meant(path: string): string {
    const prefix = "/proc/self/fd/";
    const known = path.startsWith(prefix) ? this.#paths.get(Number(path.slice(prefix.length))) : undefined;
    return known ?? path;
  }

  /** A descriptor's namespace. */
  of(fd: Fd): Space {
    const { dev, ino } = this.#host.fstat(fd);
    const key = `${dev}:${ino}`;
    return key === this.#own.key ? this.#own : { key, path: this.#paths.get(fd) ?? `descriptor ${fd}` };
  }

  /** Sets a name that is shown instead of the path of a descriptor's namespace. */
  name(fd: Fd, name: string): void {
    this.#paths.set(fd, name);
  }

  /** The namespace of a netlink socket; undefined for other descriptors. */
  ofSocket(fd: Fd): Space | undefined {
    return this.#sockets.get(fd);
  }
}

/** The name of a namespace in /run/netns, as `ip` takes it; for other namespaces, the path. */
export function netnsName({ path }: Space): string {
  for (const dir of ["/run/netns/", "/var/run/netns/"]) if (path.startsWith(dir)) return path.slice(dir.length);
  return path;
}

/** The command line that runs `words` in a namespace. The program is `ip`, or the one whose name is the first word. */
export function ipIn(space: Space, words: string): string {
  const isOther = /^(bridge|nft) /.test(words);
  if (space.path === "") return isOther || words === "" ? words : `ip ${words}`;
  if (isOther) return `nsenter --net=${space.path} ${words}`;
  const name = netnsName(space);
  return name.includes("/") ? `nsenter --net=${name} ip ${words}` : `ip -n ${name} ${words}`;
}
