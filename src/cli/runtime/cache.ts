// libcni's cache (cnitool, Multus, CRI-O) of an ADD's result, for CHECK and DEL: one file for each attachment in /var/lib/cni/results. podnic
// uses the same format, so that one tool can delete what another one added.
import { readResult, writeResult } from "../../cni/result-json.ts";
import { host } from "../../host/host.ts";
import { encodeBase64 } from "../../state/base64.ts";
import { readFile, removeFile, withDirectory, writeFile } from "../../state/files.ts";
import type { Attachment } from "./attachment.ts";
import type { Network } from "./networks.ts";

export const DIRECTORY = "/var/lib/cni/results";
/** Marks the entries that podnic wrote, because podnic gc removes only these. libcni ignores the key. */
export const WRITER = "podnic";
/** Bytes. An entry contains a result, a list of plugins and arguments, which are all small. */
const LIMIT = 1 << 20;

function fileName(network: Network, { containerId, ifName }: Attachment): string {
  return `${network.name}-${containerId}-${ifName}`;
}

/** Stores the result of an ADD. Throws SystemError or Failure. */
export function keepResult(network: Network, attachment: Attachment, result: unknown): void {
  const { containerId, ifName, netns, args, capabilityArgs } = attachment;
  const cached = {
    kind: "cniCacheV1",
    writer: WRITER,
    containerId,
    config: encodeBase64(host.encode(network.text)),
    ifName,
    networkName: network.name,
    netns,
    ...(args.length === 0 ? {} : { cniArgs: args }),
    ...(Object.keys(capabilityArgs).length === 0 ? {} : { capabilityArgs }),
    result,
  };
  withDirectory(DIRECTORY, { mode: 0o700 }, (dir) => {
    writeFile(dir, fileName(network, attachment), host.encode(JSON.stringify(cached)), 0o600);
  });
}

/** The cached result, in the network's version. undefined: there is none, or it is not valid. */
export function keptResult(network: Network, attachment: Attachment): unknown {
  const data = withDirectory(DIRECTORY, undefined, (dir) => readFile(dir, fileName(network, attachment), LIMIT));
  if (data === undefined) return undefined;
  try {
    const cached = JSON.parse(host.decode(data));
    // Before libcni 0.8, the file contained only the result.
    const raw = cached.kind === "cniCacheV1" ? cached.result : cached;
    const version = network.cniVersion || "0.1.0";
    return JSON.parse(writeResult(readResult(raw, version, "previous"), version));
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}

export function forgetResult(network: Network, attachment: Attachment): void {
  withDirectory(DIRECTORY, undefined, (dir) => removeFile(dir, fileName(network, attachment)));
}
