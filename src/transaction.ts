// Steps with undo. If any step of an ADD fails, the completed steps are undone in reverse order, and the first error is reported.

interface Undo {
  what: string;
  run: () => void;
}

export class Transaction {
  #undos: Undo[] = [];
  #besides: (() => void)[] = [];

  /** Runs one step. `undo` is kept only when the step succeeded; a step that can fail half-way cleans up after itself. */
  step<T>(what: string, run: () => T, undo?: (value: T) => void): T {
    const value = run();
    if (undo !== undefined) this.#undos.push({ what, run: () => undo(value) });
    return value;
  }

  /** Puts an undo on the list by itself: for steps that must be undone even when they fail half-way. */
  onRollback(what: string, run: () => void): void {
    this.#undos.push({ what, run });
  }

  /** Something continues during the next steps (the disk writes). `end` waits until it has finished, and throws if it failed. */
  beside(end: () => void): void {
    this.#besides.push(end);
  }

  /** Waits for everything that continues in parallel. */
  settle(): void {
    for (let end = this.#besides.shift(); end !== undefined; end = this.#besides.shift()) end();
  }

  /** Undoes everything, last step first, never stopping. Returns what could not be undone, one line each. */
  rollback(): string[] {
    const problems: string[] = [];
    while (this.#besides.length > 0) {
      try {
        this.settle();
      } catch {
        // It is undone, and there is an error already.
      }
    }
    for (let undo = this.#undos.pop(); undo !== undefined; undo = this.#undos.pop()) {
      try {
        undo.run();
      } catch (error) {
        problems.push(`${undo.what}: ${error instanceof Error ? error.message : String(error)}`);
      }
    }
    return problems;
  }

  /** The work stands: nothing is undone any more. */
  commit(): void {
    this.#undos = [];
  }
}
