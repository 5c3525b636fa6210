// Runs the plugins of an ADD one after the other, without changing anything.
import { prepareCall } from "../../cni/call.ts";
import { codeOf, toFailure } from "../../cni/failure.ts";
import { findDelegate } from "../../cni/find-delegate.ts";
import { findPlugin } from "../../cni/registry.ts";
import { readRequest } from "../../cni/request.ts";
import { writeResult } from "../../cni/result-json.ts";
import { checkVersion } from "../../cni/version.ts";
import type { Failure } from "../../errors.ts";
import { CLONE_NEWNET, O_CLOEXEC, O_RDONLY } from "../../host/constants.ts";
import { type Fd, host } from "../../host/host.ts";
import { type Attachment, environmentOf } from "../runtime/attachment.ts";
import type { Config, Network } from "../runtime/networks.ts";
import { configFor } from "../runtime/run.ts";
import { Stage } from "../runtime/stage.ts";
import { HostOverlay, Unknown } from "./host-overlay.ts";
import type { Step } from "./steps.ts";

export interface Part {
  plugin: string;
  steps: Step[];
  /** The lines that the plugin would log. */
  log: string[];
}

export interface Explanation {
  network: string;
  containerId: string;
  netns: string;
  ifName: string;
  parts: Part[];
  /** The result of the ADD; undefined if the ADD would not get that far. */
  result?: unknown;
  /** Why the ADD would fail. It would then undo its steps. */
  refusal?: { code: number; msg: string; details: string };
  /** Why the next steps are unknown. */
  unknown?: string;
}

/** The name of the assumed pod if there is no --netns. */
export const SOME_POD = "POD";

/** Creates a namespace that disappears with this process. */
function emptyNamespace(): Fd {
  const self = "/proc/thread-self/ns/net";
  const own = host.open(self, O_RDONLY | O_CLOEXEC);
  host.unshare(CLONE_NEWNET);
  const made = host.open(self, O_RDONLY | O_CLOEXEC);
  host.setns(own, CLONE_NEWNET);
  host.close(own);
  return made;
}

/**
 * Explains each network independently of the others. If `attachment.netns` is "", assumes a new pod. Changes nothing. Throws SystemError if
 * this process does not have the necessary rights.
 */
export function explain(networks: Network[], attachment: Attachment): Explanation[] {
  // All networks share one overlay. Plugins keep sockets from one call to the next, and a new overlay would not know them.
  const stage = new Stage();
  const overlay = new HostOverlay(stage.host);
  let { netns } = attachment;
  if (netns === "") {
    const fd = emptyNamespace();
    overlay.spaces.name(fd, SOME_POD);
    netns = `/proc/self/fd/${fd}`;
  }
  return networks.map((network) => {
    overlay.forget();
    return explainNetwork(stage, overlay, network, attachment, netns);
  });
}

/** `netns` is a path that opens the pod's namespace. */
function explainNetwork(
  stage: Stage,
  overlay: HostOverlay,
  network: Network,
  attachment: Attachment,
  netns: string,
): Explanation {
  const told = { network: network.name, containerId: attachment.containerId, ifName: attachment.ifName };
  const explanation: Explanation = { ...told, netns: attachment.netns || SOME_POD, parts: [] };
  let result: unknown;
  for (const plugin of network.plugins) {
    const part: Part = { plugin: String(plugin.type ?? ""), steps: [], log: [] };
    explanation.parts.push(part);
    try {
      result = explainPlugin(stage, overlay, part, plugin, configFor(network, plugin, attachment, result), {
        ...attachment,
        netns,
      });
    } catch (error) {
      if (error instanceof Unknown) explanation.unknown = error.message;
      else explanation.refusal = document(toFailure(error));
      return explanation;
    } finally {
      part.steps = overlay.steps.take();
    }
  }
  explanation.result = attachment.netns === "" ? renamed(result, netns) : result;
  return explanation;
}

function document(failure: Failure) {
  return { code: codeOf(failure), msg: failure.message, details: failure.details };
}

function explainPlugin(
  stage: Stage,
  overlay: HostOverlay,
  part: Part,
  plugin: Config,
  stdin: string,
  attachment: Attachment,
): unknown {
  const own = findPlugin(part.plugin);
  const environment = environmentOf("ADD", attachment);
  if (own === undefined) return explainForeign(overlay, plugin, stdin, attachment);
  const { value, stderr } = stage.within(environment, stdin, () => {
    const request = readRequest("ADD");
    checkVersion(request.command, request.version);
    const call = prepareCall(own, request);
    return writeResult(own.add(call), call.version);
  });
  part.log = stderr.map((line) => line.trimEnd());
  return JSON.parse(value);
}

/** Assumes that a third-party plugin returns the previous result unchanged, as tuning, portmap and firewall do. */
function explainForeign(overlay: HostOverlay, plugin: Config, stdin: string, { path }: Attachment): unknown {
  const delegate = findDelegate(String(plugin.type ?? ""), path);
  host.close(delegate.file);
  const { prevResult } = JSON.parse(stdin);
  overlay.steps.add("run", `${delegate.path} with CNI_COMMAND=ADD`);
  if (prevResult === undefined) throw new Unknown(`the next steps depend on the output of ${delegate.path}`);
  overlay.steps.add(
    "note",
    "podnic cannot predict what this plugin does, and assumes that it returns the result unchanged",
  );
  return prevResult;
}

function renamed(result: unknown, netns: string): unknown {
  return JSON.parse(JSON.stringify(result).replaceAll(JSON.stringify(netns), JSON.stringify(SOME_POD)));
}
