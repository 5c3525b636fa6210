// The files of sriov-cni: its state of an attachment, and the namespace to which a VF is allocated. podnic uses sriov-cni's files, and writes
// its own so that sriov-cni can use them. The directory contains one state file for each attachment, and pci/ADDRESS, which contains the path
// of a namespace.
import type { Attachment, Call } from "../../src/cni/plugin.ts";
import { host, SystemError } from "../../src/host/host.ts";
import { openNamespace, ownNamespace, sameNamespace } from "../../src/link/namespace.ts";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import { ETH_P_8021Q, type VfState } from "../../src/link/vf.ts";
import { log } from "../../src/log.ts";
import { hasErrno } from "../../src/state/descriptor.ts";
import { readFile, removeFile, removeLeftover, withDirectory, writeFile } from "../../src/state/files.ts";
import { type Damaged, type RecordKey, remains } from "../../src/state/record.ts";
import { isPciAddress } from "../../src/sysfs/device.ts";
import type { SriovConfig } from "./config.schema.ts";
import { wantedMac } from "./config.ts";
import { type Vf, vfLink } from "./device.ts";
import { ALLOCATIONS, type HeldVf, REFERENCE } from "./record.ts";

const LIMIT = 1 << 20;

/** What sriov-cni calls the state file of an attachment. */
export function stateName({ containerId, ifName }: Pick<Attachment, "containerId" | "ifName">): string {
  return `${containerId}-${ifName}`;
}

/**
 * Path of the namespace that a VF is allocated to, when that namespace still is one. Not when the VF itself says otherwise: its interface is on the
 * host, or the path leads to the host's own namespace by now (/proc/PID/ns/net of a process number that was given again).
 */
export function allocatedTo(pci: string): string | undefined {
  const path = allocation(pci);
  const own = ownNamespace();
  // Before the path is opened: it may be /proc/PID/ns/net of a process that we may not look into.
  if (path === undefined || vfLink(own.route, pci) !== undefined) return undefined;
  const pod = openNamespace(path, "ok");
  return pod === undefined || sameNamespace(pod, own) ? undefined : path;
}

/** What the allocation file says, whether or not the namespace lives. */
export function allocation(pci: string): string | undefined {
  const data = withDirectory(ALLOCATIONS, undefined, (dir) => readFile(dir, pci, 4096));
  return data === undefined ? undefined : host.decode(data).trim();
}

/** Writes both files, as sriov-cni does at the end of its ADD. */
export function writeReference(call: Call<SriovConfig>, vf: Vf, held: HeldVf, mtu: number): void {
  const text = JSON.stringify(stateOf(call, vf, held, mtu));
  withDirectory(REFERENCE, { mode: 0o700 }, (dir) =>
    writeFile(dir, stateName(call.attachment), host.encode(text), 0o600),
  );
  withDirectory(ALLOCATIONS, { mode: 0o700 }, (dir) => writeFile(dir, vf.pci, host.encode(call.netns), 0o600));
}

/**
 * No error when they are gone. The allocation goes only while it is this attachment's; what a killed ADD had written of one goes always. The
 * caller holds the VF's lock.
 */
export function removeReference(key: RecordKey, pci: string, netnsPath: string): void {
  if (pci !== "") {
    const ours = allocation(pci) === netnsPath;
    withDirectory(ALLOCATIONS, undefined, (dir) => (ours ? removeFile(dir, pci) : removeLeftover(dir, pci)));
  }
  const name = stateName(key);
  if (isOf(key.network, readState(name)?.key.network))
    withDirectory(REFERENCE, undefined, (dir) => removeFile(dir, name));
}

