// Finds the positions of values in a JSON text, so that a message can point to them.

/** The position of a value. Offsets count UTF-16 units. */
export interface Place {
  start: number;
  end: number;
  /** The offset of the key's opening quote; for an entry of a list, the offset of the value. */
  key: number;
  /** undefined for scalars. */
  children: Map<string, Place> | undefined;
}

/** A key that occurs twice in one object. */
export interface Repeated {
  pointer: string;
  key: number;
}

/** `text` must be valid JSON. */
export function findPlaces(text: string): { root: Place; repeated: Repeated[] } {
  const reader = new Reader(text);
  return { root: reader.value(reader.skipSpace(0), ""), repeated: reader.repeated };
}

class Reader {
  readonly repeated: Repeated[] = [];

  constructor(readonly text: string) {}

  skipSpace(at: number): number {
    while (" \t\n\r".includes(this.text[at] ?? "x")) at++;
    return at;
  }

  value(start: number, pointer: string, key = start): Place {
    const first = this.text[start];
    if (first === '"') return { start, end: this.#endOfString(start), key, children: undefined };
    if (first === "{" || first === "[") return this.#inside(start, pointer, key, first === "{");
    let end = start;
    while (end < this.text.length && !" \t\n\r,]}".includes(this.text[end]!)) end++;
    return { start, end, key, children: undefined };
  }

  #endOfString(start: number): number {
    let at = start + 1;
    while (this.text[at] !== '"') at += this.text[at] === "\\" ? 2 : 1;
    return at + 1;
  }

  #inside(start: number, pointer: string, key: number, isObject: boolean): Place {
    const children = new Map<string, Place>();
    let at = this.skipSpace(start + 1);
    while (!"]}".includes(this.text[at]!)) {
      let step = String(children.size);
      const from = at;
      if (isObject) {
        const end = this.#endOfString(at);
        step = JSON.parse(this.text.slice(at, end));
        at = this.skipSpace(this.skipSpace(end) + 1);
      }
      const below = `${pointer}/${escapeStep(step)}`;
      if (children.has(step)) this.repeated.push({ pointer: below, key: from });
      const child = this.value(at, below, from);
      children.set(step, child);
      at = this.skipSpace(child.end);
      if (this.text[at] === ",") at = this.skipSpace(at + 1);
    }
    return { start, end: at + 1, key, children };
  }
}

/** A key as a step of a JSON pointer (RFC 6901). */
export function escapeStep(key: string): string {
  return key.replaceAll("~", "~0").replaceAll("/", "~1");
}

/** The place of a JSON pointer. Ignores the case of keys. If the value does not exist, returns the innermost existing value that would contain it. */
export function placeAt(root: Place, pointer: string): Place {
  let place = root;
  for (const step of pointer.split("/").slice(1)) {
    const key = step.replaceAll("~1", "/").replaceAll("~0", "~");
    const next = place.children?.get(key) ?? inOtherCase(place, key);
    if (next === undefined) return place;
    place = next;
  }
  return place;
}

function inOtherCase(place: Place, key: string): Place | undefined {
  const lower = key.toLowerCase();
  for (const [name, child] of place.children ?? []) if (name.toLowerCase() === lower) return child;
  return undefined;
}
