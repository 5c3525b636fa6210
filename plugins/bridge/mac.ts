// Checks a requested MAC address against the addresses that the bridge knows. A tenant can request an address, so an address that belongs to
// another port stays with that port.
import type { Call } from "../../src/cni/plugin.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import {
  type Bridge,
  beginForgetAddress,
  beginPinAddress,
  type ForwardingEntry,
  listEntriesOf,
  type NewPort,
} from "../../src/link/bridge.ts";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { vlansOf } from "./vlans.ts";

/**
 * Throws Failure for an address of the bridge itself, of an interface on it or of a port, and for one that is pinned elsewhere: the pod would get no
 * frames, or take those of another. One that the bridge has learned is that of whoever sent last, as a virtual machine migrates with its address;
 * but pinned to the pod's port, it would stay there.
 */
export function refuseTakenMac({ config }: Call<BridgeConfig>, bridge: Bridge, mac: string): void {
  const pins = config.macspoofchk === true && config.macspoofchkBackend === "bridge";
  const taken = entriesOf(config, bridge, mac).find(({ kind }) => pins || kind !== "learned");
  if (taken !== undefined) throw refusal(bridge, mac, taken);
}

const WHOSE = {
  local: (holder: string) => `it is the address of ${holder}`,
  stacked: (bridge: string) => `it is the address of an interface on ${bridge}, such as a macvlan`,
  static: (holder: string) => `it is pinned to the port ${holder}`,
  learned: (holder: string) => `a host behind the port ${holder} uses it`,
};

function refusal({ name }: Bridge, mac: string, { index, kind }: ForwardingEntry): Failure {
  const holder = getLink(ownNamespace().route, index)?.name ?? "another port";
  const moves =
    kind === "learned"
      ? ' If this host is a virtual machine that moves to this node and keeps its address, use "macspoofchkBackend": "nftables".'
      : "";
  return new Failure(
    "invalid config",
    `MAC address ${mac} is already in use on bridge "${name}": ${WHOSE[kind](holder)}`,
    `The bridge would send frames meant for one of the two to the other (bridge fdb show br ${shellWord(name)}). Request another MAC address.${moves}`,
  );
}

/** In the VLANs that the port is in, or will be in. */
function entriesOf(
  config: BridgeConfig,
  { index, bridge }: Bridge,
  mac: string,
  all = listEntriesOf(ownNamespace().route, index, mac),
) {
  const ranges = vlansOf(config)?.ranges ?? [];
  const pvid = bridge.vlanFiltering === 1 ? (bridge.defaultPvid ?? 0) : 0;
  const isIn = (vlan: number): boolean =>
    ranges.some(({ first, last }) => first <= vlan && vlan <= last) ||
    (vlan === pvid && (ranges.length === 0 || (vlan !== 0 && config.preserveDefaultVlan === true)));
  // The list of the interfaces on the bridge does not say in which VLANs they are.
  return all.filter(({ vlan, kind }) => kind === "stacked" || isIn(vlan));
}

/** An address may be learned, and forgotten, between two requests. */
const TRIES = 10;

/**
 * The kernel refused to pin an address to its port, because the bridge has it elsewhere. Pins it if it is there no more; else throws Failure. The
 * kernel may have pinned it in some VLANs, and refuses that again: so those are forgotten first.
 */
export function pinAgain(call: Call<BridgeConfig>, bridge: Bridge, { index }: NewPort, mac: string): void {
  const { route } = ownNamespace();
  for (let tries = 1; ; tries++) {
    const all = listEntriesOf(route, bridge.index, mac);
    const taken = entriesOf(call.config, bridge, mac, all).find((entry) => entry.index !== index);
    if (taken !== undefined) throw refusal(bridge, mac, taken);
    // A bridge that filters also has one without a VLAN, and one that does not has those of its default VLAN.
    for (const entry of all) if (entry.index === index) beginForgetAddress(route, mac, entry);
    for (const error of route.runEach()) if (error !== undefined && error.code !== "ENOENT") throw error;
    try {
      beginPinAddress(route, index, mac);
      route.run();
      return;
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.code !== "EEXIST" || tries === TRIES) throw error;
    }
  }
}
