// A finding of podnic doctor.
import type { Colour } from "../terminal.ts";

/** "ok" and "note" need no action; "warning" and "error" have a cure. */
export type Level = "ok" | "note" | "warning" | "error";

export const levelColours: { [level in Level]: Colour } = { ok: "green", note: "dim", warning: "yellow", error: "red" };

export interface Finding {
  /** The part of the node: "kernel", "capabilities", "plugins", "configurations", "policy", "bridges" or "state". */
  about: string;
  level: Level;
  /** What was found, and where. */
  found: string;
  /** What to do; "" if no action is needed. */
  cure: string;
  /** True if podnic doctor --fix solves the problem. */
  fixable: boolean;
}

export function finding(about: string, level: Level, found: string, cure = "", fixable = false): Finding {
  return { about, level, found, cure, fixable };
}
