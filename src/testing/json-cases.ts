// Values that JSON.stringify and JSON.parse must handle as the language specifies. json.patch adds a shorter path for most of them. A replacer that
// changes nothing makes the engine take the long path, with which the tests compare the short one.
import { equal } from "./host-contract.ts";

const gone: Record<string, unknown> = { a: 1, b: 2, c: 3 };
delete gone.b;
const shy = Object.defineProperty({ seen: 1 }, "hidden", { value: 2 });
const lazy = {
  get read() {
    return "by a getter";
  },
};

class Named {
  readonly own = 1;
  get inherited(): number {
    return 2;
  }
}

/** Each use makes its value anew, because writing some of them changes them. */
const values: (() => unknown)[] = [
  () => [
    "",
    "plain",
    'a "quote"',
    "back\\slash",
    "\0\t\n\u001f",
    "\u007f\u0080ÿ",
    "snow ☃ and 😀",
    "\ud800 alone",
    "\udfff",
  ],
  () => ["a", "b".repeat(3000)].join("-") + String.fromCharCode(34),
  () => [0, -0, 7, -2147483648, 2147483647, 2147483648, 0.1, 1e21, 1e-7, Number.NaN, Number.POSITIVE_INFINITY],
  () => [true, false, null, undefined, () => 1, Symbol("s")],
  () => ({ a: undefined, b: () => 1, c: Symbol("s"), d: null, [Symbol("key")]: 1 }),
  () => ({ "": 1, " ": 2, 'a"b': 3, "a\\b": 4, "a\nb": 5, "☃": 6, é: 7, _: 8, $: 9 }),
  () => ({ b: 1, 10: 2, a: 3, 9: 4, 4294967294: 5, 4294967295: 6, 2147483648: 7, "-1": 8, "01": 9 }),
  () => [gone, shy, lazy, new Named(), Object.create(null), Object.create({ inherited: 1 }), new Error("none of it")],
  () => [[], {}, [[]], [{}], { a: [] }, { a: {} }, [1, [2, [3, { four: [5] }]]]],
  // biome-ignore lint/suspicious/noSparseArray: of which a list has some
  () => [[1, , 3], new Array(2), new Uint8Array([1, 2]), new Map([[1, 2]]), new Date(0)],
  () => [Object("text"), Object(5), Object(false), { toJSON: (key: string) => `asked as ${key}` }],
  () => ({ first: { toJSON: (key: string) => `asked as ${key}` }, second: [{ toJSON: (key: string) => `at ${key}` }] }),
  () => {
    const whole: Record<string, unknown> = { a: 1, b: { toJSON: () => delete whole.c && "c is gone" }, c: 3, d: 4 };
    return whole;
  },
  () => {
    const whole: Record<string, unknown> = {
      a: { toJSON: () => Object.assign(whole, { b: "other", z: "new" }) && 0 },
      b: 2,
    };
    return whole;
  },
  // So many fields go that the engine moves the others up, and an index takes the place of one.
  () => {
    const whole: Record<string, unknown> = {
      a: {
        toJSON: () => {
          for (let i = 0; i < 20; i++) delete whole[`f${i}`];
          whole[5] = "an index";
          whole.f1 = "again";
        },
      },
      last: 1,
    };
    for (let i = 0; i < 30; i++) whole[`f${i}`] = i;
    return whole;
  },
  () => {
    const whole: Record<string, unknown> = {
      a: { toJSON: () => Object.defineProperty(whole, "b", { get: () => "by a getter" }) && 0 },
      b: 2,
    };
    return whole;
  },
];

function thrown(body: () => unknown): unknown {
  try {
    return body();
  } catch (error) {
    return String(error);
  }
}

export function checkJson(): void {
  values.forEach((make, i) => {
    for (const indent of [0, 4, "--"])
      equal(
        JSON.stringify(make(), undefined, indent),
        JSON.stringify(make(), (_, value) => value, indent),
        `value ${i}`,
      );
  });
  const ring: unknown[] = [{}];
  Object.assign(ring[0]!, { ring });
  equal(
    thrown(() => JSON.stringify(ring)),
    "TypeError: circular reference",
    "a ring",
  );
  equal(
    thrown(() => JSON.stringify({ a: 1n })),
    "TypeError: Do not know how to serialize a BigInt",
    "a BigInt",
  );
  Object.assign(BigInt.prototype, { toJSON: (key: string) => `asked as ${key}` });
  equal(JSON.parse(JSON.stringify([0, 1n])), [0, "asked as 1"], "a BigInt with toJSON in a list");
  Reflect.deleteProperty(BigInt.prototype, "toJSON");
  equal(
    JSON.stringify({ b: 1, "": [1, "x"], 5: null }),
    '{"5":null,"b":1,"":[1,"x"]}',
    "what no replacer is compared with",
  );

  checkParsing();
}

/** What is parsed, and the text that it is written as again. */
const texts: [text: string, value: unknown][] = [
  ...(['""', '"plain"', '"~\u007f"', `"${"x".repeat(3000)}"`].map((text) => [text, text.slice(1, -1)]) as [
    string,
    unknown,
  ][]),
  ['"a \\"quote\\", \\u0041 and \\\\"', 'a "quote", A and \\'],
  ['"é"', "é"],
  ['"a ☃"', "a ☃"],
  ...[
    0, 7, 10, 99999999, 999999999, 1000000000, 2147483647, 2147483648, 123456789012345, -1, -999999999, 1.5, 100.25,
  ].map((number): [string, unknown] => [`${number}`, number]),
  ["1e3", 1000],
  ["12E2", 1200],
  ["123456789e0", 123456789],
  ["999999999.5", 999999999.5],
];
const none = ['"', '"a', '"a\nb"', '"a\u0000"', "01", "1a", "-", '{"a":1', "[1,]", "'a'"];

function checkParsing(): void {
  for (const [text, value] of texts) {
    equal(JSON.parse(text), value, `read ${text.slice(0, 40)}`);
    equal(
      JSON.parse(`{"key":[${text} , ${text}]}`),
      { key: [value, value] },
      `read ${text.slice(0, 40)} within others`,
    );
  }
  for (const text of none)
    equal(String(thrown(() => JSON.parse(text))).startsWith("SyntaxError"), true, `refused: ${text}`);

  const list = JSON.parse('[1, "two", [3, [], {}], null]') as unknown[];
  list.push(5);
  equal(
    [list.length, Object.keys(list), list.indexOf(5), (list[2] as unknown[]).length],
    [5, ["0", "1", "2", "3", "4"], 4, 3],
    "a list",
  );
  equal(JSON.stringify(JSON.parse(`[${"1,".repeat(5000)}1]`)), `[${"1,".repeat(5000)}1]`, "a long list");
  equal(
    thrown(() => JSON.parse("[1,]")),
    "SyntaxError: unexpected token: ']'",
    "a list that goes on with nothing",
  );
}
