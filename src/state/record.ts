// What a device was before we touched it, written before the first change, so that a kill at any point, a dead namespace or a
// renamed interface still ends with the device on the host as it was.
// One JSON file an attachment: /var/lib/cni/podnic/<plugin>/…; the key is in the file, so that a shortened file name is never mistaken.

export interface RecordKey {
  network: string;
  containerId: string;
  ifName: string;
}

export interface Record<T> {
  key: RecordKey;
  /** Boot id (/proc/sys/kernel/random/boot_id) at the time of writing: after a reboot the kernel's side of the story is gone. */
  bootId: string;
  data: T;
}

export interface RecordStore<T> {
  /** undefined: none, or unreadable (logged): state never blocks. */
  read(key: RecordKey): Record<T> | undefined;
  /** Durable when it returns. */
  write(key: RecordKey, data: T): void;
  /** No error when it is gone. */
  remove(key: RecordKey): void;
  /** All records of the plugin. */
  list(): Record<T>[];
}

export function recordStore<T>(_plugin: string): RecordStore<T> {
  throw new Error("not built yet");
}

export function bootId(): string {
  throw new Error("not built yet");
}
