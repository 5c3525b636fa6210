// An ipvlan master has one mode and one flag. The kernel gives those of the newest interface to all older ones at once, without a
// word; so we look at an older one first. They are in the namespaces of other pods, where the master does not tell of them: the
// name of one is kept in a file under /run, and asked each time.
import type { Call } from "../../src/cni/plugin.ts";
import { type Numbers, nameOf, type VirtualConfig, type VirtualPlugin } from "../../src/cni/virtual.ts";
import { policy } from "../../src/config/policy.ts";
import { CniError, Code } from "../../src/errors.ts";
import { type Fd, host, SystemError } from "../../src/host/host.ts";
import { getLink, type Link, listLinksOfKind } from "../../src/link/link.ts";
import { type NetNs, openNamespace } from "../../src/link/namespace.ts";
import { isMadeOn, type Master } from "../../src/link/virtual.ts";
import { log } from "../../src/log.ts";
import { openDirectory, readFile, writeFile } from "../../src/state/files.ts";
import { withLock } from "../../src/state/lock.ts";

/** Lost at a reboot, like the links themselves. */
const directory = "/run/cni/podnic/ipvlan";
/** Namespaces looked into at most when no interface is known: about 0.1 ms each. */
const SEARCH_LIMIT = 4096;

/** Where an interface of the master is. */
interface Witness {
  netns: string;
  ifName: string;
}

/** Runs `create` when the master has no interface of another mode or flag. Throws CniError that names one. */
export function onPort<C extends VirtualConfig>(
  call: Call<C>,
  master: Master,
  plugin: VirtualPlugin<C>,
  create: () => Link,
): Link {
  const { mode, modeFlags } = plugin.properties(call);
  const check = (slave: Slave | undefined) => {
    if (slave === undefined) return;
    refuseOther("mode", plugin.names.mode, mode, slave.link.mode, master, slave);
    refuseOther("flag", plugin.names.flag, modeFlags, slave.link.modeFlags, master, slave);
  };
  const dir = stateDirectory();
  if (dir === undefined) {
    check(search(call, master));
    return create();
  }
  const file = `${master.namespace.ino}-${master.link.index}`;
  return withLock(dir, "lock", policy().lockTimeout, () => {
    const known = ask(readWitness(dir, file), master);
    check(known ?? search(call, master));
    const link = create();
    if (known === undefined) remember(dir, file, { netns: call.netns, ifName: call.attachment.ifName });
    return link;
  });
}

function stateDirectory(): Fd | undefined {
  try {
    return openDirectory(directory, { mode: 0o700 });
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log("warning", "no state directory: masters are searched for interfaces each time", { error: error.message });
    return undefined;
  }
}

function readWitness(dir: Fd, file: string): Witness | undefined {
  try {
    const data = readFile(dir, file, 8192);
    const { netns, ifName } = JSON.parse(data === undefined ? "{}" : host.decode(data));
    return typeof netns === "string" && typeof ifName === "string" ? { netns, ifName } : undefined;
  } catch {
    // Damaged: as if there were none.
    return undefined;
  }
}

function remember(dir: Fd, file: string, witness: Witness): void {
  try {
    writeFile(dir, file, host.encode(JSON.stringify(witness)), 0o600);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log("warning", "state not written", { error: error.message });
  }
}

interface Slave {
  link: Link;
  where: string;
}

function ask(witness: Witness | undefined, master: Master): Slave | undefined {
  if (witness === undefined) return undefined;
  return inside(witness.netns, (namespace) => {
    const link = getLink(namespace.route, witness.ifName);
    return link !== undefined && isSlave(link, master, namespace) ? link : undefined;
  });
}

function isSlave(link: Link, master: Master, namespace: NetNs): boolean {
  return link.kind === "ipvlan" && isMadeOn(link, master, namespace);
}

/** Looks at the master's own namespace and at those that lie beside the pod's: all of the runtime's pods. */
function search(call: Call, master: Master): Slave | undefined {
  const find = (namespace: NetNs) =>
    listLinksOfKind(namespace.route, "ipvlan").find((each) => isSlave(each, master, namespace));
  const link = find(master.namespace);
  if (link !== undefined) return { link, where: master.namespace.path || "the host" };
  const beside = call.netns.slice(0, call.netns.lastIndexOf("/"));
  if (call.config.linkInContainer === true || !beside.endsWith("/netns")) return undefined;
  for (const name of namesIn(beside).slice(0, SEARCH_LIMIT)) {
    const slave = inside(`${beside}/${name}`, find);
    if (slave !== undefined) return slave;
  }
  return undefined;
}

function namesIn(path: string): string[] {
  const dir = openDirectory(path);
  if (dir === undefined) return [];
  try {
    return host.readdir(dir);
  } finally {
    host.close(dir);
  }
}

function inside(path: string, find: (namespace: NetNs) => Link | undefined): Slave | undefined {
  const namespace = openNamespace(path, "ok");
  if (namespace === undefined) return undefined;
  try {
    const link = find(namespace);
    return link === undefined ? undefined : { link, where: path };
  } finally {
    namespace.route.close();
    host.close(namespace.fd);
  }
}

function refuseOther(
  key: string,
  names: Numbers,
  wants: number | undefined,
  has: number | undefined,
  master: Master,
  slave: Slave,
): void {
  if (wants === has) return;
  const current = nameOf(names, has);
  throw new CniError(
    Code.generic,
    `master "${master.link.name}" already carries ipvlan interfaces with ${key} ${current}, not ${nameOf(names, wants)}`,
    `such as ${slave.link.name} in ${slave.where}; all interfaces on one master share one ${key}, and the new one would change theirs: set "${key}": "${current}", or use another master`,
  );
}
