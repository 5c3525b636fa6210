// bridge: an interface of the pod whose other end is a port of a bridge on the host. For its keys, see config.schema.json and README.md.
import { Cleanup } from "../../src/cleanup.ts";
import { isValidAttachment } from "../../src/cni/attachments.ts";
import { delWithIpam, gcWithIpam, ipamAdd, isDelegated, wantsIpam } from "../../src/cni/ipam.ts";
import type { Attachment, Call, Plugin } from "../../src/cni/plugin.ts";
import { emptyResult, type Interface, type IpConfig, type Result } from "../../src/cni/result.ts";
import { orNothing, type Try } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import { announceAddresses } from "../../src/link/announce.ts";
import {
  type Bridge,
  beginBringUp,
  beginDeleteVlans,
  beginPinAddress,
  beginSetPort,
  getBridge,
  type NewPort,
  silence,
  waitForwarding,
} from "../../src/link/bridge.ts";
import { bringUp, type ConfigureOptions, configureInterface, requireIpv6 } from "../../src/link/configure.ts";
import { getLink, type Link, listLinksOfKind, setLink } from "../../src/link/link.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { requireFreeName } from "../../src/link/taken.ts";
import { log } from "../../src/log.ts";
import type { PortAttributes } from "../../src/netlink/bridge.ts";
import { openIfAny } from "../../src/nftables/attempt.ts";
import { findGarbage, removeGarbage } from "../../src/nftables/collect.ts";
import { checkSpoofNames, spoofId } from "../../src/nftables/names.ts";
import { wasAdded } from "../../src/plugin/added.ts";
import { refuseAddressBelow } from "../../src/plugin/card-address.ts";
import { idInAlias, isCut, isNetworkInAlias } from "../../src/plugin/hash.ts";
import { dnsOf } from "../../src/plugin/interface.ts";
import { waitForTeardown } from "../../src/plugin/lent/wait.ts";
import { lesseesInPods } from "../../src/plugin/lessees.ts";
import { wantedMac } from "../../src/plugin/mac.ts";
import { gatewayPrefixes, refuseHostsAddresses, withGateways } from "./addresses.ts";
import { ignoreAdvertisements } from "./advertisements.ts";
import { isPromiscuous, type Marks, ownerOf, portAlias, type Rules } from "./alias.ts";
import { check, status } from "./check.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { bridgeName, isGateway, validate, wantsMasquerade } from "./config.ts";
import { bridgeFor, checkMtuAgain, existingBridge, isOurs } from "./find.ts";
import { makeGateway, PLACES, planGateway, underLockIfAny } from "./gateway.ts";
import { refuseWide } from "./gateway-limits.ts";
import { refuseTakenMac } from "./mac.ts";
import { forgetMasquerade, masquerade, refuseNodesAddresses } from "./masquerade.ts";
import {
  deletePort,
  deletePorts,
  disappeared,
  isElsewhere,
  isPortOf,
  leftPort,
  makePair,
  ownPorts,
  type Pair,
} from "./port.ts";
import { needsMark, settlePromiscuity } from "./promiscuity.ts";
import { checkedPort, checkSource, forgetSpoofRules, pinnedElsewhere } from "./spoof.ts";
import { removeUnused, vlansWithGateway } from "./vlan-gateway.ts";
import { hasVlans, unwanted, vlansOf } from "./vlans.ts";

export const bridge: Plugin<BridgeConfig> = {
  name: "bridge",
  names: ["cnv-bridge"],
  kind: "interface",
  knownArgs: ["MAC"],
  schema: "bridge",
  isElsewhere,
  writes: (call) => (isGateway(call) || hasVlans(call.config) ? PLACES : []),
  validate,
  checkAddresses,
  add,
  removeMade,
  check,
  del,
  gc,
  status,
};

