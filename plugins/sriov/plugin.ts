// sriov: moves a virtual function of an SR-IOV network card into a pod, sets its attributes on the physical function, and later returns it in
// its original state.
import { Cleanup } from "../../src/cleanup.ts";
import { delWithIpam, ipamAdd, ipamRun, prepareIpam, wantsIpam } from "../../src/cni/ipam.ts";
import type { Call, Plugin } from "../../src/cni/plugin.ts";
import { emptyResult, type Interface, type Result } from "../../src/cni/result.ts";
import { ownPlace } from "../../src/config/policy.ts";
import { orFail } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import { administered, captureNetwork } from "../../src/link/capture.ts";
import { configureInterface } from "../../src/link/configure.ts";
import { identify, isPhysical } from "../../src/link/identity.ts";
import { getLink, type Link, setLink } from "../../src/link/link.ts";
import { moveLink } from "../../src/link/move.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { named } from "../../src/link/return.ts";
import { relevantRoutes } from "../../src/link/route.ts";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import { requireFreeName } from "../../src/link/taken.ts";
import type { VfState } from "../../src/link/vf.ts";
import { log } from "../../src/log.ts";
import { refuseAddressOfPods, refuseAddressOnBridges, refuseAddressOnCard } from "../../src/plugin/card-address.ts";
import { removeFormer, removeLeased } from "../../src/plugin/former.ts";
import { findOwnInterface, resultWith } from "../../src/plugin/interface.ts";
import { noteFailedAdd } from "../../src/plugin/lent/claim.ts";
import { collectLoans, endLoan, endRecorded } from "../../src/plugin/lent/collect.ts";
import { isElsewhere } from "../../src/plugin/lent/elsewhere.ts";
import { requireUnclaimed } from "../../src/plugin/lent/function.ts";
import { giveBackInTime } from "../../src/plugin/lent/give-back.ts";
import { homeOf } from "../../src/plugin/lent/lender.ts";
import { whileTakingCard } from "../../src/plugin/lent/lock.ts";
import { withFormerName } from "../../src/plugin/lent/name.ts";
import { leavingLocks, staying } from "../../src/plugin/lent/outside.ts";
import { type Suspect, settleUnreadable } from "../../src/plugin/lent/unreadable.ts";
import { waitForTeardown } from "../../src/plugin/lent/wait.ts";
import { refuseToLend, refuseWithPrograms } from "../../src/plugin/node-device.ts";
import { STATE_ROOT } from "../../src/state/record.ts";
import { applyState, stateBefore, wantedState } from "./attributes.ts";
import { checkVf } from "./check.ts";
import { interfaceMissing, requireFreeVf } from "./claim.ts";
import type { SriovConfig } from "./config.schema.ts";
import { deviceOf, validate, wantedMac } from "./config.ts";
import { findVf, type Vf, vfLink } from "./device.ts";
import { checkDeviceInfoPath, deviceInfoTrees, writeDeviceInfo } from "./device-info.ts";
import { NO_MAC, setAdministrativeMac, setMac } from "./mac.ts";
import { type HeldVf, REFERENCE, records, whileTaking } from "./record.ts";
import { writeReference } from "./reference.ts";
import { sriovLender } from "./restore.ts";
import { settle } from "./restore-vf.ts";

/** Where it writes. */
const STATE = [ownPlace(STATE_ROOT), { ...ownPlace(REFERENCE), mode: 0o700 }];

export const sriov: Plugin<SriovConfig> = {
  name: "sriov",
  kind: "interface",
  restoresDevices: true,
  knownArgs: ["MAC"],
  schema: "sriov",
  isElsewhere,
  writes: ({ config }) => [...STATE, ...deviceInfoTrees(config).map(ownPlace)],
  validate(call, attempt = orFail) {
    validate(call, attempt);
    attempt("/runtimeConfig/CNIDeviceInfoFile", () => checkDeviceInfoPath(call));
  },
  add,
  addFailed: (attachment) => noteFailedAdd(sriovLender, attachment),
  check,
  removeMade: (call) => endRecorded(sriovLender, call),
  del,
  gc,
  status,
};

