// The address of a VF: the administrative one, which the PF gives and pins, and the one that the VF's interface uses.
// Drivers differ: mlx5 needs both set; i40e and iavf take them over later; igb refuses a pinned, untrusted VF every address (also
// its own) until the pin is gone, and takes the pinned one over only when the interface is opened. Hence a ladder, and reading back.
import { Cleanup } from "../../src/cleanup.ts";
import { CniError, Code } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";
import { getLink, IFF_UP, type Link, setLink } from "../../src/link/link.ts";
import { setVf, type VfState } from "../../src/link/vf.ts";
import { NetlinkError } from "../../src/netlink/errors.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { currentState } from "./attributes.ts";
import type { Vf } from "./device.ts";

/** The PF gives none. */
export const NO_MAC = "00:00:00:00:00:00";
/** Milliseconds for a driver that applies an address later. */
const PATIENCE = 2000;

/**
 * Sets the administrative address only: a VF without interface (DPDK). Also when the PF says that the VF has it: igb says so of an
 * address that the VF gave itself, and only one that it was given is pinned. Throws CniError when it is not in force afterwards.
 */
export function setAdministrativeMac(route: RouteSocket, vf: Vf, mac: string): void {
  setVf(route, vf.pf.index, vf.index, { mac });
  if (waitFor(() => currentState(route, vf).mac === mac)) return;
  throw notTaken(vf, "hardware mac address is different from requested one", mac);
}

/** Gives the VF and its interface (which is on the host) one address, pinned. Returns the link as it is then. */
export function setMac(route: RouteSocket, vf: Vf, link: Link, mac: string): Link {
  if (link.mac !== mac) setInterfaceMac(route, vf, link, mac);
  setAdministrativeMac(route, vf, mac);
  return requireMac(route, vf, link.index, mac);
}

/**
 * Makes both addresses what they were. `was` is the state of the VF, `mac` the interface's address; the order undoes a pin first. When the
 * driver does not take the one, the other is put back all the same, and then it throws.
 */
export function restoreMac(route: RouteSocket, vf: Vf, link: Link, was: VfState, mac: string): void {
  const cleanup = new Cleanup();
  if (link.mac !== mac && mac !== "") cleanup.attempt(() => setInterfaceMac(route, vf, link, mac));
  cleanup.attempt(() => {
    // igb reports the address that the VF has given itself, as it does whenever it goes down, where it reported none before. To take
    // that away would make the card drop what is sent to the VF.
    if (was.mac === NO_MAC && mac !== "" && currentState(route, vf).mac === mac) return;
    const pinned = restoreAdministrativeMac(route, vf, was);
    if (pinned && mac !== "" && !cleanup.failed) requireMac(route, vf, link.index, mac);
  });
  cleanup.finish();
}

/** Of a VF without interface. Not set, and so not pinned, when it is what it was. Returns true when it has set it. */
export function restoreAdministrativeMac(route: RouteSocket, vf: Vf, was: VfState): boolean {
  if (was.mac === "" || currentState(route, vf).mac === was.mac) return false;
  setAdministrativeMac(route, vf, was.mac);
  return true;
}

/** Climbs until the interface has the address: as it is; without the PF's pin; by way of the PF, which the driver asks on opening. */
function setInterfaceMac(route: RouteSocket, vf: Vf, link: Link, mac: string): void {
  const has = (): boolean => getLink(route, link.index)?.mac === mac;
  const rungs: (() => void)[] = [
    () => change(route, link, mac),
    () => {
      setVf(route, vf.pf.index, vf.index, { mac: NO_MAC });
      change(route, link, mac);
    },
    () => {
      setVf(route, vf.pf.index, vf.index, { mac });
      setLink(route, link.index, { up: false });
      setLink(route, link.index, { up: true });
      setLink(route, link.index, { up: (link.flags & IFF_UP) !== 0 });
    },
  ];
  let refusal = "";
  for (const rung of rungs) {
    try {
      rung();
      if (waitFor(has)) return;
    } catch (error) {
      if (!(error instanceof NetlinkError)) throw error;
      refusal = error.message;
    }
  }
  throw notTaken(vf, `failed to set netlink MAC address to ${mac}`, mac, refusal);
}

function change(route: RouteSocket, link: Link, mac: string): void {
  // Many drivers change it only while the interface is down.
  if ((link.flags & IFF_UP) !== 0) setLink(route, link.index, { up: false });
  setLink(route, link.index, { mac });
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

function waitFor(condition: () => boolean): boolean {
  const deadline = host.monotonic() + PATIENCE;
  while (!condition()) {
    if (host.monotonic() >= deadline) return false;
    host.sleep(20);
  }
  return true;
}

function notTaken(vf: Vf, message: string, mac: string, cause = ""): CniError {
  return new CniError(
    Code.generic,
    `failed to configure VF ${vf.index} of ${vf.pf.name} (${vf.pci}): ${message}`,
    `${cause === "" ? "" : `${cause}. `}The VF's driver does not take ${mac}; "ip link show dev ${vf.pf.name}" shows what the PF gives it.`,
  );
}
