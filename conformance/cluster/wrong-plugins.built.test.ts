// Plugins that are wrong on purpose: a case that says that nothing is left, or that a card comes back, has to fail with them.
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cache, root } from "../../scripts/build/paths.ts";

const dist = join(root, "dist/cni");
const canRun = existsSync(join(cache, "containerd/usr/bin/containerd")) && existsSync(join(cache, "go-clients/multus"));

/** What each DEL does to the node besides, and how the case tells of it. */
const changes: readonly (readonly [string, string])[] = [
  ["ip link set dev1 mtu 1399 txqueuelen 77 down", "left over: host dev1 mtu 1399 down"],
  ["ip rule add from 192.0.2.4 table 7", "left over: rule host ipv4 from /32"],
  ["ip route replace 203.0.114.0/24 dev ens5", "left over: route host ipv4/24 dev ens5"],
  ["nft add table ip left", "left over: table host family 2 left"],
  ["iptables-legacy -A INPUT -s 192.0.2.9 -j DROP", "left over: xtables host ip filter"],
  ["echo 2 >/proc/sys/net/ipv4/conf/all/rp_filter", "left over: sysctl ipv4/conf/all/rp_filter 2"],
  ["touch /var/lib/cni/left", "left over: file /var/lib/cni/left"],
];

// The node has a /tmp of its own.
test.skipIf(!canRun)("what wrong plugins leave on the node is found", { timeout: 120_000 }, () => {
  mkdirSync(cache, { recursive: true });
  const dir = mkdtempSync(join(cache, "wrong-"));
  try {
    for (const plugin of ["bridge", "host-local", "static", "macvlan", "host-device"])
      copyFileSync(join(dist, plugin), join(dir, plugin));
    for (const plugin of ["macvlan", "host-device"]) {
      copyFileSync(join(dist, plugin), join(dir, `right-${plugin}`));
      const more = `case $CNI_COMMAND in DEL) { ${changes.map(([script]) => script).join("; ")}; } >/dev/null 2>&1;; esac`;
      // Each plugin knows what it is by its name.
      const right = `(exec -a ${plugin} "$(dirname "$0")/right-${plugin}")`;
      writeFileSync(join(dir, plugin), `#!/bin/bash\n${right} || exit\n${more}\nexit 0\n`, { mode: 0o755 });
    }
    const few = ["--multus", "thin", "--case", "three-networks", "--plugins", dir];
    const run = spawnSync("node", ["scripts/ts.mjs", "conformance/cluster/main.ts", ...few], { encoding: "utf8" });
    for (const [, line] of changes) expect(run.stdout + run.stderr).toContain(line);
    expect(run.status).toBe(1);
  } finally {
    rmSync(dir, { recursive: true, force: true });
  }
});
