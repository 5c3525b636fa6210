// Runs a podnic command in this process, on Node, and captures its output.

import { registerPlugins } from "../../cni/registry.ts";
import { installHost } from "../../host/host.ts";
import { NodeHost } from "../../host/node/host.ts";
import { plugins } from "../../plugins.ts";
import { installEdge } from "../../testing/edge.ts";
import { operator } from "../main.ts";

export interface Ran {
  status: number;
  stdout: string;
  stderr: string;
}

export function run(args: string[], stdin = ""): Ran {
  registerPlugins(plugins);
  const edge = installEdge({ args: ["podnic", ...args], stdin, env: { NO_COLOR: "1" } });
  try {
    const status = operator(args);
    return { status, stdout: edge.stdout, stderr: edge.stderr };
  } finally {
    installHost(new NodeHost());
  }
}
