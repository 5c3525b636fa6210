// What the cases about which device comes back share: its state on the host, the records of podnic, the pod's links.
import type { Trial } from "../harness/trial.ts";

/** A requirement of several tables. */
export const RULE = "the device is proven, not guessed";
export const RECORDS = "/var/lib/cni/podnic/host-device";
export const POOL = { type: "host-local", ranges: [[{ subnet: "198.18.79.0/28" }]] };

/** What of the device on the host must be as before. */
export const dressed = (t: Trial, name: string): unknown[] => {
  const { mac, mtu, up } = t.link(name, "")!;
  return [name, mac, mtu, up];
};

/** The pod's links, but for loopback. */
export const inPod = (t: Trial): string[] =>
  t.sh("ip -n c1 -o link show | sed 's/^[0-9]*: //; s/[@:].*//' | grep -vx -e lo -e tunl0 -e sit0 || true").split("\n");
