// Sets the attributes of a VF on its PF. podnic sends only values that differ, so a driver never gets a request for a value that it already
// has. (Operators always write VLAN 0, and setting it again fails on cards that do not support VLANs.)
import { Failure, shellWord } from "../../src/errors.ts";
import { isPassing, patiently, waitFor } from "../../src/link/patience.ts";
import {
  difference,
  queryVf,
  type Silence,
  setVf,
  VF_LINK_AUTO,
  type VfChange,
  type VfState,
} from "../../src/link/vf.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import type { SriovConfig } from "./config.schema.ts";
import { linkState, vlanProtocol } from "./config.ts";
import { portSpeed, type Vf } from "./device.ts";
import { attempt, leave } from "./left.ts";

/** What the configuration asks for, whether or not the VF has it already. The address is mac.ts's. */
export function wantedState(config: SriovConfig, current: VfState): VfChange {
  const wanted: VfChange = {};
  const { vlan, min_tx_rate: min, max_tx_rate: max } = config;
  if (vlan !== undefined) wanted.vlan = { id: vlan, qos: config.vlanQoS ?? 0, protocol: vlanProtocol(config)! };
  if (min !== undefined || max !== undefined) {
    // The kernel sets both: the one that is not configured stays what it is, unless the other rules it out. Then it is none, as with sriov-cni.
    const rate = { min: min ?? current.minTxRate, max: max ?? current.maxTxRate };
    if (rate.max !== 0 && rate.min > rate.max) rate[min === undefined ? "min" : "max"] = 0;
    wanted.rate = rate;
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

/** True when it says nothing but what every VF is at first: no VLAN, no limit, nothing switched on. */
function wantsNothing(config: SriovConfig): boolean {
  const { vlan = 0, min_tx_rate: min = 0, max_tx_rate: max = 0, spoofchk, trust } = config;
  return (
    vlan + min + max === 0 &&
    spoofchk !== "on" &&
    trust !== "on" &&
    (linkState(config) ?? VF_LINK_AUTO) === VF_LINK_AUTO
  );
}

/** qed reports the port's speed where there is no limit. */
function withoutPortSpeed(wanted: VfChange, current: VfState, vf: Vf): VfState {
  if (wanted.rate?.max !== 0 || current.maxTxRate === 0) return current;
  return current.maxTxRate === portSpeed(vf) ? { ...current, maxTxRate: 0 } : current;
}

/** As configured: undefined; else the attribute that is not. A PF that cannot say passes for what every VF is at first. Throws Failure. */
export function strayed(route: RouteSocket, vf: Vf, config: SriovConfig): string | undefined {
  const state = stateFor(route, vf, wantsNothing(config));
  if (state === undefined) return undefined;
  const wanted = wantedState(config, state);
  return Object.keys(difference(wanted, withoutPortSpeed(wanted, state, vf)))[0];
}

/**
 * Sets what differs from `before`, in one request, and reads it back: the kernel asks the driver about each of the PF's VFs whenever
 * it is asked about one, so not more often. Undo is the caller's. Throws Failure naming the attribute.
 */
export function applyState(route: RouteSocket, vf: Vf, wanted: VfChange, before: VfState): void {
  const change = difference(wanted, withoutPortSpeed(wanted, before, vf));
  if (Object.keys(change).length === 0) return;
  let refusal: unknown;
  try {
    patiently(() => setVf(route, vf.pf.index, vf.index, change));
  } catch (error) {
    refusal = error;
  }
  const after = withoutPortSpeed(wanted, currentState(route, vf), vf);
  const missing = difference(refusal === undefined ? unreportedAsSet(wanted, after) : wanted, after);
  const [attribute] = Object.keys(missing);
  if (refusal === undefined && attribute === undefined) return;
  const cause = refusal instanceof Error ? refusal.message : "the driver accepted the value but did not apply it";
  const passing = isPassing(refusal);
  throw new Failure(
    passing ? "try again" : "failed",
    `failed to configure VF ${vf.index} of ${vf.pf.name} (${vf.pci}): ${attribute ?? "attributes"}: ${cause}`,
    passing
      ? "The VF is being reset, or its PF is down; podnic retried for 2 s. All changes were undone."
      : "The card's driver does not accept this value. All changes were undone.",
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

/**
 * What the PF says of the VF. undefined: its driver says nothing of any VF, and nothing is asked of it (`neutral`). Throws Failure: it
 * says nothing, and more is asked.
 */
export function stateFor(route: RouteSocket, vf: Vf, neutral: boolean): VfState | undefined {
  let said: VfState | Silence = "left out";
  // A driver that is busy (EAGAIN while the VF is reset) leaves the VF out of one answer.
  waitFor(() => {
    said = queryVf(route, vf.pf.index, vf.index);
    return said !== "left out";
  });
  const answer = said as VfState | Silence;
  if (typeof answer !== "string") return answer;
  if (neutral && answer !== "left out") return undefined;
  throw silent(vf, answer);
}

/** What is to be known before anything is set. `mac`: the address that is wanted, and the one that the VF's interface has. */
export function stateBefore(
  route: RouteSocket,
  vf: Vf,
  config: SriovConfig,
  mac: { wanted: string; has: string },
): VfState | undefined {
  const keeps = mac.wanted === "" || mac.wanted === mac.has;
  if (wantsState(config) || mac.wanted !== "") return stateFor(route, vf, keeps && wantsNothing(config));
  const said = queryVf(route, vf.pf.index, vf.index);
  return typeof said === "string" ? undefined : said;
}

/** Throws Failure when the PF does not report the VF. */
export function currentState(route: RouteSocket, vf: Vf): VfState {
  return stateFor(route, vf, false)!;
}

function silent(vf: Vf, silence: Silence): Failure {
  const { name } = vf.pf;
  const why = {
    "no attributes": `The driver of ${name} does not support VF attributes, so vlan, rates, spoofchk, trust, link_state and mac cannot be set. Remove these keys.`,
    "too many": `The kernel cannot list the VFs of ${name} (message too long), so podnic cannot set anything on them. Remove these keys.`,
    "left out": `\`ip link show dev ${shellWord(name)}\` does not list it either. The driver did not answer (${name} might be down), or the VF is being removed.`,
  };
  const kind = silence === "left out" ? "try again" : "failed";
  return new Failure(kind, `${name} does not report VF ${vf.index} (${vf.pci})`, why[silence]);
}

/** What could not be restored, and the state as it was read last; undefined when the PF does not say. */
export interface Restored {
  left: string[];
  now: VfState | undefined;
}

/**
 * Makes the attributes what they were, but for the address: in one request, and when that is refused one by one, as many as the driver
 * takes. Read back, because some drivers accept and ignore.
 */
export function restoreState(route: RouteSocket, vf: Vf, saved: VfState): Restored {
  const original: VfChange = { vlan: saved.vlan, rate: { min: saved.minTxRate, max: saved.maxTxRate } };
  if (saved.spoofchk !== undefined) original.spoofchk = saved.spoofchk;
  if (saved.trust !== undefined) original.trust = saved.trust;
  if (saved.linkState !== undefined) original.linkState = saved.linkState;
  const left: string[] = [];
  let now: VfState | undefined;
  attempt(left, vf.pci, "attributes", () => {
    now = currentState(route, vf);
    const change = difference(original, now);
    if (Object.keys(change).length === 0) return;
    setSingly(route, vf, change, left);
    now = currentState(route, vf);
    const ignored = Object.keys(difference(unreportedAsSet(original, now), now)).filter((what) => !left.includes(what));
    for (const what of ignored) leave(left, vf.pci, what, "the driver accepted the value but did not apply it");
  });
  return { left, now };
}

/** All in one request; when that is refused each by itself: that shows which one it was. It has been waited for by then. */
function setSingly(route: RouteSocket, vf: Vf, change: VfChange, left: string[]): void {
  try {
    patiently(() => setVf(route, vf.pf.index, vf.index, change));
  } catch {
    for (const key of Object.keys(change) as (keyof VfChange)[]) {
      attempt(left, vf.pci, key, () => setVf(route, vf.pf.index, vf.index, { [key]: change[key] }));
    }
  }
}
