// VERSION is answered in C when the question is plain, else in TypeScript (version.h). Both must give the same answer. With an argument,
// which changes nothing else, the same executable leaves every question to TypeScript.
import { spawnSync } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { dist } from "../../../scripts/build/paths.ts";

const dir = mkdtempSync(join(tmpdir(), "podnic-version-"));
afterAll(() => rmSync(dir, { recursive: true, force: true }));
const podnic = join(dist, "cni", "host-local");

const plain = '{"cniVersion":"0.4.0"}';
/** Bytes that mean something in JSON, in versions, or to a C program. */
const interesting = [...'\t\n\v\f\r "#+,-./0189:;AV[\\]_`nux{}~', "\0", "\x80", "\xc3", "\xff", "\x01", "\x1b", "\x7f"];

/** Latin-1: a character is a byte. */
function changed(): string[] {
  const all: string[] = [];
  for (let i = 0; i <= plain.length; i++) {
    const [before, rest] = [plain.slice(0, i), plain.slice(i)];
    for (const byte of interesting) all.push(before + byte + rest, before + byte + rest.slice(1));
    all.push(before, rest, before + rest.slice(1), before + plain + rest);
  }
  return all;
}

const versions = [
  ...[
    "0.1.0",
    "1.1.0",
    "1.2.3",
    "9.9.9",
    "01.002.0003",
    "123456789.123456789.123456789",
    "1234567890.1.1",
    "1.1.1234567890",
  ],
  ...[
    "",
    "1",
    "1.0",
    "1.0.0.0",
    "1..0",
    ".1.0",
    "1.0.",
    "v1.0.0",
    "1.0.0-rc1",
    "+1.0.0",
    "1.0.-1",
    "1.0.0 ",
    " 1.0.0",
    "1.O.0",
  ],
  ...["1\\u002e0.0", "\\u0031.0.0", "1.0.0\\n", "1.0.0\\u0000", "1.0.\u0660"],
];

function odd(): string[] {
  const documents = versions.map((version) => `{"cniVersion":"${version}"}`);
  const values = ["1.0", "1", "null", "true", "[]", '["1.0.0"]', '{"cniVersion":"1.0.0"}', "'1.0.0'", "1.0.0"];
  const bodies = [
    ...values.map((value) => `"cniVersion":${value}`),
    ...[
      '"cniVersion":"1.0.0",',
      '"cniVersion":"1.0.0","cniVersion":"0.3.1"',
      '"cniVersion":"1.0.0","name":"n","type":"macvlan"',
    ],
    ...[
      '"name":"n","cniVersion":"1.0.0"',
      '"plugins":[{"cniVersion":"0.3.0"}]',
      '"CNIVersion":"1.0.0"',
      '"cniversion":"1.0.0"',
    ],
    ...[
      '"\\u0063niVersion":"1.0.0"',
      '"cni\\Version":"1.0.0"',
      "cniVersion:1.0.0",
      '"cniVersion" "1.0.0"',
      '"cniVersion"::"1.0.0"',
      "",
    ],
  ];
  const whole = [
    "",
    " ",
    "null",
    '"1.0.0"',
    "[]",
    `[${plain}]`,
    plain + plain,
    `\xef\xbb\xbf${plain}`,
    `/**/${plain}`,
    `${plain}//`,
  ];
  const spaces = [
    " ",
    "\t\r\n",
    "\n  ",
    "\v",
    "\xa0",
    " ".repeat(480),
    " ".repeat(490),
    " ".repeat(491),
    " ".repeat(70_000),
  ];
  const spaced = spaces.flatMap((space) => {
    const tokens = ["{", '"cniVersion"', ":", '"0.3.1"', "}"];
    return [tokens.join(space), `${plain}${space}`, `${space}${plain}`, `{"cniVersion":"1.0.0"${space},"a":1}`];
  });
  return [...documents, ...bodies.map((body) => `{${body}}`), ...whole, ...spaced];
}

/** Two changes at once, drawn by lot, the same ones each time. */
function drawn(count: number): string[] {
  let seed = 15;
  const draw = (below: number): number => {
    seed = (seed * 1_103_515_245 + 12_345) % 2 ** 31;
    return Math.floor((seed / 2 ** 31) * below);
  };
  const change = (text: string): string => {
    const [at, much] = [draw(text.length + 1), draw(3)];
    return text.slice(0, at) + (draw(4) === 0 ? "" : interesting[draw(interesting.length)]) + text.slice(at + much);
  };
  return Array.from({ length: count }, () => change(change(draw(2) === 0 ? plain : ' { "cniVersion" : "1.0.0" } \n')));
}

