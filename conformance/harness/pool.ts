// Hands cases to threads.
import { Worker } from "node:worker_threads";
import type { BoundCase, Verdict } from "./case.ts";
import type { Settings } from "./sandbox.ts";

/** Runs the cases with the given number of threads; verdicts come back in the order of the cases. */
export async function runAll(
  cases: readonly BoundCase[],
  settings: Settings,
  jobs: number,
  program: URL,
  report: (verdict: Verdict, done: number) => void,
): Promise<Verdict[]> {
  const queue = [...cases];
  const verdicts = new Map<string, Verdict>();
  const thread = () =>
    new Promise<void>((resolve, reject) => {
      const next = queue.shift();
      if (next === undefined) return resolve();
      const worker = new Worker(program, { workerData: settings });
      worker.on("error", reject);
      worker.on("message", (verdict: Verdict) => {
        verdicts.set(verdict.id, verdict);
        report(verdict, verdicts.size);
        const following = queue.shift();
        if (following !== undefined) worker.postMessage(following.id);
        else worker.terminate().then(() => resolve(), reject);
      });
      worker.postMessage(next.id);
    });
  await Promise.all(Array.from({ length: jobs }, thread));
  return cases.map((c) => verdicts.get(c.id)!);
}
