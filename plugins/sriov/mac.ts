// The addresses of a VF: the administrative address, which the PF sets and pins, and the address of the VF's interface. Drivers behave
// differently. mlx5 needs both to be set. i40e and iavf apply them later. igb refuses every address of a pinned, untrusted VF (even its own)
// until the pin is removed, and applies the pinned address only when the interface is opened. podnic therefore tries several steps, and reads
// the result back after each.
import { Failure, shellWord } from "../../src/errors.ts";
import { getLink, IFF_UP, type Link, setLink } from "../../src/link/link.ts";
import { isPassing, patiently, waitFor } from "../../src/link/patience.ts";
import { getVf, setVf, type VfChange, type VfState } from "../../src/link/vf.ts";
import { log } from "../../src/log.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { currentState, keepState } from "./attributes.ts";
import type { Vf } from "./device.ts";
import { attempt } from "./left.ts";

/** The PF gives none. */
export const NO_MAC = "00:00:00:00:00:00";

/**
 * Sets the administrative address only: a VF without interface (DPDK). Also when the PF says that the VF has it: igb says so of an
 * address that the VF gave itself, and only one that it was given is pinned. `wanted`: what was set before, which some drivers reset with
 * the address. Returns what the VF is then. Throws Failure when it is not in force afterwards.
 */
export function setAdministrativeMac(route: RouteSocket, vf: Vf, mac: string, wanted: VfChange = {}): VfState {
  try {
    pin(route, vf, mac);
  } catch (error) {
    if (!(error instanceof NetlinkError)) throw error;
    throw notTaken(vf, `mac: ${error.message}`, mac, isPassing(error));
  }
  let now: VfState | undefined;
  const isSet = (): boolean => {
    now = currentState(route, vf);
    return now.mac === mac;
  };
  if (waitFor(isSet)) {
    const kept = keepState(route, vf, wanted, now!);
    if (kept.mac === mac) return kept;
  }
  throw notTaken(vf, "hardware mac address is different from requested one", mac);
}

/** Gives the VF and its interface (which is on the host) one address, pinned, and keeps what is `wanted`. Returns the link as it is then. */
export function setMac(route: RouteSocket, vf: Vf, link: Link, mac: string, wanted: VfChange = {}): Link {
  if (link.mac !== mac) setInterfaceMac(route, vf, link, mac);
  setAdministrativeMac(route, vf, mac, wanted);
  return requireMac(route, vf, link.index, mac);
}

/** What could not be restored, and what the VF is after a change; undefined when there was none. */
export interface RestoredMac {
  left: string[];
  now: VfState | undefined;
}

/**
 * Makes both addresses what they were; the order undoes a pin first. `saved` is the administrative one, `said` what the PF said of the VF
 * last, `mac` the interface's. When the driver does not take the one, the other one is restored anyway.
 */
export function restoreMac(
  route: RouteSocket,
  vf: Vf,
  link: Link,
  saved: string,
  mac: string,
  said: VfState | undefined,
): RestoredMac {
  const left: string[] = [];
  let now: VfState | undefined;
  const moved = link.mac !== mac && mac !== "";
  const isBack = (): boolean => getLink(route, link.index)?.mac === mac;
  if (moved) attempt(left, vf.pci, "address", () => unless(isBack, () => setInterfaceMac(route, vf, link, mac)));
  attempt(left, vf.pci, "mac", () => {
    const current = moved || said === undefined ? currentState(route, vf) : said;
    if (moved) now = current;
    // igb reports the address that the VF has given itself, as it does whenever it goes down, where it reported none before. To take
    // that away would make the card drop what is sent to the VF.
    if (saved === NO_MAC && mac !== "" && current.mac === mac) return;
    const after = restoreAdministrativeMac(route, vf, saved, current, mac);
    if (after === undefined) return;
    now = after;
    if (mac !== "" && left.length === 0) requireMac(route, vf, link.index, mac);
  });
  return { left, now };
}

