// CHECK of an interface on a master. It succeeds directly after ADD, and fails if anything was changed since then.

import { ipamRun } from "../../cni/ipam.ts";
import type { Call } from "../../cni/plugin.ts";
import type { Interface } from "../../cni/result.ts";
import { checkInterface } from "../../link/check.ts";
import { getLink, type Link } from "../../link/link.ts";
import { checkMaster, findMaster, isMadeOn, type Master } from "../../link/master.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../link/namespace.ts";
import { checkFailure } from "../check.ts";
import { findOwnInterface } from "../interface.ts";
import { isMtuTuned } from "../tuned.ts";
import { nameOf, type UpperConfig, type UpperKind } from "./kind.ts";

export function checkUpper<C extends UpperConfig>(plugin: UpperKind<C>, call: Call<C>): void {
  const { config, attachment } = call;
  ipamRun(call, "CHECK");
  const pod = openNamespace(call.netns)!;
  const own = findOwnInterface(call, pod);
  const link = getLink(pod.route, attachment.ifName);
  if (link === undefined) {
    throw checkFailure(
      `container Interface name in prevResult: ${attachment.ifName} not found`,
      "The interface was removed or renamed.",
    );
  }
  if (link.kind !== plugin.kind) {
    throw checkFailure(
      `container interface ${attachment.ifName} not of type ${plugin.kind}`,
      `The interface is of type ${link.kind || "device"}.`,
    );
  }
  const master = currentMaster(call, link, pod);
  for (const [what, has, expected] of differences(plugin, call, link, own.interface, master)) {
    if (expected !== undefined && has !== expected) {
      throw checkFailure(
        `container interface ${attachment.ifName}: ${what} ${has} does not match expected value: ${expected}`,
        "The interface or the configuration has changed since ADD.",
      );
    }
  }
  checkMaster(master, plugin.kind, config.mtu ?? 0);
  checkInterface(pod, link.index, attachment.ifName, own);
}

/**
 * The master that the link is on. Throws Failure unless it is the one that the configuration names. If the configuration names none, the link may be
 * on any master, because the default route may have moved since ADD.
 */
function currentMaster(call: Call<UpperConfig>, link: Link, pod: NetNs): Master {
  const namespace = call.config.linkInContainer === true ? pod : ownNamespace();
  const name = call.config.master ?? "";
  if (name !== "") {
    const master = findMaster(namespace, name);
    if (isMadeOn(link, master, pod)) return master;
    throw checkFailure(
      `container interface ${link.name} is not on master "${name}"`,
      `Its master has index ${link.parent}, but "${name}" has ${master.link.index}.`,
    );
  }
  const parent = getLink(namespace.route, link.parent);
  if (parent !== undefined && isMadeOn(link, { link: parent, namespace }, pod)) return { link: parent, namespace };
  throw checkFailure(
    `the master of container interface ${link.name} is gone`,
    `There is no device with index ${link.parent}.`,
  );
}

type Difference = [what: string, has: unknown, expected: unknown];

function differences<C extends UpperConfig>(
  plugin: UpperKind<C>,
  call: Call<C>,
  link: Link,
  reported: Interface,
  master: Master,
): Difference[] {
  const wanted = plugin.properties(call);
  const { mode, flag } = plugin.names;
  return [
    ["mode", nameOf(mode, link.mode), nameOf(mode, wanted.mode)],
    ["flag", nameOf(flag, link.modeFlags), wanted.modeFlags === undefined ? undefined : nameOf(flag, wanted.modeFlags)],
    ["bcqueuelen", link.bcqueuelen, wanted.bcqueuelen],
    ["macaddr", link.macaddrs?.slice().sort().join(), wanted.macaddrs?.slice().sort().join()],
    ["Mac", link.mac, reported.mac],
    ...mtuDifferences(call, link, reported, master),
  ];
}

function mtuDifferences(call: Call<UpperConfig>, link: Link, reported: Interface, master: Master): Difference[] {
  const configured = call.config.mtu || undefined;
  // Results before 1.1.0 contain no MTU. A new link has its master's.
  const expected = [configured, reported.mtu ?? configured ?? master.link.mtu];
  if (expected.every((mtu) => mtu === undefined || mtu === link.mtu) || isMtuTuned(call.attachment)) return [];
  return expected.map((mtu) => ["MTU", link.mtu, mtu]);
}