function add(call: Call<BridgeConfig>): Result {
  const pod = openNamespace(call.netns)!;
  const { ifName } = call.attachment;
  requireFreeName(pod, ifName);
  if (call.config.macspoofchk && call.config.macspoofchkBackend === "nftables")
    checkSpoofNames(spoofId(call.attachment));
  if (!wantsIpam(call)) warnWithoutIpam(call);
  const there = existingBridge(call);
  const asked = wantedMac(call);
  if (asked !== "" && there !== undefined) {
    refuseTakenMac(call, there, asked);
    refuseAddressBelow(there.name, asked, call.attachment);
  }
  // One that is run may want the interface in place (dhcp); ours are asked before there is anything to undo but a lease.
  const early = wantsIpam(call) && !isDelegated(call) ? addressesOf(call) : undefined;
  if (early) requireIpv6(ifName, call.config.mtu || (there?.mtu ?? DEFAULT_MTU), early.ips);
  if (early) refuseAddresses(call, there, early.ips);
  const plan = (addresses: Result, bridge: Bridge | undefined): number =>
    isGateway(call) ? planGateway(call, bridge, gatewayPrefixes(addresses.ips), addresses.ips) : 0;
  const planned = early && plan(early, there);
  // The gateway's interface in a VLAN: ADD makes it last, and it goes after the port.
  call.transaction.onRollback("remove the gateway", () => removeGateways(call));
  const attached = attach(call, pod, there);
  const { on, pair } = attached;
  // Before the port is up, whose alias then says which rules there are.
  const rules = wantsMasquerade(call)
    ? early && allKnown(masquerade(call, early.ips), early.ips.length)
    : { masquerade: [] };
  setUpPort(call, attached, rules);
  // The port knows its other end.
  const { parent: index } = pair.port;
  if (index === 0) throw disappeared(ifName);
  const options = optionsOf(call);
  if (isDelegated(call)) {
    bringUp(pod, index, ifName, options);
    waitUntilForwarding(on, pair.port);
  }
  const addresses = early ?? (wantsIpam(call) ? addressesOf(call) : undefined);
  if (addresses && !early) refuseAddresses(call, on, addresses.ips);
  const ready = planned ?? (addresses === undefined ? 0 : plan(addresses, on));
  if (call.config.silent === true) silence(pod.route, index);
  if (call.config.disableContainerInterface !== true)
    configureInterface(pod, index, ifName, addresses ?? emptyResult(), options);
  if (addresses && !early && wantsMasquerade(call)) masquerade(call, addresses.ips);
  // The last step that may fail: what it gives the bridge is other pods' too by then, and is not taken back.
  const gateway =
    addresses && isGateway(call) ? makeGateway(call, on, gatewayPrefixes(addresses.ips), ready) : undefined;
  // What is down forwards nothing.
  if (call.config.disableContainerInterface !== true) waitUntilForwarding(on, pair.port);
  if (addresses !== undefined) announceAddresses(pod, index, ifName, pair.mac, addresses.ips);
  return resultOf(call, on, pair, gateway, addresses);
}

/** Of a bridge that is yet to be made. */
const DEFAULT_MTU = 1500;

/** The Go plugin takes such configurations, so they are there. */
function warnWithoutIpam({ config }: Call<BridgeConfig>): void {
  const keys = (["isGateway", "isDefaultGateway", "ipMasq", "forceAddress"] as const).filter(
    (key) => config[key] === true,
  );
  if (keys.length > 0) log("warning", "keys that have no effect without ipam", { keys: keys.join(" ") });
}

const addressesOf = (call: Call<BridgeConfig>): Result => completed(call, ipamAdd(call));

function completed(call: Call<BridgeConfig>, result: Result): Result {
  return isGateway(call) ? withGateways(result, call.config.isDefaultGateway === true) : result;
}