/** What the script says, with CNI_COMMAND=VERSION. `$p` is podnic; `"$@"` what it gets as arguments. */
function answers(script: string, ...args: string[]): string {
  const { stdout, stderr, status } = spawnSync("bash", ["--norc", "-c", script, "bash", ...args], {
    cwd: dir,
    env: { PATH: process.env.PATH, CNI_COMMAND: "VERSION", p: podnic },
    maxBuffer: 64 << 20,
  });
  return `${stdout.toString("latin1")}${stderr.toString("latin1")}${status}`;
}

/** System calls of the engine's start, which an answer in C does not make. */
function startsEngine(script: string): boolean {
  return answers(`p="strace -qq -e trace=prlimit64 $p"; ${script}`).includes("prlimit64(");
}

test("the same answer to thousands of odd questions", () => {
  const questions = [...new Set([plain, ...changed(), ...odd(), ...drawn(1000)])];
  mkdirSync(join(dir, "questions"));
  questions.forEach((text, i) => {
    writeFileSync(join(dir, "questions", `${i}`.padStart(5, "0")), Buffer.from(text, "latin1"));
  });
  const script = 'for q in questions/*; do echo "$q"; $p "$@" < $q 2>&1; echo "$?"; done';
  const [c, typescript] = [answers(script).split("\n"), answers(script, "argument").split("\n")];
  expect(questions.length).toBeGreaterThan(2500);
  expect(c.length).toBe(questions.length * 3 + 1);
  expect(c.filter((line, i) => line !== typescript[i])).toEqual([]);
  expect(c.length).toBe(typescript.length);
}, 300_000);

const asked = `printf '%s' '${plain}'`;
const worlds: [name: string, script: string][] = [
  ["a pipe", `${asked} | $p "$@"`],
  ["a pipe that is closed late", `(${asked}; sleep 0.03) | $p "$@"`],
  ["a pipe that is held open", `(${asked}; sleep 0.3) | $p "$@"`],
  ["a pipe that is written to in pieces", `(printf '{"cniVersion'; sleep 0.003; printf '":"0.4.0"}') | $p "$@"`],
  [
    "a pipe with more than is plain, in pieces",
    `(printf '{"cniVersion":"0.4.0"%379s' ''; sleep 0.004; printf '%400s}' '') | $p "$@"`,
  ],
  ["a pipe with what is not plain", `printf '{"cniVersion":"0.3.1","name":"n"}' | $p "$@"`],
  ["a pipe with much", `(${asked}; head -c 200000 /dev/zero | tr '\\0' ' ') | $p "$@"`],
  ["an empty pipe", `true | $p "$@"`],
  ["a file that was read from", `echo 'line'$'\\n''${plain}' > read; (read -r x; $p "$@") < read`],
  ["a directory", `$p "$@" < .`],
  ["/dev/null", `$p "$@" < /dev/null`],
  ["no stdin", `$p "$@" <&-`],
  ["no stdout", `${asked} | $p "$@" >&-`],
  ["no stderr", `${asked} | $p "$@" 2>&-`],
  ["stdout is a file", `${asked} | $p "$@" > answer; echo $?; cat answer`],
  ["stdout is a file that may not grow", `ulimit -f 0; ${asked} | $p "$@" > answer0; echo $?; cat answer0`],
  ["stdout is full", `${asked} | $p "$@" > /dev/full; echo $?`],
  ["nobody reads stdout", `${asked} | { sleep 0.1; $p "$@" 2> err; echo $? >&2; } | true; cat err`],
  ["a name that is not ASCII", `${asked} | (exec -a $'n\\xff' $p "$@")`],
  ["another command", `export CNI_COMMAND=VERSIONS; ${asked} | $p "$@"`],
];

test.each(worlds)("the same answer: %s", (_, script) => {
  // What is logged says when it was.
  const timeless = (text: string) => text.replace(/\d{4}-\d\d-\d\dT\S+|"(time|pid)":[^,}]+/g, "");
  expect(timeless(answers(script))).toBe(timeless(answers(script, "argument")));
});

test("the engine starts only for what is not plain", () => {
  expect([`${asked} | $p`, `printf ' {"cniVersion" :\\t"1.0.0"}\\n' > q; $p < q`].map(startsEngine)).toEqual([
    false,
    false,
  ]);
  expect([`${asked} | $p argument`, `printf '{"cniVersion":"1.0.0","name":"n"}' | $p`].map(startsEngine)).toEqual([
    true,
    true,
  ]);
});
