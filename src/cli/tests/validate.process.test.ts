import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { Document, isScalar, parseDocument, Scalar } from "yaml";
import { runs } from "../../testing/effort.ts";
import { findPlaces, placeAt } from "../validate/places.ts";
import { offsetsOf } from "../validate/scalar.ts";
import { run } from "./run.ts";

const broken = "src/cli/tests/broken";
const root = process.cwd();
const dir = mkdtempSync(join(tmpdir(), "podnic-validate-"));
beforeAll(() => process.chdir(broken));
afterAll(() => {
  process.chdir(root);
  rmSync(dir, { recursive: true, force: true });
});

const page = `# The output of \`podnic validate\`

This page shows forty invalid files from \`${broken}/\` and the output of \`podnic validate\` for each of them.
\`npx vitest run ${broken.replace("broken", "validate")} -u\` generates this page.
\`${broken.replace("broken", "validate.process.test.ts")}\` fails if any output differs from this page.
`;

function section(name: string, text: string, said: string): string {
  const language = name.endsWith(".yaml") ? "yaml" : "json";
  return `\n## ${name}\n\n\`\`\`${language}\n${text.trimEnd()}\n\`\`\`\n\n\`\`\`\n${said.trimEnd()}\n\`\`\`\n`;
}

describe("broken files", () => {
  const files = readdirSync(broken).sort();

  test("what a person is told", async () => {
    const sections = files.map((name) => section(name, readFileSync(name, "utf8"), run(["validate", name]).stdout));
    await expect(page + sections.join("")).toMatchFileSnapshot(join(root, "docs/validate.md"));
  });

  test.each(files)("%s: something is found, where it is and with words", (name) => {
    const { stdout, stderr } = run(["validate", "--json", "--strict", name]);
    const { files, errors, warnings } = JSON.parse(stdout);
    expect(stderr).toBe("");
    expect(errors + warnings).toBeGreaterThan(0);
    const lines = readFileSync(name, "utf8").split("\n");
    for (const { line, column, message, cure, source, mark } of files[0].findings) {
      expect(cure ?? "").not.toMatch(/\.\.$/);
      expect(lines[line - 1]).toBe(source);
      expect(mark).toBe(column - 1);
      expect(column).toBeLessThanOrEqual(source.length + 1);
      expect(message.length).toBeGreaterThan(10);
    }
  });
});

describe("exit status", () => {
  const write = (name: string, text: string) => {
    writeFileSync(join(dir, name), text);
    return join(dir, name);
  };
  const good = '{"cniVersion":"1.0.0","name":"a","type":"macvlan","master":"eth1"}';
  const odd = '{"cniVersion":"1.0.0","name":"a","type":"macvlan","masterr":"eth1"}';

  test.each([
    ["a good file", [write("good.conf", good)], 0],
    ["a warning", [write("odd.conf", odd)], 0],
    ["a warning, strict", ["--strict", join(dir, "odd.conf")], 1],
    ["an error after a good file", [join(dir, "good.conf"), "02-comma.conf"], 1],
    ["no such file", [join(dir, "none.conf")], 1],
    ["a directory", [dir], 1],
    ["no file named", [], 2],
    ["an unknown option", ["--no-such", join(dir, "good.conf")], 2],
  ])("%s", (_, args, status) => {
    expect(run(["validate", ...args]).status).toBe(status);
  });

  test("stdin", () => {
    expect(run(["validate", "-"], good)).toMatchObject({
      status: 0,
      stdout: '-: good: network "a", plugins macvlan\n',
    });
    expect(run(["validate", "-"], odd).stdout).toContain("-:1:51: warning: masterr");
  });
});

test("what plugins of others read is their business; what no version has is said", () => {
  const list = {
    cniVersion: "1.0.0",
    name: "a",
    plugins: [
      { type: "ptp", ipMasq: true, ipam: { type: "whereabouts", range: "10.0.0.0/8" } },
      { type: "macvlan", master: "eth1", ipam: { type: "dhcp", daemonSocketPath: "/run/x" } },
      { type: "macvlan", master: "eth1", ipam: { type: "macvlan" } },
    ],
  };
  const { stdout } = run(["validate", "--json", "-"], JSON.stringify(list));
  const findings: { level: string; path: string }[] = JSON.parse(stdout).files[0].findings;
  expect(findings.map(({ level, path }) => `${level} ${path}`)).toEqual([
    "note plugins[0].type",
    "note plugins[1].ipam.type",
    "error plugins[2].ipam.type",
  ]);
});

