// What libcni, and with it every runtime, keeps on the node between an ADD and its DEL.
import type { Config } from "./mains.ts";
import type { Trial } from "./trial.ts";

/** Keeps the result of an ADD, with the network that was added, in libcni's file for the attachment. */
export function keepResult(t: Trial, conf: Config, result: unknown, containerId = "ctr-1", ifName = "eth0"): void {
  const kept = {
    kind: "cniCacheV1",
    containerId,
    ifName,
    networkName: conf.name,
    config: Buffer.from(JSON.stringify(conf)).toString("base64"),
    result,
  };
  t.write(`/var/lib/cni/results/${conf.name}-${containerId}-${ifName}`, JSON.stringify(kept));
}
