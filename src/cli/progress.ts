// A word on stderr for the person who waits: nothing at first, then how far it is.
import { host } from "../host/host.ts";
import { note } from "./terminal.ts";

/** Milliseconds before the first word, and between two. */
const PATIENCE = 2000;

export class Progress {
  readonly #what: string;
  #next: number;
  #said = false;

  constructor(what: string) {
    this.#what = what;
    this.#next = host.monotonic() + PATIENCE;
  }

  /** `done` of `all` are done. */
  step(done: number, all: number): void {
    const now = host.monotonic();
    if (now < this.#next) return;
    this.#next = now + PATIENCE;
    this.#said = true;
    note(`${this.#what}: ${done} of ${all}`);
  }

  done(): void {
    if (this.#said) note(`${this.#what}: done`);
  }
}
