// Checks the state of attachments that no longer exist, and devices that are not where they should be.
import { S_IFDIR, S_IFMT } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { STATE_ROOT } from "../../state/record.ts";
import { countInWords } from "../leases.ts";
import type { Device } from "../node/devices.ts";
import { type Doubtful, findDamaged, findGarbage, type Garbage } from "../node/garbage.ts";
import type { Node } from "../node/node.ts";
import type { Pool } from "../node/pools.ts";
import { shortId } from "../terminal.ts";
import { type Finding, finding } from "./finding.ts";

/** doctor warns if a pool is used to at least this fraction. */
const NEARLY = 0.9;
const ROOTS = ["/var/lib/cni", "/var/lib/cni/podnic", "/var/lib/cni/networks", "/var/lib/cni/sriov"];

export function checkState(node: Node, pools: Pool[], devices: Device[]): Finding[] {
  const garbage = findGarbage(node, pools);
  const damaged = findDamaged(node);
  const found = [
    ...ROOTS.flatMap(checkRoot),
    ...garbage.map(ofGarbage),
    ...damaged.garbage.map(ofDamaged),
    ...damaged.doubtful.map(ofDoubtful),
    ...pools.flatMap(checkPool),
    ...checkDevices(devices, garbage),
  ];
  return found.length > 0 ? found : [finding("state", "ok", "nothing is left behind")];
}

function ofGarbage(garbage: Garbage): Finding {
  const { network, containerId, interface: as, why } = garbage;
  const whose =
    containerId === "" ? "" : `of container ${shortId(containerId)} (${as || "?"}, network ${network || "?"})`;
  const what = inWords(garbage);
  if (garbage.kind === "device" && garbage.holder.age === "elsewhere") {
    const cure =
      "Run podnic in the network namespace of the node's runtime. If the runtime has been restarted in a new namespace, DEL removes the record.";
    return finding("state", "warning", `${what} ${whose}: ${why}`, cure);
  }
  const cure = `${network === "" ? "podnic gc --all" : `podnic gc ${network}`}, or podnic doctor --fix`;
  return finding("state", "warning", `${`${what} ${whose}`.trim()}: ${why}`, cure, true);
}

function inWords(garbage: Garbage): string {
  if (garbage.kind === "device") return `device ${garbage.device}`;
  if (garbage.kind === "lease") return `lease ${garbage.address}`;
  return "what" in garbage ? `${garbage.kind} ${garbage.what}` : "";
}

function ofDamaged(garbage: Garbage): Finding {
  const what = garbage.kind === "record" ? `${STATE_ROOT}/${garbage.lender.plugin}/${garbage.file}` : "";
  const cure = "No pod has its device: podnic doctor --fix removes the file.";
  return finding("state", "warning", `${what} is not a valid record`, cure, true);
}

function ofDoubtful({ file, doubt }: Doubtful): Finding {
  const cure =
    "Delete the pod. DEL removes the file. If the file remains, podnic doctor --fix removes it when the pod's namespace is gone. If no pod has the device, remove the file by hand.";
  return finding("state", "warning", `${file} is not a valid record, and ${doubt}`, cure);
}

function checkPool({ network, size, free, directory, leases }: Pool): Finding[] {
  const unknown = leases.filter(({ life }) => life === "unknown").length;
  const found: Finding[] = [];
  if (size !== undefined && free !== undefined && free <= size * (1 - NEARLY)) {
    const full = `network ${network}: free addresses: ${countInWords(free)} of ${countInWords(size)} (${directory})`;
    found.push(
      finding(
        "state",
        free === 0 ? "error" : "warning",
        full,
        "Enlarge the range, or look for unused leases with podnic leases.",
      ),
    );
  }
  if (unknown > 0) {
    const what = `network ${network}: cannot tell whether the holders of ${unknown} lease${unknown === 1 ? "" : "s"} still exist`;
    found.push(finding("state", "note", `${what}; podnic leases --network ${network} lists them`));
  }
  return found;
}

function checkDevices(devices: Device[], garbage: Garbage[]): Finding[] {
  const key = (pci: string, name: string): string => `${pci} ${name}`;
  const found = garbage.map((one) => (one.kind === "device" ? key(one.holder.pci, one.device) : ""));
  const known = new Set(found);
  return devices.flatMap((device) => checkDevice(device, known.has(key(device.pci, device.name))));
}

function checkDevice(device: Device, isGarbage: boolean): Finding[] {
  const { name, pci, state, why, cure: known, holder, interface: link } = device;
  const what = `device ${name || pci}`;
  if (known !== undefined) {
    const whose = holder === undefined ? "" : ` of container ${shortId(holder.containerId)}`;
    return [finding("state", "warning", `${what}${whose}: ${why}`, known)];
  }
  if (state === "elsewhere") {
    // podnic has no record of the device, so it may be the uplink of the machine on which this node is a container.
    const note = `${what}: ${why}; the device returns when that namespace is deleted`;
    return link === undefined ? [finding("state", "note", note)] : [];
  }
  if (state !== "lost" || isGarbage) return [];
  const cure =
    holder === undefined
      ? "The next host-device ADD of this device restores its name."
      : "DEL of its pod, or the next ADD of this device, restores it.";
  return [finding("state", "warning", `${what}: ${why}`, cure)];
}

/** Reports a state directory that is not a directory, or that users other than root can change. */
function checkRoot(path: string): Finding[] {
  try {
    const { mode, uid } = host.stat(path);
    if ((mode & S_IFMT) !== S_IFDIR) {
      return [
        finding(
          "state",
          "error",
          `${path} is not a directory`,
          "Move this file to another place. Plugins create the directory when they need it.",
        ),
      ];
    }
    if (uid === 0 && (mode & 0o022) === 0) return [];
    const cure = `chown root ${path} && chmod go-w ${path}`;
    return [finding("state", "error", `${path} can be changed by users other than root`, cure)];
  } catch (error) {
    if (error instanceof SystemError) return [];
    throw error;
  }
}
