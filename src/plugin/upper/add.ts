// ADD and STATUS of an interface on a master: the code that macvlan and ipvlan share. UpperKind (kind.ts) describes their differences.

import { ipamAdd, ipamRun, isDelegated, wantsIpam } from "../../cni/ipam.ts";
import type { Call } from "../../cni/plugin.ts";
import { emptyResult, type Interface, type Result } from "../../cni/result.ts";
import { Failure } from "../../errors.ts";
import { bringUp, type ConfigureOptions, configureInterface } from "../../link/configure.ts";
import { deleteLink, getLink, type NewLink, setLink } from "../../link/link.ts";
import {
  checkMaster,
  createUpper,
  findMaster,
  hostDeviceBelow,
  isMadeOn,
  type Made,
  type Master,
} from "../../link/master.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../link/namespace.ts";
import { requireFreeName } from "../../link/taken.ts";
import { resultWith } from "../interface.ts";
import type { UpperConfig, UpperKind } from "./kind.ts";
import { deleteOwnLink, ownerAlias, ownIndex } from "./own.ts";

export function addUpper<C extends UpperConfig>(plugin: UpperKind<C>, call: Call<C>): Result {
  const { config } = call;
  const { ifName } = call.attachment;
  const pod = openNamespace(call.netns)!;
  const master = masterOf(plugin, call, pod);
  const onHost = config.linkInContainer ? below(master) : master;
  if (onHost !== undefined) plugin.refuse(call, onHost);
  checkMaster(master, plugin.kind, config.mtu ?? 0);
  requireFreeName(pod, ifName);

  const chained = wantsIpam(call) ? undefined : plugin.chained(call);
  const addressesOf = (): Result | undefined => {
    const found = wantsIpam(call) ? ipamAdd(call) : chained;
    if (found !== undefined && onHost !== undefined) plugin.refuseAddresses?.(onHost, found.ips);
    return found;
  };
  // An IPAM plugin that is run as a program may need the interface to exist (dhcp).
  const early = plugin.refuseAddresses !== undefined && !isDelegated(call) ? addressesOf() : undefined;
  const link = createIn(plugin, call, master, pod);
  const options: ConfigureOptions = {
    notify: wantsIpam(call) || chained !== undefined,
    ignoreRouterAdvertisements: !config.acceptRA,
  };
  if (config.dad !== undefined) options.dad = config.dad;
  // If the Go dhcp daemon finds the link down, it waits some seconds before its second attempt.
  if (isDelegated(call)) bringUp(pod, link.index, ifName, options);
  const addresses = early ?? addressesOf();
  configureInterface(pod, link.index, ifName, addresses ?? emptyResult(), { ...options, announce: link.mac });
  const own: Interface = { name: ifName, mtu: link.mtu, sandbox: call.netns };
  if (link.mac !== "") own.mac = link.mac;
  if (chained === undefined) return resultWith(call, own, addresses);
  // The addresses in the previous plugin's result now belong to our interface, and the previous plugin's interface is our master. The Go plugin
  // returns only our interface in this case, and a DEL without "master" relies on it.
  return resultWith({ ...call, prevResult: undefined }, own, chained);
}

/**
 * The host's device below the master, if there is one. An interface on a macvlan of the pod joins the network of the host's device below it, exactly
 * like an interface on that device itself.
 */
function below({ link, namespace }: Master): Master | undefined {
  const lower = hostDeviceBelow(namespace, link);
  return lower && { link: lower, namespace: ownNamespace() };
}

function masterOf<C extends UpperConfig>(plugin: UpperKind<C>, call: Call<C>, pod: NetNs): Master {
  return findMaster(call.config.linkInContainer === true ? pod : ownNamespace(), plugin.masterName(call));
}

/** Creates the link and marks it as this attachment's. A rollback of the transaction deletes it again. */
function createIn<C extends UpperConfig>(plugin: UpperKind<C>, call: Call<C>, master: Master, pod: NetNs): Made {
  const { ifName: name } = call.attachment;
  const index = ownIndex(call.attachment);
  const request: Omit<NewLink, "parent" | "netns"> = { kind: plugin.kind, name, index, ...plugin.properties(call) };
  if (call.config.mtu) request.mtu = call.config.mtu;
  const undo = `delete ${plugin.kind} ${name}`;
  const create = () => {
    try {
      return createUpper(master, pod, request, (error) => plugin.explainRefusal(call, master, error));
    } catch (error) {
      // Without a clear refusal, it is unknown whether the link exists.
      if (!(error instanceof Failure)) call.transaction.onRollback(undo, () => deleteOwnLink(plugin, call, pod));
      throw error;
    }
  };
  const link = call.transaction.step(
    undo,
    () => plugin.onMaster(call, master, create),
    ({ index }) => deleteLink(pod.route, index),
  );
  if (call.config.linkInContainer === true) {
    const made = getLink(pod.route, link.index);
    if (made === undefined || !isMadeOn(made, master, pod)) throw masterReplaced(master);
  }
  if (request.bcqueuelen !== undefined && link.bcqueuelen !== request.bcqueuelen)
    throw queueIgnored(request.bcqueuelen);
  setLink(pod.route, link.index, { alias: ownerAlias(call) });
  return link;
}

/**
 * The pod has replaced the master with an interface of the same index after podnic checked the master. Otherwise the pod could choose which device of
 * the host is below the new interface.
 */
function masterReplaced({ link: { name } }: Master): Failure {
  const cure = "The new interface was deleted. A process in the pod must not replace the master while ADD runs.";
  return new Failure("try again", `the pod has replaced the master "${name}"`, cure);
}

/** Linux before 5.11 accepts the attribute but ignores it. podnic can tell such a kernel from a newer one only after the link exists. */
function queueIgnored(bcqueuelen: number): Failure {
  return new Failure(
    "failed",
    `this kernel ignored bcqueuelen ${bcqueuelen}`,
    'The length of the broadcast queue requires Linux 5.11. Remove "bcqueuelen" from the configuration.',
  );
}

/**
 * STATUS: throws Failure("not available") unless an ADD would find its master, and find it up. A master in the pod cannot be checked without a pod.
 */
export function statusUpper<C extends UpperConfig>(plugin: UpperKind<C>, call: Call<C>): void {
  if (call.config.linkInContainer !== true) {
    try {
      checkMaster(findMaster(ownNamespace(), plugin.masterName(call)), plugin.kind, call.config.mtu ?? 0);
    } catch (error) {
      throw error instanceof Failure ? new Failure("not available", error.message, error.details) : error;
    }
  }
  ipamRun(call, "STATUS");
}
