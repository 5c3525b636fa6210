// Commands that fail: the message on stderr, the JSON document, and the exit status.
import { spawnSync } from "node:child_process";
import { expect, it, test } from "vitest";
import { installHost, SystemError } from "../../host/host.ts";
import { NodeHost } from "../../host/node/host.ts";
import { installEdge } from "../../testing/edge.ts";
import { podnicVersion } from "../../version.ts";
import { podnic } from "../main.ts";
import { note, print } from "../terminal.ts";
import { run } from "./run.ts";

const failing: [string, number, string[]][] = [
  ["install without its directory", 1, ["install", "/nowhere"]],
  ["uninstall without its directory", 1, ["uninstall", "/nowhere"]],
  ["install of no plugin", 2, ["install", "--only", "ptp", "--", "/nowhere"]],
  ["explain without its file", 1, ["explain", "/nowhere"]],
  ["explain with arguments that are none", 2, ["explain", "/dev/null", "--args", "K"]],
  ["add without its directory of networks", 1, ["add", "blue", "pod", "--conf-dir", "/nowhere"]],
  ["add with capability arguments that are none", 2, ["add", "blue", "pod", "--cap-args", "["]],
  ["leases without their directory", 1, ["leases", "--data-dir", "/nowhere"]],
  ["doctor --yes without --fix", 2, ["doctor", "--yes"]],
  ["gc of no network", 2, ["gc"]],
  ["a word too many", 2, ["devices", "eth0"]],
  ["an option that is none", 2, ["schema", "--jsn"]],
  ["a command that is none", 2, ["device"]],
];

test.each(failing)("%s: exit status %i, the cause on stderr", (_, expected, args) => {
  const { status, stdout, stderr } = run(args);
  expect({ status, stdout }).toEqual({ status: expected, stdout: "" });
  expect(stderr).toMatch(/^podnic: \S.*\n {8}\S|^podnic: \S.*\n\(/);
});

test.each(failing)("%s: with --json also one document on stdout", (_, expected, args) => {
  const [name = "", ...rest] = args;
  const { status, stdout, stderr } = run([name, "--json", ...rest]);
  expect(status).toBe(expected);
  const { cniVersion, code, msg, details } = JSON.parse(stdout);
  expect({ cniVersion, code }).toEqual({ cniVersion: "1.1.0", code: expect.any(Number) });
  expect(stderr).toContain(`podnic: ${msg}`);
  expect(details).not.toBe("");
});

test("--json behind -- is a word like others", () => {
  expect(run(["uninstall", "--", "--json"])).toMatchObject({ status: 1, stdout: "" });
});

it("says its version as an option too", () => {
  const said = { status: 0, stdout: `podnic ${podnicVersion}\n`, stderr: "" };
  for (const word of ["version", "--version", "-V"]) expect(run([word])).toEqual(said);
});

test("no help shows a default that is none", () => {
  for (const command of podnic().commands)
    expect(command.helpInformation()).not.toMatch(/default: (\[\]|""|undefined)/);
});

test.each([
  ["EPIPE", ""],
  ["ENOSPC", "podnic: cannot write the output: write: no space left on device\n"],
])("an answer that cannot be written for %s is a failure", (stdoutFails, said) => {
  const edge = installEdge({ stdoutFails });
  try {
    expect(() => print("x")).toThrow("exit status 1");
    expect(edge.stderr).toBe(said);
  } finally {
    installHost(new NodeHost());
  }
});

test("what nobody hears on stderr stops nothing", () => {
  const edge = installEdge({});
  edge.write = () => {
    throw new SystemError("write", 32, "EPIPE", "broken pipe");
  };
  try {
    note("cleaning up: 5 of 10");
  } finally {
    installHost(new NodeHost());
  }
});

test("a pipe that would block is waited for", () => {
  // perl makes the pipe to cat non-blocking, and cat starts to read only after the pipe is full.
  const long = "dist/podnic validate $(yes 'src/cli/tests/broken/*' | head -9)";
  const script = `perl -e 'use Fcntl; fcntl(STDOUT, F_SETFL, O_NONBLOCK); exec @ARGV' ${long} | (sleep 2; cat) | md5sum
${long} | md5sum`;
  const { stdout, stderr } = spawnSync("sh", ["-c", script], { encoding: "utf8" });
  expect(stderr).toBe("");
  const [slow, fast] = stdout.split("\n");
  expect(slow).toBe(fast);
});
