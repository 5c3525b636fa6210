// Which value do a plugin's own rules object to? They say so in words only. The value they looked at last is the one.

/** A copy of `config` that notices what is read, and the JSON pointer of the value that was read last ("" before the first). */
export function watchReads<T extends object>(config: T): { config: T; last: () => string } {
  let last = "";
  const copy = (value: unknown, pointer: string): unknown => {
    if (typeof value !== "object" || value === null) return value;
    const out = Array.isArray(value) ? [] : {};
    for (const [key, child] of Object.entries(value)) {
      const below = `${pointer}/${key}`;
      const copied = copy(child, below);
      const get = () => {
        last = below;
        return copied;
      };
      Object.defineProperty(out, key, { get, enumerable: true });
    }
    return out;
  };
  return { config: copy(config, "") as T, last: () => last };
}
