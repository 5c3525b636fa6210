// Finds and removes what attachments with deleted namespaces left behind: devices with their records, and leases. gc and doctor --fix use it.
// Anything that might still be in use is kept.
import { relaxPolicy } from "../../config/policy.ts";
import { Failure } from "../../errors.ts";
import { SIGINT, SIGTERM } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { findDevice, type View } from "../../link/identity.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import { giveBackInTime, type Outcome, whereIs } from "../../plugin/lent/give-back.ts";
import { requireOwnHome } from "../../plugin/lent/home.ts";
import { type AnyLender, type LoanData, type LoanRecord, readLoan } from "../../plugin/lent/lender.ts";
import { teardownEnd } from "../../plugin/lent/wait.ts";
import { lenders, plugins } from "../../plugins.ts";
import type { RecordKey } from "../../state/record.ts";
import { Progress } from "../progress.ts";
import { DamagedRecords } from "./damaged.ts";
import { viewNow } from "./devices.ts";
import { type Holder, holderOf } from "./holders.ts";
import { Namespaces } from "./namespaces.ts";
import type { Node } from "./node.ts";
import { collectLeases, type Pool } from "./pools.ts";

export type Garbage =
  | {
      kind: "device";
      network: string;
      containerId: string;
      interface: string;
      device: string;
      why: string;
      holder: Holder;
    }
  | {
      kind: "lease";
      network: string;
      containerId: string;
      interface: string;
      address: string;
      why: string;
      directory: string;
    }
  | {
      kind: "port" | "rules" | "gateway";
      network: string;
      containerId: string;
      interface: string;
      what: string;
      why: string;
      remove(): void;
    }
  | {
      kind: "record";
      network: string;
      containerId: string;
      interface: string;
      file: string;
      /** The key from the file name; all fields are "" if the name was shortened. */
      key: RecordKey;
      why: string;
      lender: AnyLender;
    };

/** The result for one item. `error` is "" if it succeeded. `outcome` tells what happened to a device. */
export interface Collected {
  garbage: Garbage;
  error: string;
  outcome?: Outcome;
}

export function findGarbage({ holders, leftovers }: Node, pools: Pool[]): Garbage[] {
  // All holders share one view of the host, which is created only if a holder is alive.
  let now: View | undefined;
  const home = (): View => {
    now ??= viewNow();
    return now;
  };
  const devices = holders.flatMap((holder): Garbage[] => {
    const why = whyEnded(holder, home);
    if (why === "") return [];
    const { network, containerId, ifName } = holder.key;
    const device = holder.saved?.name || holder.pci;
    return [{ kind: "device", network, containerId, interface: ifName, device, why, holder }];
  });
  const leases = pools.flatMap(({ network, directory, leases: all }) =>
    all
      .filter(({ life }) => life === "gone")
      .map(({ containerId, interface: as, address, why }): Garbage => {
        return { kind: "lease", network, containerId, interface: as, address, why, directory };
      }),
  );
  const left = leftovers.map(({ owner: { ifName, ...owner }, ...one }): Garbage => {
    return { ...one, ...owner, interface: ifName };
  });
  return [...devices, ...leases, ...left];
}

/** Why no pod has the device any more; "" if its pod has it or may have it. */
function whyEnded(holder: Holder, home: () => View): string {
  if (holder.life !== "gone") return isBack(holder, home) ? "it returned without a DEL" : "";
  return holder.age === "elsewhere"
    ? "it came from a different network namespace"
    : `${holder.netns.path || "its namespace"} is gone`;
}

/** True if the device is on the host although its pod exists, and no ADD or DEL is moving it. */
function isBack({ lender, key, age, saved }: Holder, home: () => View): boolean {
  if (saved === undefined || age !== "now") return false;
  if (findDevice(home(), saved, key.ifName)?.link === undefined) return false;
  try {
    return lender.whileReturning(key, () => {
      const record = readLoan(lender, key);
      return record !== undefined && whereIs(lender, record, "")?.place === "host";
    });
  } catch (error) {
    if (!(error instanceof Failure || error instanceof SystemError || error instanceof NetlinkError)) throw error;
    return false;
  }
}

/** A damaged record that must not be removed, and the reason. */
export interface Doubtful {
  file: string;
  doubt: string;
}

/** Finds the damaged records. Only doctor --fix removes them, and only if it is certain that no pod has the device. */
export function findDamaged(node: Node): { garbage: Garbage[]; doubtful: Doubtful[] } {
  const nobody = { network: "", containerId: "", interface: "" };
  const noKey = { network: "", containerId: "", ifName: "" };
  const why = "damaged: not a valid record";
  // This is created only if a record is damaged, because it examines all links.
  let records: DamagedRecords | undefined;
  const garbage: Garbage[] = [];
  const doubtful: Doubtful[] = [];
  for (const lender of lenders) {
    for (const found of lender.store().damaged()) {
      if (found.why !== "damaged") continue;
      records ??= new DamagedRecords(node);
      const doubt = records.doubt(found);
      if (doubt !== "") doubtful.push({ file: found.file, doubt });
      else garbage.push({ kind: "record", ...nobody, file: found.name, key: found.key ?? noKey, why, lender });
    }
  }
  return { garbage, doubtful };
}

