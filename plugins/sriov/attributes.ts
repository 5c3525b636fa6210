// Sets the attributes of a VF on its PF. podnic sends only values that differ, so a driver never gets a request for a value that it already
// has. (Operators always write VLAN 0, and setting it again fails on cards that do not support VLANs.)
import { Failure, shellWord } from "../../src/errors.ts";
import { isPassing, patiently, waitFor } from "../../src/link/patience.ts";
import {
  asChange,
  difference,
  queryVf,
  type Silence,
  setVf,
  VF_LINK_AUTO,
  type VfChange,
  type VfState,
} from "../../src/link/vf.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import type { SriovConfig } from "./config.schema.ts";
import { linkState, vlanProtocol } from "./config.ts";
import { portSpeed, type Vf } from "./device.ts";

const IGNORED = "the driver accepted the value but did not apply it";

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
 * it is asked about one, so not more often. Undo is the caller's. Returns what it is then. Throws Failure naming the attribute.
 */
export function applyState(route: RouteSocket, vf: Vf, wanted: VfChange, before: VfState): VfState {
  const change = difference(wanted, withoutPortSpeed(wanted, before, vf));
  if (Object.keys(change).length === 0) return before;
  let refusal: unknown;
  try {
    patiently(() => setVf(route, vf.pf.index, vf.index, change));
  } catch (error) {
    refusal = error;
  }
  const after = withoutPortSpeed(wanted, currentState(route, vf), vf);
  const ignored = difference(unreportedAsSet(wanted, after), after);
  if (refusal === undefined && Object.keys(ignored).length === 0) return after;
  const [attribute] = refusal === undefined ? Object.keys(ignored) : [refused(route, vf, change, wanted, after)];
  const cause = refusal instanceof Error ? refusal.message : IGNORED;
  const passing = isPassing(refusal);
  throw new Failure(
    passing ? "try again" : "failed",
    `failed to configure VF ${vf.index} of ${vf.pf.name} (${vf.pci}): ${attribute}: ${cause}`,
    passing
      ? "The VF is being reset, or its PF is down; podnic retried for 2 s. All changes were undone."
      : "The card's driver does not accept this value. All changes were undone.",
  );
}

/** The same, after the driver has accepted it once: what it has undone since. `now`: what the VF is. */
export function keepState(route: RouteSocket, vf: Vf, wanted: VfChange, now: VfState): VfState {
  return applyState(route, vf, unreportedAsSet(wanted, now), now);
}

/**
 * The attribute of a change that the driver has refused: the kernel stops there, so it is the first that is not in force. Or the one before
 * that, because some drivers apply a value and answer with an error all the same. To tell, this sets values again, one by one: undo is the
 * caller's.
 */
function refused(route: RouteSocket, vf: Vf, change: VfChange, wanted: VfChange, after: VfState): string {
  const missing = difference(wanted, after);
  const ignored = difference(unreportedAsSet(wanted, after), after);
  const keys = Object.keys(change) as (keyof VfChange)[];
  const refuses = (key: keyof VfChange): boolean => answerTo(route, vf, { [key]: change[key] }) !== undefined;
  const first = keys.findIndex((key) => key in missing);
  const before = keys.at(first < 0 ? -1 : Math.max(first - 1, 0))!;
  if (first < 0 || (first === 0 && before in ignored)) return before;
  for (const key of keys.slice(first)) {
    if (refuses(key)) return key;
    // What is not reported may have been in force.
    if (key in ignored) break;
  }
  // A driver that was busy, and takes all by now, has refused what is not in force.
  return refuses(before) ? before : (Object.keys(ignored)[0] ?? before);
}

/** What the driver says when it refuses. */
function answerTo(route: RouteSocket, vf: Vf, change: VfChange): string | undefined {
  try {
    setVf(route, vf.pf.index, vf.index, change);
    return undefined;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return error.message;
  }
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
    "too many": `The kernel cannot list the VFs of ${name} (message too long), so vlan, rates, spoofchk, trust, link_state and mac cannot be set. Remove these keys.`,
    "left out": `\`ip link show dev ${shellWord(name)}\` does not list it either. The driver did not answer (${name} might be down), or the VF is being removed.`,
  };
  const kind = silence === "left out" ? "try again" : "failed";
  return new Failure(kind, `${name} does not report VF ${vf.index} (${vf.pci})`, why[silence]);
}

/** Stands for all attributes: the PF is away, or does not say what they are. */
export const UNKNOWN = "attributes";

/** What could not be restored, with the reason, and the state as it was read last; undefined when the PF does not say. */
export interface Restored {
  left: Map<string, string>;
  now: VfState | undefined;
}

/**
 * Makes the attributes what they were, but for the address: in one request, and when that is refused one by one, as many as the driver
 * takes. Read back, because some drivers accept and ignore, and others apply what they refuse.
 */
export function restoreState(route: RouteSocket, vf: Vf, saved: VfState): Restored {
  const wanted = asChange(saved);
  /** The driver's last answer. */
  const answers = new Map<string, string>();
  const left = new Map<string, string>();
  let now: VfState | undefined;
  try {
    now = currentState(route, vf);
    let missing = Object.entries(difference(wanted, now));
    let isFirst = true;
    // Again as long as the driver takes some of it: one attribute may be in the way of another one (trust of spoofchk).
    for (let least = Number.POSITIVE_INFINITY; missing.length > 0 && missing.length < least; isFirst = false) {
      least = missing.length;
      if (!isFirst || !setTogether(route, vf, Object.fromEntries(missing))) setSingly(route, vf, missing, answers);
      now = currentState(route, vf);
      const reported = difference(unreportedAsSet(wanted, now), now);
      missing = Object.entries(difference(wanted, now)).filter(([key]) => key in reported || answers.has(key));
    }
    for (const [key] of missing) left.set(key, answers.get(key) ?? IGNORED);
  } catch (error) {
    if (!(error instanceof NetlinkError) && !(error instanceof Failure)) throw error;
    left.set(UNKNOWN, error.message);
  }
  return { left, now };
}

/** True when no attribute is another one than it was, as far as the driver reports them. The address aside. */
export function isRestored(saved: VfState, now: VfState): boolean {
  return Object.keys(difference(unreportedAsSet(asChange(saved), now), now)).length === 0;
}

/** False: refused, and it has been waited for by then. */
function setTogether(route: RouteSocket, vf: Vf, change: VfChange): boolean {
  try {
    patiently(() => setVf(route, vf.pf.index, vf.index, change));
    return true;
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    return false;
  }
}

/** Each by itself: that shows which ones the driver refuses. */
function setSingly(route: RouteSocket, vf: Vf, change: [key: string, value: unknown][], answers: Map<string, string>) {
  for (const [key, value] of change) {
    const answer = answerTo(route, vf, { [key]: value });
    if (answer === undefined) answers.delete(key);
    else answers.set(key, answer);
  }
}
