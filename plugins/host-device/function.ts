// Functions that a pod has without an interface, because a driver of userspace has them (DPDK, virtual machines): the record says who has one.
import type { Lender, LoanData } from "../../src/plugin/lent/lender.ts";
import { whileReturningCard } from "../../src/plugin/lent/lock.ts";
import { loanFields } from "../../src/plugin/lent/shape.ts";
import { recordStore, STATE_ROOT } from "../../src/state/record.ts";
import { objectOf, text } from "../../src/state/shape.ts";

export interface HeldFunction extends LoanData {
  pci: string;
}

const records = recordStore<HeldFunction>("function", STATE_ROOT, objectOf<HeldFunction>({ ...loanFields, pci: text }));

export const functionLender: Lender<HeldFunction> = {
  plugin: "function",
  of: "host-device",
  store: () => records,
  loanOf: ({ pci }) => ({ saved: undefined, pci, name: `device ${pci}`, held: `device ${pci} is held by` }),
  // The card's lock is enough: nothing is returned but the claim.
  lockOf: () => undefined,
  whileReturning: (key, body) => whileReturningCard(records.read(key)?.data.pci ?? "", body),
  restore: () => {},
};
