// Converts the VLANs in a configuration to the ranges that the kernel expects.
import { orFail, type Try } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import { joinRanges, type VlanRange } from "../../src/link/bridge.ts";

export interface TrunkItem {
  id?: number;
  minID?: number;
  maxID?: number;
}

interface VlanKeys {
  vlan?: number;
  vlanTrunk?: TrunkItem[];
  preserveDefaultVlan?: boolean;
}

/** VLAN of frames without a tag when there is only a trunk, as with the Go plugin. */
const TRUNK_NATIVE = 1;

interface Vlans {
  /** What frames without a tag are of. */
  native: number;
  /** In the order of the kernel's requests: the native one comes last, for a later entry without flags would take them away. */
  ranges: VlanRange[];
}

export const hasVlans = ({ vlan = 0, vlanTrunk = [] }: VlanKeys): boolean => vlan !== 0 || vlanTrunk.length > 0;

/** undefined: the configuration names no VLAN, and the port stays as the bridge makes it. Throws Failure("invalid config"). */
export function vlansOf({ vlan = 0, vlanTrunk = [] }: VlanKeys, attempt: Try = orFail): Vlans | undefined {
  const asked: VlanRange[] = [];
  for (const [at, item] of vlanTrunk.entries()) {
    const ranges = attempt(`/vlanTrunk/${at}`, () => rangesOf(item, at));
    asked.push(...(ranges ?? []));
  }
  if (vlan === 0 && vlanTrunk.length === 0) return undefined;
  const native = vlan === 0 ? TRUNK_NATIVE : vlan;
  const tagged = joinRanges(asked).flatMap((range) => without(range, native));
  return { native, ranges: [...tagged, { first: native, last: native, pvid: true, untagged: true }] };
}

/** An item may name one VLAN, a range, or both. */
function rangesOf({ id, minID, maxID }: TrunkItem, at: number): VlanRange[] {
  const refuse = (why: string): never => {
    const cure = 'An item must be {"id": 10}, or {"minID": 200, "maxID": 299}, with numbers from 1 to 4094.';
    throw new Failure("invalid config", `invalid vlanTrunk[${at}]: ${why}`, cure);
  };
  if (id === undefined && minID === undefined && maxID === undefined) refuse("it contains no VLAN");
  if ((minID === undefined) !== (maxID === undefined)) refuse("minID and maxID must be set together");
  if (minID !== undefined && maxID !== undefined && maxID < minID) refuse(`maxID ${maxID} is below minID ${minID}`);
  const ranges: VlanRange[] = [];
  if (id !== undefined) ranges.push(tagged(id, id));
  if (minID !== undefined) ranges.push(tagged(minID, maxID!));
  return ranges;
}

function tagged(first: number, last: number): VlanRange {
  return { first, last, pvid: false, untagged: false };
}

function without(range: VlanRange, vid: number): VlanRange[] {
  if (vid < range.first || vid > range.last) return [range];
  const before = range.first < vid ? [tagged(range.first, vid - 1)] : [];
  return range.last > vid ? [...before, tagged(vid + 1, range.last)] : before;
}

/** What a port that was just made has and shall not have: the bridge's default VLAN (0: it has none). */
export function unwanted(vlans: Vlans, defaultPvid: number, preserve: boolean): VlanRange[] {
  const has = vlans.ranges.some(({ first, last }) => first <= defaultPvid && defaultPvid <= last);
  return preserve || has || defaultPvid === 0 ? [] : [tagged(defaultPvid, defaultPvid)];
}

/** The VLANs of such a port after ADD, in order. */
export function expected(vlans: Vlans, defaultPvid: number, preserve: boolean): VlanRange[] {
  const kept =
    preserve && defaultPvid !== 0 && !vlans.ranges.some((r) => r.first <= defaultPvid && defaultPvid <= r.last);
  const untagged = { first: defaultPvid, last: defaultPvid, pvid: false, untagged: true };
  return joinRanges(kept ? [...vlans.ranges, untagged] : vlans.ranges);
}
