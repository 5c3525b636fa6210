// CHECK. It succeeds after every successful ADD, and also after KubeVirt has taken the interface over. It fails if anything was changed since
// then.
import { ipamRun, wantsIpam } from "../../src/cni/ipam.ts";
import type { Call } from "../../src/cni/plugin.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import {
  type Bridge,
  describeVlans,
  getPort,
  learnsLinkLocal,
  listVlans,
  type Port,
  type WholePort,
  waitForwarding,
} from "../../src/link/bridge.ts";
import { checkInterface } from "../../src/link/check.ts";
import { getLink, IFF_LOWER_UP, IFF_NOARP, IFF_PROMISC, IFF_UP, type Link, listLinks } from "../../src/link/link.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { checkFailure } from "../../src/plugin/check.ts";
import { findOwnInterface, type OwnInterface } from "../../src/plugin/interface.ts";
import { isMtuTuned } from "../../src/plugin/tuned.ts";
import { gatewayPrefixes, withGateways } from "./addresses.ts";
import { isAliasOf } from "./alias.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { bridgeName, isGateway, wantsMasquerade } from "./config.ts";
import { existingBridge, isOurs } from "./find.ts";
import { requireFit } from "./fit.ts";
import { checkGateway } from "./gateway.ts";
import { checkMasquerading } from "./masquerade.ts";
import { isMade, portOf, toldPort } from "./port.ts";
import { checkSpoofing } from "./spoof.ts";
import { VLAN_ALIAS, vlanFault, vlanInterfaceName } from "./vlan-gateway.ts";
import { expected, vlansOf } from "./vlans.ts";

export function check(call: Call<BridgeConfig>): void {
  ipamRun(call, "CHECK");
  const pod = openNamespace(call.netns)!;
  const own = findOwnInterface(call, pod);
  const bridge = existingBridge(call);
  if (bridge === undefined) throw checkFailure(`bridge "${bridgeName(call)}" is gone`);
  checkBridge(call, bridge);
  const port = portOf(call);
  if (port === undefined)
    throw checkFailure(`the port of ${call.attachment.ifName} on bridge "${bridge.name}" is gone`);
  checkPort(call, bridge, port);
  checkPodEnd(call, pod, port, own);
  const { vlan = 0 } = call.config;
  if (call.config.macspoofchk === true) {
    checkSpoofing(call, bridge, port, macOf(own, port, pod));
    // The Go plugin does not set it.
    if (port.port.locked !== 1 && isAliasOf(port.alias, call.attachment) && learnsLinkLocal(bridge))
      throw checkFailure(
        `macspoofchk: bridge "${bridge.name}" learns addresses from link-local frames`,
        "The next ADD stops this.",
      );
  }
  if (isGateway(call) && own.ips.length > 0) {
    const link = vlan === 0 ? bridge : checkVlanGateway(call, bridge, vlan);
    if ((link.flags & IFF_NOARP) !== 0)
      throw checkFailure(
        `the gateway's interface ${link.name} has ARP turned off`,
        `Run \`ip link set ${shellWord(link.name)} arp on\`.`,
      );
    const { ips } = withGateways({ interfaces: [], ips: own.ips, routes: [], dns: {} }, false);
    checkGateway(link, gatewayPrefixes(ips));
  }
  if (wantsMasquerade(call)) checkMasquerading(call, own.ips);
}

function macOf(own: OwnInterface, port: Port, pod: NetNs): string {
  return own.interface.mac ?? getLink(pod.route, port.parent)?.mac ?? "";
}

/** Its MAC is looked at where it is fixed: that of a bridge that others made, and that is no gateway, may change with each port. */
function checkBridge(call: Call<BridgeConfig>, bridge: Bridge): void {
  const { config, prevResult } = call;
  const told = prevResult?.interfaces.find(({ name, sandbox }) => name === bridge.name && !sandbox);
  const isFixed = isOurs(bridge) || (isGateway(call) && wantsIpam(call) && (config.vlan ?? 0) === 0);
  if (told?.mac !== undefined && told.mac !== bridge.mac && isFixed)
    throw checkFailure(`bridge "${bridge.name}" has the MAC address ${bridge.mac}, not ${told.mac}`);
  if (isOurs(bridge) && bridge.acceptRa)
    throw checkFailure(`bridge "${bridge.name}" accepts router advertisements from pods`, "The next ADD stops this.");
  if (config.promiscMode === true && (bridge.flags & IFF_PROMISC) === 0)
    throw checkFailure(`bridge "${bridge.name}" is no longer promiscuous`);
}