/** The bridge may have the gateways already, and the node's policy may list them. */
function checkAddresses(call: Call<BridgeConfig>, result: Result, maybe: Try): void {
  const { ips } = completed(call, result);
  if (isGateway(call)) for (const gateway of gatewayPrefixes(ips)) maybe("/ipam", () => refuseWide(gateway));
}

/** Whoever is on the bridge would take the pod for the host, and by the rules of ipMasq the host for the pod. */
function refuseAddresses(call: Call<BridgeConfig>, on: Bridge | undefined, ips: IpConfig[]): void {
  if (wantsMasquerade(call)) refuseNodesAddresses(ips);
  if (on !== undefined) refuseHostsAddresses(on, call.config.vlan ?? 0, ips, isGateway(call));
}

function optionsOf(call: Call<BridgeConfig>): ConfigureOptions {
  const { config } = call;
  const notify = wantsIpam(call);
  return { notify, ignoreRouterAdvertisements: !config.acceptRA, dad: config.enabledad ? "always" : "skip" };
}

/** A bridge may be removed between two of our requests: then it is made again. */
const TRIES = 5;

interface Attached {
  on: Bridge;
  pair: Pair;
  /** The port's alias has the mark of promiscMode. */
  promiscuous: boolean;
}

function attach(call: Call<BridgeConfig>, pod: NetNs, found: Bridge | undefined): Attached {
  for (let tries = 0; tries < TRIES; tries++) {
    const on = bridgeFor(call, tries === 0 ? found : undefined);
    const promiscuous = on !== undefined && call.config.promiscMode === true && needsMark(on);
    const pair = on && makePair(call, pod, on, { promiscuous });
    if (on === undefined || pair === undefined) continue;
    checkMtuAgain(call, on);
    // One with a small MTU has no IPv6, and may get it with the MTU of this port, which is not up yet.
    if (isOurs(on) && on.acceptRa === undefined) ignoreAdvertisements(on.name);
    return { on, pair, promiscuous };
  }
  throw new Failure(
    "try again",
    `another program keeps removing bridge "${bridgeName(call)}"`,
    "Find that program on the host and stop it.",
  );
}

/**
 * The port is what it is to be, and up, before the pod's end is: no frame passes that should not. `known`: the rules that there are; undefined
 * when others will come.
 */
function setUpPort(call: Call<BridgeConfig>, { on, pair, promiscuous }: Attached, known: Rules | undefined): void {
  const { port, mac } = pair;
  const { config } = call;
  const { route } = ownNamespace();
  const { index } = port;
  const { lock, jump } = checkSource(call, on, port, mac);
  const rules = jump === undefined ? known : withJump(known, jump);
  const vlans = vlansOf(config);
  const away =
    vlans === undefined ? [] : unwanted(vlans, on.bridge.defaultPvid ?? 0, config.preserveDefaultVlan === true);
  const attributes: PortAttributes = { ...lock };
  if (config.hairpinMode) attributes.hairpin = 1;
  if (config.portIsolation) attributes.isolated = 1;
  if (vlans !== undefined || Object.keys(attributes).length > 0)
    beginSetPort(route, index, attributes, vlans?.ranges ?? []);
  if (away.length > 0) beginDeleteVlans(route, index, away);
  const marks: Marks = { rules, promiscuous };
  const alias = portAlias(call.attachment, marks);
  beginBringUp(route, index, alias, true);
  // In all VLANs that the port has by now.
  if (lock) beginPinAddress(route, index, mac);
  const refusals = route.runEach();
  const pinned = lock ? refusals.pop() : undefined;
  const raised = refusals.pop();
  for (const refusal of refusals) if (refusal !== undefined) throw refusal;
  if (raised?.code === "EAFNOSUPPORT") {
    beginBringUp(route, index, alias, false);
    route.run();
  } else if (raised !== undefined) throw raised;
  if (promiscuous && isPromiscuous(alias)) settlePromiscuity(on.index);
  else if (promiscuous) setLink(route, on.index, { promisc: true });
  // sriov may have looked before the address was pinned.
  if (lock && wantedMac(call) !== "") refuseAddressBelow(on.name, mac, call.attachment);
  if (pinned === undefined) return;
  // It may make rules, of which the alias must not say that there are none.
  setLink(route, index, { alias: portAlias(call.attachment, { ...marks, rules: undefined }) });
  pinnedElsewhere(call, on, port, mac, pinned);
}