function add(call: Call<SriovConfig>): Result {
  const { config, attachment, netns } = call;
  const pod = openNamespace(netns)!;
  const hostNs = ownNamespace();
  const pci = deviceOf(config);
  const found = findVf(hostNs.route, pci);
  // As in host-device: an exhausted pool is found before the VF is touched, other plugins run when the interface is in place.
  const early = wantsIpam(call) && "plugin" in prepareIpam(call);
  let addresses: Result | undefined;
  const choose = (): Taken => {
    requireFreeVf(call, pci);
    if (early) addresses ??= ipamAdd(call);
    // Not around IPAM: a tenant names the pool, and whoever waits for this lock may keep others waiting.
    return whileTakingCard(pci, () => {
      // Its PF may have gone to a pod, and returned, since it was found.
      const isHere = getLink(hostNs.route, found.pf.index)?.name === found.pf.name;
      const vf = isHere ? found : findVf(hostNs.route, pci);
      requireUnclaimed(sriovLender, pci);
      const address = wantedMac(call);
      if (address !== "") refuseAddressOnCard(hostNs.route, vf, address, attachment, pci);
      settle(hostNs.route, vf);
      return vf.userspace ? takeUserspace(call, pod, vf) : take(call, hostNs, pod, vf);
    });
  };
  const { vf, link, mac, mtu } = leavingLocks(() => whileTaking(pci, choose));
  writeDeviceInfo(call, vf);
  if (wantsIpam(call) && !early) addresses = ipamAdd(call);
  if (link !== undefined) {
    const { ifName } = attachment;
    const spec = addresses ?? emptyResult();
    configureInterface(pod, link.index, ifName, spec, { notify: true, announce: link.mac });
  }
  const own: Interface = { name: attachment.ifName, mtu, sandbox: netns, pciID: vf.pci };
  if (mac !== "") own.mac = mac;
  return resultWith(call, own, addresses);
}

interface Taken {
  vf: Vf;
  link: Link | undefined;
  mac: string;
  mtu: number;
}

/** Records, sets up and moves. From the record on, any failure and any kill followed by DEL gives the VF back. */
function take(call: Call<SriovConfig>, hostNs: NetNs, pod: NetNs, vf: Vf): Taken {
  const { config, attachment, netns } = call;
  const { ifName } = attachment;
  const found = waitForInterface(hostNs, vf.pci);
  const routes = relevantRoutes(hostNs.route, found.index);
  refuseToLend(hostNs, found, netns, routes);
  requireFreeName(pod, ifName);
  if (config.mtu && found.maxMtu !== 0 && config.mtu > found.maxMtu) {
    throw new Failure("invalid config", `mtu ${config.mtu} is above the maximum for VF ${vf.pci} (${found.maxMtu})`);
  }
  if (config.mtu && config.mtu > vf.pf.mtu) {
    log("warning", "the card might drop frames, because mtu is above the PF's MTU", {
      device: vf.pci,
      pf: vf.pf.name,
      mtu: vf.pf.mtu,
    });
  }
  const held: HeldVf = {
    pci: vf.pci,
    netns: named(pod, netns),
    link: recordable(hostNs, found),
    network: administered(captureNetwork(hostNs.route, found, routes)),
  };
  if (held.link?.settings !== undefined) refuseWithPrograms(found, held.link.settings);
  const before = writeDown(call, vf, held);
  const wanted = before === undefined ? {} : wantedState(config, before);
  if (before !== undefined) applyState(hostNs.route, vf, wanted, before);
  const mac = wantedMac(call);
  const link = mac === "" || before === undefined ? found : setMac(hostNs.route, vf, found, mac, wanted);
  if (config.mtu && config.mtu !== link.mtu) setLink(hostNs.route, link.index, { mtu: config.mtu });
  const moved = moveLink(hostNs, pod, link, ifName, { up: true }, held.link);
  writeReference(call, vf, held, moved.mtu);
  return { vf, link: moved, mac: moved.mac, mtu: moved.mtu };
}

