// Returns a VF: restores its interface, and its attributes on the PF. This works for podnic's attachments and for sriov-cni's.
import { restoreNetwork } from "../../src/link/capture.ts";
import type { Link } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { type LinkSnapshot, snapshotLink } from "../../src/link/snapshot.ts";
import type { Lender, LoanRecord } from "../../src/plugin/lent/lender.ts";
import type { RecordKey } from "../../src/state/record.ts";
import { isSameKey } from "../../src/state/record.ts";
import { readLeftover } from "./left.ts";
import { type HeldVf, lockOf, records, whileReturning } from "./record.ts";
import {
  allocatedTo,
  allocation,
  damagedState,
  listDamaged,
  listStates,
  noteRefused,
  readReference,
  readStateOf,
  removeReference,
  type StateFile,
  stateName,
} from "./reference.ts";
import { restoreVf } from "./restore-vf.ts";

export const sriovLender: Lender<HeldVf> = {
  plugin: "sriov",
  store: records,
  loanOf: ({ pci, link, mac }) => ({
    // Records of older versions have the number of a virtio device there, which may be another's by now.
    saved: link?.parentDevice.startsWith("virtio") === true ? { ...link, parentDevice: pci } : link,
    pci,
    mac,
    name: `VF ${pci}`,
    held: `pci address ${pci} is already allocated to`,
  }),
  lockOf: (key) => lockOf(functionOf(key)),
  whileReturning: (key, body) => whileReturning(functionOf(key), body),
  restore({ pci, state, network }, returned) {
    const hostNs = ownNamespace();
    restoreVf(hostNs, pci, state, returned);
    if (returned === undefined || network === undefined) return;
    restoreNetwork(hostNs.route, returned.link.index, returned.saved.name, network);
  },
  forget: (key, data, netnsPath) => removeReference(key, data?.pci ?? "", data?.netns.path || netnsPath),
  foreign: {
    read(key) {
      const state = readStateOf(key);
      return state === undefined ? undefined : { ...asRecord(state), key };
    },
    list: () => listStates().map(asRecord),
    unreadable: (key) => damagedState(stateName(key)),
    damaged: listDamaged,
    refuse: noteRefused,
  },
  complete: ({ by, data }, link) => (by === "sriov" ? data.link! : complete(data.link!, link)),
  newOwner,
  leftBehind: (pci) => readLeftover(pci)?.left ?? [],
};

function functionOf(key: RecordKey): string {
  return (records().read(key)?.data ?? readReference(key))?.pci ?? "";
}

/** sriov-cni notes no boot: the file's age must tell that it is of an earlier one. */
function asRecord({ key, held, written }: StateFile): LoanRecord<HeldVf> {
  return { by: "sriov-cni", key, bootId: "", written, data: held };
}

/** The VF was given to another attachment since, by us or by sriov-cni: a late DEL must not touch it. Returns whose it is. */
function newOwner({ key, data: held, by }: LoanRecord<HeldVf>, netnsPath: string): string | undefined {
  const recorded = by === "sriov";
  const newer = records()
    .list()
    .find(({ key: other, data }) => data.pci === held.pci && !isSameKey(other, key));
  const path = allocation(held.pci) ?? "";
  // Of a pod that sriov-cni made only the allocation knows the namespace: it says nothing when DEL does not name one.
  const ours = recorded ? [netnsPath, held.netns.path] : [netnsPath || path];
  const isOther = (state: StateFile): boolean => state.held.pci === held.pci && stateName(state.key) !== stateName(key);
  const isClaimed = (): boolean => listStates().some(isOther);
  // CNI_NETNS may be wrong: sriov-cni writes a state file for each attachment, so only another one's shows that the VF is another's.
  const elsewhere =
    path !== "" && !ours.includes(path) && allocatedTo(held.pci) !== undefined && (recorded || isClaimed());
  const claimed = !recorded && netnsPath === "" && isClaimed();
  if (newer === undefined && !elsewhere && !claimed) return undefined;
  return newer?.key.containerId ?? path;
}

/** sriov-cni keeps name, address and MTU; the rest stays as it is, but for what only a pod sets. */
function complete(recorded: LinkSnapshot, link: Link): LinkSnapshot {
  const { name, mac, mtu } = recorded;
  const now = snapshotLink(link);
  const clean = { up: false, promisc: false, allmulti: false, noarp: false, multicast: true, flags: 0 };
  return { ...now, ...clean, name, mac: mac || now.mac, mtu: mtu || now.mtu };
}
