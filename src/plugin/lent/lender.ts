// The interface of a plugin that lends devices of the host (host-device, sriov or others). The engine (give-back.ts, claim.ts, collect.ts)
// keeps the records, finds the device and returns it. The plugin defines what this means for its devices.

import { judge, viewOf } from "../../link/identity.ts";
import type { Link } from "../../link/link.ts";
import type { NetNs } from "../../link/namespace.ts";
import { ownNamespace } from "../../link/namespace.ts";
import type { NamedNamespace } from "../../link/return.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import type { Damaged, HomeNamespace, Record, RecordKey, RecordStore } from "../../state/record.ts";
import { bootId, bootTime } from "../../state/record.ts";

/** Directory of sriov-cni, which the plugin sriov goes on with: whoever releases a loan of it writes there. */
export const SRIOV_STATE = "/var/lib/cni/sriov";

/** What every plugin's records say of a device. */
export interface Loan {
  /** What its interface was on the host; undefined when it has none (a driver of userspace). */
  saved: LinkSnapshot | undefined;
  /** PCI address, or "". */
  pci: string;
  /** The address that the pod has asked for. */
  mac?: string | undefined;
  /** What messages call it: `device "eth5"`, `VF 0000:01:10.0`. */
  name: string;
  /** How the message begins that says who has it; the attachment follows. */
  held: string;
}

/** What every plugin's records have under these keys. */
export interface LoanData {
  /** The pod's namespace. */
  netns: NamedNamespace;
  /** Networks whose ADD of the same interface of the same container failed: their DEL is not about the device. */
  refused?: string[];
}

/** A record, and who wrote it. */
export interface LoanRecord<D> extends Record<D> {
  /** "sriov-cni"; the plugin's own name for ours. */
  by: string;
  /** When it was written, seconds since the epoch; for records that name no boot. */
  written?: number;
}

/** A device on the host, and what it is to become. */
export interface Returned {
  link: Link;
  saved: LinkSnapshot;
}

/** A file to lock, see state/lock.ts. */
export interface Lock {
  directory: string;
  file: string;
}

/** One plugin that lends devices. D is the data of its records. */
export interface Lender<D extends LoanData> {
  /** Name of the records' directory. */
  readonly plugin: string;
  /** The plugin whose attachments these are, when the directory is called otherwise. */
  readonly of?: string;
  store(): RecordStore<D>;
  loanOf(data: D): Loan;
  /**
   * Runs `body` while no other call takes or gives back this attachment's device. Creates nothing, and goes on without a lock on a sick
   * disk.
   */
  whileReturning<T>(key: RecordKey, body: () => T): T;
  /**
   * Makes the device what it was: `returned`, which is on the host under its name, and what it is elsewhere (a VF on its PF). undefined: it
   * has no interface, or none that can be had.
   */
  restore(data: D, returned: Returned | undefined): void;
  /** Removes what there is of the attachment beside the record. `data` undefined: no record of it was found. */
  forget?(key: RecordKey, data: D | undefined, netnsPath: string): void;
  /** Records of another implementation, which we go on with. */
  readonly foreign?: {
    read(key: RecordKey): LoanRecord<D> | undefined;
    list(): LoanRecord<D>[];
    /** There is one for the attachment, and it cannot be read. */
    unreadable(key: RecordKey): Damaged | undefined;
    /** Attachments, of whichever network, whose record cannot be read. */
    damaged(): Pick<RecordKey, "containerId" | "ifName">[];
    /** Notes in a record that an ADD of this network failed for the same interface (see LoanData). */
    refuse(key: RecordKey, network: string): void;
  };
  /** What the device is to become, when the record does not say all of it (sriov-cni's). */
  complete?(record: LoanRecord<D>, link: Link): LinkSnapshot;
  /** Who has the device since: a late DEL must not touch it. undefined: nobody else. */
  newOwner?(record: LoanRecord<D>, netnsPath: string): string | undefined;
  /** The lock of the attachment's device, which `whileReturning` holds; undefined: it needs none. */
  lockOf(key: RecordKey): Lock | undefined;
  /** What an earlier pod left on a device, by its PCI address, that could not be restored. */
  leftBehind?(pci: string): readonly string[];
}

// biome-ignore lint/suspicious/noExplicitAny: the data is each plugin's own
export type AnyLender = Lender<any>;

const lenders: AnyLender[] = [];

/** Those of this executable: each must know what the others have. */
export function registerLenders(list: readonly AnyLender[]): void {
  lenders.splice(0, lenders.length, ...list);
}

/** A plugin of this type lends devices. */
export const lends = (type: string): boolean => lenders.some(({ plugin, of = plugin }) => of === type);

/** This one and all others. */
export function lendersBeside(lender: AnyLender): AnyLender[] {
  return [lender, ...lenders.filter(({ plugin }) => plugin !== lender.plugin)];
}

/**
 * Whether a link of the pod is a device of the host, for an attachment that `isMeant` takes: then it is no other plugin's to delete. By what
 * identifies the device, and by the attachment's name where nothing does: names are the pod's to give. Reads the records of all lenders. Throws
 * SystemError when they cannot be read.
 */
