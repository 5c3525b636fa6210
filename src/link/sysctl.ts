/** Reads net/… of /proc/sys in the namespace this process is in; undefined when the kernel has no such key. */
export function readSysctl(_key: string): string | undefined {
  throw new Error("not built yet");
}

/** Writes it. Keys are slash-separated because interface names may contain dots. */
export function writeSysctl(_key: string, _value: string): void {
  throw new Error("not built yet");
}
