// host-device: moves a device of the host into a pod, and later returns it in its original state.
import { Cleanup } from "../../src/cleanup.ts";
import { delWithIpam, ipamAdd, ipamRun, prepareIpam, wantsIpam } from "../../src/cni/ipam.ts";
import type { Call, Plugin } from "../../src/cni/plugin.ts";
import { emptyResult, type Interface, type Result } from "../../src/cni/result.ts";
import { confinePath, ownPlace } from "../../src/config/policy.ts";
import { orFail } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import { administered, type CapturedNetwork, capturedSpec, captureNetwork } from "../../src/link/capture.ts";
import { configureInterface } from "../../src/link/configure.ts";
import { confirm, identify } from "../../src/link/identity.ts";
import type { Link } from "../../src/link/link.ts";
import { moveLink } from "../../src/link/move.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { named } from "../../src/link/return.ts";
import { relevantRoutes } from "../../src/link/route.ts";
import { endDormancyOf } from "../../src/link/snapshot.ts";
import { requireFreeName } from "../../src/link/taken.ts";
import { listVfs } from "../../src/link/vf.ts";
import { askingUnlocked } from "../../src/plugin/added.ts";
import { removeFormer, removeLeased } from "../../src/plugin/former.ts";
import { findOwnInterface, resultWith } from "../../src/plugin/interface.ts";
import { endClaims, noteFailedAdd } from "../../src/plugin/lent/claim.ts";
import { collectLoans, endLoan, endRecorded } from "../../src/plugin/lent/collect.ts";
import { isElsewhere } from "../../src/plugin/lent/elsewhere.ts";
import { requireUnclaimed } from "../../src/plugin/lent/function.ts";
import { giveBackInTime } from "../../src/plugin/lent/give-back.ts";
import { homeOf, SRIOV_STATE } from "../../src/plugin/lent/lender.ts";
import { whileTakingCard } from "../../src/plugin/lent/lock.ts";
import { withFormerName } from "../../src/plugin/lent/name.ts";
import { leavingLocks } from "../../src/plugin/lent/outside.ts";
import { type Suspect, settleUnreadable } from "../../src/plugin/lent/unreadable.ts";
import { refuseFunctionOfLent, refuseToLend, refuseWithPrograms } from "../../src/plugin/node-device.ts";
import { STATE_ROOT } from "../../src/state/record.ts";
import { isPciAddress, placeOnHost } from "../../src/sysfs/device.ts";
import { virtualFunctionCount } from "../../src/sysfs/vf.ts";
import { findRenamed, giveBackByAlias } from "./alias.ts";
import { checkDevice } from "./check.ts";
import { findFreeDevice, notFound } from "./claim.ts";
import type { HostDeviceConfig } from "./config.schema.ts";
import { contradicts, findLink, isMeant, isNamedBy, isOnHost, type Selection, select, selectsDevice } from "./find.ts";
import { functionLender } from "./function.ts";
import { type HeldDevice, hostDeviceLender, whileTaking } from "./record.ts";

/** Where it writes. ADD also removes what a pod of sriov left that is gone, and both lock each other's devices. */
const STATE = [ownPlace(STATE_ROOT), { ...ownPlace(SRIOV_STATE), others: true }];

export const hostDevice: Plugin<HostDeviceConfig> = {
  name: "host-device",
  kind: "interface",
  restoresDevices: true,
  knownArgs: [],
  schema: "host-device",
  writes: () => STATE,
  isElsewhere,
  validate,
  add,
  addFailed(attachment) {
    noteFailedAdd(hostDeviceLender, attachment);
    noteFailedAdd(functionLender, attachment);
  },
  removeMade: (call) => endRecorded(hostDeviceLender, call) || endRecorded(functionLender, call),
  check,
  del,
  gc,
  status,
};

function validate({ config, command }: Call<HostDeviceConfig>, attempt = orFail): void {
  attempt("", () => {
    if (command === "STATUS" || selectsDevice(config)) return;
    throw new Failure(
      "invalid config",
      'specify either "device", "hwaddr", "kernelpath" or "pciBusID"',
      "Alternatively, let a device plugin allocate a device (capability deviceID).",
    );
  });
  attempt("/kernelpath", () => {
    if (!config.kernelpath) return;
    if (!config.kernelpath.startsWith("/sys/devices/")) {
      throw new Failure(
        "invalid config",
        `kernel device path "${config.kernelpath}" must be absolute and begin with /sys/devices/`,
        "`readlink -f /sys/class/net/NAME/device` shows a device's path.",
      );
    }
    confinePath("kernelpath", config.kernelpath);
  });
}

