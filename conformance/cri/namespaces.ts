// Runs a script on a node of its own: namespaces that end with its process 1, however this one ends.
import { spawnSync } from "node:child_process";
import { removeCgroups } from "./node.ts";

/** Returns the exit status; 1 when it was killed. `more` is added to the environment. */
export function inNamespaces(script: string, more: Record<string, string> = {}): number {
  removeCgroups();
  // The guest's cards are where it is.
  const network = process.env.PODNIC_VM === undefined ? ["--net"] : [];
  const namespaces = ["--mount", ...network, "--pid", "--uts", "--ipc", "--propagation", "private"];
  const flags = [...namespaces, "--fork", "--kill-child", "--mount-proc"];
  const command = [process.execPath, "scripts/ts.mjs", script, ...process.argv.slice(2)];
  const env = { ...process.env, ...more, PODNIC_CRI_OUTSIDE: String(process.pid) };
  // unshare itself ignores SIGTERM, and would go on without this process.
  const unshare = ["--pdeathsig", "KILL", "unshare", ...flags];
  const { status } = spawnSync("setpriv", [...unshare, ...command], { stdio: "inherit", env });
  removeCgroups("/sys/fs/cgroup", process.pid);
  return status ?? 1;
}
