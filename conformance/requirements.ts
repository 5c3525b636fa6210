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
  "C-002": implied("0.1", "does what CNI_COMMAND says, spelled exactly; anything else is an error"),
  "C-004": must("0.4", "requires a non-empty CNI_CONTAINERID"),
  "C-005": must("1.0", "accepts as container ID a letter or digit, then letters, digits, `_` `.` `-`, of any length"),
  "C-006": implied("0.1", "takes CNI_NETNS as the path of a network namespace, in whatever form"),
  "C-007": must("0.3", "uses CNI_IFNAME as the name, or fails"),
  "C-008": implied("0.1", "keeps to Linux' rules for interface names"),
  "C-009": implied("0.1", "reads CNI_ARGS as `K=V;K=V`"),
  "C-010": implied("0.1", "uses CNI_PATH to find delegates, and for nothing else"),
  "C-012": must("1.0", "tolerates concurrent calls"),
  "C-013": should("0.4", "keeps state by network, container and interface"),
  "C-020": must("0.1", "reads one JSON object from stdin to its end: code 6 when it is none, 5 when it cannot be read"),
  "C-021": must("1.0", "requires a network name of the characters of C-005: code 7"),
  "C-022": implied("0.1", "takes a missing version for 0.1.0"),
  "C-023": should("0.4", "refuses a version it does not list with code 1"),
  "C-024": implied("1.1", "leaves `cniVersions` to the runtime"),
  "C-025": must("0.1", "has a `type` in its configuration"),
  "C-026": may("0.2", "passes over unknown keys"),
  "C-027": implied("1.0", "tolerates keys that runtimes add or forget to remove"),
  "C-028": implied("0.3", "finds capability arguments in `runtimeConfig`"),
  "C-029": should("0.1", "gives well-known keys their meaning and types"),
  "C-040": should("0.1", "makes or adjusts the interface"),
  "C-041": must("1.0", "fails when the name is taken, and leaves the other interface alone"),
  "C-042": must("0.1", "succeeds with status 0 and one result"),
  "C-044": should("1.0", "gives a delegate DEL when its ADD failed"),
  "C-045": implied("0.1", "applies addresses and routes of the result"),
  "C-046": implied("0.1", "makes no route of a gateway alone"),
  "C-050": must("0.4", "answers in the configuration's version"),
  "C-051": should("0.3", "passes on what IPAM gave, with interface indices"),
  "C-052": should("0.3", "reports every property it knows"),
  "C-053": must("0.3", "gives indices that exist"),
  "C-054": implied("0.1", "cannot say some results in 0.1.0 and 0.2.0"),
  "C-060": must("0.1", "fails with a status other than 0"),
  "C-061": must("0.1", "prints one error object with `cniVersion`, `code`, `msg` on stdout"),
  "C-062": must("0.4", "keeps to the defined codes, or to 100 and above"),
  "C-065": must("1.0", "names the variables that are wrong"),
  "C-070": must("0.2", "answers VERSION with nothing but CNI_COMMAND given"),
  "C-071": must("1.0", "answers in the version of the request"),
  "C-072": implied("0.2", "answers VERSION whatever stdin is"),
  "C-073": implied("0.2", "answers in every version it lists"),
  "C-080": should("0.1", "undoes ADD on DEL and releases what the attachment holds"),
  "C-081": should("0.3", "does so as far as it can, whatever is missing"),
  "C-082": must("1.0", "tolerates a repeated DEL"),
  "C-083": should("0.4", "needs neither CNI_NETNS nor prevResult for DEL"),
  "C-084": must("1.0", "gives delegates DEL and reports their failure after its own part is done"),
  "C-085": implied("0.1", "says nothing on success of DEL"),
  "C-086": must("0.4", "tolerates a DEL without an ADD"),
  "C-090": must("0.4", "says nothing on success of CHECK"),
  "C-091": must("0.4", "compares with prevResult, and needs it"),
  "C-092": must("0.4", "lets later plugins of a chain change things"),
  "C-093": should("0.4", "fails CHECK when its interface, address or route is missing or wrong"),
  "C-094": should("0.4", "fails CHECK when what it holds elsewhere is missing"),
  "C-095": should("0.4", "fails CHECK when the container cannot be reached"),
  "C-096": must("0.4", "passes CHECK right after ADD"),
  "C-097": should("0.4", "gives delegates CHECK"),
  "C-098": implied("0.4", "refuses CHECK below 0.4.0 with code 1"),
  "C-100": must("1.1", "succeeds in STATUS when ADD can be served"),
  "C-101": should("1.1", "fails STATUS when something ADD needs is missing or used up"),
  "C-102": implied("1.1", "uses codes 50 and 51 for that"),
  "C-103": must("1.1", "serves other calls after a failed STATUS"),
  "C-104": must("1.1", "gives delegates STATUS"),
  "C-105": implied("1.1", "refuses STATUS below 1.1.0 with code 1, and needs no attachment for it"),
  "C-110": should("1.1", "removes on GC what no listed attachment of this network holds"),
  "C-111": must("1.1", "gives delegates GC"),
  "C-112": should("1.1", "goes on past errors of GC and reports them at the end"),
  "C-114": implied("1.1", "needs no attachment for GC"),
  "C-115": implied("1.1", "finds the list under `cni.dev/valid-attachments` or `cni.dev/attachments`"),
  "C-116": implied("1.1", "refuses GC below 1.1.0 with code 1"),
  "C-120": must("0.3", "never drops prevResult"),
  "C-121": must("1.0", "passes it on with its own changes"),
  "C-122": implied("0.3", "takes prevResult to be of the configuration's version"),
  "C-130": must("0.1", "looks delegates up in CNI_PATH by their type"),
  "C-131": must("0.4", "hands them its environment and its stdin unchanged"),
  "C-132": should("1.0", "hands their stderr on"),
  "C-133": must("0.1", "takes status 0 and a result for their success"),
  "C-134": must("1.0", "expects and gives IPAM results without interfaces"),
  "C-135": must("1.0", "hands CHECK, DEL, GC and STATUS on, and their errors back"),
  "C-136": should("1.0", "undoes a failed delegated ADD"),
  "C-138": implied("0.1", "converts a delegate's result of another version"),
  "C-140": should("–", "fails when it cannot do what was requested, or the request makes no sense"),
  "C-141": should("–", "passes over unknown `args`"),
  "C-142": should("–", "prefers `args` to CNI_ARGS"),
  "C-143": should("–", "knows the conventional capabilities and CNI_ARGS keys"),
  "C-144": should("–", "knows the conventional capabilities and CNI_ARGS keys"),
};

const STRENGTH: readonly Level[] = ["M", "S", "m", "i"];

/** The strongest level among the requirements that a case cites; undefined when it cites none: a rule of runtimes, or hardening. */
export function levelOf(requirement: string): Level | undefined {
  const cited = requirement.match(/C-\d+/g) ?? [];
  const levels = cited.map((id) => REQUIREMENTS[id]?.level);
  return STRENGTH.find((level) => levels.includes(level));
}
