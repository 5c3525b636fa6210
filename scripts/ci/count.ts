// Reads from each kind of report how many tests passed, failed and did not run.

export interface Count {
  passed: number;
  failed: number;
  notRun: number;
}

export function vitestCount(report: unknown): Count {
  const { numPassedTests, numFailedTests, numPendingTests, numTodoTests, numFailedTestSuites } = report as Record<
    string,
    number
  >;
  // A test file that cannot be loaded reports no failed test, so its suite counts as one.
  const failed = Math.max(numFailedTests!, Math.min(numFailedTestSuites!, 1));
  return { passed: numPassedTests!, failed, notRun: numPendingTests! + numTodoTests! };
}

export function conformanceCount(report: unknown): Count {
  const { cases } = report as { cases: { outcome: string }[] };
  const count = (outcome: string) => cases.filter((c) => c.outcome === outcome).length;
  return { passed: count("passed"), failed: count("failed"), notRun: count("not-run") };
}

export function faultsCount(report: unknown): Count {
  const outcomes = report as { points: number; notReached: unknown[]; notClean: unknown[] }[];
  const sum = (of: (outcome: (typeof outcomes)[number]) => number) => outcomes.reduce((n, o) => n + of(o), 0);
  const failed = sum((o) => o.notClean.length);
  return { passed: sum((o) => o.points) - failed, failed, notRun: sum((o) => o.notReached.length) };
}

/** Counts schedules. */
export function interleaveCount(report: unknown): Count {
  const pairs = report as { run: number; wrong: unknown[]; notRun?: string }[];
  const failed = pairs.reduce((n, pair) => n + pair.wrong.length, 0);
  return {
    passed: pairs.reduce((n, pair) => n + pair.run, 0) - failed,
    failed,
    notRun: pairs.filter(({ notRun }) => notRun !== undefined).length,
  };
}

/** Counts the states of the disk that a power cut may leave. A run without one of the fsyncs counts as one test: some of its states must be wrong. */
export function powercutCount(report: unknown): Count {
  const runs = report as { without: string; looks: number; wrong: unknown[]; asExpected: boolean }[];
  const count: Count = { passed: 0, failed: 0, notRun: 0 };
  for (const { without, looks, wrong, asExpected } of runs) {
    const failed = without === "none" ? wrong.length : asExpected ? 0 : 1;
    count.failed += failed;
    count.passed += without === "none" ? looks - failed : 1 - failed;
  }
  return count;
}

/** Counts calls. */
export function soakCount(report: unknown): Count {
  const { counts, wrong, left, grown } = report as {
    counts: { adds: number; dels: number; checks: number; collections: number };
    wrong: unknown[];
    left: unknown[];
    grown: unknown[];
  };
  const failed = wrong.length + left.length + grown.length;
  return { passed: counts.adds + counts.dels + counts.checks + counts.collections, failed, notRun: 0 };
}

export function differentialCount(report: unknown): Count {
  const { configurations, differing } = report as { configurations: number; differing: number };
  return { passed: configurations - differing, failed: differing, notRun: 0 };
}

/** Counts targets without a fault as passed, and each fault as failed. */
export function fuzzCount(report: unknown): Count {
  const outcomes = report as { faults: unknown[] }[];
  const failed = outcomes.reduce((n, { faults }) => n + faults.length, 0);
  return { passed: outcomes.filter(({ faults }) => faults.length === 0).length, failed, notRun: 0 };
}
