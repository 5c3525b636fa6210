// The steps that a plugin would have taken, in order.

export type Kind = "kernel" | "sysctl" | "file" | "packet" | "run" | "note";

export interface Step {
  kind: Kind;
  text: string;
}

export class Steps {
  #steps: (Step & { dropped?: boolean })[] = [];

  /** The step can be given another text, or dropped, until the list is taken. */
  add(kind: Kind, text: string): Step & { dropped?: boolean } {
    const step = { kind, text };
    this.#steps.push(step);
    return step;
  }

  /** Takes the list; the same step twice in a row is one. */
  take(): Step[] {
    const kept = this.#steps.filter(({ dropped, text }) => dropped !== true && text !== "");
    this.#steps = [];
    return kept
      .filter((step, i) => i === 0 || step.kind !== kept[i - 1]!.kind || step.text !== kept[i - 1]!.text)
      .map(({ kind, text }) => ({ kind, text }));
  }
}
