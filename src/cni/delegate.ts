// Runs a plugin that is a separate executable (spec C-130 to C-138).

import { formats, wanted } from "../config/formats.ts";
import { policy } from "../config/policy.ts";
import { Failure, type FailureKind } from "../errors.ts";
import { host, type Outcome, SystemError } from "../host/host.ts";
import { addressFault } from "./addresses.ts";
import { AnsweredFailure } from "./failure.ts";
import { excerpt } from "./names.ts";
import type { Call, Command, Delegate } from "./plugin.ts";
import type { Dns, Result } from "./result.ts";
import { ResultError, readResult } from "./result-json.ts";

/** Environment variable of delegates. If one of podnic's interface plugins finds it, podnic has run itself through a chain of plugins. */
export const delegateMark = "PODNIC_DELEGATE";
const outputLimit = 1 << 20;
/** Milliseconds between attempts to run an executable that is still being written (ETXTBSY), and the number of attempts. Installations are short. */
const busyPause = 100;
const busyTries = 20;
/** Milliseconds that undoing an ADD can always take, even if the ADD itself has used up its time. */
const undoTime = 5000;

const signals: { [signal: number]: string | undefined } = {
  1: "SIGHUP",
  2: "SIGINT",
  4: "SIGILL",
  6: "SIGABRT",
  7: "SIGBUS",
  8: "SIGFPE",
  9: "SIGKILL",
  11: "SIGSEGV",
  13: "SIGPIPE",
  15: "SIGTERM",
  24: "SIGXCPU",
  31: "SIGSYS",
};

function failure(delegate: Delegate, what: string, details = "", kind: FailureKind = "failed"): Failure {
  return new Failure(
    kind,
    `plugin ${JSON.stringify(delegate.name)} ${what}`,
    details === "" ? delegate.path : `${delegate.path}: ${details}`,
  );
}

/** Runs the delegate for at most `limit` ms and returns its stdout. Throws Failure, with the delegate's own error if it printed one. */
export function runDelegate(
  delegate: Delegate,
  call: Pick<Call, "stdin">,
  command: Command,
  limit = timeLimit(delegate),
): string {
  return outputOf(delegate, execute(delegate, call, command, limit), limit);
}

/**
 * Runs ADD. Adds a DEL as the undo step to call.transaction even if ADD fails, because a delegate that failed or was killed can have
 * assigned an address (C-136). ADD and DEL share one time limit, because a delegate that hangs on ADD usually hangs on DEL as well.
 */
export function addWithDelegate(delegate: Delegate, call: Call): Result {
  const limit = timeLimit(delegate);
  const begin = host.monotonic();
  const outcome = execute(delegate, call, "ADD", limit);
  // The process that sent SIGTERM will not wait long.
  const rest = outcome.killed === "signal" ? 0 : limit - (host.monotonic() - begin);
  const left = Math.min(limit, Math.max(rest, undoTime));
  const undo = () => void runDelegate(delegate, call, "DEL", Math.round(left));
  call.transaction.onRollback(`DEL of IPAM plugin ${delegate.name}`, undo);
  const result = readDelegateResult(delegate, outputOf(delegate, outcome, limit), call.version);
  const fault = addressFault(result.ips);
  if (fault !== undefined) throw failure(delegate, `returned ${fault}`);
  checkDns(delegate, result.dns);
  return result;
}

function outputOf(delegate: Delegate, outcome: Outcome, limit: number): string {
  const output = host.decode(outcome.stdout);
  if (outcome.killed === "timeout") {
    const cure = "podnic killed the plugin. delegateTimeout in /etc/cni/podnic.json sets the limit.";
    throw failure(delegate, `did not finish within ${limit} ms`, cure, "try again");
  }
  if (outcome.killed === "signal") {
    throw failure(delegate, "was stopped because podnic received SIGTERM or SIGINT", "", "try again");
  }
  if (outcome.killed === "output")
    throw failure(delegate, `wrote more than ${outputLimit} bytes`, "podnic killed the plugin.");
  if (outcome.signal !== 0) {
    throw failure(delegate, `was killed by ${signals[outcome.signal] ?? `signal ${outcome.signal}`}`, excerpt(output));
  }
  if (outcome.status !== 0) throw saidError(delegate, output) ?? silentError(delegate, outcome.status, output);
  return output;
}