function add(call: Call<HostDeviceConfig>): Result {
  const { config, attachment, netns } = call;
  const selection = select(config);
  if (selection.userspace) return addUserspace(call, selection);
  const pod = openNamespace(netns)!;
  const hostNs = ownNamespace();
  // static and host-local touch no interface: called first, so that an exhausted pool does not take the device down for nothing, and
  // before the lock, because a tenant names the pool: whoever keeps that busy must not keep every other device of the node waiting.
  // Others may want the interface in place (dhcp).
  const early = wantsIpam(call) && "plugin" in prepareIpam(call);
  let addresses = early ? ipamAdd(call) : undefined;
  let network: CapturedNetwork | undefined;
  let card = "";
  const choose = (): Link => {
    const free = findFreeDevice(call, hostNs, selection);
    card = cardOf(free);
    return whileTakingCard(card, () => {
      // sriov may have had it until now, or a pod of it that is gone: then it is called otherwise, too.
      if (card !== "") requireUnclaimed(hostDeviceLender, card);
      const link = card === "" ? free : findFreeDevice(call, hostNs, selection);
      if (card !== "" && cardOf(link) !== card) throw notFound(config, selection);
      const routes = relevantRoutes(hostNs.route, link.index);
      refuseToLend(hostNs, link, call.netns, routes);
      network = captureNetwork(hostNs.route, link, routes);
      // The last look before the device is written down and moved.
      requireFreeName(pod, attachment.ifName);
      return take(call, hostNs, pod, link, administered(network));
    });
  };
  const link = leavingLocks(() => whileTaking(choose));
  if (wantsIpam(call) && !early) addresses = ipamAdd(call);
  if (config.useInterfaceNetwork === true && network !== undefined) addresses = withNetwork(addresses, network);
  if (addresses !== undefined) {
    // Of the sysctls that make the kernel announce, only IPv6's matters to a device that is up already: after duplicate detection.
    const notify = addresses.ips.some(({ address }) => address.address.family === 6);
    configureInterface(pod, link.index, attachment.ifName, addresses, { notify, announce: link.mac });
  }
  const own: Interface = { name: attachment.ifName, mtu: link.mtu, sandbox: netns };
  if (link.mac !== "") own.mac = link.mac;
  const pci = selection.pci || card;
  if (pci !== "") own.pciID = pci;
  return resultWith(call, own, addresses);
}

/** The PCI address of a card's interface; "" of a virtual device. */
function cardOf(link: Link): string {
  const place = placeOnHost(link);
  return isPciAddress(place) ? place : "";
}

/** What IPAM says, and then what the device has on the host. */
function withNetwork(addresses: Result | undefined, network: CapturedNetwork): Result {
  const { ips, routes } = capturedSpec(network);
  const base = addresses ?? emptyResult();
  return { ...base, ips: [...base.ips, ...ips], routes: [...base.routes, ...routes] };
}

/** The device has no interface to move; IPAM is run, and what it says is reported, for the program that drives the device. */
function addUserspace(call: Call<HostDeviceConfig>, selection: Selection): Result {
  if (call.config.useInterfaceNetwork === true) {
    throw new Failure(
      "invalid config",
      `"useInterfaceNetwork" needs an interface, but device ${selection.pci} has a userspace driver`,
      "Remove the key, or bind the kernel's network driver to the device.",
    );
  }
  if (selection.pci !== "") claim(call, selection.pci);
  const own: Interface = { name: call.attachment.ifName, sandbox: call.netns };
  if (selection.pci !== "") own.pciID = selection.pci;
  return resultWith(call, own, wantsIpam(call) ? ipamAdd(call) : undefined);
}

/** Writes down who has the function. There is nothing else to do. */
function claim({ attachment: key, netns, transaction }: Call<HostDeviceConfig>, pci: string): void {
  const pod = openNamespace(netns)!;
  const choose = (): void => {
    refuseFunctionOfLent(pci);
    endClaims(functionLender, key, netns, ({ data }) => data.pci === pci);
    requireUnclaimed(functionLender, pci);
    transaction.onRollback(`releasing ${pci}`, () => void giveBackInTime(functionLender, key, netns));
    functionLender.store().write(key, { pci, netns: named(pod, netns) }, homeOf(ownNamespace()));
  };
  leavingLocks(() => whileTakingCard(pci, choose));
}

