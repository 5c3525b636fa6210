// The requirements of the CNI specification that cases cite, in our words. Read by the totals; docs/conformance.md shows the same table.

/** M must, S should, m may, i implied: what the text of the specification says, at the versions named. */
export type Level = "M" | "S" | "m" | "i";

interface Requirement {
  readonly level: Level;
  /** First version of the specification; "–": of its conventions. */
  readonly since: string;
  /** A plugin … */
  readonly text: string;
}

const must = (since: string, text: string): Requirement => ({ level: "M", since, text });
const should = (since: string, text: string): Requirement => ({ level: "S", since, text });
const may = (since: string, text: string): Requirement => ({ level: "m", since, text });
const implied = (since: string, text: string): Requirement => ({ level: "i", since, text });

export const REQUIREMENTS: Readonly<Record<string, Requirement>> = {
  "C-002": implied("0.1", "carries out the command in CNI_COMMAND, and fails unless the spelling is exact"),
  "C-004": must("0.4", "requires a non-empty CNI_CONTAINERID"),
  "C-005": must(
    "1.0",
    "accepts a container ID of any length that begins with a letter or digit and continues with letters, digits, `_`, `.` or `-`",
  ),
  "C-006": implied("0.1", "accepts any path of a network namespace in CNI_NETNS"),
  "C-007": must("0.3", "uses CNI_IFNAME as the name of the interface, or fails"),
  "C-008": implied("0.1", "follows the rules of Linux for interface names"),
  "C-009": implied("0.1", "reads CNI_ARGS as `K=V;K=V`"),
  "C-010": implied("0.1", "uses CNI_PATH only to find delegates"),
  "C-012": must("1.0", "tolerates concurrent calls"),
  "C-013": should("0.4", "stores state by network, container and interface"),
  "C-020": must(
    "0.1",
    "reads one JSON object from stdin, to the end; fails with code 6 if stdin contains anything else, and with code 5 if stdin cannot be read",
  ),
  "C-021": must("1.0", "fails with code 7 unless the network has a name that follows the rules of C-005"),
  "C-022": implied("0.1", "uses version 0.1.0 if the configuration has no version"),
  "C-023": should("0.4", "fails with code 1 if it does not support the version"),
  "C-024": implied("1.1", "ignores `cniVersions`, which is for the runtime"),
  "C-025": must("0.1", "has a `type` in its configuration"),
  "C-026": may("0.2", "ignores unknown keys"),
  "C-027": implied("1.0", "tolerates keys that a runtime adds or fails to remove"),
  "C-028": implied("0.3", "reads capability arguments from `runtimeConfig`"),
  "C-029": should("0.1", "uses well-known keys with their specified meanings and types"),
  "C-040": should("0.1", "creates or changes the interface"),
  "C-041": must("1.0", "fails if the interface name is already in use, and does not change the other interface"),
  "C-042": must("0.1", "exits with status 0 and prints one result if it succeeds"),
  "C-044": should("1.0", "calls DEL of a delegate whose ADD failed"),
  "C-045": implied("0.1", "adds the addresses and routes in the result to the interface"),
  "C-046": implied("0.1", "does not add a route just because the result has a gateway"),
  "C-050": must("0.4", "prints the result in the version of the configuration"),
  "C-051": should("0.3", "passes on the addresses and routes from IPAM, with interface indices"),
  "C-052": should("0.3", "includes in the result every property that it knows"),
  "C-053": must("0.3", "uses only interface indices that exist"),
  "C-054": implied("0.1", "fails if the result cannot be expressed in version 0.1.0 or 0.2.0"),
  "C-060": must("0.1", "exits with a status other than 0 if it fails"),
  "C-061": must("0.1", "prints one error object with `cniVersion`, `code` and `msg` to stdout if it fails"),
  "C-062": must("0.4", "uses only the error codes that are defined, or codes of 100 and above"),
  "C-065": must("1.0", "includes the names of the invalid variables in the error"),
  "C-070": must("0.2", "answers VERSION if only CNI_COMMAND is set"),
  "C-071": must("1.0", "answers VERSION in the version of the request"),
  "C-072": implied("0.2", "answers VERSION whatever stdin contains"),
  "C-073": implied("0.2", "supports every version that it lists"),
  "C-080": should("0.1", "undoes the ADD and releases the attachment's resources on DEL"),
  "C-081": should("0.3", "completes as much of DEL as it can if something is missing"),
  "C-082": must("1.0", "tolerates a repeated DEL"),
  "C-083": should("0.4", "needs neither CNI_NETNS nor `prevResult` for DEL"),
  "C-084": must("1.0", "calls DEL of its delegates, and reports their errors after it has finished its own part"),
  "C-085": implied("0.1", "prints nothing if DEL succeeds"),
  "C-086": must("0.4", "tolerates a DEL without an ADD"),
  "C-090": must("0.4", "prints nothing if CHECK succeeds"),
  "C-091": must("0.4", "requires a `prevResult` for CHECK, and compares it with the actual state"),
  "C-092": must("0.4", "accepts changes that later plugins in a chain have made"),
  "C-093": should("0.4", "fails CHECK if its interface, an address or a route is missing or wrong"),
  "C-094": should("0.4", "fails CHECK if a resource that it holds elsewhere is missing"),
  "C-095": should("0.4", "fails CHECK if the container cannot be reached"),
  "C-096": must("0.4", "passes CHECK directly after ADD"),
  "C-097": should("0.4", "calls CHECK of its delegates"),
  "C-098": implied("0.4", "fails CHECK with code 1 before version 0.4.0"),
  "C-100": must("1.1", "passes STATUS if it can carry out an ADD"),
  "C-101": should("1.1", "fails STATUS if a resource that ADD needs is missing or exhausted"),
  "C-102": implied("1.1", "uses codes 50 and 51 if STATUS fails"),
  "C-103": must("1.1", "continues to handle other calls after STATUS has failed"),
  "C-104": must("1.1", "calls STATUS of its delegates"),
  "C-105": implied("1.1", "fails STATUS with code 1 before version 1.1.0, and does not need an attachment for STATUS"),
  "C-110": should("1.1", "removes, on GC, the resources of this network that no listed attachment holds"),
  "C-111": must("1.1", "calls GC of its delegates"),
  "C-112": should("1.1", "continues with GC after an error, and reports the errors at the end"),
  "C-114": implied("1.1", "does not need an attachment for GC"),
  "C-115": implied("1.1", "reads the list from `cni.dev/valid-attachments` or `cni.dev/attachments`"),
  "C-116": implied("1.1", "fails GC with code 1 before version 1.1.0"),
  "C-120": must("0.3", "never drops the `prevResult`"),
  "C-121": must("1.0", "includes the `prevResult`, with its own changes, in its result"),
  "C-122": implied("0.3", "reads the `prevResult` in the format of the configuration's version"),
  "C-130": must("0.1", "finds delegates by their type in CNI_PATH"),
  "C-131": must("0.4", "passes its environment and its stdin to delegates unchanged"),
  "C-132": should("1.0", "passes on what delegates write to stderr"),
  "C-133": must(
    "0.1",
    "treats a delegate's call as successful if the delegate exits with status 0 and prints a result",
  ),
  "C-134": must("1.0", "accepts and returns IPAM results without interfaces"),
  "C-135": must("1.0", "passes CHECK, DEL, GC and STATUS to delegates, and returns their errors"),
  "C-136": should("1.0", "undoes a delegate's ADD that failed"),
  "C-138": implied("0.1", "converts a delegate's result if it has a different version"),
  "C-140": should("–", "fails if it cannot carry out the request, or if the request makes no sense"),
  "C-141": should("–", "ignores unknown `args`"),
  "C-142": should("–", "prefers `args` to CNI_ARGS"),
  "C-143": should("–", "supports the conventional capabilities and CNI_ARGS keys"),
  "C-144": should("–", "supports the conventional capabilities and CNI_ARGS keys"),
};

const STRENGTH: readonly Level[] = ["M", "S", "m", "i"];

/** The strongest level among the requirements that a case cites; undefined when it cites none: a rule of runtimes, or hardening. */
export function levelOf(requirement: string): Level | undefined {
  const cited = requirement.match(/C-\d+/g) ?? [];
  const levels = cited.map((id) => REQUIREMENTS[id]?.level);
  return STRENGTH.find((level) => levels.includes(level));
}
