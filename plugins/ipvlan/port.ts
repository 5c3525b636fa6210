// All interfaces on an ipvlan master have the same mode and flag. When a new interface is created, the kernel silently gives its mode and flag
// to all older ones, so podnic first looks at an older one. The interfaces are in the namespaces of other pods, and the master does not list
// them.
import type { Call } from "../../src/cni/plugin.ts";
import { policy } from "../../src/config/policy.ts";
import { Failure } from "../../src/errors.ts";
import { LOCK_SH } from "../../src/host/constants.ts";
import { host } from "../../src/host/host.ts";
import { type Found, findBeside, findIn } from "../../src/link/beside.ts";
import { getLink, type Link, listLinksOfKind } from "../../src/link/link.ts";
import { isMadeOn, type Made, type Master } from "../../src/link/master.ts";
import type { NetNs } from "../../src/link/namespace.ts";
import { type Numbers, nameOf, type UpperConfig, type UpperKind } from "../../src/plugin/upper/kind.ts";
import { ifLockable, withLock } from "../../src/state/lock.ts";
import { forgetSlaves, isOf, type KnownSlave, readKnownSlave, slaveDirectory, writeKnownSlave } from "./known-slave.ts";

/** Runs `create` if the master has no interface with another mode or flag. Otherwise throws Failure("failed"), which names such an interface. */
export function onPort<C extends UpperConfig>(
  call: Call<C>,
  master: Master,
  plugin: UpperKind<C>,
  create: () => Made,
): Made {
  const { mode, modeFlags } = plugin.properties(call);
  const check = (slave: Found | undefined) => {
    if (slave === undefined) return;
    refuseOther("mode", plugin.names.mode, mode, slave.link.mode, master, slave);
    refuseOther("flag", plugin.names.flag, modeFlags, slave.link.modeFlags, master, slave);
  };
  const dir = slaveDirectory();
  if (dir === undefined) {
    check(search(call, master));
    return create();
  }
  let alone = false;
  const beside = (): Made | undefined => {
    const known = ask(readKnownSlave(dir, master), master);
    check(known);
    alone = known === undefined;
    return alone ? undefined : create();
  };
  const first = (): Made => {
    const link = beside();
    if (link !== undefined) return link;
    check(search(call, master));
    const made = create();
    call.transaction.onRollback("forget the interface", () => forgetSlaves(isOf(call)));
    writeKnownSlave(dir, master, call);
    return made;
  };
  // If an interface is known, any number of calls create links at the same time, under a shared lock. Only the first link is created under an
  // exclusive lock. A call that has found no interface does not try the shared lock again: forty calls that do so would prevent one another from ever
  // getting the exclusive lock.
  const { lockTimeout } = policy();
  const deadline = host.monotonic() + lockTimeout;
  for (let pause = 1; !alone && host.monotonic() < deadline; pause = Math.min(pause * 1.5, 30)) {
    const link = ifLockable(dir, "lock", LOCK_SH, beside);
    if (link !== undefined) return link;
    if (!alone) host.sleep(pause);
  }
  return withLock(dir, "lock", lockTimeout, first);
}

function ask(slave: KnownSlave | undefined, master: Master): Found | undefined {
  if (slave === undefined) return undefined;
  return findIn(slave.netns, (namespace) => {
    const link = getLink(namespace.route, slave.ifName);
    return link !== undefined && isSlave(link, master, namespace) ? link : undefined;
  });
}

function isSlave(link: Link, master: Master, namespace: NetNs): boolean {
  return link.kind === "ipvlan" && isMadeOn(link, master, namespace);
}

/** Looks in the master's own namespace and in those in the same directory as the pod's, which are all of the runtime's pods. */
function search(call: Call, master: Master): Found | undefined {
  const find = (namespace: NetNs) =>
    listLinksOfKind(namespace.route, "ipvlan").find((each) => isSlave(each, master, namespace));
  const link = find(master.namespace);
  if (link !== undefined) return { link, where: master.namespace.path || "the host" };
  return call.config.linkInContainer === true ? undefined : findBeside(call.netns, find);
}

function refuseOther(
  key: string,
  names: Numbers,
  wants: number | undefined,
  has: number | undefined,
  master: Master,
  slave: Found,
): void {
  if (wants === has) return;
  const current = nameOf(names, has);
  throw new Failure(
    "failed",
    `master "${master.link.name}" already has ipvlan interfaces with ${key} ${current}, not ${nameOf(names, wants)}`,
    `One of them is ${slave.link.name} in ${slave.where}. All interfaces on a master have the same ${key}, so the new one would change it for all of them. Set "${key}": "${current}", or use another master.`,
  );
}