/** 0: the kernel did not tell the handle. */
const withJump = (rules: Rules | undefined, jump: number): Rules | undefined =>
  rules && jump !== 0 ? { ...rules, jump } : undefined;
const allKnown = (masquerade: number[], count: number): Rules | undefined =>
  masquerade.length === count && !masquerade.includes(0) ? { masquerade } : undefined;

/** With STP, a port forwards after half a minute. ADD does not wait for that. */
function waitUntilForwarding({ bridge }: Bridge, { index }: NewPort): void {
  if (bridge.stpState === 0 || bridge.stpState === undefined) waitForwarding(ownNamespace().route, index);
}

/** The Go plugin's order: bridge, host's end, pod's end, and with a VLAN its gateway's interface. */
function resultOf(
  call: Call<BridgeConfig>,
  on: Bridge,
  { port, mac }: Pair,
  gateway: Link | undefined,
  addresses: Result = emptyResult(),
): Result {
  const before = call.prevResult ?? emptyResult();
  const { route } = ownNamespace();
  // That of others may have changed with our port; one of ours has got its MTU from a larger first port.
  const now = isOurs(on) && port.mtu <= on.mtu ? on : (getBridge(route, on.index) ?? on);
  const interfaces: Interface[] = [
    { name: now.name, mac: now.mac, mtu: now.mtu },
    { name: port.name, mac: port.mac, mtu: port.mtu },
    { name: call.attachment.ifName, mac, mtu: port.mtu, sandbox: call.netns },
  ];
  if (gateway !== undefined && gateway.index !== on.index) {
    // It follows the bridge.
    const { name, mac: its, mtu } = getLink(route, gateway.index) ?? gateway;
    interfaces.push({ name, mac: its, mtu });
  }
  const position = before.interfaces.length + 2;
  return {
    interfaces: [...before.interfaces, ...interfaces],
    ips: [...before.ips, ...addresses.ips.map((ip) => ({ ...ip, interface: position }))],
    routes: [...before.routes, ...addresses.routes],
    dns: dnsOf(call, addresses, before),
  };
}

/** DEL needs nothing but the attachment; with the configuration it also knows whether there may be rules. */
function del(call: Call<BridgeConfig>): void {
  const cleanup = new Cleanup();
  cleanup.attempt(() => delWithIpam(call, () => removePort(call)));
  cleanup.attempt(() => removeGateways(call));
  cleanup.finish();
}

function removeMade(call: Call): boolean {
  const isThere = ownPorts(call.attachment).length > 0;
  if (isThere) removePort(call);
  return isThere;
}

/** The link first and its rules then, so that nothing passes in between; and addresses are nobody's before the rules for them are gone. */
function removePort(call: Call<BridgeConfig>): void {
  const cleanup = new Cleanup();
  let rules: Rules | undefined;
  let isDone = false;
  cleanup.attempt(() => {
    rules = deletePorts(call, () => deleteChecked(call));
    isDone = true;
  });
  cleanup.attempt(() => {
    // A port that may be the Go plugin's, and stays, keeps its rules: it must not become one that can spoof. Also when that cannot be told.
    const left = rules === undefined ? (leftPort(call) ?? checkedPort(call)) : undefined;
    if (left === undefined) forgetRules(call, rules);
    else if (isDone)
      log("warning", "DEL leaves a port and its rules, because nothing shows that they belong to this attachment", {
        port: left.name,
        bridge: bridgeName(call),
      });
  });
  cleanup.finish();
}

