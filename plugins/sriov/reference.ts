// The files of sriov-cni: what it knows about an attachment, and which namespace a VF is allocated to. Its own are taken over; ours are
// written so that it could take over. The directory holds one state file an attachment and pci/ADDRESS, the path of a namespace.
import type { Attachment, Call } from "../../src/cni/plugin.ts";
import { host } from "../../src/host/host.ts";
import { openNamespace } from "../../src/link/namespace.ts";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import { ETH_P_8021Q, type VfState } from "../../src/link/vf.ts";
import { log } from "../../src/log.ts";
import { readFile, removeFile, removeLeftover, withDirectory, writeFile } from "../../src/state/files.ts";
import type { RecordKey } from "../../src/state/record.ts";
import { isPciAddress } from "../../src/sysfs/device.ts";
import { type SriovConfig, wantedMac } from "./config.ts";
import type { Vf } from "./device.ts";
import { ALLOCATIONS, type HeldVf, REFERENCE } from "./record.ts";

const LIMIT = 1 << 20;

function stateName({ containerId, ifName }: Pick<Attachment, "containerId" | "ifName">): string {
  return `${containerId}-${ifName}`;
}

/** Path of the namespace that a VF is allocated to, when that namespace still is one. */
export function allocatedTo(pci: string): string | undefined {
  const path = allocation(pci);
  if (path === undefined || openNamespace(path, "ok") === undefined) return undefined;
  return path;
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
export function removeReference(key: Pick<Attachment, "containerId" | "ifName">, pci: string, netnsPath: string): void {
  if (pci !== "") {
    const ours = allocation(pci) === netnsPath;
    withDirectory(ALLOCATIONS, undefined, (dir) => (ours ? removeFile(dir, pci) : removeLeftover(dir, pci)));
  }
  withDirectory(REFERENCE, undefined, (dir) => removeFile(dir, stateName(key)));
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

interface ReferenceState {
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

/** Other attachments' state files for a VF: their names, "CONTAINER-INTERFACE". */
export function statesOf(pci: string, but?: Pick<Attachment, "containerId" | "ifName">): string[] {
  const own = but === undefined ? "" : stateName(but);
  const names = withDirectory(REFERENCE, undefined, (dir) => host.readdir(dir)) ?? [];
  return names.filter(
    (name) => name !== own && name !== "pci" && !name.startsWith(".") && readState(name)?.pci === pci,
  );
}

/** Attachments of a network that have a state file, whoever wrote it. Their names are parted at the last "-", which an interface has rarely. */
export function attachmentsOf(network: string): { key: RecordKey; pci: string }[] {
  const names = withDirectory(REFERENCE, undefined, (dir) => host.readdir(dir)) ?? [];
  return names.flatMap((name) => {
    const at = name.lastIndexOf("-");
    const held = at < 1 || name.startsWith(".") ? undefined : readState(name, network);
    const key = { network, containerId: name.slice(0, at), ifName: name.slice(at + 1) };
    return held === undefined ? [] : [{ key, pci: held.pci }];
  });
}

/** The state file of an attachment that sriov-cni made, as a record. undefined: none, or damaged (logged). */
export function readReference(key: Pick<Attachment, "containerId" | "ifName">): HeldVf | undefined {
  return readState(stateName(key));
}

/** `network`: only when it is of that one. */
function readState(name: string, network?: string): HeldVf | undefined {
  try {
    const data = withDirectory(REFERENCE, undefined, (dir) => readFile(dir, name, LIMIT));
    if (data === undefined) return undefined;
    const state = JSON.parse(host.decode(data)) as ReferenceState;
    const pci = String(state.deviceID ?? "").toLowerCase();
    if (!isPciAddress(pci) || (network !== undefined && state.name !== network)) return undefined;
    const was = state.OrigVfState ?? {};
    const held: HeldVf = {
      pci,
      state: originalState(state, was),
      netns: { path: allocation(pci) ?? "", dev: 0, ino: 0 },
    };
    const hostName = String(was.HostIFName ?? "");
    if (hostName !== "") held.link = originalLink(pci, hostName, was);
    return held;
  } catch (error) {
    log("warning", "state of sriov-cni ignored", { file: `${REFERENCE}/${name}`, error: String(error) });
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
function originalState(state: ReferenceState, was: { [key: string]: unknown }): VfState {
  const configured = (value: string | undefined) => value !== undefined && value !== "";
  return {
    vf: number(state.VFID),
    mac: configured(state.MAC) ? String(was.AdminMAC ?? "") : "",
    vlan: { id: number(was.Vlan), qos: number(was.VlanQoS), protocol: number(was.VlanProto) || ETH_P_8021Q },
    linkState: configured(state.link_state) ? number(was.LinkState) : undefined,
    spoofchk: configured(state.spoofchk) ? was.SpoofChk === true : undefined,
    trust: configured(state.trust) ? was.Trust === true : undefined,
    minTxRate: number(was.MinTxRate),
    maxTxRate: number(was.MaxTxRate),
  };
}

/** sriov-cni keeps name, MTU and address, and leaves the interface down. */
function originalLink(pci: string, name: string, was: { [key: string]: unknown }): LinkSnapshot {
  return {
    name,
    alias: "",
    altnames: [],
    index: 0,
    kind: "",
    parent: 0,
    parentDevice: pci,
    permanentMac: "",
    mac: String(was.EffectiveMAC ?? ""),
    mtu: number(was.MTU),
    txqlen: 0,
    up: false,
    promisc: false,
    allmulti: false,
  };
}
