// What a case is, and how the table of cases becomes the list that is run.
import type { Trial } from "./trial.ts";

/** S = the spec asks for it, G = Go runtimes and plugins rely on it, H = hardening where the spec is silent. */
export type Tag = "S" | "G" | "H";

export interface Case {
  readonly id: string;
  readonly tag: Tag;
  /** Spec requirement (C-nnn of the checklist in docs/conformance.md) or the rule in plain words. */
  readonly requirement: string;
  readonly expected: string;
  /** "plugin:NAME", "kernel:LINKKIND", "kernel:no-LINKKIND", "program:NAME", "card", "card:igb", "card:pci", "card:netdevsim", "virtio-card", "spec:VERSION" (listed by MAIN) or "spec:VERSION:PLUGIN". */
  readonly needs?: readonly string[];
  readonly run: (t: Trial) => void;
}

/** A case that exercises MAIN, the interface plugin of this run. */
export interface MainCase extends Case {
  /** The interface plugins it makes sense for; all when absent. */
  readonly only?: readonly string[];
}

/** One case as run: bound to a MAIN plugin, or to none. */
export interface BoundCase extends Case {
  readonly main: string | undefined;
}

export interface CaseTable {
  readonly perMain: readonly MainCase[];
  readonly fixed: readonly Case[];
}

export interface Verdict {
  readonly id: string;
  readonly tag: Tag;
  readonly requirement: string;
  readonly outcome: "passed" | "failed" | "not-run";
  readonly expected: string;
  readonly got: string;
  readonly ms: number;
}

/** Thrown by every check that does not hold. */
export class Mismatch extends Error {
  constructor(
    readonly expected: string,
    readonly got: string,
  ) {
    super(`expected ${expected}; got ${got}`);
  }
}

/** Thrown by a case that finds it cannot run here. Reported as not-run, never as passed. */
export class NotRunnable extends Error {}

export function bind(tables: readonly CaseTable[], mains: readonly string[]): BoundCase[] {
  const bound: BoundCase[] = [];
  for (const table of tables) {
    for (const c of table.perMain) {
      for (const main of mains) {
        if (c.only === undefined || c.only.includes(main)) {
          bound.push({ ...c, id: `${c.id}@${main}`, needs: [`plugin:${main}`, ...(c.needs ?? [])], main });
        }
      }
    }
    for (const c of table.fixed) bound.push({ ...c, main: undefined });
  }
  const seen = new Set<string>();
  for (const c of bound) {
    if (seen.has(c.id)) throw new Error(`two cases are called ${c.id}`);
    seen.add(c.id);
  }
  return bound;
}

/** Shorthand of the tables: one line of the reference becomes one call. */
export function row(
  id: string,
  tag: Tag,
  requirement: string,
  expected: string,
  run: (t: Trial) => void,
  more: Pick<MainCase, "only" | "needs"> = {},
): MainCase {
  return { id, tag, requirement, expected, run, ...more };
}

type Row = (
  id: string,
  tag: Tag,
  requirement: string,
  expected: string,
  run: (t: Trial) => void,
  more?: readonly string[],
) => Case;

/** row for a topic whose cases all need the same things. */
export const rowsThatNeed =
  (needs: readonly string[]): Row =>
  (id, tag, requirement, expected, run, more = []) =>
    row(id, tag, requirement, expected, run, { needs: [...needs, ...more] });

type VersionedRows = (
  id: string,
  requirement: string,
  expected: string,
  run: (t: Trial, version: string) => void,
) => Case[];

/** One case for each version, as the Go plugins' own tests have them. A version that the plugin does not list is not run. */
export const rowsByVersion =
  (plugin: string, versions: readonly string[]): VersionedRows =>
  (id, requirement, expected, run) =>
    versions.map((version) =>
      row(`${id}-${version}`, "G", requirement, `${version}: ${expected}`, (t) => run(t, version), {
        needs: [`plugin:${plugin}`, `spec:${version}:${plugin}`],
      }),
    );
