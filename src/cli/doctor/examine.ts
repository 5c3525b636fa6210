// Everything that podnic doctor and podnic status check.
import { relaxPolicy } from "../../config/policy.ts";
import { host } from "../../host/host.ts";
import { findDevicesOf } from "../node/devices.ts";
import { configurationsInFiles, lookAtNode, type Node, poolsOf } from "../node/node.ts";
import type { Pool } from "../node/pools.ts";
import { checkBridges } from "./bridges.ts";
import { checkConfigurations, checkPolicy } from "./configurations.ts";
import { checkDirectories } from "./directories.ts";
import { type Finding, finding } from "./finding.ts";
import { checkCapabilities, checkKernel } from "./kernel.ts";
import { checkState } from "./state.ts";

/** The finding about the state if podnic does not run as root. */
export const unseen = finding(
  "state",
  "warning",
  "not examined, because only root can read the plugins' records and see pods' namespaces",
  "Run it as root.",
);

export interface Examination {
  findings: Finding[];
  /** The devices and leases of pods; undefined if podnic does not run as root. */
  seen: { node: Node; pools: Pool[] } | undefined;
}

/** Runs all checks. Changes nothing. */
export function examine(): Examination {
  const ofPolicy = checkPolicy();
  // The other checks run even if the policy is not valid.
  relaxPolicy();
  const node = host.geteuid() === 0 ? lookAtNode() : undefined;
  const pools = node === undefined ? [] : poolsOf(node);
  const configurations = node?.configurations ?? configurationsInFiles();
  const used = new Set(configurations.flatMap(({ config }) => typesOf(config)));
  const findings = [
    ...checkKernel(used),
    ...checkCapabilities(),
    ...checkDirectories(used),
    ...checkConfigurations(),
    ...ofPolicy,
    ...checkBridges(configurations),
    ...(node === undefined ? [unseen] : checkState(node, pools, findDevicesOf(node))),
  ];
  return { findings, seen: node && { node, pools } };
}

/** The types of the plugins that a configuration runs. */
function typesOf(config: { [key: string]: unknown }): string[] {
  const { ipam } = config as { ipam?: { type?: unknown } };
  return [config.type, ipam?.type].filter((type): type is string => typeof type === "string" && type !== "");
}
