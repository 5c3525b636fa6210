// Link-layer addresses.

/** Parses `aa:bb:…`, `aa-bb-…` or `aabb.ccdd.…` of 6, 8 or 20 bytes (Go's net.ParseMAC). undefined when it is not one. */
export function parseMac(_text: string): Uint8Array | undefined {
  throw new Error("not built yet");
}

/** Lower-case colon form; "" for no bytes. */
export function formatMac(_bytes: Uint8Array): string {
  throw new Error("not built yet");
}
