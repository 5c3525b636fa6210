// What a pod can leave on a device that was lent to it: nothing of it is there for the node or for the next pod.
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Trial } from "../harness/trial.ts";
import { config } from "./host-device.ts";

const one = rowsThatNeed(["plugin:host-device"]);
const RULE = "nothing of a pod stays on a lent device";

interface Settings {
  id: string;
  what: string;
  /** Shell on the host, before ADD; the device is `$dev`. */
  setup?: string;
  /** Shell in the pod, whose device is eth0. */
  inPod: string;
  /** Shell on the host that shows what the pod changed. */
  show: string;
  needs?: string[];
}

/** ADD, what the pod does, DEL: what the host sees of the device is the same as before. */
const leavesNothing = ({ id, what, setup = "true", inPod, show, needs = [] }: Settings): Case =>
  one(
    id,
    "H",
    RULE,
    `${what}: as before after DEL`,
    (t: Trial) => {
      const device = t.freshDevice();
      t.sh(`dev=${device}; ${setup}`);
      const seen = () => t.sh(`dev=${device}; ${show}`);
      const before = seen();
      const conf = config("1.0.0", { device });
      t.add(conf);
      t.sh(inPod);
      t.silent("DEL", conf);
      t.equal(seen(), before, what);
    },
    needs,
  );

const FLAGS = "printf '%x\\n' $(($(cat /sys/class/net/$dev/flags) & 0xf1b6))";

export const attacksDevice: CaseTable = {
  perMain: [],
  fixed: [
    leavesNothing({
      id: "ATK-D1a",
      what: "link mode and operational state",
      inPod: "ip -n c1 link set eth0 mode dormant; ip -n c1 link set eth0 state dormant",
      show: "cat /sys/class/net/$dev/link_mode; for i in $(seq 50); do [ $(cat /sys/class/net/$dev/operstate) = up ] && break; sleep 0.02; done; cat /sys/class/net/$dev/operstate",
    }),
    leavesNothing({
      id: "ATK-D1b",
      what: "flags that mean nothing to the kernel",
      inPod: "ip -n c1 link set eth0 dynamic on; ip -n c1 link set eth0 trailers off",
      show: FLAGS,
    }),
    leavesNothing({
      id: "ATK-D1c",
      what: "a link mode and flags that the administrator has chosen",
      setup: "ip link set $dev mode dormant; ip link set $dev dynamic on",
      inPod: "ip -n c1 link set eth0 mode default; ip -n c1 link set eth0 dynamic off",
      show: `cat /sys/class/net/$dev/link_mode; ${FLAGS}`,
    }),
  ],
};
