// Programs of BPF that see a device's packets and stay on it when it moves: tcx (Linux 6.6), and XDP by a link of BPF (5.9). What is attached
// through a link, netlink does not take off.
import { LOW } from "../host/endian.ts";
import { host, SystemError } from "../host/host.ts";
import { log } from "../log.ts";
import { readText } from "../sysfs/device.ts";

// linux/bpf.h. The newer numbers are missing from older headers.
const BPF_PROG_DETACH = 9;
const BPF_PROG_GET_FD_BY_ID = 13;
const BPF_PROG_QUERY = 16;
const BPF_LINK_GET_FD_BY_ID = 30;
const BPF_LINK_GET_NEXT_ID = 31;
const BPF_LINK_DETACH = 34;
const BPF_TCX_INGRESS = 46;
const BPF_TCX_EGRESS = 47;

/** Of one direction (BPF_MPROG_MAX). */
const MOST = 64;

/** The words of union bpf_attr, as each command has them. */
const words = new Uint32Array(16);
const bytes = new Uint8Array(words.buffer);
const COUNT = 6;
/** Questions that each call asks, as part of the snapshot. */
const ingress = Uint32Array.of(0, BPF_TCX_INGRESS, ...new Uint32Array(14));
const ingressBytes = new Uint8Array(ingress.buffer);
const egress = Uint32Array.of(0, BPF_TCX_EGRESS, ...new Uint32Array(14));
const egressBytes = new Uint8Array(egress.buffer);
/** Pointers of BPF_PROG_QUERY. */
const [PROGRAM_IDS, LINK_IDS] = [4, 10];

function bpf(command: number, ...values: number[]): number {
  words.fill(0);
  words.set(values);
  return host.bpf(command, bytes);
}

interface Program {
  direction: number;
  id: number;
  /** The link that holds it; 0: none does. */
  link: number;
}

/**
 * Programs of tcx on a device of the namespace this process is in. None on kernels that have no tcx (EINVAL) or no BPF, and when the device
 * is gone (ENODEV): whoever does something with it next says so, by its name. Where we may not ask (a node that is a container), the log says
 * that nobody has looked.
 */
function tcxPrograms(index: number, name: string): Program[] {
  try {
    // Each call asks: nearly always there are none.
    if (count(index, ingress, ingressBytes) + count(index, egress, egressBytes) === 0) return [];
    return [...listPrograms(index, BPF_TCX_INGRESS), ...listPrograms(index, BPF_TCX_EGRESS)];
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    if (["EINVAL", "ENOSYS", "ENODEV"].includes(error.code)) return [];
    if (!["EPERM", "EACCES"].includes(error.code)) throw error;
    log("warning", "cannot check whether the device has BPF programs (tcx)", {
      device: name,
      error: error.message,
      cure: "allow the container runtime to use bpf(2) (CAP_BPF)",
    });
    return [];
  }
}

export function tcxIds(index: number, name: string): number[] {
  return tcxPrograms(index, name).map(({ id }) => id);
}

function count(index: number, query: Uint32Array, asBytes: Uint8Array): number {
  query[0] = index;
  query[COUNT] = 0;
  host.bpf(BPF_PROG_QUERY, asBytes);
  return query[COUNT];
}

function listPrograms(index: number, direction: number): Program[] {
  const ids = new Uint8Array(2 * 4 * MOST);
  const at = host.pin(ids);
  words.fill(0);
  words.set([index, direction]);
  words[COUNT] = MOST;
  putAddress(PROGRAM_IDS, at);
  putAddress(LINK_IDS, at + 4 * MOST);
  host.bpf(BPF_PROG_QUERY, bytes);
  const found = new Uint32Array(host.pinned(ids.length).slice().buffer);
  return Array.from({ length: words[COUNT]! }, (_, i) => ({ direction, id: found[i]!, link: found[MOST + i]! }));
}

function putAddress(word: number, address: number): void {
  words[word + LOW] = address % 0x1_0000_0000;
  words[word + 1 - LOW] = Math.floor(address / 0x1_0000_0000);
}

/** Takes off programs of tcx but those of `kept`. True, or it throws SystemError. */
export function detachTcx(index: number, name: string, kept: readonly number[]): true {
  for (const { direction, id, link } of tcxPrograms(index, name)) {
    if (kept.includes(id)) continue;
    if (link !== 0) detachLink(link);
    else withId(BPF_PROG_GET_FD_BY_ID, id, (program) => bpf(BPF_PROG_DETACH, index, program, direction));
  }
  return true;
}

/**
 * Takes off a program of XDP that a link holds. Links tell the device's index alone, and not its namespace: false, nothing is done, when
 * another device may be the one.
 */
export function detachXdp(index: number, program: number): boolean {
  const links: number[] = [];
  for (let id = nextLink(0); id !== 0; id = nextLink(id)) if (isXdpLink(id, index, program)) links.push(id);
  if (links.length !== 1) return false;
  detachLink(links[0]!);
  return true;
}

/** 0: there is none. */
function nextLink(id: number): number {
  try {
    bpf(BPF_LINK_GET_NEXT_ID, id);
    return words[1]!;
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return 0;
    throw error;
  }
}

function isXdpLink(id: number, index: number, program: number): boolean {
  const info = withId(BPF_LINK_GET_FD_BY_ID, id, (link) => readText(`/proc/self/fdinfo/${link}`)) ?? "";
  const wanted = ["link_type:\txdp", `prog_id:\t${program}`, `ifindex:\t${index}`];
  return wanted.every((line) => info.split("\n").includes(line));
}

function detachLink(id: number): void {
  withId(BPF_LINK_GET_FD_BY_ID, id, (link) => bpf(BPF_LINK_DETACH, link));
}

/** undefined: it is gone. */
function withId<T>(command: number, id: number, use: (fd: number) => T): T | undefined {
  let fd: number;
  try {
    fd = bpf(command, id);
  } catch (error) {
    if (error instanceof SystemError && error.code === "ENOENT") return undefined;
    throw error;
  }
  try {
    return use(fd);
  } finally {
    host.close(fd);
  }
}
