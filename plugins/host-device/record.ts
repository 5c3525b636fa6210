// Defines what host-device records about a device before changing it, and how it returns the device.
import { Cleanup } from "../../src/cleanup.ts";
import { policy } from "../../src/config/policy.ts";
import { type CapturedNetwork, restoreNetwork } from "../../src/link/capture.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { type LinkSnapshot, restoreLink } from "../../src/link/snapshot.ts";
import { restoreVfs, type VfState } from "../../src/link/vf.ts";
import type { Lender, LoanData } from "../../src/plugin/lent/lender.ts";
import { lockOrGoOn } from "../../src/plugin/lent/lock.ts";
import { linkSnapshot, loanFields, network, vfState } from "../../src/plugin/lent/shape.ts";
import { withDirectory } from "../../src/state/files.ts";
import { withLock } from "../../src/state/lock.ts";
import { recordStore, STATE_ROOT } from "../../src/state/record.ts";
import { listOf, objectOf, optional } from "../../src/state/shape.ts";
import { isPciAddress } from "../../src/sysfs/device.ts";

export interface HeldDevice extends LoanData {
  /** What it was on the host. Records on nodes have this key. */
  was: LinkSnapshot;
  /** What the move makes the host forget. */
  network: CapturedNetwork;
  /** Of a physical function: what its virtual ones, which are on the host, were. A pod that has it can set them. */
  vfs?: VfState[];
}

const heldDevice = objectOf<HeldDevice>({
  ...loanFields,
  was: linkSnapshot,
  network,
  vfs: optional(listOf(vfState)),
});

const LOCK = "lock";
const records = recordStore<HeldDevice>("host-device", STATE_ROOT, heldDevice);

export const hostDeviceLender: Lender<HeldDevice> = {
  plugin: "host-device",
  store: () => records,
  loanOf: ({ was: saved }) => ({
    saved,
    pci: isPciAddress(saved.parentDevice) ? saved.parentDevice : "",
    name: `device "${saved.name}"`,
    held: `device "${saved.name}" is held by`,
  }),
  lockOf: () => ({ directory: directory(), file: LOCK }),
  whileReturning: (_key, body) => lockOrGoOn(directory(), LOCK, policy().lockTimeout, body),
  restore({ network, vfs = [] }, returned) {
    if (returned === undefined) return;
    const { link, saved } = returned;
    const { route } = ownNamespace();
    const cleanup = new Cleanup();
    cleanup.attempt(() => restoreLink(route, link, saved));
    cleanup.attempt(() => restoreNetwork(route, link.index, saved.name, network));
    cleanup.attempt(() => restoreVfs(route, link.index, saved.name, vfs));
    cleanup.finish();
  },
};

/**
 * ADD: one at a time from the look at the records to the move, so that a record whose device is on the host belongs to nobody.
 * (Moves wait for each other anyway, for the kernel's RTNL.)
 */
export function whileTaking<T>(body: () => T): T {
  return withDirectory(directory(), { mode: 0o700 }, (dir) => withLock(dir, LOCK, policy().lockTimeout, body)) as T;
}

function directory(): string {
  return `${STATE_ROOT}/host-device`;
}
