// Runs cases, one at a time, in a thread: its calls of plugins are synchronous, so that a case reads top to bottom.
import { parentPort, workerData } from "node:worker_threads";
import { type BoundCase, Mismatch, NotRunnable, type Verdict } from "./case.ts";
import { openNamespaces } from "./namespaces.ts";
import type { Settings } from "./sandbox.ts";
import { Trial } from "./trial.ts";

/** Runs one case in namespaces of its own and never throws. */
export async function judge(c: BoundCase, settings: Settings): Promise<Verdict> {
  const start = Date.now();
  const { id, tag, requirement, expected } = c;
  const verdict = (outcome: Verdict["outcome"], got: string): Verdict => {
    return { id, tag, requirement, outcome, expected, got, ms: Date.now() - start };
  };
  const ns = await openNamespaces();
  try {
    c.run(new Trial(ns, { ...settings, main: c.main, needs: c.needs ?? [] }));
    return verdict("passed", "as expected");
  } catch (error) {
    if (error instanceof NotRunnable) return verdict("not-run", error.message);
    if (error instanceof Mismatch) return verdict("failed", `${error.got} (wanted ${error.expected})`);
    return verdict("failed", `the case itself failed: ${(error as Error).stack ?? error}`);
  } finally {
    await ns.close();
  }
}

/** The thread's loop: a case id in, a verdict out. */
export function serve(cases: ReadonlyMap<string, BoundCase>): void {
  const settings = workerData as Settings;
  parentPort!.on("message", async (id: string) => {
    parentPort!.postMessage(await judge(cases.get(id)!, settings));
  });
}