/** Returns the gateway's interface in a VLAN. Its MTU follows that of the bridge when this gets smaller. */
function checkVlanGateway({ prevResult }: Call<BridgeConfig>, bridge: Bridge, vlan: number): Link {
  const name = vlanInterfaceName(bridge.name, vlan);
  const link = getPort(ownNamespace().route, name);
  if (link === undefined) throw checkFailure(`the gateway's interface in VLAN ${vlan} of ${bridge.name} is gone`);
  const fault = vlanFault(bridge, vlan, link);
  if (fault !== undefined) throw checkFailure(fault.what, fault.cure);
  const say = (what: string) => checkFailure(`the gateway's interface ${name} ${what}`);
  const told = prevResult?.interfaces.find((each) => each.name === name && !each.sandbox);
  if (told?.mac !== undefined && told.mac !== link.mac) throw say(`has the MAC address ${link.mac}, not ${told.mac}`);
  const mtu = Math.min(told?.mtu ?? 0, bridge.mtu);
  if (link.mtu < mtu) throw say(`has an MTU of ${link.mtu}, not ${mtu}`);
  if (link.alias === VLAN_ALIAS && link.acceptRa) throw say("accepts router advertisements from pods");
  return link;
}

/** What ADD leaves as the kernel has it for a new port, and what would cut the pod off, by the words of `bridge link set`. Since Linux 4.9 to 4.15. */
const SWITCHES = [
  ["flood", 1],
  ["mcast_flood", 1],
  ["bcast_flood", 1],
  ["guard", 0],
  ["root_block", 0],
  ["vlan_tunnel", 0],
  ["fastleave", 0],
  ["proxy_arp", 0],
  ["proxy_arp_wifi", 0],
  ["mcast_to_unicast", 0],
] as const;

function checkPort(call: Call<BridgeConfig>, bridge: Bridge, port: WholePort): void {
  const { config, prevResult, attachment } = call;
  const say = (what: string) => checkFailure(`port ${port.name} of ${attachment.ifName} ${what}`);
  if (port.master !== bridge.index) {
    const where =
      port.master === 0 ? "no bridge" : (getLink(ownNamespace().route, port.master)?.name ?? "another bridge");
    throw say(`should be on bridge "${bridge.name}", but is on ${where}`);
  }
  if ((port.flags & IFF_UP) === 0) throw say("is down");
  if ((port.flags & IFF_NOARP) !== 0) throw say("has ARP turned off");
  const named = toldPort(call)?.[1];
  if (named !== undefined && named.name !== port.name && named.mac === port.mac)
    throw say(`was called ${named.name} when ADD created it`);
  const isMarked = isAliasOf(port.alias, attachment);
  if (!isMarked && isMade(port, attachment)) throw say("has lost its alias, so GC cannot find the port");
  if (isMarked && port.acceptRa) throw say("accepts router advertisements from the pod");
  const told = prevResult?.interfaces.find(({ name, sandbox }) => name === port.name && !sandbox);
  if (told?.mac !== undefined && told.mac !== port.mac && isMarked)
    throw say(`has the MAC address ${port.mac}, not ${told.mac}`);
  const mtu = config.mtu || told?.mtu;
  if (mtu !== undefined && mtu !== port.mtu) throw say(`has an MTU of ${port.mtu}, not ${mtu}`);
  if (isMarked || told?.mtu !== undefined) checkBridgeMtu(bridge, port);
  const { hairpin = 0, isolated = 0, locked = 0 } = port.port;
  const wanted: [string, number, boolean][] = [
    ["hairpin mode", hairpin, config.hairpinMode === true],
    ["isolation", isolated, config.portIsolation === true],
  ];
  for (const [what, has, wants] of wanted)
    if ((has === 1) !== wants) throw say(`has ${what} ${has === 1 ? "enabled" : "disabled"}`);
  if (locked === 1 && config.macspoofchk !== true) throw say("is locked");
  checkSwitches(port, say);
  const hasCarrier = (port.flags & IFF_LOWER_UP) !== 0;
  if (hasCarrier && bridge.bridge.stpState === 0 && !waitForwarding(ownNamespace().route, port.index))
    throw say('does not forward frames: its state on the bridge is not "forwarding"');
  checkVlans(config, bridge, port, say);
}