/** A VF's permanent address is what its PF gives it, and changes with that: it does not identify the VF. */
export function recordable(hostNs: NetNs, link: Link): LinkSnapshot {
  return { ...withFormerName(identify(hostNs, link)), permanentMac: "" };
}

function takeUserspace(call: Call<SriovConfig>, pod: NetNs, vf: Vf): Taken {
  const hostNs = ownNamespace();
  const held: HeldVf = { pci: vf.pci, netns: named(pod, call.netns) };
  const before = writeDown(call, vf, held);
  const wanted = before === undefined ? {} : wantedState(call.config, before);
  let now = before && applyState(hostNs.route, vf, wanted, before);
  const mac = wantedMac(call);
  if (mac !== "") now = setAdministrativeMac(hostNs.route, vf, mac, wanted);
  writeReference(call, vf, held, vf.pf.mtu);
  const given = now?.mac ?? "";
  return { vf, link: undefined, mac: given === NO_MAC ? "" : given, mtu: vf.pf.mtu };
}

/** Returns what the PF says of the VF; undefined when it says nothing, and nothing is asked of it. */
function writeDown(call: Call<SriovConfig>, vf: Vf, held: HeldVf): VfState | undefined {
  const { attachment: key, netns } = call;
  const mac = { wanted: wantedMac(call), has: held.link?.mac ?? "" };
  const state = stateBefore(ownNamespace().route, vf, call.config, mac);
  if (state !== undefined) held.state = state;
  call.transaction.onRollback(`returning VF ${vf.pci} to the host`, () => void giveBackInTime(sriovLender, key, netns));
  if (mac.wanted !== "") held.mac = mac.wanted;
  records().write(key, held, homeOf(ownNamespace()));
  // Two calls for two VFs do not wait for each other: each has looked before the other one had written.
  if (mac.wanted !== "") {
    staying(() => refuseAddressOfPods(vf, mac.wanted, key, vf.pci));
    refuseAddressOnBridges(ownNamespace().route, vf, mac.wanted, key);
  }
  return state;
}

/** A VF comes back from a namespace that ended a moment ago only when the kernel has torn that down. */
function waitForInterface(hostNs: NetNs, pci: string): Link {
  const link = waitForTeardown(() => vfLink(hostNs.route, pci));
  if (link === undefined) throw interfaceMissing(pci);
  return link;
}

function check(call: Call<SriovConfig>): void {
  ipamRun(call, "CHECK");
  const pod = openNamespace(call.netns)!;
  checkVf(call, pod, findOwnInterface(call, pod));
}

function del(call: Call<SriovConfig>): void {
  const pci = deviceOf(call.config);
  delWithIpam(call, () => {
    const outcome = endLoan(sriovLender, call, (held) => (pci === "" ? undefined : held.pci === pci));
    if (outcome === "unreadable") settleUnreadable(sriovLender, call, suspectOf(pci));
    else if (outcome === "none" && !removeFormer(call, "sriov")) removeLeased(call);
  });
}

function suspectOf(pci: string): Suspect {
  return {
    isHome: () => pci !== "" && vfLink(ownNamespace().route, pci) !== undefined,
    mayBe: (view, link) => (pci === "" ? isPhysical(link) : view.place(link) === pci),
    isIt: (view, link) => pci !== "" && view.place(link) === pci,
  };
}

function gc(call: Call<SriovConfig>): void {
  const cleanup = new Cleanup();
  collectLoans([[sriovLender, suspectOf(deviceOf(call.config))]], call, cleanup);
  cleanup.finish();
}

/** The VF is allotted for each pod: a configuration names one only in tests, and then it must be there, here or with a pod. */
function status(call: Call<SriovConfig>): void {
  const pci = deviceOf(call.config);
  try {
    if (pci !== "") {
      const { route } = ownNamespace();
      const { userspace } = findVf(route, pci);
      const held = (): boolean =>
        records()
          .list()
          .some(({ data }) => data.pci === pci);
      if (!userspace && vfLink(route, pci) === undefined && !held()) throw interfaceMissing(pci);
    }
  } catch (error) {
    throw error instanceof Failure ? new Failure("not available", error.message, error.details) : error;
  }
  ipamRun(call, "STATUS");
}
