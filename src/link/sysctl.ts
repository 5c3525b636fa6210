// Settings below /proc/sys/net, in the network namespace of this process.
import { O_CLOEXEC, O_RDONLY, O_WRONLY } from "../host/constants.ts";
import { host, SystemError } from "../host/host.ts";
import { utf8 } from "../netlink/bytes.ts";

/** Reads net/… of /proc/sys in the namespace this process is in; undefined when the kernel has no such key. */
export function readSysctl(key: string): string | undefined {
  const fd = openSysctl(key, O_RDONLY);
  if (fd === undefined) return undefined;
  try {
    return host.decode(host.read(fd, 4096)).trim();
  } finally {
    host.close(fd);
  }
}

/** Writes it. Keys are slash-separated because interface names may contain dots. Throws SystemError (ENOENT: no such key). */
export function writeSysctl(key: string, value: string): void {
  const fd = host.open(`/proc/sys/${key}`, O_WRONLY | O_CLOEXEC);
  try {
    host.write(fd, utf8(value));
  } finally {
    host.close(fd);
  }
}

function openSysctl(key: string, flags: number): number | undefined {
  try {
    return host.open(`/proc/sys/${key}`, flags | O_CLOEXEC);
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return undefined;
    throw error;
  }
}