/** Runs the delegate with podnic's environment, and with stdin unchanged. Throws Failure if it cannot be started. */
function execute(delegate: Delegate, call: Pick<Call, "stdin">, command: Command, limit: number): Outcome {
  for (let tries = busyTries; ; tries--) {
    try {
      return host.run({
        file: delegate.file,
        path: delegate.path,
        env: { CNI_COMMAND: command, [delegateMark]: "1" },
        stdin: call.stdin,
        maxOutput: outputLimit,
        timeout: limit,
      });
    } catch (error) {
      if (!(error instanceof SystemError)) throw error;
      if (error.code !== "ETXTBSY") throw failure(delegate, "could not be started", error.message);
      if (tries === 0) throw failure(delegate, "is still being written to disk", error.message, "try again");
      host.sleep(busyPause);
    }
  }
}

/** Milliseconds. dhcp itself tries for 62 s, because a switch port that has just come up can take 30 s to forward frames. */
function timeLimit({ name }: Delegate): number {
  return policy().delegateTimeout ?? (name === "dhcp" ? 90_000 : 30_000);
}

function parse(output: string): unknown {
  try {
    return JSON.parse(output);
  } catch (error) {
    if (!(error instanceof Error)) throw error;
    return undefined;
  }
}

/** The error that a plugin printed, with its own words; undefined if it printed none. */
function saidError(delegate: Delegate, output: string): Failure | undefined {
  const said = parse(output);
  if (typeof said !== "object" || said === null) return undefined;
  const { code, msg, details } = said as { [key: string]: unknown };
  const more = typeof details === "string" ? details : "";
  const message = typeof msg === "string" ? msg : "";
  if (message === "" && more === "" && code === undefined) return undefined;
  const number = typeof code === "number" ? code : 0;
  if (message !== "") return new AnsweredFailure(number, message, more);
  const own = failure(delegate, "failed without a message", more);
  return new AnsweredFailure(number, own.message, own.details);
}

function silentError(delegate: Delegate, status: number, output: string): Failure {
  const details =
    output.trim() === ""
      ? "The plugin printed no error. See its stderr."
      : `The plugin printed: ${JSON.stringify(excerpt(output))}`;
  return failure(delegate, `failed with exit status ${status}`, details);
}

/** Parses the result that a plugin printed. If the result has no cniVersion, its version is `version`. Throws a Failure that names the plugin. */
function readDelegateResult(delegate: Delegate, output: string, version: string): Result {
  const raw = parse(output);
  if (raw === undefined) {
    const details =
      output.trim() === "" ? "The plugin printed nothing." : `The plugin printed: ${JSON.stringify(excerpt(output))}`;
    throw failure(delegate, "exited with status 0 but printed no result", details);
  }
  if (typeof raw === "object" && raw !== null && "code" in raw && "msg" in raw && raw.code !== 0) {
    throw saidError(delegate, output) ?? failure(delegate, "printed an error");
  }
  try {
    return readResult(raw, version, "ipam");
  } catch (error) {
    if (!(error instanceof ResultError)) throw error;
    throw failure(delegate, "printed something that is not a CNI result", error.message);
  }
}

/** The same rules as for a configuration's DNS settings: runtimes write each text on a line of the pod's resolv.conf. */
function checkDns(delegate: Delegate, { nameservers = [], domain = "", search = [], options = [] }: Dns): void {
  const refuse = (what: string, text: string | undefined, why: string): void => {
    if (text === undefined) return;
    throw failure(delegate, `returned the ${what} ${JSON.stringify(excerpt(text))}, which is not ${why}`);
  };
  const isNo = (format: string) => (text: string) => !formats[format]!(text);
  refuse("name server", nameservers.find(isNo("ip")), "an IP address");
  const words = { "DNS domain": [domain], "search domain": search, "DNS option": options };
  for (const [what, texts] of Object.entries(words)) refuse(what, texts.find(isNo("word")), wanted.word!);
}
