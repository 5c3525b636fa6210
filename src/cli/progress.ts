// Shows the progress on stderr if a command takes long.
import { host } from "../host/host.ts";
import { note } from "./terminal.ts";

/** Milliseconds before the first word, and between two. */
const PATIENCE = 2000;

export class Progress {
  readonly #what: string;
  readonly #every: number;
  #next: number;
  #count = 0;
  #said = false;

  /** `every`: so many steps are too short for a look at the clock at each. */
  constructor(what: string, every = 1) {
    this.#what = what;
    this.#every = every;
    this.#next = host.monotonic() + PATIENCE;
  }

  /** One more of `all`. 0: the number is unknown. */
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
