// Questions that are always the same: written once, when the snapshot is made, and asked in one send.
import { align4, Writer } from "./bytes.ts";
import { NLM_F_REQUEST } from "./constants.ts";
import { HEADER } from "./message.ts";

/** Messages as they are sent, but for their sequence numbers and the port of the socket. */
export interface Questions {
  readonly operation: string;
  readonly words: Uint32Array;
  /** Where each begins, in words. */
  readonly starts: readonly number[];
}

export class QuestionWriter {
  readonly writer = new Writer(256);
  readonly #operation: string;
  readonly #starts: number[] = [];

  constructor(operation: string) {
    this.#operation = operation;
  }

  /** The caller writes the payload into the writer returned. */
  begin(type: number, flags = 0): Writer {
    this.#close();
    const start = this.writer.reserve(HEADER);
    this.#starts.push(start >> 2);
    this.writer.u16[(start >> 1) + 2] = type;
    this.writer.u16[(start >> 1) + 3] = flags | NLM_F_REQUEST;
    return this.writer;
  }

  written(): Questions {
    this.#close();
    const words = this.writer.u32.slice(0, align4(this.writer.length) >> 2);
    return { operation: this.#operation, words, starts: this.#starts };
  }

  #close(): void {
    const start = this.#starts.at(-1);
    if (start !== undefined) this.writer.u32[start] = this.writer.length - start * 4;
  }
}
