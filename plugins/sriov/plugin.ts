// sriov: moves a virtual function of an SR-IOV network card into a pod, set up on its physical function, and gives it back as it was.
import { Cleanup } from "../../src/cleanup.ts";
import { findOwnInterface, resultWith } from "../../src/cni/interface.ts";
import { delWithIpam, gcWithIpam, ipamAdd, ipamRun, prepareIpam, wantsIpam } from "../../src/cni/ipam.ts";
import type { Call, Plugin } from "../../src/cni/plugin.ts";
import { emptyResult, type Interface, type Result } from "../../src/cni/result.ts";
import { CniError, Code } from "../../src/errors.ts";
import { host as system } from "../../src/host/host.ts";
import { administered, captureNetwork } from "../../src/link/capture.ts";
import { announceAddresses, configureInterface } from "../../src/link/configure.ts";
import { getLink, type Link, setLink } from "../../src/link/link.ts";
import { moveLink } from "../../src/link/move.ts";
import { type NetNs, openNamespace, ownNamespace } from "../../src/link/namespace.ts";
import { relevantRoutes } from "../../src/link/route.ts";
import { type LinkSnapshot, snapshotOnHost } from "../../src/link/snapshot.ts";
import { getVf, type VfState } from "../../src/link/vf.ts";
import { log } from "../../src/log.ts";
import type { RouteSocket } from "../../src/netlink/socket.ts";
import { refuseNodeDevice } from "../../src/plugin/node-device.ts";
import type { RecordKey } from "../../src/state/record.ts";
import { applyState, stateBefore, wantedState } from "./attributes.ts";
import { checkVf } from "./check.ts";
import { interfaceMissing, requireFreeVf, TEARDOWN } from "./claim.ts";
import { deviceOf, type SriovConfig, validate, wantedMac } from "./config.ts";
import { findVf, type Vf, vfLink } from "./device.ts";
import { checkDeviceInfoPath, writeDeviceInfo } from "./device-info.ts";
import { NO_MAC, setAdministrativeMac, setMac } from "./mac.ts";
import { settle } from "./put-back.ts";
import { type HeldVf, records, withVf } from "./record.ts";
import { listStates, readReference, stateName, writeReference } from "./reference.ts";
import { release } from "./restore.ts";

export const sriov: Plugin<SriovConfig> = {
  name: "sriov",
  kind: "interface",
  knownArgs: ["MAC"],
  schema: "sriov",
  validate(call) {
    validate(call);
    checkDeviceInfoPath(call);
  },
  add,
  check,
  del,
  gc,
  status,
};