/**
 * Of a VF without interface, or with one that has the address `own`. Not set, and so not pinned, when it is what it was. Returns
 * what the VF is then. Throws Failure when the driver takes neither what it was nor `own`.
 */
export function restoreAdministrativeMac(
  route: RouteSocket,
  vf: Vf,
  saved: string,
  now: VfState,
  own = "",
): VfState | undefined {
  if (saved === "" || now.mac === saved) return undefined;
  let after: VfState | undefined;
  const isBack = (): boolean => {
    after = getVf(route, vf.pf.index, vf.index);
    return after?.mac === saved;
  };
  const set = (mac: string): void => {
    after = setAdministrativeMac(route, vf, mac);
  };
  try {
    unless(isBack, () => set(saved));
  } catch (error) {
    // octeontx2, hinic and others report "none" before, and refuse to go back to that: pinned to the VF's own address it is at least
    // not the pod's any more.
    const refused = error instanceof Failure && error.kind !== "try again";
    if (saved !== NO_MAC || own === "" || !refused) throw error;
    set(own);
    log(
      "warning",
      "the driver cannot clear the administrative MAC address, so podnic sets it to the VF's own address",
      {
        device: vf.pci,
        mac: own,
      },
    );
  }
  return after;
}

/** A refusal counts only unless the value is in force: some drivers apply it and answer with an error all the same. */
function unless(isInForce: () => boolean, run: () => void): void {
  try {
    run();
  } catch (error) {
    if (!(error instanceof Failure) || !isInForce()) throw error;
  }
}

function pin(route: RouteSocket, vf: Vf, mac: string): void {
  patiently(() => setVf(route, vf.pf.index, vf.index, { mac }));
}

/** Climbs until the interface has the address: as it is; without the PF's pin; by way of the PF, which the driver asks on opening. */
function setInterfaceMac(route: RouteSocket, vf: Vf, link: Link, mac: string): void {
  const has = (): boolean => getLink(route, link.index)?.mac === mac;
  const rungs: (() => void)[] = [
    () => change(route, link, mac),
    () => {
      pin(route, vf, NO_MAC);
      change(route, link, mac);
    },
    () => {
      pin(route, vf, mac);
      setLink(route, link.index, { up: false });
      patiently(() => setLink(route, link.index, { up: true }));
      setLink(route, link.index, { up: (link.flags & IFF_UP) !== 0 });
    },
  ];
  let refusal: NetlinkError | undefined;
  for (const rung of rungs) {
    try {
      rung();
      if (waitFor(has)) return;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      refusal = error;
    }
  }
  const cause = refusal === undefined ? "" : `: ${refusal.message}`;
  throw notTaken(vf, `failed to set netlink MAC address to ${mac}${cause}`, mac, isPassing(refusal));
}

function change(route: RouteSocket, link: Link, mac: string): void {
  // Many drivers change it only while the interface is down.
  if ((link.flags & IFF_UP) !== 0) setLink(route, link.index, { up: false });
  patiently(() => setLink(route, link.index, { mac }));
}

function requireMac(route: RouteSocket, vf: Vf, index: number, mac: string): Link {
  let link: Link | undefined;
  const has = (): boolean => {
    link = getLink(route, index);
    return link?.mac === mac;
  };
  if (!waitFor(has)) throw notTaken(vf, "effective mac address is different from requested one", mac);
  return link!;
}

function notTaken(vf: Vf, message: string, mac: string, passing = false): Failure {
  return new Failure(
    passing ? "try again" : "failed",
    `failed to configure VF ${vf.index} of ${vf.pf.name} (${vf.pci}): ${message}`,
    passing
      ? "The VF is being reset, or its PF is down; podnic retried for 2 s."
      : `The VF's driver does not accept ${mac}. \`ip link show dev ${shellWord(vf.pf.name)}\` shows the address that the PF assigns to it.`,
  );
}
