// Entry point of the released executable. native.c evaluates this bundle at build time for the heap snapshot, and calls podnic() at each
// start.

import { installHost } from "../host/host.ts";
import { LinuxHost } from "../host/linux.ts";
import { installLoops, type Loops } from "../host/loops.ts";
import type { Kernel } from "../host/syscalls.ts";
import { main, receiveInto, versionDocument } from "../main.ts";

interface Native extends Omit<Kernel, "stackLimit">, Loops {
  stackLimit(): Uint8Array;
  inbox: ArrayBuffer;
  /** Evaluates the operator's bytecode (operator.ts), which sets podnicOperator and podnicTrace. */
  load(): void;
}

declare const native: Native;
declare global {
  var podnic: () => number;
  var podnicVersion: string;
  var podnicOperator: (args: string[]) => number;
  var podnicTrace: (file: string) => void;
}

// The snapshot would freeze the seed of Math.random, so every call would draw the same numbers. host.random() uses the kernel's.
Reflect.deleteProperty(Math, "random");

// The engine creates a built-in function when it is first accessed. This access puts it into the snapshot, so that no call has to create it.
for (const own of [Object, Number, JSON, Array, String, Map, Set, RegExp, Object.getPrototypeOf(Uint8Array)])
  for (const object of [own, own.prototype ?? {}])
    for (const key of Reflect.ownKeys(object)) Reflect.getOwnPropertyDescriptor(object, key);

function operator(args: string[]): number {
  native.load();
  return podnicOperator(args);
}

function trace(file: string): void {
  native.load();
  podnicTrace(file);
}

installLoops(native);
receiveInto(native.inbox);
globalThis.podnicVersion = versionDocument("");

const system = new LinuxHost(native);

globalThis.podnic = () => {
  installHost(system);
  return main(operator, trace) ?? 0;
};
