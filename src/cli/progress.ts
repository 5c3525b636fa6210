// Shows the progress on stderr if a command takes long.
import { host } from "../host/host.ts";
import { note } from "./terminal.ts";

/** Milliseconds before the first message, and between two messages. */
const PATIENCE = 2000;

export class Progress {
  readonly #what: string;
  readonly #every: number;
  #next: number;
  #count = 0;
  #said = false;

  /** `every`: check the time only at each nth step, if steps are short. */
  constructor(what: string, every = 1) {
    this.#what = what;
    this.#every = every;
    this.#next = host.monotonic() + PATIENCE;
  }

  /** Counts a step. `all` is the total number of steps, or 0 if it is not known. */
  step(all = 0): void {
    const count = this.#count++;
    if (count % this.#every !== 0) return;
    const now = host.monotonic();
    if (now < this.#next) return;
    this.#next = now + PATIENCE;
    this.#said = true;
    note(`${this.#what}: ${count}${all === 0 ? "" : ` of ${all}`}`);
  }

  done(): void {
    if (this.#said) note(`${this.#what}: done`);
  }
}
