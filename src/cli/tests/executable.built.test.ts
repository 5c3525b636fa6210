// The executable, whose engine is not Node's, gives the same answers, and opens only the named files.
import { spawnSync } from "node:child_process";
import { chmodSync, copyFileSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { build, execute, podnic } from "./executable.ts";
import { run } from "./run.ts";

const broken = "src/cli/tests/broken";
/** A directory that all users can read. */
const open = mkdtempSync(join(tmpdir(), "podnic-open-"));

beforeAll(() => {
  build();
  chmodSync(open, 0o755);
  for (const name of readdirSync(broken)) copyFileSync(join(broken, name), join(open, name));
  copyFileSync(podnic, join(open, "podnic"));
}, 120_000);
afterAll(() => rmSync(open, { recursive: true, force: true }));

test("validate finds in each broken file what it finds on Node", () => {
  const files = readdirSync(broken).map((name) => join(broken, name));
  const here = execute(["validate", ...files], { NO_COLOR: "1" });
  const there = run(["validate", ...files]);
  expect(here.stdout).toBe(there.stdout);
  expect(here.status).toBe(1);
  expect(here.stderr).toBe("");
});

test.each([
  [["schema", "macvlan"]],
  [["schema", "conflist"]],
  [["completion", "bash"]],
  [["completion", "zsh"]],
  [["add", "--help"]],
])("%s", (args) => expect(execute(args)).toEqual(run(args)));

test.each([
  ["4,000 lists", `${"- ".repeat(4000)}x`, "1:201"],
  ["16,000 lists", `${"- ".repeat(16_000)}x`, "1:201"],
  ["2,000 maps", Array.from({ length: 2000 }, (_, i) => `${" ".repeat(i)}a:\n`).join(""), "101:101"],
  ["4,000 keys", `${"? ".repeat(4000)}x`, "1:201"],
  ["4,000 pairs", `k: [${"a: ".repeat(4000)}x`, "1:306"],
  ["99 lists", `${"- ".repeat(99)}x`, "1:1"],
])("YAML of %s ends with a message, not with a signal", (_, text, where) => {
  const file = join(open, "deep.yaml");
  writeFileSync(file, text);
  const { status, stdout, stderr } = execute(["validate", file], { NO_COLOR: "1" });
  rmSync(file);
  expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
  const message =
    where === "1:1" ? "not a Kubernetes object" : "not checked, because it is nested more than 100 levels deep";
  expect(stdout).toContain(`${file}:${where}: error: ${message}`);
});

test("validate opens the files that were named and nothing else, and needs no root", () => {
  const log = join(open, "strace");
  const files = readdirSync(broken).map((name) => join(open, name));
  const traced = [
    "strace",
    "-f",
    "-o",
    log,
    "-e",
    "trace=%file,%net,ioctl,setns,unshare,flock",
    join(open, "podnic"),
    "validate",
    ...files,
  ];
  const { status, stderr } = spawnSync(traced[0]!, traced.slice(1), { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 1, stderr: "" });
  const calls = readFileSync(log, "utf8")
    .split("\n")
    .filter((line) => / \w+\(/.test(line) && !line.includes("TIOCGWINSZ"));
  const others = calls.filter(
    (line) =>
      !line.includes(" execve(") &&
      !line.includes("AT_EMPTY_PATH") &&
      // podnic first checks a file with O_PATH, and then opens it through this descriptor.
      !/openat\(AT_FDCWD, "\/proc\/self\/fd\/\d+", O_RDONLY/.test(line) &&
      !files.some((file) => line.includes(`"${file}"`)),
  );
  expect(others).toEqual([]);
  const nobody = spawnSync("setpriv", ["--reuid=65534", "--regid=65534", "--clear-groups", ...traced.slice(6)], {
    encoding: "utf8",
  });
  expect({ status: nobody.status, stderr: nobody.stderr }).toEqual({ status: 1, stderr: "" });
  // Most files define a network "net". Each of them except the first gets a warning because of this.
  expect(nobody.stdout).toContain("40 files, 36 errors, 28 warnings");
});
