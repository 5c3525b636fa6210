// Which cases run on each kernel, and the table of what came of it.
import type { Verdict } from "../harness/case.ts";
import { Exit } from "../harness/options.ts";

export const resultsFile = "conformance/results/kernels.json";

/** By plugin, the beginnings of cases' names: those that need the kernel to make, move or describe a device. */
const CASES: Readonly<Record<string, readonly string[]>> = {
  "host-device": ["HDX-0", "HDX-22", "HDX-24", "HDX-25", "HDX-31", "HDX-41", "HDX-42", "HDI-21", "HDI-24"],
  macvlan: ["MVX-01", "MVX-04", "MVX-07", "MVX-11", "MVX-12", "VRT-05@", "VRT-06@", "VRT-20@", "VRT-21@", "VRT-22@"],
  ipvlan: ["IV-2", "IV-3", "IVX-01", "IVX-02", "IVX-07", "IVX-09"],
  sriov: [
    ...["SRV-01", "SRV-02", "SRV-03", "SRV-04", "SRV-06", "SRV-09", "SRV-10"],
    ...["SRB-01", "SRB-03", "SRB-04", "SRB-05", "SRB-06", "SRB-18"],
  ],
  bridge: [
    ...[
      "B-26",
      "B-36",
      "B-37",
      "B-39",
      "B-40",
      "B-42",
      "B-46",
      "B-48",
      "B-50a",
      "B-51a",
      "B-51b",
      "B-61",
      "B-63",
      "B-68",
    ],
    ...["B-75", "B-83a", "B-83d", "B-85"],
  ],
};

/** By guest with another card than igb: sriov's cases that can run on it. */
export const CARDS: Readonly<Record<string, readonly string[]>> = {
  virtio: ["SVV"],
  netdevsim: ["SVN", "SRV", "SRB", "SRS"],
};

export const caseNames = (guest?: string): string[] => [...(CARDS[guest ?? ""] ?? Object.values(CASES).flat())];

interface Request {
  readonly guests: readonly string[];
  /** Beginnings of names. */
  readonly cases: readonly string[];
}

/** What is wrong with a request, of all guests there are and all cases. */
export function complaint(request: Request, guests: readonly string[], ids: readonly string[]): string | undefined {
  const strangers = request.guests.filter((guest) => !guests.includes(guest));
  if (strangers.length > 0) return `no guest called ${strangers.join(", ")}: ${guests.join(", ")}`;
  // It begins every case.
  if (request.cases.includes("")) return "--case has an empty name";
  const names = request.cases.filter((name) => !ids.some((id) => id.startsWith(name)));
  if (names.length > 0) return `no case begins with ${names.join(", ")}`;
  for (const guest of request.guests) {
    const own = CARDS[guest];
    const others = request.cases.filter((name) => own?.some((begin) => name.startsWith(begin)) === false);
    if (others.length > 0) return `${guest} runs cases of ${own!.join(", ")} only, not ${others.join(", ")}`;
  }
  return undefined;
}

/** What is no plugin's device case runs on other cards than igb. */
const pluginOf = (id: string): string =>
  Object.keys(CASES).find((plugin) => CASES[plugin]!.some((name) => id.startsWith(name))) ?? "sriov";

/** Passed of run, by plugin. */
type Counts = Readonly<Record<string, readonly [passed: number, run: number]>>;

interface Summary {
  readonly counts: Counts;
  /** Case to what it saw. */
  readonly failed: Readonly<Record<string, string>>;
  /** Reason to cases. */
  readonly notRun: Readonly<Record<string, readonly string[]>>;
}

/** On a card, sriov is killed at each so many-th system call unless the command says otherwise. */
export const EVERY = 12;

interface Kills {
  readonly points: number;
  readonly notClean: readonly string[];
  /** EVERY when absent. */
  readonly every?: number;
}

export interface KernelResult extends Summary {
  readonly kernel: string;
  readonly commit: string;
  readonly date: string;
  readonly minutes: number;
  /** When not all were asked for. */
  readonly only?: readonly string[];
  /** sriov killed at some of its system calls: how many, and after which of them a DEL did not restore the card. */
  readonly kills?: Kills;
  /** Failed beside other cases and passed alone. */
  readonly again: readonly string[];
}

/** By guest. */
export type Results = Record<string, KernelResult>;

export function summary(verdicts: readonly Verdict[]): Summary {
  const counts: Record<string, [number, number]> = {};
  const failed: Record<string, string> = {};
  const notRun: Record<string, string[]> = {};
  for (const plugin of Object.keys(CASES)) counts[plugin] = [0, 0];
  for (const { id, outcome, got } of verdicts) {
    if (outcome === "not-run") {
      notRun[got] = [...(notRun[got] ?? []), id];
      continue;
    }
    const count = counts[pluginOf(id)]!;
    count[1]++;
    if (outcome === "passed") count[0]++;
    else failed[id] = got.split("\n")[0]!.slice(0, 200);
  }
  return { counts, failed, notRun };
}

