// Recognises an executable in a CNI directory by its contents. It never runs the executable, which could be any program.
import { O_RDONLY } from "../../host/constants.ts";
import { type Fd, host } from "../../host/host.ts";
import { hasErrno } from "../../state/descriptor.ts";
import { closing } from "../../state/files.ts";
import { notRegular, openLooked } from "../../state/look.ts";

/** "missing" includes links to a missing file. "unknown" is an unknown program, or not a regular file. */
export type Kind = "podnic" | "Go plugin" | "sriov-cni" | "unknown" | "missing";

/** Texts in every executable of a kind, even if it is stripped. podnic's text is in src/main.ts; Go writes the others into its build info. */
const MARKS: readonly [Kind, string][] = [
  ["podnic", " plugin podnic v"],
  ["sriov-cni", "k8snetworkplumbingwg/sriov-cni"],
  ["Go plugin", "containernetworking/plugins"],
];
const PART = 16_384;
const LONGEST = Math.max(...MARKS.map(([, mark]) => mark.length));

/** Throws SystemError if the file exists but cannot be read. */
export function recognise(path: string, dir?: Fd): Kind {
  try {
    const looked = openLooked(dir, path, O_RDONLY, notRegular, true);
    if (looked === undefined) return "missing";
    const { fd } = looked;
    return fd === undefined ? "unknown" : closing(fd, () => kindOf(fd));
  } catch (error) {
    if (hasErrno(error, "ELOOP")) return "unknown";
    throw error;
  }
}

/** Several marks can match, because sriov-cni uses the library of the Go plugins. The first one in the order of MARKS counts. */
function kindOf(fd: Fd): Kind {
  const marks = MARKS.map(([kind, mark]) => ({ kind, mark: host.encode(mark) }));
  const found = new Set<Kind>();
  let rest = new Uint8Array(0);
  for (let part = host.read(fd, PART); part.length > 0; part = host.read(fd, PART)) {
    const bytes = new Uint8Array(rest.length + part.length);
    bytes.set(rest);
    bytes.set(part, rest.length);
    for (const { kind, mark } of marks) if (!found.has(kind) && contains(bytes, mark)) found.add(kind);
    if (found.has(MARKS[0]![0])) break;
    // A mark can begin in one part and end in the next.
    rest = bytes.slice(Math.max(0, bytes.length - LONGEST));
  }
  return MARKS.find(([kind]) => found.has(kind))?.[0] ?? "unknown";
}

function contains(bytes: Uint8Array, mark: Uint8Array): boolean {
  for (let at = bytes.indexOf(mark[0]!); at >= 0; at = bytes.indexOf(mark[0]!, at + 1)) {
    if (at + mark.length <= bytes.length && mark.every((byte, i) => bytes[at + i] === byte)) return true;
  }
  return false;
}