// D5: plugins of other projects whose names are similar to those of podnic's plugins.
const others = ["vlan", "tap", "bond", "sbr", "vrf", "ib-sriov", "macvtap", "win-bridge", "sdnbridge", "ecs-bridge"];
test.each([...others, "vpc-bridge"])("%s is a known plugin of another project, not a misspelling", (type) => {
  const list = { cniVersion: "1.0.0", name: "a", plugins: [{ type }] };
  const [found] = JSON.parse(run(["validate", "--json", "-"], JSON.stringify(list)).stdout).files[0].findings;
  expect([found.level, found.message]).toEqual(["note", `"${type}" is not a podnic plugin`]);
});

test.each([
  ["iplvan", "ipvlan"],
  ["macvlna", "macvlan"],
  ["hostdevice", "host-device"],
])("%s is a slip of the pen", (type, meant) => {
  const list = { cniVersion: "1.0.0", name: "a", plugins: [{ type }] };
  const [found] = JSON.parse(run(["validate", "--json", "-"], JSON.stringify(list)).stdout).files[0].findings;
  expect([found.level, found.message]).toEqual([
    "warning",
    `"${type}" is not a podnic plugin; did you mean "${meant}"?`,
  ]);
});

test("podnic's IPAM is checked under plugins of others; an object in a list's place gives one finding", () => {
  const said = (plugin: object) => {
    const config = JSON.stringify({ cniVersion: "1.0.0", name: "a", plugins: [plugin] });
    const [{ findings }] = JSON.parse(run(["validate", "--json", "-"], config).stdout).files;
    return findings.map(({ level, path }: { level: string; path: string }) => `${level} ${path}`);
  };
  const note = "note plugins[0].type";
  const under = (ipam: object) => ({ type: "ptp", mtu: "x", logFile: "/x", ipam: { type: "host-local", ...ipam } });
  expect(said(under({ subnet: "10.22.0.0/16" }))).toEqual([note]);
  expect(said(under({ subnet: "10.22.0.0/33" }))).toEqual([note, "error plugins[0].ipam.subnet"]);
  expect(said(under({ subnet: 7 }))).toEqual([note, "error plugins[0].ipam.subnet"]);
  expect(said(under({ subnet: "10.22.0.0/16", rangeStrt: "10.22.0.9" }))).toEqual([
    note,
    "warning plugins[0].ipam.rangeStrt",
  ]);
  const flat = { type: "host-local", ranges: [{ subnet: "10.22.0.0/16" }] };
  expect(said({ type: "macvlan", master: "eth1", ipam: flat })).toEqual(["error plugins[0].ipam.ranges[0]"]);
});

test("objects of Kubernetes as JSON, in lists, several documents", () => {
  const config = JSON.stringify({ cniVersion: "0.3.1", type: "ipvlan", master: "eth1" });
  const definition = (name: string, spec: object) => ({
    apiVersion: "k8s.cni.cncf.io/v1",
    kind: "NetworkAttachmentDefinition",
    metadata: { name },
    spec,
  });
  const list = { apiVersion: "v1", kind: "List", items: [definition("a", { config }), definition("b", {})] };
  const json = JSON.parse(run(["validate", "--json", "-"], JSON.stringify(list)).stdout).files[0];
  expect(json.networks).toEqual([{ name: "a", plugins: ["ipvlan"] }]);
  expect(json.findings).toMatchObject([{ level: "note", path: "spec.config" }]);
});

test("what is nested deeper than a plugin reads is said, and does not hide the other files", () => {
  const text = `{"cniVersion":"1.0.0","name":"a","type":"macvlan","x":${"[".repeat(100_000)}${"]".repeat(100_000)}}`;
  writeFileSync(join(dir, "deep.conf"), text);
  const { status, stdout } = run(["validate", "--json", join(dir, "deep.conf"), "02-comma.conf"]);
  expect(status).toBe(1);
  expect(JSON.parse(stdout).files).toMatchObject([
    { findings: [{ level: "error", message: "not JSON: it is nested too deeply" }] },
    { findings: [{ level: "error" }] },
  ]);
});

