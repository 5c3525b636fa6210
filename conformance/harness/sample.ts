// A part of the cases, for where all of them take too long.
import { createHash } from "node:crypto";

/**
 * `size` of the items, in their order. The same seed draws the same ids, and a case that is added later changes at most one of them.
 */
export function sample<T extends { readonly id: string }>(items: readonly T[], size: number, seed: string): T[] {
  const lot = (id: string) => createHash("sha256").update(`${seed} ${id}`).digest("hex");
  const drawn = items
    .map((item) => ({ item, lot: lot(item.id) }))
    .sort((a, b) => (a.lot < b.lot ? -1 : 1))
    .slice(0, size);
  const ids = new Set(drawn.map(({ item }) => item.id));
  return items.filter(({ id }) => ids.has(id));
}
