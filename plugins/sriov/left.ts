// Settings that podnic could not restore on a VF, because the driver refused them or the PF was missing. They do not make DEL fail. podnic
// records them, and `podnic devices` shows them. The next ADD of the VF tries again before it sets its own values, but leaves alone what
// somebody has changed since.
import { Failure } from "../../src/errors.ts";
import { SystemError } from "../../src/host/host.ts";
import { asChange, difference, type VfState } from "../../src/link/vf.ts";
import { log } from "../../src/log.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import { vfState } from "../../src/plugin/lent/shape.ts";
import { bootId, type RecordKey, recordStore, STATE_ROOT } from "../../src/state/record.ts";
import { listOf, objectOf, optional, text } from "../../src/state/shape.ts";
import { UNKNOWN } from "./attributes.ts";

export interface Leftover {
  pci: string;
  /** What the VF was on its PF. */
  state: VfState;
  /** Address of its interface; "" when it had none. */
  mac: string;
  /** What is not as it was: "vlan", "mac", … */
  left: string[];
  /** What the VF was when podnic gave up; undefined when its PF did not say. */
  endState?: VfState | undefined;
  /** Address of its interface then; undefined when it had none. */
  endMac?: string | undefined;
}

const store = () => recordStore<Leftover>("sriov-left", STATE_ROOT, leftover);
const leftover = objectOf<Leftover>({
  pci: text,
  state: vfState,
  mac: text,
  left: listOf(text),
  endState: optional(vfState),
  endMac: optional(text),
});
/** There is one for each VF, whichever pod left it. */
const keyOf = (pci: string): RecordKey => ({ network: "", containerId: pci, ifName: "" });

/** undefined also when it is of an earlier boot: the VFs were made anew since. */
export function readLeftover(pci: string): Leftover | undefined {
  const record = store().read(keyOf(pci));
  return record?.bootId === bootId() ? record.data : undefined;
}

/**
 * What is still to be restored: where the VF has another value than podnic left it with, somebody has set that, and it counts as what the
 * VF was. `now`: what its PF says, `address`: what its interface has, "" without one.
 */
export function withoutChanged(leftover: Leftover, now: VfState, address: string): Leftover {
  const { state, mac, endState: end, endMac = address } = leftover;
  if (end === undefined) return leftover;
  const changed = difference(asChange(end), now);
  const kept: VfState = { ...state };
  if (changed.vlan !== undefined) kept.vlan = now.vlan;
  if (changed.rate !== undefined) Object.assign(kept, { minTxRate: now.minTxRate, maxTxRate: now.maxTxRate });
  if (changed.spoofchk !== undefined) kept.spoofchk = now.spoofchk;
  if (changed.trust !== undefined) kept.trust = now.trust;
  if (changed.linkState !== undefined) kept.linkState = now.linkState;
  const pinned = now.mac !== end.mac;
  if (pinned) kept.mac = now.mac;
  // A driver that was bound since has given its interface the address that the PF had assigned.
  const isOurs = !pinned && (address === endMac || address === end.mac);
  return { ...leftover, state: kept, mac: isOurs || address === "" ? mac : address };
}

/** `left` empty: all is as it was. A sick disk is only said in the log: that the VF is free counts more. */
export function writeLeftover(leftover: Leftover): void {
  const { pci, left } = leftover;
  try {
    if (left.length === 0) store().remove(keyOf(pci));
    else store().write(keyOf(pci), leftover);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log("warning", "cannot record which settings remain on the VF", { device: pci, error: error.message });
  }
}

/** Runs it; a refusal is logged, and its name added to `left`. Everything else is thrown. */
export function attempt(left: string[], pci: string, what: string, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof NetlinkError) && !(error instanceof Failure)) throw error;
    leave(left, pci, what, error.message);
  }
}

export function leave(left: string[], pci: string, what: string, error: string): void {
  if (what === UNKNOWN) log("warning", "cannot read the VF's attributes", { device: pci, error });
  else log("warning", "cannot restore a setting, because the driver does not accept it", { device: pci, what, error });
  left.push(what);
}
