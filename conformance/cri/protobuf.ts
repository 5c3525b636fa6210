// As much of protobuf's encoding as the messages of CRI need: varints, texts, messages in messages, repeated fields.

/** A field's value; `undefined` is not sent. A message is the list of its fields, by number. */
export type Value = string | number | boolean | Message | readonly string[] | readonly Message[] | undefined;
export interface Message {
  readonly [field: number]: Value;
}

/** What came: for each field number its values, numbers or bytes. */
export class Fields {
  readonly #values = new Map<number, (number | Buffer)[]>();

  constructor(data: Buffer) {
    for (let at = 0; at < data.length; ) {
      let tag: number;
      [tag, at] = varint(data, at);
      const wire = tag % 8;
      let value: number | Buffer;
      if (wire === 0) [value, at] = varint(data, at);
      else if (wire === 2) {
        let size: number;
        [size, at] = varint(data, at);
        value = data.subarray(at, at + size);
        at += size;
      } else throw new Error(`wire type ${wire}, which no field of ours has`);
      const number = Math.floor(tag / 8);
      this.#values.set(number, [...(this.#values.get(number) ?? []), value]);
    }
  }

  has(field: number): boolean {
    return this.#values.has(field);
  }

  number(field: number): number {
    const value = this.#values.get(field)?.at(-1) ?? 0;
    if (typeof value !== "number") throw new Error(`field ${field} is no number`);
    return value;
  }

  texts(field: number): string[] {
    return (this.#values.get(field) ?? []).map(String);
  }

  text(field: number): string {
    return this.texts(field).at(-1) ?? "";
  }

  message(field: number): Fields {
    const value = this.#values.get(field)?.at(-1) ?? Buffer.alloc(0);
    if (typeof value === "number") throw new Error(`field ${field} is no message`);
    return new Fields(value);
  }

  messages(field: number): Fields[] {
    return (this.#values.get(field) ?? []).map((value) => new Fields(value as Buffer));
  }
}

function varint(data: Buffer, at: number): [value: number, next: number] {
  let value = 0;
  for (let factor = 1; ; factor *= 128, at++) {
    const byte = data[at]!;
    value += (byte % 128) * factor;
    if (byte < 128) return [value, at + 1];
  }
}

function writeVarint(value: number): Buffer {
  const bytes: number[] = [];
  for (; value >= 128; value = Math.floor(value / 128)) bytes.push((value % 128) + 128);
  return Buffer.from([...bytes, value]);
}

function writeOne(field: number, value: string | number | boolean | Message): Buffer {
  if (typeof value === "number" || typeof value === "boolean")
    return Buffer.concat([writeVarint(field * 8), writeVarint(Number(value))]);
  const data = typeof value === "string" ? Buffer.from(value) : encode(value);
  return Buffer.concat([writeVarint(field * 8 + 2), writeVarint(data.length), data]);
}

export function encode(message: Message): Buffer {
  const parts = Object.entries(message).flatMap(([field, value]: [string, Value]) => {
    if (value === undefined) return [];
    const all = Array.isArray(value) ? value : [value];
    return all.map((one) => writeOne(Number(field), one));
  });
  return Buffer.concat(parts);
}