/** Keys in sriov-cni's order, which is alphabetical; those it always writes, and the others when set. */
function stateOf(call: Call<SriovConfig>, vf: Vf, { state, link }: HeldVf, mtu: number): object {
  const { config } = call;
  const mac = wantedMac(call);
  const set = (value: string | undefined) => value || undefined;
  return {
    MAC: mac,
    MTU: mtu,
    Master: vf.pf.name,
    OrigVfState: {
      AdminMAC: state?.mac ?? "",
      EffectiveMAC: link?.mac ?? "",
      HostIFName: link?.name ?? "",
      LinkState: state?.linkState ?? 0,
      MTU: link?.mtu ?? 0,
      MaxTxRate: state?.maxTxRate ?? 0,
      MinTxRate: state?.minTxRate ?? 0,
      SpoofChk: state?.spoofchk ?? false,
      Trust: state?.trust ?? false,
      Vlan: state?.vlan.id ?? 0,
      VlanProto: state?.vlan.protocol ?? ETH_P_8021Q,
      VlanQoS: state?.vlan.qos ?? 0,
    },
    VFID: vf.index,
    cniVersion: call.version,
    deviceID: vf.pci,
    ipam: config.ipam?.type ? { type: config.ipam.type } : {},
    link_state: set(config.link_state),
    logFile: set(config.logFile as string | undefined),
    logLevel: set(config.logLevel as string | undefined),
    max_tx_rate: config.max_tx_rate ?? null,
    min_tx_rate: config.min_tx_rate ?? null,
    name: config.name,
    runtimeConfig: config.runtimeConfig?.mac ? { mac: config.runtimeConfig.mac } : {},
    spoofchk: set(config.spoofchk),
    trust: set(config.trust),
    type: config.type,
    vlan: config.vlan ?? null,
    vlanProto: config.vlan === undefined ? null : (config.vlanProto ?? "802.1q").toLowerCase(),
    vlanQoS: config.vlan === undefined ? null : (config.vlanQoS ?? 0),
  };
}

/** In sriov-cni's file itself, which ignores keys that it does not know: the note goes with the file. */
export function noteRefused(key: RecordKey, network: string): void {
  const name = stateName(key);
  withDirectory(REFERENCE, undefined, (dir) => {
    const data = readFile(dir, name, LIMIT);
    if (data === undefined || readState(name) === undefined) return;
    const state = JSON.parse(host.decode(data)) as ReferenceState;
    const refused = [...refusedIn(state), network];
    writeFile(dir, name, host.encode(JSON.stringify({ ...state, podnic: { refused } })), 0o600);
  });
}

function refusedIn({ podnic }: ReferenceState): string[] {
  const refused = podnic?.refused;
  return Array.isArray(refused) ? refused.filter((one) => typeof one === "string") : [];
}

interface ReferenceState {
  /** Ours: networks whose ADD of the same interface failed. */
  podnic?: { refused?: unknown };
  MAC?: string;
  OrigVfState?: { [key: string]: unknown };
  VFID?: number;
  deviceID?: string;
  name?: string;
  spoofchk?: string;
  trust?: string;
  link_state?: string;
  max_tx_rate?: number | null;
  min_tx_rate?: number | null;
  vlan?: number | null;
}

/** An attachment that has a state file, whoever wrote it. */
export interface StateFile {
  /** The file's name is parted at the last "-", which an interface has rarely. `network` is "" in files of sriov-cni 2.5 and older. */
  key: RecordKey;
  held: HeldVf;
  /** When, in seconds since the epoch. */
  written: number;
}

export function listStates(): StateFile[] {
  return stateNames()
    .map((name) => readState(name))
    .filter((state) => state !== undefined);
}

function stateNames(): string[] {
  const names = withDirectory(REFERENCE, undefined, (dir) => host.readdir(dir)) ?? [];
  return names.filter((name) => name.lastIndexOf("-") > 0 && !name.startsWith("."));
}

/** Attachments whose file cannot be read. */
export function listDamaged(): Pick<RecordKey, "containerId" | "ifName">[] {
  return stateNames()
    .filter((name) => damagedState(name) !== undefined)
    .map((name) => {
      const at = name.lastIndexOf("-");
      return { containerId: name.slice(0, at), ifName: name.slice(at + 1) };
    });
}

