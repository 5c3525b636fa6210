// Entry point of a test executable (scripts/build.ts --variants). After its plugins are confined, they try things that no call needs, and
// report the results on stderr. Tests run it confined and, with ESCAPE=unconfined, without confinement.
import { confineCall } from "../cni/confine.ts";
import { AF_INET, O_APPEND, O_CREAT, O_EXCL, O_RDONLY, O_WRONLY } from "../host/constants.ts";
import { AT_FDCWD, type Host, host, installHost, SystemError } from "../host/host.ts";
import { LinuxHost } from "../host/linux.ts";
import type { Argument, Kernel } from "../host/syscalls.ts";
import { main } from "../main.ts";

declare const native: Kernel & { load(): void; stackLimit(): Uint8Array };

/** System call numbers of x86-64 that the plugins do not use. */
const CONNECT = 42;
const CHROOT = 161;
const MOUNT = 165;
const MKNODAT = 259;
const FCHOWNAT = 260;
const S_IFCHR = 0o20000;
const SOCK_STREAM = 1;

function raw(number: number, ...args: Argument[]): number {
  const result = native.syscall(number, ...args);
  if (result < 0) throw new SystemError(`syscall ${number}`, -result, String(-result), String(-result));
  return result;
}

function write(path: string, flags: number): void {
  host.close(host.open(path, flags, 0o600));
}

/** Tries to run a program in a child process. /bin/true exits with status 0. */
function execute(linux: LinuxHost): void {
  const pid = linux.clone();
  if (pid === 0) {
    try {
      linux.call("execve", "", "/bin/true", [linux.encode("true\0")], []);
    } catch (error) {
      linux.exit(error instanceof SystemError ? error.errno : 1);
    }
  }
  const status = linux.waitpid(pid) >> 8;
  if (status !== 0) throw new SystemError("execve", status, String(status), "");
}

/** Connects to 127.0.0.1, port 9, where nothing listens (ECONNREFUSED, or ENETUNREACH without loopback). */
function connect(): void {
  const address = new Uint8Array(16);
  address.set([AF_INET, 0, 0, 9, 127, 0, 0, 1]);
  raw(CONNECT, host.socket(AF_INET, SOCK_STREAM, 0), address, address.length);
}

/** The state directory, on the same file system as ESCAPE_DIR. ESCAPE_DIR contains a file "victim", and the state a link "out" to ESCAPE_DIR. */
const STATE = "/var/lib/cni/networks";

/** The attempts are independent, except that several use the same file of the state. */
const attempts: Record<string, (linux: LinuxHost, dir: string) => void> = {
  "make a file": (_, dir) => write(`${dir}/made`, O_WRONLY | O_CREAT | O_EXCL),
  "append to a file": (_, dir) => write(`${dir}/victim`, O_WRONLY | O_APPEND),
  "append by a link in the state": () => write(`${STATE}/out/victim`, O_WRONLY | O_APPEND),
  "write other state": () => write("/var/lib/cni/results", O_WRONLY | O_CREAT),
  "make a directory": (_, dir) => host.mkdir(`${dir}/directory`, 0o700),
  "move state out": (_, dir) => host.rename(`${STATE}/own`, `${dir}/own`),
  "link a file into the state": (_, dir) => host.link(`${dir}/victim`, `${STATE}/hard`),
  "make a symbolic link in the state": () => host.symlink("/etc", `${STATE}/soft`),
  "make a device node in the state": () => void raw(MKNODAT, AT_FDCWD, `${STATE}/null`, S_IFCHR | 0o600, 0x103),
  "set a sysctl of the kernel": () => write("/proc/sys/kernel/core_pattern", O_WRONLY),
  "run a program": (linux) => execute(linux),
  mount: (_, dir) => void raw(MOUNT, "escape", `${dir}/mountpoint`, "tmpfs", 0, null),
  "give a file away": (_, dir) => void raw(FCHOWNAT, AT_FDCWD, `${dir}/victim`, 1, 1, 0),
  "see the parent's namespaces": (linux) =>
    host.close(host.open(`/proc/${linux.call("getppid", "")}/ns/net`, O_RDONLY)),
  "signal the parent": (linux) => void linux.call("kill", "", linux.call("getppid", ""), 0),
  "connect by TCP": () => connect(),
  "remove a file": (_, dir) => host.unlink(`${dir}/victim`),
  // The plugins may do this.
  "write state": () => write(`${STATE}/new`, O_WRONLY | O_CREAT),
  "set a sysctl of the network": () => write("/proc/sys/net/ipv4/ip_forward", O_WRONLY),
  // Last, because it changes the rest of the process.
  "change the root": (_, dir) => void raw(CHROOT, dir),
};

function tryAll(linux: LinuxHost, dir: string): void {
  for (const [name, attempt] of Object.entries(attempts)) {
    let outcome = "done";
    try {
      attempt(linux, dir);
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      outcome = String(error.errno);
    }
    host.write(2, host.encode(`escape: ${name}: ${outcome}\n`));
  }
}

Reflect.deleteProperty(Math, "random");

globalThis.podnic = () => {
  const linux = new LinuxHost(native);
  installHost(linux as Host);
  return main(
    () => 1,
    () => {},
    (...about) => {
      if (host.getenv("ESCAPE") !== "unconfined") confineCall(...about);
      const dir = host.getenv("ESCAPE_DIR");
      if (dir !== undefined) tryAll(linux, dir);
    },
  );
};
