// Log lines: stderr, or the file a configuration names. stdout belongs to the one JSON document.

export type Level = "error" | "warning" | "info" | "debug";

/** One line. Control characters of values are escaped. */
export function log(_level: Level, _message: string, _fields: { [key: string]: string | number } = {}): void {
  throw new Error("not built yet");
}
