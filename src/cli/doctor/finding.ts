// A finding of podnic doctor.
import type { Colour } from "../terminal.ts";

/** "ok" and "note" need nothing to be done; "warning" and "error" come with a cure. */
export type Level = "ok" | "note" | "warning" | "error";

export const levelColours: { [level in Level]: Colour } = { ok: "green", note: "dim", warning: "yellow", error: "red" };

export interface Finding {
  /** What was looked at: "kernel", "capabilities", "plugins", "configurations", "policy", "state". */
  about: string;
  level: Level;
  /** What was found, with its place. */
  found: string;
  /** What to do; "" when there is nothing to be done. */
  cure: string;
  /** podnic doctor --fix does it. */
  fixable: boolean;
}

export function finding(about: string, level: Level, found: string, cure = "", fixable = false): Finding {
  return { about, level, found, cure, fixable };
}