describe("large files", () => {
  const macvlan = { cniVersion: "1.0.0", name: "a", type: "macvlan", master: "eth1" };
  const findingsOf = (config: object) =>
    JSON.parse(run(["validate", "--json", "-"], JSON.stringify(config)).stdout).files[0].findings;
  const keys = (count: number, prefix: string) =>
    Object.fromEntries(Array.from({ length: count }, (_, i) => [`${prefix}${i}`, 1]));

  test("of many keys that nobody reads some are listed, in one line the part around each", { timeout: 10_000 }, () => {
    const count = 1000;
    const config = { ...macvlan, ...keys(count, "q") };
    const findings = findingsOf(config);
    expect(findings).toHaveLength(21);
    expect(findings[0].message).toBe(`the configuration has ${count - 20} more unknown keys`);
    const { source, mark, column } = findings[20];
    expect(source.length).toBeLessThan(120);
    expect(source.slice(mark)).toBe(JSON.stringify(config).slice(column - 1, column - 1 + source.length - mark));
    expect(source.slice(mark)).toMatch(/^"q19":1,"q20"/);
  });

  test("a list of plugins of others", () => {
    const count = 2_000;
    const plugins = Array<object>(count).fill({ type: "x" });
    const config = JSON.stringify({ cniVersion: "1.0.0", name: "a", plugins });
    const [file] = JSON.parse(run(["validate", "--json", "-"], config).stdout).files;
    expect(file.networks[0].plugins).toHaveLength(count);
    expect(file.findings).toHaveLength(20);
    expect(file.omitted).toEqual({ error: 0, warning: 0, note: count - 20 });
  });

  test("at most 20 equal and 200 different warnings are listed, and all are counted", () => {
    const head = '{"cniVersion":"1.0.0","name":"a","type":"macvlan","master":"eth1"';
    const count = 9_000;
    const many = `${head}${',"master":"eth1"'.repeat(count)}}`;
    const { stdout } = run(["validate", "-"], many);
    expect(stdout.split("\n").filter((line) => line.includes("master appears twice"))).toHaveLength(20);
    expect(stdout.split("\n").slice(-3)).toEqual([
      `-: warning: ${count - 20} more warnings not listed`,
      `1 file, 0 errors, ${count} warnings`,
      "",
    ]);
    const pairs = Array.from({ length: 1000 }, (_, i) => `,"_${i}":1,"_${i}":1`).join("");
    const found = JSON.parse(run(["validate", "--json", "-"], `${head}${pairs}}`).stdout);
    expect(found.warnings).toBe(1000);
    expect(found.files[0]).toMatchObject({ findings: { length: 200 }, omitted: { error: 0, warning: 800, note: 0 } });
  });

  const wrongOf = (text: string) => findingsOf(JSON.parse(text)).map(({ message }: { message: string }) => message);

  test("more different keys than a network can need are refused, as by the plugin", () => {
    const many = (count: number) => JSON.stringify({ ...macvlan, ...keys(count, "a key of twelve") });
    expect(wrongOf(many(1020))).not.toContain("it has more than 1024 different keys, and no plugin reads such a file");
    expect(wrongOf(many(1021))).toEqual(["it has more than 1024 different keys, and no plugin reads such a file"]);
  });

  test("the networks of one file are checked up to an amount in all", () => {
    const long = (count: number) => JSON.stringify({ ...macvlan, x: Array(count).fill(0) });
    expect(wrongOf(long(19_970))).toEqual([expect.stringContaining("is not a known key")]);
    const refused =
      "not checked, because it and the networks before it have more than 20000 commas, colons and brackets";
    expect(wrongOf(long(20_000))).toEqual([refused]);
    const one = `kind: NetworkAttachmentDefinition\napiVersion: k8s.cni.cncf.io/v1\nmetadata: {name: a}\nspec:\n  config: '${long(9_000)}'\n---\n`;
    const { files } = JSON.parse(run(["validate", "--json", "-"], one.repeat(3)).stdout);
    expect(files[0].networks).toHaveLength(2);
    expect(files[0].findings.map(({ message }: { message: string }) => message)).toContain(refused);
  });

  test("what a plugin does not read to its end is an error", () => {
    const config = { ...macvlan, master: "x".repeat(1 << 20) };
    const { length } = JSON.stringify(config);
    expect(findingsOf(config)).toMatchObject([
      { level: "error", message: `macvlan would get a configuration of ${length} bytes, but it reads at most 1048576` },
    ]);
  });
});

