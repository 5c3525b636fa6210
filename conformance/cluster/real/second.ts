// A second node of the real cluster: namespaces, containerd and a kubelet of its own. Its cards are ports of the same LAN.
import { type ChildProcess, spawn } from "node:child_process";
import { join } from "node:path";
import { Containerd } from "../../cri/node.ts";
import { busyboxImage, multusImage, pauseImage } from "../images.ts";
import { makeSecondNode, SECOND } from "../node.ts";
import { joinNode } from "./programs.ts";

/** What its process 1 gets from the first node. */
export interface Second {
  kept: string;
  programs: string;
  image: string;
}

/** Returns its process, whose end ends the node. */
export function startSecond(second: Second): ChildProcess {
  const namespaces = ["--mount", "--net", "--pid", "--uts", "--ipc", "--propagation", "private"];
  const flags = [...namespaces, "--fork", "--kill-child", "--mount-proc"];
  const node = [process.execPath, "scripts/ts.mjs", "conformance/cluster/main.ts"];
  const env = { ...process.env, PODNIC_CLUSTER: JSON.stringify({ second }) };
  return spawn("setpriv", ["--pdeathsig", "KILL", "unshare", ...flags, ...node], { stdio: "inherit", env });
}

/** In its namespaces: until it is killed. */
export async function secondNode({ kept, programs, image }: Second): Promise<void> {
  const own = `${kept}/${SECOND.name}`;
  makeSecondNode(own);
  const runtime = await Containerd.start(programs, {
    ...{ root: `${own}/containerd`, snapshotter: "overlayfs", runtime: join(programs, "runc") },
  });
  for (const [name, make] of Object.entries({ busybox: busyboxImage, pause: pauseImage })) {
    make(`/run/${name}.tar`);
    runtime.import(`/run/${name}.tar`);
  }
  multusImage("/run/multus.tar", programs);
  runtime.import("/run/multus.tar");
  runtime.import(image);
  joinNode(programs, kept, SECOND);
  await new Promise(() => setInterval(() => {}, 1 << 30));
}
