// Checks the bridges that this node's configurations name: whether an ADD could use them, and what else could block their frames.
import type { BridgeConfig } from "../../../plugins/bridge/config.schema.ts";
import { bridgeName, checkName, wantsMasquerade } from "../../../plugins/bridge/config.ts";
import { requireFit, requireGateway } from "../../../plugins/bridge/fit.ts";
import type { Call } from "../../cni/plugin.ts";
import { findPlugin } from "../../cni/registry.ts";
import { readWhatIsValid } from "../../config/validate.ts";
import { Failure } from "../../errors.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import { usesLegacy } from "../../nftables/iptables.ts";
import { readText } from "../../sysfs/device.ts";
import type { PluginConfiguration } from "../node/configurations.ts";
import { type Finding, finding } from "./finding.ts";

const ABOUT = "bridges";

export function checkBridges(configurations: PluginConfiguration[]): Finding[] {
  const ours = configurations.filter(
    ({ config: { type } }) => typeof type === "string" && findPlugin(type)?.name === "bridge",
  );
  const calls = ours.flatMap(({ network, version, config: raw }) => {
    const { config, problems } = readWhatIsValid<BridgeConfig>("bridge", raw);
    const attachment = { network, containerId: "", ifName: "" };
    const call = { command: "STATUS", version, config, raw, attachment } as unknown as Call<BridgeConfig>;
    // If the name of the bridge is not valid, another check reports it, and the bridge is not known here.
    return problems.some(({ pointer }) => pointer === "/bridge") || !isNameValid(call) ? [] : [call];
  });
  if (calls.length === 0) return [];
  const found = calls.map(checkOne);
  // Several configurations of a network lead to the same finding.
  const once = found.filter(({ found: text }, at) => found.findIndex((one) => one.found === text) === at);
  return [...once, ...checkIptables(calls)];
}

function isNameValid(call: Call<BridgeConfig>): boolean {
  try {
    checkName(bridgeName(call));
    return true;
  } catch (error) {
    if (error instanceof Failure) return false;
    throw error;
  }
}

function checkOne(call: Call<BridgeConfig>): Finding {
  const name = bridgeName(call);
  const whose = `network "${call.attachment.network}"`;
  try {
    const there = requireFit(call);
    requireGateway(call, there);
    return finding(
      ABOUT,
      "ok",
      there === undefined
        ? `${whose}: the first ADD creates bridge ${name}`
        : `${whose}: bridge ${name} exists and is up`,
    );
  } catch (error) {
    if (error instanceof Failure) return finding(ABOUT, "error", `${whose}: ${error.message}`, error.details);
    if (!(error instanceof NetlinkError)) throw error;
    return finding(ABOUT, "note", `${whose}: cannot be checked: ${error.message}`);
  }
}

/** Reports iptables settings that affect frames on a bridge, and packets that leave it. */
function checkIptables(calls: Call<BridgeConfig>[]): Finding[] {
  const found: Finding[] = [];
  if (
    ["iptables", "ip6tables"].some((table) => readText(`/proc/sys/net/bridge/bridge-nf-call-${table}`)?.trim() === "1")
  )
    found.push(
      finding(
        ABOUT,
        "note",
        "br_netfilter is enabled: frames between a bridge's pods go through the host's iptables rules, which might drop them " +
          "(sysctl net.bridge.bridge-nf-call-iptables; kube-proxy might need it)",
      ),
    );
  if (calls.some(wantsMasquerade) && usesLegacy())
    found.push(
      finding(
        ABOUT,
        "note",
        "iptables-legacy is in use: podnic does not remove ipMasq rules that the Go plugin created with it (iptables-legacy -t nat -S)",
      ),
    );
  return found;
}