/** The Go plugin gives ports more. The kernel lowers the MTU of a bridge to that of its smallest port, but not below. */
function checkBridgeMtu({ name, index, mtu }: Bridge, port: Port): void {
  if (port.mtu <= mtu) return;
  const ports = listLinks(ownNamespace().route).filter(({ master }) => master === index);
  if (ports.some((each) => each.mtu <= mtu)) return;
  throw checkFailure(
    `bridge "${name}" has an MTU of ${mtu}, less than that of the port ${port.name} (${port.mtu})`,
    `Something has changed the bridge's MTU since ADD. Run \`ip link set ${shellWord(name)} mtu ${port.mtu}\`.`,
  );
}

function checkSwitches({ switches, port }: WholePort, say: (what: string) => Failure): void {
  for (const [name, fresh] of SWITCHES) {
    const now = switches[name] ?? fresh;
    if (now !== fresh) throw say(`has ${name} turned ${now === 1 ? "on" : "off"}`);
  }
  // A locked port does not learn; the spoof check has a word about one that does.
  if (port.learning === 0 && port.locked !== 1) throw say("has learning turned off");
  if (port.neighSuppress === 1) throw say("has neigh_suppress turned on");
}

/** A port without VLANs of its own has what the bridge gives to each. */
function checkVlans(config: BridgeConfig, { bridge }: Bridge, port: Port, say: (what: string) => Failure): void {
  const vlans = vlansOf(config);
  if (vlans === undefined && bridge.vlanFiltering !== 1) return;
  const pvid = bridge.defaultPvid ?? 0;
  const fresh = pvid === 0 ? [] : [{ first: pvid, last: pvid, pvid: true, untagged: true }];
  const wanted = vlans === undefined ? fresh : expected(vlans, pvid, config.preserveDefaultVlan === true);
  const has = describeVlans(listVlans(ownNamespace().route, port.index));
  const wants = describeVlans(wanted);
  if (has !== wants) throw say(`has the VLANs ${has || "(none)"} instead of ${wants || "(none)"}`);
}

/** The other end of the port, in the pod. */
function checkPodEnd(call: Call<BridgeConfig>, pod: NetNs, port: Port, own: OwnInterface): void {
  const { ifName } = call.attachment;
  const link = getLink(pod.route, ifName);
  if (link === undefined)
    throw checkFailure(`container interface ${ifName} is gone`, "The interface was removed or renamed in the pod.");
  const far = link.index === port.parent && link.kind === "veth" ? link : getLink(pod.route, port.parent);
  const isPair = far?.kind === "veth" && far.parent === port.index && far.linkNetnsid !== undefined;
  if (!isPair || port.linkNetnsid === undefined)
    throw checkFailure(`the other end of port ${port.name} is no longer in the pod`);
  checkMac(link, own);
  if (far.index !== link.index) {
    checkTakenOver(link, far, port);
    return;
  }
  const mtu = call.config.mtu || own.interface.mtu || port.mtu;
  if (far.mtu !== mtu && !isMtuTuned(call.attachment))
    throw checkFailure(`container interface ${ifName} has an MTU of ${far.mtu}, not ${mtu}`);
  if ((far.flags & IFF_NOARP) !== 0) throw checkFailure(`container interface ${ifName} has ARP turned off`);
  // Without addresses, a pod may well bridge it.
  if (far.slaveKind === "bridge" && own.ips.length > 0)
    throw checkFailure(
      `container interface ${ifName} is a port of a bridge in the pod, so its addresses do not answer`,
    );
  if (call.config.disableContainerInterface !== true) checkInterface(pod, far.index, ifName, own);
}

function checkMac(link: Link, own: OwnInterface): void {
  const { mac } = own.interface;
  if (mac !== undefined && link.mac !== mac)
    throw checkFailure(`container interface ${link.name} has the MAC address ${link.mac}, not ${mac}`);
}

/** KubeVirt's form: the interface under another name in a bridge of the pod, and under its own a dummy with its MAC address and IPs. */
function checkTakenOver(link: Link, far: Link, port: Port): void {
  if (link.kind === "dummy" && far.slaveKind === "bridge") {
    if ((far.flags & IFF_UP) !== 0) return;
    throw checkFailure(`container interface ${far.name}, which KubeVirt has taken over, is down`);
  }
  throw checkFailure(
    `container interface ${link.name} is not the other end of port ${port.name}`,
    `The other end is now called ${far.name}, and the type of ${link.name} is ${link.kind || "device"}.`,
  );
}

/** STATUS: an ADD would find its bridge fit, or could make it, and has the rules that it needs. */
export function status(call: Call<BridgeConfig>): void {
  try {
    requireFit(call);
  } catch (error) {
    throw error instanceof Failure ? new Failure("not available", error.message, error.details) : error;
  }
  ipamRun(call, "STATUS");
}
