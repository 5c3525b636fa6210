// Which attachment holds which device, by what was written down about it: our records, and the files of sriov-cni.
import { type HeldDevice, records as hostDeviceRecords } from "../../../plugins/host-device/record.ts";
import { type HeldVf, REFERENCE, records as sriovRecords } from "../../../plugins/sriov/record.ts";
import { readReference } from "../../../plugins/sriov/reference.ts";
import { host } from "../../host/host.ts";
import type { NamedNamespace } from "../../link/return.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import { readFileAt } from "../../state/files.ts";
import { bootId, type Record, type RecordKey } from "../../state/record.ts";
import { type Life, type Namespaces, namesIn } from "./namespaces.ts";

export interface Holder {
  /** Who wrote it down. */
  by: "host-device" | "sriov" | "sriov-cni";
  key: RecordKey;
  netns: NamedNamespace;
  life: Life;
  /** PCI address, or "". */
  pci: string;
  /** What the interface was; absent for a driver of userspace. */
  was?: LinkSnapshot;
}

const LIMIT = 1 << 20;

/** All of them, in the order of the plugins. Throws when the disk fails. */
export function findHolders(namespaces: Namespaces): Holder[] {
  const boot = bootId();
  const life = ({ bootId: written, data }: Record<{ netns: NamedNamespace }>): Life =>
    written !== "" && boot !== "" && written !== boot ? "gone" : namespaces.lifeOf(data.netns);
  const own: Holder[] = [
    ...hostDeviceRecords()
      .list()
      .map((record: Record<HeldDevice>): Holder => {
        const { was, netns } = record.data;
        return { by: "host-device", key: record.key, netns, life: life(record), pci: was.parentDevice, was };
      }),
    ...sriovRecords()
      .list()
      .map((record: Record<HeldVf>): Holder => {
        const { pci, link, netns } = record.data;
        const holder: Holder = { by: "sriov", key: record.key, netns, life: life(record), pci };
        return link === undefined ? holder : { ...holder, was: link };
      }),
  ];
  return [...own, ...findReferences(namespaces, own)];
}

/** Pods that sriov-cni made. We write its files too; those are not counted twice. */
function findReferences(namespaces: Namespaces, own: Holder[]): Holder[] {
  const found: Holder[] = [];
  for (const name of namesIn(REFERENCE)) {
    if (name === "pci" || name.startsWith(".")) continue;
    const at = name.lastIndexOf("-");
    const key = { network: networkOf(name), containerId: name.slice(0, at), ifName: name.slice(at + 1) };
    const ours = own.some(
      ({ by, key: known }) => by === "sriov" && known.containerId === key.containerId && known.ifName === key.ifName,
    );
    const held = at < 1 || ours ? undefined : readReference(key);
    if (held === undefined) continue;
    const holder: Holder = {
      by: "sriov-cni",
      key,
      netns: held.netns,
      life: namespaces.lifeOf(held.netns),
      pci: held.pci,
    };
    found.push(held.link === undefined ? holder : { ...holder, was: held.link });
  }
  return found;
}

/** sriov-cni names the network in the file only; "" when it does not. */
function networkOf(name: string): string {
  try {
    const data = readFileAt(`${REFERENCE}/${name}`, LIMIT);
    const { name: network } = JSON.parse(data === undefined ? "{}" : host.decode(data)) as { name?: unknown };
    return typeof network === "string" ? network : "";
  } catch {
    return ""; // damaged: the file counts for its device all the same
  }
}
