// Mutations that know what an input is: JSON in its fields, edits of netlink messages. libFuzzer calls them half of the time.
import { configurations, SEPARATOR, split } from "./targets.ts";
import type { Conversions } from "./world/world.ts";

/** Numbers that follow from a seed. */
class Dice {
  #state: number;

  constructor(seed: number) {
    this.#state = seed | 1;
  }

  below(limit: number): number {
    // xorshift32
    this.#state ^= this.#state << 13;
    this.#state ^= this.#state >>> 17;
    this.#state ^= this.#state << 5;
    return (this.#state >>> 0) % limit;
  }

  of<T>(items: readonly T[]): T {
    return items[this.below(items.length)]!;
  }
}

type Json = unknown;

const values: readonly Json[] = [
  ...["", "x", "eth1", "net1", "203.0.113.9/24", "203.0.113.1", "2001:db8::9/64", "0.0.0.0/0", "::/0", "::1"],
  ...["02:00:00:00:00:01", "1.0.0", "0.3.1", "0.2.0", "\u0000", "\u009b", "é\ud800", "../..", "/tmp/x"],
  ...[0, 1, -1, 0.5, 64, 1500, 4095, 65535, 65536, 2 ** 31, 2 ** 32, 2 ** 53, 1e308, null, true, false],
  ...[{}, [], [[]], [{}], [""], [null]],
];

const keys =
  "ipam type addresses address gateway routes dst gw mtu scope dns nameservers args cni ips runtimeConfig prevResult interfaces interface cniVersion name mac master mode vlan ranges subnet rangeStart rangeEnd exclude key data was network netns path link state bootId altnames index flags plugins spec config metadata __proto__ length ip4 ip6 ip version code msg details pci".split(
    " ",
  );

/** One change somewhere in a value. */
function mutateJson(value: Json, dice: Dice, depth = 0): Json {
  const here = depth > 8 || dice.below(4) === 0;
  if (Array.isArray(value) && !(here && value.length === 0)) {
    const copy = [...value];
    const at = dice.below(Math.max(copy.length, 1));
    if (!here && copy.length > 0) copy[at] = mutateJson(copy[at], dice, depth + 1);
    else if (dice.below(3) === 0) copy.splice(at, 1);
    else copy.splice(at, 0, dice.below(2) === 0 && copy.length > 0 ? copy[at] : dice.of(values));
    return copy;
  }
  if (typeof value === "object" && value !== null) {
    const entries = Object.entries(value);
    const at = dice.below(Math.max(entries.length, 1));
    if (!here && entries.length > 0) entries[at]![1] = mutateJson(entries[at]![1], dice, depth + 1);
    else {
      const way = dice.below(4);
      if (way === 0) entries.splice(at, 1);
      else if (way === 1 && entries.length > 0) entries[at]![0] = dice.of(keys);
      else entries.push([dice.of(keys), dice.of(values)]);
    }
    return Object.fromEntries(entries);
  }
  if (typeof value === "number" && dice.below(2) === 0) return value + dice.of([1, -1, 0.5, 256]);
  if (typeof value === "string" && value !== "" && dice.below(2) === 0) {
    const at = dice.below(value.length);
    return `${value.slice(0, at)}${dice.of([":", ".", "/", "0", "f", "9", "-", "", "é"])}${value.slice(at + dice.below(2))}`;
  }
  return dice.of(values);
}

function joined(fields: Uint8Array[]): Uint8Array {
  const all = new Uint8Array(fields.reduce((sum, field) => sum + field.length + 1, -1));
  let at = 0;
  for (const field of fields) {
    if (at > 0) all[at - 1] = SEPARATOR;
    all.set(field, at);
    at += field.length + 1;
  }
  return all;
}

/** The first `head` bytes of a field stay. */
function mutateField(field: Uint8Array, head: number, dice: Dice, { encode, decode }: Conversions): Uint8Array {
  let value: Json;
  try {
    value = JSON.parse(decode(field.subarray(head)) ?? "");
  } catch {
    value = dice.of(values);
  }
  for (let times = 1 + dice.below(3); times > 0; times--) value = mutateJson(value, dice);
  const text = encode(JSON.stringify(value));
  const out = new Uint8Array(head + text.length);
  out.set(field.subarray(0, head));
  out.set(text, head);
  return out;
}

/** Another edit of a netlink answer, or a change to what is there. */
function mutateEdits(input: Uint8Array, dice: Dice): Uint8Array {
  const length = dice.of([0, 1, 2, 4, 4, 8, 8, 12, 20]);
  const bytes = new Uint8Array(length).map(() => dice.of([0, 0, 1, 2, 3, 4, 8, 10, 16, 18, 22, 255, dice.below(256)]));
  // Mostly an attribute that is as long as it says, or a little longer or shorter.
  if (length >= 4 && dice.below(4) > 0) {
    bytes[0] = dice.below(2) === 0 ? length : Math.max(0, length + dice.of([-5, -1, 1, 2, 4, 8, 32]));
    bytes[1] = 0;
    bytes[3] = dice.of([0, 0, 0x80]);
  }
  // Beyond the end is the end.
  const offset = dice.of([0xffff, 0xffff, 0, 4, 6, 8, 16, 18, 20, 24, 28, 30, 32, 36, 40, dice.below(128) * 4]);
  const how = dice.of([0, 0, 1, 2, 3, 3, 4, 4, 4, 5, 6, 7, 8, 9]);
  const edit = new Uint8Array([dice.below(24), how, offset & 255, offset >> 8, length, ...bytes]);
  const head = input.slice(0, 2);
  if (head.length < 2 || dice.below(8) === 0)
    return new Uint8Array([dice.below(configurations.length), dice.below(5), ...edit]);
  return new Uint8Array([...head, ...(dice.below(2) === 0 ? [] : input.subarray(2)), ...edit]);
}

export function mutate(target: string, input: Uint8Array, seed: number, conversions: Conversions): Uint8Array {
  const dice = new Dice(seed);
  if (target === "netlink") return mutateEdits(input, dice);
  if (target === "device-info") return mutateField(input, 1, dice, conversions);
  if (target === "yaml") return (input[0]! >> 1) % 4 === 1 ? mutateField(input, 1, dice, conversions) : input;
  const fields = split(input);
  // Of stdin the last field is JSON; of the others all but the first, behind a byte or two that say what they are.
  const at = target === "stdin" ? fields.length - 1 : 1 + dice.below(Math.max(1, fields.length - 1));
  const head = target === "stdin" ? 0 : target === "delegate" ? 2 : 1;
  if (fields[at] !== undefined) fields[at] = mutateField(fields[at], head, dice, conversions);
  return joined(fields);
}