/** undefined: there is no such file, or it can be read. */
export function damagedState(name: string): Damaged | undefined {
  if (readState(name, () => {}) !== undefined) return undefined;
  return withDirectory(REFERENCE, undefined, (dir) => remains(dir, REFERENCE, name, "damaged"));
}

/** The state file of an attachment that sriov-cni made. undefined: none, or damaged (logged), or another network's. */
export function readStateOf(key: RecordKey): StateFile | undefined {
  const state = readState(stateName(key));
  return isOf(key.network, state?.key.network) ? state : undefined;
}

/** The same, as a record. */
export function readReference(key: RecordKey): HeldVf | undefined {
  return readStateOf(key)?.held;
}

/** False for a state that names another network: the container's other attachment that has the name, after an ADD that failed for it. */
function isOf(network: string, named = ""): boolean {
  return named === "" || named === network;
}

function readState(name: string, say = log): StateFile | undefined {
  try {
    const file = withDirectory(REFERENCE, undefined, (dir) => {
      const data = readFile(dir, name, LIMIT);
      return data && { data, written: host.stat(name, false, dir).mtime };
    });
    if (file === undefined) return undefined;
    const { data, written } = file;
    const state = JSON.parse(host.decode(data)) as ReferenceState;
    const pci = String(state.deviceID ?? "").toLowerCase();
    if (!isPciAddress(pci)) return undefined;
    const saved = state.OrigVfState ?? {};
    const held: HeldVf = {
      pci,
      state: originalState(state, saved),
      netns: { path: allocation(pci) ?? "", dev: 0, ino: 0 },
    };
    const hostName = String(saved.HostIFName ?? "");
    if (hostName !== "") held.link = originalLink(pci, hostName, saved);
    const refused = refusedIn(state);
    if (refused.length > 0) held.refused = refused;
    const at = name.lastIndexOf("-");
    return {
      key: { network: String(state.name ?? ""), containerId: name.slice(0, at), ifName: name.slice(at + 1) },
      held,
      written,
    };
  } catch (error) {
    // As with our own records: what cannot be read now is not absent.
    if (error instanceof SystemError && !hasErrno(error, "ELOOP", "ENXIO")) throw error;
    say("warning", "ignoring a state file of sriov-cni", { file: `${REFERENCE}/${name}`, error: String(error) });
    return undefined;
  }
}

function number(value: unknown): number {
  return typeof value === "number" ? value : 0;
}

/**
 * What sriov-cni would reset: only what was configured. It takes an attribute that the driver does not report for "on", and would
 * switch it on when the pod ends.
 */
function originalState(state: ReferenceState, saved: { [key: string]: unknown }): VfState {
  const configured = (value: string | undefined) => value !== undefined && value !== "";
  return {
    vf: number(state.VFID),
    mac: configured(state.MAC) ? String(saved.AdminMAC ?? "") : "",
    vlan: { id: number(saved.Vlan), qos: number(saved.VlanQoS), protocol: number(saved.VlanProto) || ETH_P_8021Q },
    linkState: configured(state.link_state) ? number(saved.LinkState) : undefined,
    spoofchk: configured(state.spoofchk) ? saved.SpoofChk === true : undefined,
    trust: configured(state.trust) ? saved.Trust === true : undefined,
    minTxRate: number(saved.MinTxRate),
    maxTxRate: number(saved.MaxTxRate),
  };
}

/** sriov-cni keeps name, MTU and address, and leaves the interface down. */
function originalLink(pci: string, name: string, saved: { [key: string]: unknown }): LinkSnapshot {
  return {
    name,
    alias: "",
    altnames: [],
    index: 0,
    kind: "",
    parent: 0,
    parentDevice: pci,
    permanentMac: "",
    mac: String(saved.EffectiveMAC ?? ""),
    mtu: number(saved.MTU),
    txqlen: 0,
    up: false,
    promisc: false,
    allmulti: false,
  };
}
