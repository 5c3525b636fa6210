// What the card does with a VF's frames, set on its PF. Only what differs is sent, so that a driver is never asked for what it has
// (setting VLAN 0 again breaks cards that know no VLANs: operators render it always).
import { CniError, Code } from "../../src/errors.ts";
import { getVf, setVf, type VfChange, type VfState } from "../../src/link/vf.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { linkState, type SriovConfig, vlanProtocol } from "./config.ts";
import type { Vf } from "./device.ts";

/** What the configuration asks for, whether or not the VF has it already. The address is mac.ts's. */
export function wantedState(config: SriovConfig, current: VfState): VfChange {
  const wanted: VfChange = {};
  const { vlan, min_tx_rate: min, max_tx_rate: max } = config;
  if (vlan !== undefined) wanted.vlan = { id: vlan, qos: config.vlanQoS ?? 0, protocol: vlanProtocol(config)! };
  // The kernel sets both: the one that is not configured stays what it is.
  if (min !== undefined || max !== undefined) {
    wanted.rate = { min: min ?? current.minTxRate, max: max ?? current.maxTxRate };
  }
  if (config.spoofchk) wanted.spoofchk = config.spoofchk === "on";
  if (config.trust) wanted.trust = config.trust === "on";
  const state = linkState(config);
  if (state !== undefined) wanted.linkState = state;
  return wanted;
}

/** True when the configuration says anything about the VF on its PF. */
export function wantsState(config: SriovConfig): boolean {
  const { vlan, min_tx_rate, max_tx_rate, spoofchk, trust, link_state } = config;
  return [vlan, min_tx_rate, max_tx_rate, spoofchk || undefined, trust || undefined, link_state || undefined].some(
    (value) => value !== undefined,
  );
}

/** The part of `wanted` that is not in force. What the driver does not report counts as not in force. */
export function difference(wanted: VfChange, current: VfState): VfChange {
  const change: VfChange = {};
  const { vlan, rate } = wanted;
  if (vlan !== undefined && !sameVlan(vlan, current.vlan)) change.vlan = vlan;
  if (rate !== undefined && (rate.min !== current.minTxRate || rate.max !== current.maxTxRate)) change.rate = rate;
  if (wanted.spoofchk !== undefined && wanted.spoofchk !== current.spoofchk) change.spoofchk = wanted.spoofchk;
  // The order in which the kernel works them off: the first that is missing after a refusal is the one refused.
  if (wanted.linkState !== undefined && wanted.linkState !== current.linkState) change.linkState = wanted.linkState;
  if (wanted.trust !== undefined && wanted.trust !== current.trust) change.trust = wanted.trust;
  return change;
}

function sameVlan(a: VfState["vlan"], b: VfState["vlan"]): boolean {
  // Without a tag there is no protocol.
  return a.id === b.id && a.qos === b.qos && (a.id === 0 || a.protocol === b.protocol);
}

/**
 * Sets what differs from `before`, in one request, and reads it back: the kernel asks the driver about each of the PF's VFs whenever
 * it is asked about one, so not more often. Undo is the caller's. Throws CniError naming the attribute.
 */
export function applyState(route: RouteSocket, vf: Vf, wanted: VfChange, before: VfState): void {
  const change = difference(wanted, before);
  if (Object.keys(change).length === 0) return;
  let refusal: unknown;
  try {
    setVf(route, vf.pf.index, vf.index, change);
  } catch (error) {
    refusal = error;
  }
  const after = currentState(route, vf);
  const missing = difference(refusal === undefined ? unreportedAsSet(wanted, after) : wanted, after);
  const [attribute] = Object.keys(missing);
  if (refusal === undefined && attribute === undefined) return;
  const cause = refusal instanceof Error ? refusal.message : "it was accepted and is not in force";
  throw new CniError(
    Code.generic,
    `failed to configure VF ${vf.index} of ${vf.pf.name} (${vf.pci}): ${attribute ?? "attributes"}: ${cause}`,
    "The card's driver does not take this value. Everything that was changed is put back.",
  );
}

/** A driver that does not report an attribute is believed when it accepts it. */
function unreportedAsSet(wanted: VfChange, reported: VfState): VfChange {
  const checked = { ...wanted };
  if (reported.spoofchk === undefined) delete checked.spoofchk;
  if (reported.trust === undefined) delete checked.trust;
  if (reported.linkState === undefined) delete checked.linkState;
  return checked;
}

/** Throws CniError when the PF does not report the VF. */
export function currentState(route: RouteSocket, vf: Pick<Vf, "pf" | "index" | "pci">): VfState {
  const state = getVf(route, vf.pf.index, vf.index);
  if (state !== undefined) return state;
  throw new CniError(
    Code.generic,
    `${vf.pf.name} does not report VF ${vf.index} (${vf.pci})`,
    `"ip link show dev ${vf.pf.name}" does not list it either: its driver failed to answer, or the VF is being removed.`,
  );
}

/**
 * Makes the attributes what they were, but for the address: in one request, and when that is refused one by one, as many as the driver
 * takes; then throws the first refusal.
 */
export function restoreState(route: RouteSocket, vf: Vf, was: VfState): void {
  const original: VfChange = { vlan: was.vlan, rate: { min: was.minTxRate, max: was.maxTxRate } };
  if (was.spoofchk !== undefined) original.spoofchk = was.spoofchk;
  if (was.trust !== undefined) original.trust = was.trust;
  if (was.linkState !== undefined) original.linkState = was.linkState;
  const change = difference(original, currentState(route, vf));
  if (Object.keys(change).length === 0) return;
  try {
    setVf(route, vf.pf.index, vf.index, change);
    return;
  } catch {
    // Which one it was shows when they come alone.
  }
  let failed = false;
  let first: unknown;
  for (const key of Object.keys(change) as (keyof VfChange)[]) {
    try {
      setVf(route, vf.pf.index, vf.index, { [key]: change[key] });
    } catch (error) {
      if (!failed) first = error;
      failed = true;
    }
  }
  if (failed) throw first;
}
