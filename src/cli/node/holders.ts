// Determines which attachment has which device, from podnic's records and sriov-cni's files.
import type { NamedNamespace } from "../../link/return.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import {
  type Age,
  type AnyLender,
  ageOf,
  type LoanData,
  type LoanRecord,
  listLoans,
} from "../../plugin/lent/lender.ts";
import { lenders } from "../../plugins.ts";
import type { RecordKey } from "../../state/record.ts";
import type { Life, Namespaces } from "./namespaces.ts";

export interface Holder {
  /** The plugin that lent the device. */
  lender: AnyLender;
  /** The program that wrote the record: "host-device", "sriov" or "sriov-cni". */
  by: string;
  key: RecordKey;
  netns: NamedNamespace;
  life: Life;
  /** The index and the mark in the record are valid only if this is "now". */
  age: Age;
  /** The PCI address, or "". */
  pci: string;
  /** The interface's original state; absent if the device has a userspace driver. */
  saved?: LinkSnapshot;
}

/** All holders, in the order of the plugins. Throws SystemError if records cannot be read. */
export function findHolders(namespaces: Namespaces): Holder[] {
  return lenders.flatMap((lender) => listLoans(lender).map((record) => holderOf(lender, record, namespaces)));
}

export function holderOf(lender: AnyLender, record: LoanRecord<LoanData>, namespaces: Namespaces): Holder {
  const { saved, pci } = lender.loanOf(record.data);
  const { netns } = record.data;
  const age = ageOf(record);
  const life = age === "past" ? "gone" : namespaces.lifeOf(netns);
  const holder: Holder = {
    lender,
    by: record.by === lender.plugin ? (lender.of ?? record.by) : record.by,
    key: record.key,
    netns,
    life,
    age,
    pci,
  };
  return saved === undefined ? holder : { ...holder, saved };
}
