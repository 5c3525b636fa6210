// Checks a requested MAC address against the addresses that the bridge knows. A tenant can request an address, so an address that belongs to
// another port stays with that port.
import type { Call } from "../../src/cni/plugin.ts";
import { Failure, shellWord } from "../../src/errors.ts";
import { type Bridge, beginForgetAddress, beginPinAddress, listEntriesOf, type Port } from "../../src/link/bridge.ts";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import type { BridgeConfig } from "./config.schema.ts";
import { vlansOf } from "./vlans.ts";

/**
 * Throws Failure for an address of the bridge itself or of a port, and for one that is pinned elsewhere: the pod would get no frames, or take
 * those of another. One that the bridge has learned is that of whoever sent last: a virtual machine migrates with its address.
 */
export function refuseTakenMac({ config }: Call<BridgeConfig>, bridge: Bridge, mac: string, own = 0): void {
  const taken = entriesOf(config, bridge, mac).find(({ index, kind }) => kind !== "learned" && index !== own);
  if (taken === undefined) return;
  const holder = getLink(ownNamespace().route, taken.index)?.name ?? "another port";
  const whose = taken.kind === "static" ? `is pinned to the port ${holder}` : `is the address of ${holder}`;
  throw new Failure(
    "invalid config",
    `MAC address ${mac} is already in use on bridge "${bridge.name}": it ${whose}`,
    `The bridge would send frames meant for one of the two to the other (bridge fdb show br ${shellWord(bridge.name)}). Request another MAC address.`,
  );
}

/** In the VLANs that the port is in, or will be in. */
function entriesOf(config: BridgeConfig, { index, bridge }: Bridge, mac: string) {
  const ranges = vlansOf(config)?.ranges ?? [];
  const pvid = bridge.vlanFiltering === 1 ? (bridge.defaultPvid ?? 0) : 0;
  const isIn = (vlan: number): boolean =>
    ranges.some(({ first, last }) => first <= vlan && vlan <= last) ||
    (vlan === pvid && (ranges.length === 0 || (vlan !== 0 && config.preserveDefaultVlan === true)));
  return listEntriesOf(ownNamespace().route, index, mac).filter(({ vlan }) => isIn(vlan));
}

/** An address may be learned again between two requests. */
const TRIES = 10;

/**
 * Pins an address to its port that the bridge has learned elsewhere. Never one that has been pinned elsewhere meanwhile: the kernel would replace
 * that, so what was learned is forgotten first, and the pin is refused when there is an entry.
 */
export function takeMac(call: Call<BridgeConfig>, bridge: Bridge, { index }: Port, mac: string): void {
  const { route } = ownNamespace();
  for (let tries = 1; ; tries++) {
    refuseTakenMac(call, bridge, mac, index);
    for (const entry of entriesOf(call.config, bridge, mac)) beginForgetAddress(route, mac, entry);
    for (const refusal of route.runEach()) if (refusal !== undefined && refusal.code !== "ENOENT") throw refusal;
    try {
      beginPinAddress(route, index, mac);
      route.run();
      return;
    } catch (error) {
      if (!(error instanceof NetlinkError) || error.code !== "EEXIST" || tries === TRIES) throw error;
    }
  }
}
