// What somebody tries who may write configurations, or is root in a pod: to reach, through a plugin that is root on the node, what is
// not his. One case or more for each kind; SECURITY.md says which promise each of them shows.
import { type CaseTable, row } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { quote } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

const RANGES = { ranges: [[{ subnet: "198.51.100.0/24" }]] };

/** Runs the call in the background of the case, and `meanwhile` when it has begun. */
function beside(t: Trial, command: string, stdin: Config, set: Record<string, string>, meanwhile: () => void): void {
  const env = Object.entries(t.environment(command, set)).map(([key, value]) => quote(`${key}=${value}`));
  t.write("/run/case/beside.json", JSON.stringify(stdin));
  const plugin = quote(`${t.settings.bin}/${t.typeOf(stdin)}`);
  t.sh(`env -i ${env.join(" ")} ${plugin} </run/case/beside.json >/run/case/beside.out 2>&1 & sleep 0.5`);
  meanwhile();
}

export const attacks: CaseTable = {
  perMain: [],
  fixed: [
    row(
      "ATK-H2a",
      "H",
      "what a tenant keeps busy makes nobody else wait",
      "host-device: a pool whose lock is held does not delay an ADD and a DEL with another pool",
      (t) => {
        const device = () => t.freshDevice();
        const of = (name: string, dataDir: string): Config => ({
          cniVersion: "1.0.0",
          name,
          type: "host-device",
          device: device(),
          ipam: { type: "host-local", dataDir, ...RANGES },
        });
        t.sh(
          "mkdir -p /run/cni/busy/mine; : >/run/cni/busy/mine/lock; flock /run/cni/busy/mine/lock sleep 15 >/dev/null 2>&1 &",
        );
        const victim = of("other", "/run/cni/free");
        const mallory = { CNI_CONTAINERID: "mallory", CNI_NETNS: t.netns("c2") };
        beside(t, "ADD", of("mine", "/run/cni/busy"), mallory, () => {
          t.add(victim, { timeoutMs: 4000 });
          t.silent("DEL", victim, { timeoutMs: 4000 });
        });
      },
      { needs: ["plugin:host-device", "plugin:host-local", "program:flock"] },
    ),
  ],
};
