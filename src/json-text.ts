// JSON for stdout, which may be a terminal: JSON.stringify leaves DEL, the C1 controls (U+009B begins commands to a terminal) and the line
// separators as they are. The texts in it come from configurations, state files and other plugins.

const CONTROL = /[\u007f-\u009f\u2028\u2029]/g;

function escaped(character: string): string {
  return `\\u${character.charCodeAt(0).toString(16).padStart(4, "0")}`;
}

/** The same value to every reader. */
export function jsonText(value: unknown, indent: number): string {
  return JSON.stringify(value, undefined, indent).replace(CONTROL, escaped);
}
