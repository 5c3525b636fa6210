// JSON for stdout, which can be a terminal. JSON.stringify does not escape DEL, the C1 controls (U+009B starts terminal commands) and the line
// separators. The strings come from configurations, state files and other plugins.

import { host } from "./host/host.ts";

const CONTROL = /[\u007f-\u009f\u2028\u2029]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The same value to every reader. */
export function jsonText(value: unknown, indent: number): string {
  const text = JSON.stringify(value, undefined, indent);
  // ASCII, as nearly all is: two native calls instead of a pattern that is tried at each character.
  const bytes = host.encode(text);
  if (bytes.length === text.length && !bytes.includes(0x7f)) return text;
  return text.replace(CONTROL, escaped);
}