test("nothing in a file reaches the terminal as a control character", () => {
  const name = String.raw`a\u001b[2J`;
  const mode = String.raw`\u009b1m`;
  const json = `{"name": "${name}", "cniVersion": "1.0.0", "type": "macvlan", "mode": "${mode}"}`;
  for (const text of [json, `{\u001b]0;owned\u0007 ${json}`]) {
    const { stdout } = run(["validate", "-"], text);
    expect(stdout).toContain("error");
    expect([...stdout].filter((char) => char !== "\n" && /[\u0000-\u001f\u007f-\u009f]/.test(char))).toEqual([]);
  }
});

describe("YAML that would take long to parse", () => {
  const said = (text: string) => {
    const [finding] = JSON.parse(run(["validate", "--json", "-"], text).stdout).files[0].findings;
    return `${finding.line}:${finding.column} ${finding.message}`;
  };
  const deep = "not checked, because it is nested more than 100 levels deep";
  const copied = "not checked, because it has too many YAML tokens in long lines, or is large and has too many quotes";

  test.each([
    ["20,000 brackets", `kind: Pod\nspec: ${"[".repeat(20_000)}`, `2:107 ${deep}`],
    ["braces", `kind: Pod\nspec: ${"{a: ".repeat(101)}`, `2:407 ${deep}`],
    ["4,000 lists in one line", `${"- ".repeat(4000)}x`, `1:201 ${deep}`],
    ["16,000 lists in one line", `${"- ".repeat(16_000)}x`, `1:201 ${deep}`],
    ["lists line by line", Array.from({ length: 2000 }, (_, i) => `${" ".repeat(i)}-\n`).join(""), `101:101 ${deep}`],
    ["maps", Array.from({ length: 2000 }, (_, i) => `${" ".repeat(i)}a:\n`).join(""), `101:101 ${deep}`],
    ["maps in one line", `${"a: ".repeat(4000)}x`, `1:301 ${deep}`],
    ["keys that are maps", `${"? ".repeat(4000)}x`, `1:201 ${deep}`],
    ["maps without keys", `${": ".repeat(4000)}x`, `1:201 ${deep}`],
    ["lists with anchors", `${"- &a ".repeat(4000)}x`, `1:251 ${deep}`],
    ["behind the start of a document", `--- ${"- ".repeat(4000)}x`, `1:203 ${deep}`],
    ["pairs in a bracket", `k: [${"a: ".repeat(4000)}x`, `1:306 ${deep}`],
    ["behind a comment, an empty line and a text", `a: |\n  b\n\n# c\nd:\n  ${"- ".repeat(4000)}x`, `6:201 ${deep}`],
    ["100 lists", `${"- ".repeat(98)}x`, "1:1 not a Kubernetes object"],
    ["200 short lists", "- - - x\n".repeat(200), "1:1 not a Kubernetes object"],
    ["pairs after one another", `a: [${"b: c, ".repeat(200)}]`, '1:1 "kind" is missing'],
    ["maps after one another", "- a:\n    b:\n      c: d\n".repeat(200), "1:1 not a Kubernetes object"],
    [
      "4 MiB of documents",
      "--- {}\n".repeat(500_000),
      "3333:7 not checked, because it has more than 30000 YAML tokens and lines",
    ],
    [
      "a text of 40,000 lines",
      `a: |\n${"  b\n".repeat(40_000)}`,
      "40002:1 not checked, because it has more than 30000 YAML tokens and lines",
    ],
    [
      "directives for many documents",
      `${Array.from({ length: 40 }, (_, n) => `%TAG !a${n}! b\n`).join("")}---\nb`,
      "30:13 not checked, because it has more than 30000 YAML tokens and lines",
    ],
    ["brackets in a long line", `a: [${"a,".repeat(10_000)}${"b".repeat(800_000)}]`, `1:2443 ${copied}`],
    ["the same with other characters", `a: [${"a,".repeat(10_000)}${"β".repeat(800_000)}]`, `1:1221 ${copied}`],
    ["quotes at the end of a large file", `#${"x".repeat(800_000)}\n[${'"a",'.repeat(10_000)}b]`, `2:9134 ${copied}`],
    ["as many brackets as may be", `a: ${"[".repeat(100)}${"]".repeat(100)}`, '1:1 "kind" is missing'],
    ["one after another", `a: [${"[], ".repeat(200)}]`, '1:1 "kind" is missing'],
    ["in a text", `a: "${"[".repeat(200)}"\nb: |-\n  ${"[".repeat(200)}`, '1:1 "kind" is missing'],
    ["a text of one bracket, 200 times", `a:\n${"- |-\n  [\n".repeat(200)}- |-\n  [`, '1:1 "kind" is missing'],
    ["a key twice", "a:\n  b: 1\n  c: 2\n  b: 3", "4:3 not YAML: Map keys must be unique"],
  ])("%s", (_, text, finding) => {
    expect(said(text)).toBe(finding);
  });
});

