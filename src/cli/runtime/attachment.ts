// The interface and container of a call, as a runtime passes them in the environment.
import { host } from "../../host/host.ts";
import { sha512 } from "../../state/sha512.ts";
import { UsageError } from "../exit.ts";

export interface Attachment {
  containerId: string;
  /** An absolute path. */
  netns: string;
  ifName: string;
  /** CNI_ARGS as pairs. */
  args: [key: string, value: string][];
  capabilityArgs: { [capability: string]: unknown };
  /** The directories of third-party plugins. */
  path: string[];
}

/** The options of commands that work on an attachment. Their defaults come from cnitool's environment variables. */
export interface AttachmentOptions {
  ifname?: string;
  containerId?: string;
  args?: string;
  capArgs?: string;
  path?: string;
}

/** Throws UsageError if an argument is not valid. */
export function attachmentOf(netns: string, options: AttachmentOptions): Attachment {
  const path = absolute(netns);
  return {
    containerId: options.containerId ?? `cnitool-${sha512(path).slice(0, 20)}`,
    netns: path,
    ifName: options.ifname ?? host.getenv("CNI_IFNAME") ?? "eth0",
    args: pairs(options.args ?? host.getenv("CNI_ARGS") ?? ""),
    capabilityArgs: capabilities(options.capArgs ?? host.getenv("CAP_ARGS") ?? ""),
    path: (options.path ?? (host.getenv("CNI_PATH") || "/opt/cni/bin")).split(":").filter((entry) => entry !== ""),
  };
}

/** The absolute path of a namespace. A name without "/" is a name from `ip netns`. */
function absolute(netns: string): string {
  if (netns.startsWith("/")) return netns;
  if (!netns.includes("/")) return `/run/netns/${netns}`;
  const steps: string[] = [];
  for (const step of `${host.readlink("/proc/self/cwd")}/${netns}`.split("/")) {
    if (step === "..") steps.pop();
    else if (step !== "" && step !== ".") steps.push(step);
  }
  return `/${steps.join("/")}`;
}

function pairs(text: string): Attachment["args"] {
  const given = text.split(";").filter((pair) => pair !== "");
  return given.map((pair) => {
    const at = pair.indexOf("=");
    if (at > 0 && at < pair.length - 1) return [pair.slice(0, at), pair.slice(at + 1)];
    throw new UsageError(
      `${JSON.stringify(pair)} is not a CNI_ARGS pair`,
      "Write pairs as K=V, separated by semicolons.",
    );
  });
}

function capabilities(text: string): Attachment["capabilityArgs"] {
  if (text === "") return {};
  try {
    const value: unknown = JSON.parse(text);
    if (typeof value === "object" && value !== null && !Array.isArray(value))
      return value as Attachment["capabilityArgs"];
  } catch {
    // reported below
  }
  const cure = `Use an object such as {"mac": "02:00:5e:10:00:01", "ips": ["192.0.2.5/24"]}.`;
  throw new UsageError("capability arguments are not a JSON object", cure);
}

/** The environment of a plugin. */
export function environmentOf(command: string, attachment: Attachment): { [name: string]: string } {
  return {
    CNI_COMMAND: command,
    CNI_CONTAINERID: attachment.containerId,
    CNI_NETNS: attachment.netns,
    CNI_IFNAME: attachment.ifName,
    CNI_ARGS: attachment.args.map(([key, value]) => `${key}=${value}`).join(";"),
    CNI_PATH: attachment.path.join(":"),
  };
}
