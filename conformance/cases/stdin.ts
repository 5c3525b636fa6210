// How the configuration arrives on stdin, whole or broken.
import { type CaseTable, type MainCase, Mismatch, row, type Tag } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Codes, Trial } from "../harness/trial.ts";

const json = (t: Trial, extra = {}) => JSON.stringify(t.l2(extra));

const bad = (
  id: string,
  label: string,
  make: (t: Trial) => string | Uint8Array,
  codes: Codes = [6],
  tag: Tag = "S",
): MainCase =>
  row(id, tag, "C-020: one JSON object, else code 6", `${label}: E(${(codes as number[]).join("|")})`, (t) => {
    t.refused("ADD", make(t), codes);
  });

const good = (id: string, label: string, make: (t: Trial) => string | Uint8Array, tag: Tag = "S"): MainCase =>
  row(id, tag, "C-020: read to the end, then decoded", `${label}: OK`, (t) => {
    t.result(t.call("ADD", make(t)), t.settings.spec);
  });

/** Either a good result or a refusal that leaves nothing. */
const either = (id: string, label: string, make: (t: Trial) => string | Uint8Array, codes: Codes): MainCase =>
  row(
    id,
    "H",
    "C-020: unusual but bounded input",
    `${label}: OK or E(${(codes as number[]).join("|")}), below 10 s`,
    (t) => {
      const input = make(t); // makes the device, too
      const before = t.picture();
      const run = t.call("ADD", input, { timeoutMs: 10_000 });
      if (run.status === 0) t.result(run, t.settings.spec);
      else {
        t.error(run, codes);
        t.unchangedSince(before);
      }
    },
  );

const descriptor = (id: string, label: string, redirect: string, codes: Codes, tag: Tag = "S"): MainCase =>
  row(
    id,
    tag,
    "C-020: unreadable is code 5, undecodable code 6",
    `${label}: E(${(codes as number[]).join("|")})`,
    (t) => {
      t.refused("ADD", t.l2(), codes, { wrap: `exec "$@" ${redirect}` });
    },
  );

const nested = (depth: number) => `${"[".repeat(depth)}${"]".repeat(depth)}`;
const withRaw = (t: Trial, raw: string) => `${json(t).slice(0, -1)},${raw}}`;
/** The configuration with bytes that no string can hold. */
const withBytes = (t: Trial, raw: string) => Buffer.from(withRaw(t, raw), "latin1");

export const stdin: CaseTable = {
  perMain: [
    bad("IN-01", "empty", () => ""),
    bad("IN-02", "white space only", () => " \n\t "),
    descriptor("IN-03", "fd 0 is a directory", "</", [5]),
    descriptor("IN-04", "/dev/null", "</dev/null", [6]),
    descriptor("IN-05", "fd 0 closed", "<&-", [5, 6], "G"),
    descriptor("IN-06", "fd 0 write-only", "0>/dev/null", [5]),
    row(
      "IN-07",
      "G",
      "C-020: acts only after end of file",
      "writer never closes: waits, killable, nothing touched",
      (t) => {
        t.write("/run/case/in", json(t));
        const before = t.picture();
        const wrap = `cd /run/case; mkfifo f; exec 3<>f; cat in >&3; "$1" <f >out 2>&1 & p=$!; sleep 0.7
        kill -0 $p && echo waiting; cat out; kill -9 $p; wait $p; echo "ended $?"`;
        const run = t.call("ADD", t.read("/run/case/in"), { wrap });
        if (run.stdout !== "waiting\nended 137\n") throw new Mismatch("waiting, then killed", describeRun(run));
        t.unchangedSince(before);
      },
    ),
    bad("IN-08", "the last 10 bytes missing", (t) => json(t).slice(0, -10)),
    bad("IN-09", "one } too many", (t) => `${json(t)}}`),
    bad("IN-10", "the document twice", (t) => json(t).repeat(2)),
    good("IN-11", "white space around", (t) => `\n\t ${json(t)}\r\n `),
    bad("IN-12", "UTF-8 BOM", (t) => `\ufeff${json(t)}`, [6], "G"),
    bad("IN-13", "UTF-16", (t) => Buffer.from(json(t), "utf16le"), [6], "G"),
    ...["[]", "[{}]", '"x"', "123", "true"].map((doc, n) => bad(`IN-14${"abcde"[n]}`, doc, () => doc)),
    bad("IN-15a", "null", () => "null", [7, 6], "G"),
    bad("IN-15b", "{}", () => "{}", [7], "G"),
    bad("IN-16", "a trailing NUL", (t) => `${json(t)}\0`),
    bad("IN-17", "a // comment", (t) => `// x\n${json(t)}`),
    bad("IN-18", "a trailing comma", (t) => `${json(t).slice(0, -1)},}`),
    bad("IN-19", "single quotes", (t) => json(t).replaceAll('"', "'")),
    either("IN-20", "invalid UTF-8 in an unknown key's string", (t) => withBytes(t, '"x":"\xff\xfe"'), [6]),
    bad("IN-21a", "invalid UTF-8 in name", (t) => Buffer.from(json(t, { name: "n\xff" }), "latin1"), [6, 7]),
    bad("IN-21b", "a lone surrogate in name", (t) => json(t).replace('"net1"', '"n\\ud800"'), [6, 7]),
    good("IN-22", "\\u0000 in an unknown string", (t) => json(t, { x: "a\0b" }), "H"),
    row("IN-23", "S", "C-020: read to the end", "7-byte chunks, 10 ms apart: OK", (t) => {
      const wrap = `c=$(cat); (while [ \${#c} -gt 7 ]; do r=\${c#???????}; printf %s "\${c%"$r"}"; c=$r; sleep 0.01; done
        printf %s "$c") | "$1"`;
      t.result(t.call("ADD", t.l2(), { wrap }), t.settings.spec);
    }),
    good("IN-24a", "1 000 levels", (t) => withRaw(t, `"x":${nested(1000)}`), "G"),
    good("IN-24b", "9 999 levels", (t) => withRaw(t, `"x":${nested(9998)}`), "G"),
    ...[10_001, 100_000, 500_000].map((depth, n) =>
      // 500 000 instead of a million: two bytes a level must stay below the 1 MiB a plugin may refuse to read beyond.
      row(`IN-25${"abc"[n]}`, "H", "C-020: no crash by nesting", `${depth} levels: E(6), below 5 s`, (t) => {
        t.refused("ADD", withRaw(t, `"x":${nested(depth)}`), [6], { timeoutMs: 5000 });
      }),
    ),
    either("IN-26", "a 32 MiB string in an unknown key", (t) => json(t, { x: "y".repeat(32 << 20) }), [5, 6, 7]),
    either(
      "IN-27",
      "200 000 unknown keys",
      (t) => withRaw(t, Array.from({ length: 200_000 }, (_, n) => `"k${n}":0`).join(",")),
      [5, 6, 7],
    ),
    good("IN-28", "1e400 in an unknown key", (t) => withRaw(t, '"x":1e400'), "H"),
  ],
  fixed: [],
};
