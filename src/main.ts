// Selects the role of this process. The name under which the executable runs decides. If it is "podnic" and CNI_COMMAND is set, the
// configuration's `type` decides. Otherwise, a person runs the executable.
import type { Confine } from "./cni/call.ts";
import { confineCall } from "./cni/confine.ts";
import { serve, versionDocument } from "./cni/dispatch.ts";
import { findPlugin, registerPlugins } from "./cni/registry.ts";
import { guardStandardFds } from "./cni/stdio.ts";
import { supportedVersions } from "./cni/version.ts";
import { SIGPIPE, SIGXFSZ } from "./host/constants.ts";
import { host, SystemError } from "./host/host.ts";
import { log } from "./log.ts";
import { receiveInto } from "./netlink/inbox.ts";
import { registerLenders } from "./plugin/lent/lender.ts";
import { lenders, plugins } from "./plugins.ts";
import { podnicVersion } from "./version.ts";

export { receiveInto, versionDocument };

registerPlugins(plugins);
registerLenders(lenders);

/**
 * Runs this process to its end and returns its exit status. `operator` loads and runs the operator's command line, which is not part of
 * this bundle, so that plugins do not pay for it. Neither is `trace`, which shows in a file what a plugin asks of the kernel.
 */
export function main(
  operator: (args: string[]) => number,
  trace: (file: string) => void,
  confine: Confine = confineCall,
): number {
  guardStandardFds();
  ignoreBrokenPipes();
  const args = host.args();
  const name = (args[0] ?? "").split("/").pop() ?? "";
  const plugin = findPlugin(name);
  const command = host.getenv("CNI_COMMAND") ?? "";
  if (command !== "") {
    // The administrator's: a runtime passes its own environment on, and nothing of a configuration's (docs/decisions.md).
    const file = host.getenv("PODNIC_TRACE") ?? "";
    if (file !== "") traceTo(file, trace);
    return serve(command, plugin, name, confine);
  }
  if (plugin === undefined) return operator(args.slice(1));
  const about = `CNI ${name} plugin podnic v${podnicVersion}\nCNI protocol versions supported: ${supportedVersions.join(", ")}\n`;
  try {
    host.write(2, host.encode(about));
  } catch {
    // stderr is closed: nobody to tell
  }
  return 0;
}

/** A call that cannot be traced is served all the same. */
function traceTo(file: string, trace: (file: string) => void): void {
  try {
    trace(file);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    log("warning", "not traced", { PODNIC_TRACE: file, cause: error.message });
  }
}

/**
 * A reader that has gone, or a limit on the size of files, must end in an undo and not in death (F25, F28). Where a sandbox forbids to say
 * so, it is no reason to fail.
 */
function ignoreBrokenPipes(): void {
  try {
    host.ignoreSignal(SIGPIPE);
    host.ignoreSignal(SIGXFSZ);
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
  }
}
