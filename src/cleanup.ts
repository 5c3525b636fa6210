// Runs several clean-up steps. If a step fails, the others still run.

/** Runs every part of a clean-up although some fail, and throws the first error at the end (DEL and GC: spec C-081, C-112). */
export class Cleanup {
  #first: unknown;
  #failed = false;

  attempt(run: () => void): void {
    try {
      run();
    } catch (error) {
      if (!this.#failed) this.#first = error;
      this.#failed = true;
    }
  }

  get failed(): boolean {
    return this.#failed;
  }

  /** Throws the first error, if there was one. */
  finish(): void {
    if (this.#failed) throw this.#first;
  }
}
