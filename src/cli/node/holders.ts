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
  /** Whose device it is. */
  lender: AnyLender;
  /** Who wrote it down: "host-device", "sriov", "sriov-cni". */
  by: string;
  key: RecordKey;
  netns: NamedNamespace;
  life: Life;
  /** Only of "now" do index and mark mean anything today. */
  age: Age;
  /** PCI address, or "". */
  pci: string;
  /** What the interface was; absent for a driver of userspace. */
  saved?: LinkSnapshot;
}

/** All of them, in the order of the plugins. Throws when the disk fails. */
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