/** Writes down what the device is, then moves it. From here on any failure, and any kill followed by DEL, brings it back. */
function take(call: Call<HostDeviceConfig>, hostNs: NetNs, pod: NetNs, link: Link, network: CapturedNetwork): Link {
  const { attachment: key, netns, transaction } = call;
  const seen = identify(hostNs, link);
  if (seen.settings !== undefined) refuseWithPrograms(link, seen.settings);
  const saved = withFormerName(seen);
  // The namespace first: it is what the first part of a damaged record is good for.
  const data: HeldDevice = { netns: named(pod, netns), was: saved, network };
  if (isPciAddress(saved.parentDevice) && virtualFunctionCount(saved.parentDevice) > 0)
    data.vfs = listVfs(hostNs.route, link.index, link.name);
  transaction.onRollback(`returning ${link.name} to the host`, () => void giveBackInTime(hostDeviceLender, key, netns));
  hostDeviceLender.store().write(key, data, homeOf(hostNs));
  // The alias lets the Go plugin's DEL bring the device back.
  const moved = moveLink(hostNs, pod, link, key.ifName, { alias: saved.name, up: true }, saved, true);
  endDormancyOf(pod.route, moved, seen);
  const confirmed = confirm(seen, pod, moved);
  if (confirmed !== seen)
    hostDeviceLender.store().write(key, { ...data, was: withFormerName(confirmed) }, homeOf(hostNs));
  return moved;
}

function check(call: Call<HostDeviceConfig>): void {
  ipamRun(call, "CHECK");
  const pod = openNamespace(call.netns)!;
  const own = findOwnInterface(call, pod);
  const selection = select(call.config);
  if (!selection.userspace) checkDevice(call, pod, own, selection);
}

function del(call: Call<HostDeviceConfig>): void {
  delWithIpam(call, () => {
    const outcome = endLoan(hostDeviceLender, call, ({ was }) => isMeant(was, call.config, selectQuietly(call.config)));
    if (outcome !== "none" && outcome !== "unreadable") return;
    const selection = selectQuietly(call.config);
    if (outcome === "none" && (releaseFunction(call, selection.pci) || removeFormer(call, "host-device"))) return;
    giveBackWithoutRecord(call, selection);
    if (outcome === "none") removeLeased(call);
    if (outcome === "unreadable") settleUnreadable(hostDeviceLender, call, suspectOf(call.config, selection));
  });
}

/** A function without interface: nothing of it is in the pod. */
const NOTHING: Suspect = { isHome: () => true, mayBe: () => false, isIt: () => false };

/** False: the attachment has none. */
function releaseFunction(call: Call<HostDeviceConfig>, pci: string): boolean {
  const outcome = endLoan(functionLender, call, (held) => held.pci === pci);
  if (outcome === "unreadable") settleUnreadable(functionLender, call, NOTHING);
  return outcome !== "none";
}

function suspectOf(config: HostDeviceConfig, selection: Selection): Suspect {
  return {
    isHome: () => isOnHost(config, selection),
    mayBe: (view, link) => !contradicts(view, link, config, selection),
    isIt: (view, link) => isNamedBy(view, link, config, selection) || link.altnames.includes(config.device || "/"),
  };
}

function gc(call: Call<HostDeviceConfig>): void {
  const cleanup = new Cleanup();
  const device = suspectOf(call.config, selectQuietly(call.config));
  collectLoans(
    [
      [hostDeviceLender, device],
      [functionLender, NOTHING],
    ],
    call,
    cleanup,
  );
  cleanup.finish();
}

/** Ready when the device is here or with a pod. A configuration whose device is allotted for each pod names none. */
function status(call: Call<HostDeviceConfig>): void {
  const { config } = call;
  if (selectsDevice(config)) {
    try {
      const selection = select(config);
      const held = (): boolean =>
        hostDeviceLender
          .store()
          .list()
          .some(({ data }) => isMeant(data.was, config, selection));
      const renamed = (): boolean => findRenamed(ownNamespace(), config.device ?? "") !== undefined;
      const isMissing = (): boolean => findLink(ownNamespace().route, config, selection) === undefined;
      if (!selection.userspace && isMissing() && !held() && !renamed()) {
        throw notFound(config, selection);
      }
    } catch (error) {
      if (error instanceof Failure) throw new Failure("not available", error.message, error.details);
      throw error;
    }
  }
  ipamRun(call, "STATUS");
}

/** A pod that the Go plugin made, or nothing to do: DEL before ADD, DEL again, a device of userspace. */
function giveBackWithoutRecord(call: Call<HostDeviceConfig>, selection: Selection): void {
  if (selection.userspace) return;
  askingUnlocked(call, () =>
    leavingLocks(() => hostDeviceLender.whileReturning(call.attachment, () => giveBackByAlias(call, selection))),
  );
}

/** DEL needs no sysfs: what it cannot find out counts as not configured. */
function selectQuietly(config: HostDeviceConfig): Selection {
  try {
    return select(config);
  } catch {
    return { pci: "", auxiliary: "", userspace: false };
  }
}
