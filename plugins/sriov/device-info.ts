// The device-info file (k8snetworkplumbingwg device-info-spec 1.1.0), from which Multus fills the pod's network-status. podnic adds the PF,
// which the device plugin does not know.
import type { Call } from "../../src/cni/plugin.ts";
import { Failure } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";
import { log } from "../../src/log.ts";
import { readFile, removeFile, withDirectory, writeFile } from "../../src/state/files.ts";
import { isObject } from "../../src/state/shape.ts";
import type { SriovConfig } from "./config.schema.ts";
import type { Vf } from "./device.ts";

/** Multus' directory; the configuration comes from a tenant. What the device plugins write, beside `cni`, Multus copies for other pods. */
const TREES = ["/var/run/k8s.cni.cncf.io", "/run/k8s.cni.cncf.io"];
const ROOTS = TREES.map((tree) => `${tree}/devinfo/cni/`);
const LIMIT = 64 * 1024;

function pathOf({ config }: Call<SriovConfig>): string {
  return config.runtimeConfig?.CNIDeviceInfoFile ?? "";
}

/** The trees to write in, by the name that Multus uses: /var/run need not be a link to /run. None when it asks for no file. */
export function deviceInfoTrees(config: SriovConfig): string[] {
  const path = config.runtimeConfig?.CNIDeviceInfoFile ?? "";
  return TREES.filter((tree) => path.startsWith(`${tree}/`));
}

export function checkDeviceInfoPath(call: Call<SriovConfig>): void {
  const path = pathOf(call);
  if (path === "" || ROOTS.some((root) => path.startsWith(root) && path.length > root.length)) return;
  throw new Failure(
    "invalid config",
    `CNIDeviceInfoFile ${path} is outside ${ROOTS[0]}`,
    "Multus sets this key. Remove it from the configuration.",
  );
}

/**
 * Adds the PF to what Multus copied there, or writes it new. A file that we made goes with the ADD that fails. What is no JSON object is left
 * as it is: Multus does without, too. So is what is about another device: the path may be that of another pod's file.
 */
export function writeDeviceInfo(call: Call<SriovConfig>, vf: Vf): void {
  const path = pathOf(call);
  if (path === "") return;
  const slash = path.lastIndexOf("/");
  const directory = path.slice(0, slash);
  const name = path.slice(slash + 1);
  withDirectory(directory, { mode: 0o755 }, (dir) => {
    const before = readFile(dir, name, LIMIT);
    const known = before === undefined ? {} : parse(host.decode(before));
    if (!isObject(known)) {
      log("warning", "the device-info file is not a JSON object; leaving it unchanged", { file: path });
      return;
    }
    if (isOfAnother(known, vf)) {
      log("warning", "the device-info file is about another device; leaving it unchanged", {
        file: path,
        device: vf.pci,
      });
      return;
    }
    call.transaction.step(
      "device-info file",
      () => writeFile(dir, name, host.encode(JSON.stringify(merged(known, vf))), 0o444),
      () => {
        withDirectory(directory, undefined, (again) =>
          before === undefined ? removeFile(again, name) : writeFile(again, name, before, 0o444),
        );
      },
    );
  });
}

function parse(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch {
    return undefined;
  }
}

function isOfAnother({ pci }: { pci?: unknown }, vf: Vf): boolean {
  if (pci === undefined) return false;
  return !isObject(pci) || !["", undefined, vf.pci].includes(pci["pci-address"] as string | undefined);
}

function merged(known: { type?: string; pci?: object }, vf: Vf): object {
  // Of another type (vdpa, …) it is not ours to change.
  if (known.type !== undefined && known.type !== "pci") return known;
  return {
    version: "1.1.0",
    ...known,
    type: "pci",
    pci: { "pci-address": vf.pci, ...known.pci, "pf-pci-address": vf.pfPci },
  };
}