export function isLent(pod: NetNs, link: Link, isMeant: (key: RecordKey) => boolean = () => true): boolean {
  const view = viewOf(pod, ownNamespace());
  return lenders.some((lender) =>
    lender
      .store()
      .list()
      .some((record: Record<LoanData>) => {
        const { key, data } = record;
        const { saved } = lender.loanOf(data);
        // Each boot gives the same numbers again.
        const isIts = saved !== undefined && isMeant(key) && ageOf(record) !== "past";
        const verdict = isIts ? judge(view, link, saved, key.ifName) : "other";
        const isInPod = data.netns.dev === pod.dev && data.netns.ino === pod.ino;
        return verdict === "same" || (verdict === "unclear" && isInPod && key.ifName === link.name);
      }),
  );
}

/** Whether a plugin's own record is of this attachment. */
export function isRecorded(key: RecordKey): boolean {
  return lenders.some((lender) => readLoan(lender, key) !== undefined);
}

/**
 * Whether a link of the host is a device that is lent and came back without a DEL, or may be one: its plugin has to restore it first. Throws
 * SystemError when the records cannot be read.
 */
export function isLentDevice(link: Link): boolean {
  const home = ownNamespace();
  const view = viewOf(home, home);
  return lenders.some((lender) =>
    listLoans(lender).some(({ key, data }) => {
      const { saved } = lender.loanOf(data);
      return saved !== undefined && judge(view, link, saved, key.ifName) !== "other";
    }),
  );
}

/** Whether a device of this namespace is lent: then the runtime's ADD ran here, since only a runtime calls ADD. Reads the records of all lenders. */
export function isHomeOfLoans(): boolean {
  return lenders.some((lender) =>
    listLoans(lender).some(({ home, ...rest }) => home !== undefined && ageOf({ ...rest, home }) === "now"),
  );
}

/**
 * The loan of a device that has this name when it is at home, whichever plugin's. Ask after the host was asked for the name: the record is there
 * before the device goes, and until it is back. Throws SystemError when they cannot be read.
 */
export function loanNamed(name: string): { key: RecordKey; loan: Loan } | undefined {
  for (const lender of lenders) {
    for (const record of listLoans(lender)) {
      const loan = lender.loanOf(record.data);
      const names = loan.saved === undefined ? [] : [loan.saved.name, ...loan.saved.altnames];
      if (names.includes(name) && ageOf(record) === "now") return { key: record.key, loan };
    }
  }
  return undefined;
}

/** Whether a pod has the card or function of this PCI address. */
export function isCardLent(pci: string): boolean {
  return lenders.some((lender) =>
    listLoans(lender).some((record) => lender.loanOf(record.data).pci === pci && ageOf(record) === "now"),
  );
}

/** The namespace of the host, for a record that is written now. */
export function homeOf(home: NetNs): HomeNamespace {
  const { dev, ino, cookie } = home;
  return { dev, ino, cookie };
}

/** sriov-cni's file names do not say where one ends and the other begins. */
export function interfaceOf({ containerId, ifName }: Pick<RecordKey, "containerId" | "ifName">): string {
  return `${containerId}-${ifName}`;
}

/** The record of an attachment, ours or another implementation's. */
export function readLoan<D extends LoanData>(lender: Lender<D>, key: RecordKey): LoanRecord<D> | undefined {
  const own = lender.store().read(key);
  return own === undefined ? lender.foreign?.read(key) : { ...own, by: lender.plugin };
}

/** All of them; one that we wrote for another implementation to find is not counted twice. */
export function listLoans<D extends LoanData>(lender: Lender<D>): LoanRecord<D>[] {
  const own = lender
    .store()
    .list()
    .map((record): LoanRecord<D> => ({ ...record, by: lender.plugin }));
  const ours = new Set(own.map(({ key }) => interfaceOf(key)));
  return [...own, ...(lender.foreign?.list() ?? []).filter(({ key }) => !ours.has(interfaceOf(key)))];
}

/** Those of all plugins. */
export function listAllLoans(): { lender: AnyLender; record: LoanRecord<LoanData> }[] {
  return lenders.flatMap((lender) => listLoans(lender).map((record) => ({ lender, record })));
}

/**
 * What a record tells of today. "now": all of it. "past": the kernel was started since, and what it knew of the attachment is gone.
 * "elsewhere": it is of another network namespace of this boot; on a node that is a container, which was started again with its state kept.
 */
export type Age = "now" | "past" | "elsewhere";

export function ageOf({
  bootId: written,
  home,
  written: at,
}: Pick<LoanRecord<LoanData>, "bootId" | "home" | "written">): Age {
  const boot = bootId();
  if (written !== "" && boot !== "" && written !== boot) return "past";
  if (written === "" && at !== undefined && at < bootTime()) return "past";
  return home === undefined || isHome(home) ? "now" : "elsewhere";
}

function isHome(home: HomeNamespace): boolean {
  const { cookie, dev, ino } = ownNamespace();
  if (home.cookie !== "" && cookie !== "") return home.cookie === cookie;
  return home.dev === dev && home.ino === ino;
}

/** "ADD came twice", "held by": how messages call an attachment. */
export function attachmentInWords({ containerId, ifName, network }: RecordKey): string {
  return `container ${containerId} (${ifName}, network ${network})`;
}
