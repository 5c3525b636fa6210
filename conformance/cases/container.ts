// A plugin that a driver runs in its own container, as dra-driver-sriov does: it has the plugins, /var/lib/cni, /run/netns, /proc and
// /sys of the node, and neither its /run nor its /etc. Each call may find a new container.
import { type CaseTable, Mismatch, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";

/** A root of its own for one call. /usr is there for plugins that are not static. */
const wrap = (bin: string): string => `exec unshare --mount --propagation private sh -ec '
  root=/run/container; mkdir -p $root; mount -t tmpfs -o mode=755 container $root
  for dir in /usr "$0" /var/lib/cni /run/netns /proc /sys; do
    mkdir -p $root$dir; mount --rbind $dir $root$dir
  done
  for dir in lib lib64 bin sbin; do ln -s usr/$dir $root/$dir; done
  exec chroot $root "$@"' '${bin}' "$@"`;

function call(t: Trial, command: string, config: Config) {
  return t.call(command, config, { wrap: wrap(t.settings.bin) });
}

function served(t: Trial): void {
  t.sh("mkdir -p /var/lib/cni");
  const config = t.l3();
  const names = () => t.links("").map(({ name }) => name);
  const before = names();
  const added = call(t, "ADD", config);
  if (added.status !== 0) throw new Mismatch("OK", describeRun(added));
  const prevResult = JSON.parse(added.stdout);
  t.present("eth0");
  t.leaseCount(1);
  t.silentRun(call(t, "CHECK", { ...config, prevResult }));
  t.silentRun(call(t, "DEL", { ...config, prevResult }));
  t.silentRun(call(t, "DEL", config));
  t.gone("eth0");
  t.leaseCount(0);
  t.equal(names().sort(), before.sort(), "links of the host");
}

export const container: CaseTable = {
  perMain: [
    row(
      "CTR-01",
      "G",
      "drivers run plugins in their own container",
      "with the node's plugins, /var/lib/cni and /run/netns only, a new container for each call: ADD, CHECK, DEL, DEL again; nothing is left",
      served,
      { needs: ["plugin:host-local"] },
    ),
  ],
  fixed: [],
};