/** The Go plugin's port, by its rules, in a namespace that cannot be found: with rules and lease gone, the pod would be on the bridge unchecked. */
function deleteChecked(call: Call<BridgeConfig>): void {
  if (call.command !== "DEL" || checkedPort(call) === undefined) return;
  // A namespace that has just ended.
  waitForTeardown(() => (checkedPort(call) === undefined ? true : undefined));
  const port = checkedPort(call);
  if (port === undefined || !wasAdded(call)) return;
  log("warning", "deleting the port named in the rules of macspoofchk; podnic cannot find its pod's namespace", {
    port: port.name,
  });
  deletePort(port);
}

/** `rules`: what ADD made. undefined: there may be any, also of the Go plugin. */
function forgetRules(call: Call<BridgeConfig>, rules: Rules | undefined): void {
  const { macspoofchk, ipMasq } = call.config;
  const mayCheck = rules === undefined ? macspoofchk !== false : rules.jump !== undefined;
  const mayMasquerade = rules === undefined ? ipMasq !== false : rules.masquerade.length > 0;
  const nft = mayCheck || mayMasquerade ? openIfAny() : undefined;
  if (nft === undefined) return;
  const cleanup = new Cleanup();
  let some = false;
  if (mayCheck)
    cleanup.attempt(() => {
      some = forgetSpoofRules(nft, call, rules?.jump) || some;
    });
  if (mayMasquerade)
    cleanup.attempt(() => {
      some = forgetMasquerade(nft, call, rules?.masquerade) || some;
    });
  if (some) cleanup.attempt(() => nft.leave());
  cleanup.finish();
}

/** Those of VLANs that had this pod, also one that has no gateway itself, as their last. */
function removeGateways(call: Call<BridgeConfig>): void {
  const bridge = bridgeName(call);
  const ranges = vlansOf(call.config, orNothing)?.ranges ?? [];
  for (const vlan of vlansWithGateway(bridge, ranges)) underLockIfAny(bridge, () => removeUnused(bridge, vlan));
}

function gc(call: Call<BridgeConfig>): void {
  const { network } = call.attachment;
  const cleanup = new Cleanup();
  const kept: Pick<Attachment, "containerId" | "ifName">[] = [];
  const validAttachments = call.validAttachments.map(({ containerId, ifName }) => ({
    containerId: idInAlias(containerId),
    ifName,
  }));
  const valid = { ...call, validAttachments };
  let isComplete = false;
  cleanup.attempt(() => {
    for (const link of listLinksOfKind(ownNamespace().route, "veth")) {
      const owner = ownerOf(link.alias);
      if (owner === undefined || !isNetworkInAlias(owner.network, network) || isValidAttachment(valid, owner)) continue;
      kept.push(owner);
      cleanup.attempt(() => {
        if (isPortOf(link, owner)) deletePort(link);
        kept.splice(kept.indexOf(owner), 1);
      });
    }
    kept.push(...lesseesInPods(call, kept));
    isComplete = true;
  });
  // An address that a pod still has keeps its rules, too.
  if (isComplete) cleanup.attempt(() => collectRules(call, kept));
  cleanup.attempt(() => removeGateways(call));
  // Which lease is to be kept cannot be told: all are.
  const isBlind = !isComplete || kept.some(({ containerId }) => isCut(containerId));
  if (!isBlind) cleanup.attempt(() => gcWithIpam(call, kept));
  cleanup.finish();
}

/** An interface that stays keeps its rules: a pod must not become one that can spoof. */
function collectRules(
  { attachment, validAttachments }: Call,
  kept: Pick<Attachment, "containerId" | "ifName">[],
): void {
  const nft = openIfAny();
  const isPort = (name: string): boolean => getLink(ownNamespace().route, name) !== undefined;
  if (nft !== undefined)
    removeGarbage(nft, findGarbage(nft, attachment.network, [...validAttachments, ...kept], isPort));
}
