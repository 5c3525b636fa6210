// A host that changes nothing. It records each change as a step instead.
import { AF_INET6, AF_NETLINK, AF_PACKET, ENOSYS, O_RDONLY } from "../../host/constants.ts";
import { type Command, type Fd, type Host, SystemError } from "../../host/host.ts";
import { type Address, formatAddress } from "../../ip/address.ts";
import { netnsName, type Space, Spaces } from "../kernel/spaces.ts";
import { FileOverlay } from "./files.ts";
import { LinkOverlay } from "./links.ts";
import { Steps } from "./steps.ts";

/** Thrown if ADD would run a program, because the program's output is not known. */
export class Unknown extends Error {
  override readonly name = "Unknown";
}

const SYSCTL = "/proc/sys/";

export class HostOverlay {
  readonly steps = new Steps();
  readonly spaces: Spaces;
  readonly #host: Host;
  readonly #links: LinkOverlay;
  readonly #files: FileOverlay;
  /** The sysctls that were written, by namespace and key. */
  readonly #settings = new Map<string, string>();
  readonly #keys = new Map<Fd, { space: Space; key: string }>();
  readonly #packets = new Map<Fd, number>();

  /** Replaces the methods of `host` that change something. */
  constructor(host: Host) {
    this.spaces = new Spaces(host);
    this.#files = new FileOverlay(host, this.steps);
    this.#links = new LinkOverlay(host, this.spaces, this.steps);
    this.#host = { ...host };
    const below = this.#host;
    host.open = (path, ...more) =>
      path.startsWith(SYSCTL) ? this.#openSysctl(path, more[0]) : below.open(path, ...more);
    host.write = (fd, data) => (this.#writeSysctl(fd, data) ? data.length : below.write(fd, data));
    host.close = (fd) => {
      this.#keys.delete(fd);
      this.#packets.delete(fd);
      below.close(fd);
    };
    // A new mount of sysfs would not show the links that exist only in the overlay.
    host.mountDetached = (type) => {
      if (this.#links.differs(this.spaces.current))
        throw new SystemError("fsopen", ENOSYS, "ENOSYS", "not available with explain");
      return below.mountDetached(type);
    };
    host.leaveAside = (fd) => {
      host.close(fd);
      return 0;
    };
    this.#replacePackets(host);
    host.run = (command) => this.#run(command);
    host.fork = () => {
      throw new SystemError("fork", ENOSYS, "ENOSYS", "podnic explain starts no programs");
    };
  }

  /** Forgets all changes. */
  forget(): void {
    this.#links.forget();
    this.#files.forget();
    this.#settings.clear();
  }

  /** Opens a sysctl. An interface that exists only in the overlay has the namespace's default settings. */
  #openSysctl(path: string, flags: number): Fd {
    const key = path.slice(SYSCTL.length);
    const steps = key.split("/");
    const isNew = steps[2] === "conf" && this.#links.hasNew(this.spaces.current, steps[3] ?? "");
    if (isNew) steps[3] = "default";
    const real = `${SYSCTL}${steps.join("/")}`;
    const space = this.spaces.current;
    const written = this.#settings.get(`${space.key} ${key}`);
    if ((flags & 3) === O_RDONLY && written === undefined) return this.#host.open(real, flags);
    // Throw an error if the sysctl does not exist.
    this.#host.close(this.#host.open(real, O_RDONLY));
    const fd = this.#files.sink(path);
    if (written !== undefined) this.#files.fill(fd, written);
    if ((flags & 3) !== O_RDONLY) this.#keys.set(fd, { space, key });
    return fd;
  }

  #writeSysctl(fd: Fd, data: Uint8Array): boolean {
    const open = this.#keys.get(fd);
    if (open === undefined) return false;
    const { space, key } = open;
    const value = this.#host.decode(data).trim();
    this.#settings.set(`${space.key} ${key}`, value);
    // Separate the parts with "/", because sysctl(8) does not accept interface names with dots otherwise.
    const words = `sysctl -w ${key}=${value}`;
    const name = netnsName(space);
    const inside = name.includes("/") ? `nsenter --net=${name}` : `ip netns exec ${name}`;
    this.steps.add("sysctl", space.path === "" ? words : `${inside} ${words}`);
    return true;
  }

  /** Replaces the sockets for announcements, because real ones cannot be bound to an interface that exists only in the overlay. */
  #replacePackets(host: Host): void {
    const { socket, setsockopt, bind, send } = this.#host;
    host.socket = (domain, type, protocol) => {
      if (domain === AF_NETLINK) return socket(domain, type, protocol);
      const fd = this.#files.sink("socket");
      this.#packets.set(fd, domain);
      return fd;
    };
    host.setsockopt = (fd, ...more) => (this.#packets.has(fd) ? undefined : setsockopt(fd, ...more));
    host.bind = (fd, address) => (this.#packets.has(fd) ? undefined : bind(fd, address));
    host.send = (fd, data, address) => {
      const domain = this.#packets.get(fd);
      if (domain === undefined) return send(fd, data, address);
      if (domain === AF_PACKET) this.steps.add("packet", `gratuitous ARP for ${text(4, data.subarray(14, 18))}`);
      if (domain === AF_INET6) {
        this.steps.add("packet", `unsolicited neighbour advertisement for ${text(6, data.subarray(8, 24))}`);
      }
      return data.length;
    };
  }

  #run(command: Command): never {
    this.steps.add("run", `${command.path} with CNI_COMMAND=${command.env.CNI_COMMAND ?? ""}`);
    throw new Unknown(`the next steps depend on the output of ${command.path}`);
  }
}

function text(family: 4 | 6, bytes: Uint8Array): string {
  return formatAddress({ family, bytes: bytes.slice() } as Address);
}
