// The rows of the checklist that the cases were written from, and which of them have a case. A row may have several: CHK-01 has
// CHK-01a to CHK-01c, VER-09 has VER-09a-ADD and so on. Plugins' own cases (HD, MV, ST …) are no part of it.

/** Topic to its rows: numbers, ranges, and numbers with letters where the checklist itself has those. */
const ROWS: Readonly<Record<string, string>> = {
  ENV: "1-2 3a-f 4-5 10-14 15a-c 16a-b 17-30",
  CID: "1-24",
  IFN: "1-30",
  ARG: "1-20",
  NSP: "1-22",
  IN: "1-28",
  NAM: "1-11",
  VER: "1-19",
  KEY: "1-12",
  TYP: "1-18",
  VRS: "1-10",
  ADD: "1-29",
  CHK: "1-37",
  DEL: "1-25",
  DLG: "1-38 40-54 60-69",
  STA: "1-9",
  GC: "1-16",
  CHN: "1-20",
  SEC: "1-12",
  IO: "1-11",
  CON: "1-7",
  ORD: "1-16",
};

/** Rows without a case of their own, and what shows them instead. */
const ELSEWHERE: Readonly<Record<string, string>> = {
  "DEL-08": "it is NSP-17 to NSP-20: DEL of namespaces that are none",
  "CHK-35": "it is NSP-21 and NSP-22: CHECK of namespaces that are none",
  "CHN-20": "needs cnitool: CHAIN-tuning of conformance/clients",
};

function numbers(part: string): string[] {
  const [from = "", to = from] = part.split("-");
  const letter = /[a-z]$/.exec(from)?.[0];
  const first = Number.parseInt(from, 10);
  if (letter !== undefined) {
    const count = to.charCodeAt(to.length - 1) - letter.charCodeAt(0) + 1;
    return Array.from({ length: count }, (_, n) => pad(first) + String.fromCharCode(letter.charCodeAt(0) + n));
  }
  return Array.from({ length: Number(to) - first + 1 }, (_, n) => pad(first + n));
}

const pad = (n: number): string => String(n).padStart(2, "0");

export const checklistRows = (): string[] =>
  Object.entries(ROWS).flatMap(([topic, parts]) =>
    parts.split(" ").flatMap((part) => numbers(part).map((number) => `${topic}-${number}`)),
  );

export interface Coverage {
  readonly rows: number;
  /** Rows with a case of their own. */
  readonly own: number;
  /** Rows that something else shows. */
  readonly elsewhere: Readonly<Record<string, string>>;
  /** Rows that nothing shows. */
  readonly missing: readonly string[];
}

/** @param ids ids of cases, with or without the interface plugin after `@` */
export function coverage(ids: readonly string[]): Coverage {
  const covered = new Set(
    ids.flatMap((id) => {
      const own = /^([A-Z]+-\d+)([a-z]?)/.exec(id);
      return own === null ? [] : [own[1]!, own[0]];
    }),
  );
  const rows = checklistRows();
  const own = rows.filter((row) => covered.has(row)).length;
  const missing = rows.filter((row) => !covered.has(row) && ELSEWHERE[row] === undefined);
  return { rows: rows.length, own, elsewhere: ELSEWHERE, missing };
}
