// The steps that a plugin would have taken, in order.

export type Kind = "kernel" | "sysctl" | "file" | "packet" | "run" | "note";

export interface Step {
  kind: Kind;
  text: string;
}

export class Steps {
  #steps: (Step & { dropped?: boolean })[] = [];

  /** Adds a step. Until `take`, the caller can change its text or set `dropped`. */
  add(kind: Kind, text: string): Step & { dropped?: boolean } {
    const step = { kind, text };
    this.#steps.push(step);
    return step;
  }

  /** Returns the steps, and empties the list. Merges identical consecutive steps. */
  take(): Step[] {
    const kept = this.#steps.filter(({ dropped, text }) => dropped !== true && text !== "");
    this.#steps = [];
    return kept
      .filter((step, i) => i === 0 || step.kind !== kept[i - 1]!.kind || step.text !== kept[i - 1]!.text)
      .map(({ kind, text }) => ({ kind, text }));
  }
}
