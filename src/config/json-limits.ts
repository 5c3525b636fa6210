// Checks limits on a JSON text before it is parsed.

/** Maximum depth of nesting, the same as in Go's decoder. */
export const DEEPEST = 10_000;

/**
 * Maximum number of different keys in a text. An attacker can choose keys with equal hashes, among which the engine searches one after
 * another: 16,000 such keys take seconds. All plugins together know about 150 keys.
 */
export const MOST_KEYS = 1024;

/** The number of keys that hasTooManyKeys collects before it removes duplicates. */
const COLLECTED = 8 * MOST_KEYS;

/** True if brackets outside of strings are nested more than DEEPEST levels deep. */
export function isTooDeep(text: string): boolean {
  if (text.length <= DEEPEST) return false;
  let depth = 0;
  for (let at = 0; at < text.length; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x22) {
      at = endOfString(text, at);
    } else if (unit === 0x7b || unit === 0x5b) {
      depth++;
      if (depth > DEEPEST) return true;
    } else if (unit === 0x7d || unit === 0x5d) {
      depth--;
    }
  }
  return false;
}

/**
 * The number of opening brackets, commas and colons outside of strings, which is at most about two for each value. It is a measure of the time
 * that code needs to visit all values. Stops counting above `most`.
 */
export function countMarks(text: string, most: number): number {
  let marks = 0;
  for (let at = 0; at < text.length && marks <= most; at++) {
    const unit = text.charCodeAt(at);
    if (unit === 0x22) at = endOfString(text, at);
    else if (unit === 0x2c || unit === 0x3a || unit === 0x5b || unit === 0x7b) marks++;
  }
  return marks;
}

/** Index of the closing quote of the string that begins at `at`. */
function endOfString(text: string, at: number): number {
  for (let end = text.indexOf('"', at + 1); end >= 0; end = text.indexOf('"', end + 1)) {
    let slashes = 0;
    while (text.charCodeAt(end - 1 - slashes) === 0x5c) slashes++;
    if (slashes % 2 === 0) return end;
  }
  return text.length;
}

/** True if the text has more than MOST_KEYS different keys. Does not decode escapes, so it may count two spellings of a key as two keys. */
export function hasTooManyKeys(text: string): boolean {
  // A key, its colon, its value and a comma have at least six characters.
  if (text.length <= 6 * MOST_KEYS) return false;
  let keys: string[] = [];
  for (let at = text.indexOf('"'); at >= 0; at = text.indexOf('"', at + 1)) {
    const end = endOfString(text, at);
    if (isKey(text, end + 1)) keys.push(text.slice(at + 1, end));
    at = end;
    if (keys.length < COLLECTED) continue;
    keys = different(keys);
    if (keys.length > MOST_KEYS) return true;
  }
  return different(keys).length > MOST_KEYS;
}

/** A key that occurs twice in one object of the text, which must be valid JSON. `isIgnored` tells which keys are allowed to. */
export function repeatedKey(text: string, isIgnored: (key: string) => boolean): string | undefined {
  const open: Set<string>[] = [];
  for (let at = 0; at < text.length; at++) {
    const unit = text[at];
    if (unit === "{" || unit === "[") open.push(new Set());
    else if (unit === "}" || unit === "]") open.pop();
    if (unit !== '"') continue;
    const end = endOfString(text, at);
    if (isKey(text, end + 1)) {
      const key = JSON.parse(text.slice(at, end + 1)) as string;
      const keys = open.at(-1);
      if (keys?.has(key) && !isIgnored(key)) return key;
      keys?.add(key);
    }
    at = end;
  }
  return undefined;
}

function isKey(text: string, at: number): boolean {
  for (; ; at++) {
    const unit = text.charCodeAt(at);
    if (unit !== 0x20 && unit !== 0x0a && unit !== 0x0d && unit !== 0x09) return unit === 0x3a;
  }
}

/** Removes duplicates by sorting, because a Set would be slow for keys with equal hashes. */
function different(keys: string[]): string[] {
  return keys.sort().filter((key, n) => key !== keys[n - 1]);
}