function add(call: Call<SriovConfig>): Result {
  const { config, attachment, netns } = call;
  const pod = openNamespace(netns)!;
  const host = ownNamespace();
  const pci = deviceOf(config);
  const found = findVf(host.route, pci);
  // As in host-device: an exhausted pool is found before the VF is touched, other plugins run when the interface is in place.
  const early = wantsIpam(call) && "plugin" in prepareIpam(call);
  let addresses: Result | undefined;
  const { vf, link, mac, mtu } = withVf(pci, true, () => {
    requireFreeVf(call, pci);
    settle(host.route, found);
    if (early) addresses = ipamAdd(call);
    return found.userspace ? takeUserspace(call, pod, found) : take(call, host, pod, found);
  });
  writeDeviceInfo(call, vf);
  if (wantsIpam(call) && !early) addresses = ipamAdd(call);
  if (link !== undefined) {
    const { ifName } = attachment;
    const spec = addresses ?? emptyResult();
    configureInterface(pod, link.index, ifName, spec, { notify: true });
    announceAddresses(pod, link.index, ifName, link.mac, spec.ips);
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
function take(call: Call<SriovConfig>, host: NetNs, pod: NetNs, vf: Vf): Taken {
  const { config, attachment, netns } = call;
  const { ifName } = attachment;
  const found = waitForInterface(host, vf.pci);
  const routes = relevantRoutes(host.route, found.index);
  refuseNodeDevice(host.route, found, routes);
  if (getLink(pod.route, ifName) !== undefined) {
    throw new CniError(
      Code.generic,
      `the container already has an interface ${ifName} (file exists)`,
      "It has not been touched. Another attachment of this pod uses the name; choose another CNI_IFNAME.",
    );
  }
  if (config.mtu && found.maxMtu !== 0 && config.mtu > found.maxMtu) {
    throw new CniError(Code.invalidConfig, `mtu ${config.mtu} is above what VF ${vf.pci} can (${found.maxMtu})`);
  }
  if (config.mtu && config.mtu > vf.pf.mtu) {
    log("warning", "the card may drop frames: mtu is above that of the PF", {
      device: vf.pci,
      pf: vf.pf.name,
      mtu: vf.pf.mtu,
    });
  }
  const held: HeldVf = {
    pci: vf.pci,
    link: recordable(host.route, found),
    network: administered(captureNetwork(host.route, found, routes)),
    netns: { path: netns, dev: pod.dev, ino: pod.ino },
  };
  const before = writeDown(call, vf, held);
  if (before !== undefined) applyState(host.route, vf, wantedState(config, before), before);
  const mac = wantedMac(call);
  const link = mac === "" || before === undefined ? found : setMac(host.route, vf, found, mac);
  if (config.mtu && config.mtu !== link.mtu) setLink(host.route, link.index, { mtu: config.mtu });
  const moved = moveLink(host, pod, link, ifName, { up: true });
  writeReference(call, vf, held, moved.mtu);
  return { vf, link: moved, mac: moved.mac, mtu: moved.mtu };
}

/** A VF's permanent address is what its PF gives it, and changes with that: it does not identify the VF. */
export function recordable(route: RouteSocket, link: Link): LinkSnapshot {
  return { ...snapshotOnHost(route, link), permanentMac: "" };
}

function takeUserspace(call: Call<SriovConfig>, pod: NetNs, vf: Vf): Taken {
  const host = ownNamespace();
  const held: HeldVf = { pci: vf.pci, netns: { path: call.netns, dev: pod.dev, ino: pod.ino } };
  const before = writeDown(call, vf, held);
  if (before !== undefined) applyState(host.route, vf, wantedState(call.config, before), before);
  const mac = wantedMac(call);
  if (mac !== "") setAdministrativeMac(host.route, vf, mac);
  writeReference(call, vf, held, vf.pf.mtu);
  const given = getVf(host.route, vf.pf.index, vf.index)?.mac ?? "";
  return { vf, link: undefined, mac: given === NO_MAC ? "" : given, mtu: vf.pf.mtu };
}

/** Returns what the PF says of the VF; undefined when it says nothing, and nothing is asked of it. */
function writeDown(call: Call<SriovConfig>, vf: Vf, held: HeldVf): VfState | undefined {
  const { attachment: key, netns } = call;
  const mac = { wanted: wantedMac(call), has: held.link?.mac ?? "" };
  const state = stateBefore(ownNamespace().route, vf, call.config, mac);
  if (state !== undefined) held.state = state;
  call.transaction.onRollback(`giving VF ${vf.pci} back`, () => {
    if (withVf(vf.pci, false, () => release(key, netns)) === "hidden") throw hidden(vf.pci);
  });
  records().write(key, held);
  return state;
}

/** A VF comes back from a namespace that ended a moment ago only when the kernel has torn that down. */
function waitForInterface(host: NetNs, pci: string): Link {
  const deadline = system.monotonic() + TEARDOWN;
  for (;;) {
    const link = vfLink(host.route, pci);
    if (link !== undefined) return link;
    if (system.monotonic() > deadline) throw interfaceMissing(pci);
    system.sleep(20);
  }
}

function check(call: Call<SriovConfig>): void {
  ipamRun(call, "CHECK");
  const pod = openNamespace(call.netns)!;
  checkVf(call, pod, findOwnInterface(call, pod));
}

function del(call: Call<SriovConfig>): void {
  const { attachment, netns } = call;
  delWithIpam(call, () => {
    const held = records().read(attachment)?.data ?? readReference(attachment);
    const pci = held?.pci ?? deviceOf(call.config);
    const deadline = system.monotonic() + TEARDOWN;
    while (withVf(pci, false, () => release(attachment, netns)) === "hidden") {
      if (system.monotonic() > deadline) throw hidden(pci);
      system.sleep(20);
    }
  });
}

function gc(call: Call<SriovConfig>): void {
  const cleanup = new Cleanup();
  const valid = call.validAttachments.map(stateName);
  const kept: RecordKey[] = [];
  const { network } = call.attachment;
  const collect = (key: RecordKey, pci: string): void => {
    if (valid.includes(stateName(key))) return;
    kept.push(key);
    cleanup.attempt(() => {
      if (withVf(pci, false, () => release(key, "")) !== "hidden") kept.pop();
      else log("warning", hidden(pci).message, { container: key.containerId });
    });
  };
  for (const { key, data } of records().list()) if (key.network === network) collect(key, data.pci);
  // What is left now is sriov-cni's.
  for (const { key, held } of listStates()) if (key.network === network) collect(key, held.pci);
  cleanup.attempt(() => gcWithIpam(call, kept));
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
    throw error instanceof CniError ? new CniError(Code.notAvailable, error.message, error.details) : error;
  }
  ipamRun(call, "STATUS");
}

function hidden(pci: string): CniError {
  return new CniError(
    Code.tryAgain,
    `the interface of VF ${pci} is in a namespace that cannot be seen`,
    "Its pod's namespace is still being torn down, or the pod moved it to a namespace of its own. It comes back when that namespace ends; DEL can be repeated.",
  );
}