test("whatever is in a file, the answer is findings", () => {
  const texts = readdirSync(".").map((name) => readFileSync(name, "utf8"));
  const edit = fc.record({ at: fc.nat(400), size: fc.nat(20), put: fc.string({ maxLength: 5 }) });
  fc.assert(
    fc.property(
      fc.constantFrom(...texts),
      edit,
      fc.constantFrom("x.conf", "x.yaml"),
      (text, { at, size, put }, name) => {
        writeFileSync(join(dir, name), text.slice(0, at) + put + text.slice(at + size));
        const { status, stderr, stdout } = run(["validate", "--json", join(dir, name)]);
        expect(stderr).toBe("");
        expect([0, 1]).toContain(status);
        JSON.parse(stdout);
      },
    ),
    runs(500),
  );
});

test("places of JSON are those of its values", () => {
  fc.assert(
    fc.property(fc.json({ depthSize: "medium" }), fc.constantFrom(0, 1, 3), (compact, indent) => {
      const value: unknown = JSON.parse(compact);
      const text = JSON.stringify(value, null, indent);
      const { root } = findPlaces(text);
      const look = (value: unknown, pointer: string) => {
        const { start, end } = placeAt(root, pointer);
        expect(JSON.parse(text.slice(start, end))).toEqual(value);
        if (typeof value !== "object" || value === null) return;
        for (const [key, child] of Object.entries(value)) {
          look(child, `${pointer}/${key.replaceAll("~", "~0").replaceAll("/", "~1")}`);
        }
      };
      look(value, "");
    }),
  );
});

test("characters of a text in YAML are found whatever its style", () => {
  const styles = ["BLOCK_LITERAL", "BLOCK_FOLDED", "QUOTE_SINGLE", "QUOTE_DOUBLE"] as const;
  const text = fc.json({ depthSize: "small" }).map((json) => JSON.stringify(JSON.parse(json), null, 2));
  fc.assert(
    fc.property(text, fc.constantFrom(...styles), (json, style) => {
      const scalar = new Scalar(json);
      scalar.type = style;
      const source = new Document({ spec: { config: scalar } }).toString({ lineWidth: 40 });
      const read = parseDocument(source).getIn(["spec", "config"], true);
      if (!isScalar(read)) throw new Error("no scalar");
      const offsets = offsetsOf(source, read as Scalar<string>);
      expect(offsets).toHaveLength(String(read.value).length + 1);
      for (const [i, unit] of String(read.value).split("").entries()) {
        if (" \n\t\r".includes(unit)) continue;
        const there = source[offsets[i]!]!;
        // In double quotes, the source can contain an escape sequence instead of the character.
        if (there !== "\\" || read.type !== "QUOTE_DOUBLE") expect(there).toBe(unit);
      }
    }),
  );
});