/** The paths of unreadable records (damaged, or of a later version) that may belong to one of these networks. */
export function findUnreadable(networks: string[] | undefined): string[] {
  return lenders.flatMap((lender) => {
    const store = lender.store();
    const isWanted = (name: string): boolean => networks?.some((network) => store.mayBeOf(name, network)) ?? true;
    return store
      .damaged()
      .filter(({ name }) => isWanted(name))
      .map(({ file }) => file);
  });
}

/** Removes all items. Continues after errors, and reports them in the result. Ignores Ctrl-C and SIGTERM. */
export function collect(garbage: Garbage[]): Collected[] {
  host.ignoreSignal(SIGINT);
  host.ignoreSignal(SIGTERM);
  relaxPolicy();
  const progress = new Progress("cleaning up");
  // All devices share one list of namespaces. With a separate list for each, the time would be quadratic.
  const namespaces = Namespaces.find();
  const end = teardownEnd();
  const collected: Collected[] = [];
  for (const one of garbage) {
    progress.step(garbage.length);
    if (one.kind === "device") {
      let outcome: Outcome | undefined;
      const error = attempt(() => {
        outcome = collectDevice(one.holder, namespaces, end);
      });
      collected.push(outcome === undefined ? { garbage: one, error } : { garbage: one, error, outcome });
    }
    if ("remove" in one) collected.push({ garbage: one, error: attempt(() => one.remove()) });
    if (one.kind !== "record") continue;
    // Hold the lock, because an ADD of the attachment may be writing a valid record.
    const remove = (): void => one.lender.store().removeDamaged(one.file);
    collected.push({ garbage: one, error: attempt(() => one.lender.whileReturning(one.key, remove)) });
  }
  // If an item could not be removed, its pod may still exist, so the pod's leases are kept.
  const failed = new Map<string, Garbage>();
  for (const { garbage: one, error } of collected) if (error !== "") failed.set(one.containerId, one);
  const pools = new Map<string, (Garbage & { kind: "lease" })[]>();
  for (const one of garbage) {
    if (one.kind !== "lease") continue;
    const holder = failed.get(one.containerId);
    if (holder !== undefined) {
      collected.push({ garbage: one, error: `the container's ${holder.kind} might still exist` });
      continue;
    }
    const leases = pools.get(one.directory) ?? [];
    pools.set(one.directory, leases);
    leases.push(one);
  }
  for (const [directory, leases] of pools) {
    progress.step(garbage.length);
    const error = attempt(() => collectLeases(directory, leases));
    for (const lease of leases) collected.push({ garbage: lease, error });
  }
  const now = Namespaces.find();
  const isGone = (path: string): boolean => now.lifeOf({ path, dev: 0, ino: 0 }) === "gone";
  for (const plugin of plugins) attempt(() => plugin.forgetGone?.(isGone));
  progress.done();
  return collected;
}

function attempt(run: () => void): string {
  try {
    run();
    return "";
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return error instanceof Failure && error.details !== "" ? `${error.message}: ${error.details}` : error.message;
  }
}

/** Returns a device while holding the lock that ADD takes. Checks again under the lock that the pod is gone. */
function collectDevice(holder: Holder, before: Namespaces, end: number): Outcome {
  const { lender, key } = holder;
  const check = (): void => {
    const record = readLoan(lender, key);
    if (record === undefined) return;
    if (holder.life === "gone") requireStillGone(holder, record, before);
    else if (whereIs(lender, record, "")?.place !== "host")
      throw new Error("its pod has it again, so it was left unchanged");
    requireOwnHome(lender, record);
  };
  const outcome = giveBackInTime(lender, key, "", { end, check });
  if (outcome === "unreadable") throw new Error("its record was damaged in the meantime");
  return outcome;
}

/**
 * Throws if the attachment exists again, because of a new ADD with the same names. A namespace that was gone in `before` cannot return, so all
 * processes are examined again only if the record names another namespace.
 */
export function requireStillGone({ lender, netns }: Holder, record: LoanRecord<LoanData>, before: Namespaces): void {
  const { path, dev, ino } = record.data.netns;
  const isSame = path === netns.path && dev === netns.dev && ino === netns.ino;
  const { life } = holderOf(lender, record, isSame ? before : Namespaces.find());
  if (life !== "gone") throw new Error("its pod is running again, so it was left unchanged");
}