/** The verdicts of a run and of a second one, of what failed: a failure counts unless its case passes then. */
export function settle(first: readonly Verdict[], second: readonly Verdict[]): Verdict[] {
  const ran = new Map(second.filter((c) => c.outcome !== "not-run").map((c) => [c.id, c]));
  return first.map((c) => (c.outcome === "failed" ? (ran.get(c.id) ?? c) : c));
}

/** What a guest's results say. Nothing that ran is no pass. */
export function exitOf({ counts, failed, kills }: Pick<KernelResult, "counts" | "failed" | "kills">): number {
  if (Object.keys(failed).length > 0 || (kills?.notClean.length ?? 0) > 0) return Exit.wrong;
  const ran = Object.values(counts).some(([, run]) => run > 0) && kills?.points !== 0;
  return ran ? Exit.passed : Exit.untested;
}

/** Whether the guest's command ended as its reports say; its last part is the kills, where there are some. */
export function agrees(status: number | null, cases: readonly Verdict[], kills: Kills | undefined): boolean {
  const wrong = kills === undefined ? cases.some((c) => c.outcome === "failed") : kills.notClean.length > 0;
  const ran = kills === undefined ? cases.some((c) => c.outcome !== "not-run") : kills.points > 0;
  return status === (wrong ? Exit.wrong : ran ? Exit.passed : Exit.untested);
}

const BEGIN = "<!-- written by npm run kernels -->";
const END = "<!-- end of what npm run kernels writes -->";

type Row = [guest: string, result: KernelResult];

/** Oldest kernel first; other cards than igb have a table of their own. */
export function table(results: Results): string {
  const rows = Object.entries(results).sort(([, a], [, b]) =>
    a.kernel.localeCompare(b.kernel, "en", { numeric: true }),
  );
  const isCard = ([guest]: Row) => CARDS[guest] !== undefined;
  const cards = rows.filter(isCard);
  const kernels = rows.filter((row) => !isCard(row));
  return [...kernelTable(kernels), "", ...(cards.length === 0 ? [] : [...cardTable(cards), ""]), ...notes(rows)]
    .join("\n")
    .trimEnd();
}

function kernelTable(rows: readonly Row[]): string[] {
  const plugins = Object.keys(CASES);
  const lines = [
    `| guest | kernel | ${plugins.join(" | ")} | all | not run | commit | date | minutes |`,
    `| --- | --- |${" ---: |".repeat(plugins.length + 2)} --- | --- | ---: |`,
  ];
  for (const [suite, { kernel, counts, notRun, commit, date, minutes }] of rows) {
    const cells = plugins.map((plugin) => counts[plugin] ?? [0, 0]);
    const all = cells.reduce<[number, number]>(([p, r], [passed, run]) => [p + passed, r + run], [0, 0]);
    const left = Object.values(notRun).flat().length;
    const figures = [...cells, all].map(([passed, run]) => `${passed} of ${run}`);
    lines.push(`| ${suite} | ${kernel} | ${figures.join(" | ")} | ${left} | ${commit} | ${date} | ${minutes} |`);
  }
  return lines;
}

function cardTable(rows: readonly Row[]): string[] {
  const lines = [
    "| card | kernel | sriov | not run | kills | not clean | commit | date | minutes |",
    "| --- | --- | ---: | ---: | ---: | ---: | --- | --- | ---: |",
  ];
  for (const [card, { kernel, counts, notRun, kills, commit, date, minutes }] of rows) {
    const [passed, run] = counts.sriov ?? [0, 0];
    const { points, notClean } = kills ?? { points: 0, notClean: [] };
    const figures = `${passed} of ${run} | ${Object.values(notRun).flat().length} | ${points} | ${notClean.length}`;
    lines.push(`| ${card} | ${kernel} | ${figures} | ${commit} | ${date} | ${minutes} |`);
  }
  return lines;
}

/** "A", "A and B", "A, B and C". */
const listed = (ids: readonly string[]): string => ids.join(", ").replace(/, ([^,]*)$/, " and $1");

function notes(rows: readonly Row[]): string[] {
  const lines: string[] = [];
  for (const [suite, { failed, notRun, again, only, kills }] of rows) {
    if (only !== undefined) lines.push(`- ${suite}: this run was limited to these cases: ${only.join(", ")}`);
    for (const [id, got] of Object.entries(failed)) lines.push(`- ${suite}: ${id} failed: ${got}`);
    for (const [reason, ids] of Object.entries(notRun))
      lines.push(`- ${suite}: ${listed(ids)} ${ids.length > 1 ? "were" : "was"} not run, because ${reason}`);
    if (again.length > 0) lines.push(`- ${suite}: ${listed(again)} failed beside other cases, but passed alone`);
    const { every = EVERY } = kills ?? {};
    if (every !== EVERY) lines.push(`- ${suite}: this run killed sriov at one in every ${every} system calls`);
    for (const point of kills?.notClean ?? [])
      lines.push(`- ${suite}: DEL did not restore the card after this kill: ${point}`);
  }
  return lines;
}

export function withTable(page: string, results: Results): string {
  const [before, rest] = page.split(BEGIN);
  const after = rest?.split(END)[1];
  if (after === undefined) throw new Error(`docs/kernels.md has no ${BEGIN} or ${END}`);
  return `${before}${BEGIN}\n\n${table(results)}\n\n${END}${after}`;
}
