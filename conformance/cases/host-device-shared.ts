// What the cases about which device comes back share: its state on the host, the records of podnic, the pod's links, another pod.
import type { Trial } from "../harness/trial.ts";
import { config } from "./host-device.ts";

/** A requirement of several tables. */
export const RULE = "the device is proven, not guessed";
export const RECORDS = "/var/lib/cni/podnic/host-device";
export const POOL = { type: "host-local", ranges: [[{ subnet: "198.18.79.0/28" }]] };

/** Another pod, whose namespace is c2. */
export const second = { CNI_CONTAINERID: "second", CNI_NETNS: "/run/netns/c2" };

/** What of the device on the host must be as before. */
export const dressed = (t: Trial, name: string): unknown[] => {
  const { mac, mtu, up } = t.link(name, "")!;
  return [name, mac, mtu, up];
};

/** The pod's links, but for loopback. */
export const inPod = (t: Trial): string[] =>
  t.sh("ip -n c1 -o link show | sed 's/^[0-9]*: //; s/[@:].*//' | grep -vx -e lo -e tunl0 -e sit0 || true").split("\n");

/** c1 and c2 have a device each; `act` is told both names. After DEL of both each is what it was. */
export function eachOthers(t: Trial, act: (a: string, b: string) => void): void {
  const [a, b] = [t.freshDevice(), t.freshDevice()];
  t.sh(`ip link set ${a} mtu 1400; ip link set ${b} mtu 1300; ip netns add c2`);
  const look = (): unknown[] => [a, b].map((name) => dressed(t, name));
  const before = look();
  t.add(config("1.0.0", { device: a }));
  t.add(config("1.0.0", { device: b }), { set: second, ns: "c2" });
  act(a, b);
  t.silent("DEL", config("1.0.0", { device: a }));
  t.silent("DEL", config("1.0.0", { device: b }), { set: second });
  t.equal(look(), before, "MAC, MTU and state of both, under their names");
}
