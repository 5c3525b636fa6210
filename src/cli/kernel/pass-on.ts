// A host that passes calls on to the real one. It is for commands that trace a plugin's system calls, or that replace the system's replies.
import type { Host } from "../../host/host.ts";

/** A host whose methods all call those of `real`. Callers can replace single methods. */
export function passOn(real: Host): Host {
  const methods: { [name: string]: unknown } = {};
  const source = real as unknown as { [name: string]: unknown };
  for (let level = Object.getPrototypeOf(real); level !== Object.prototype; level = Object.getPrototypeOf(level)) {
    for (const name of Object.getOwnPropertyNames(level)) {
      if (name === "constructor" || typeof source[name] !== "function" || name in methods) continue;
      methods[name] = (...args: unknown[]) => (source[name] as (...args: unknown[]) => unknown).apply(real, args);
    }
  }
  return methods as unknown as Host;
}
