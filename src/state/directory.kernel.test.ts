// podnic checks a file by its name if only root can write to the directory, and otherwise as an O_PATH descriptor. It opens no device or FIFO.
import { afterEach, beforeEach, expect, it, vi } from "vitest";
import { O_PATH, O_RDONLY } from "../host/constants.ts";
import { host } from "../host/host.ts";
import { enterSandbox, sh } from "../testing/sandbox.ts";
import { readFile, withDirectory } from "./files.ts";
import { notRegular, openLooked } from "./look.ts";

enterSandbox();

const OWN = "/var/lib/cni/own";
beforeEach(() => sh(`mkdir -p ${OWN} /run/other; echo seen > ${OWN}/file; cp ${OWN}/file /run/other`));
afterEach(() => {
  vi.restoreAllMocks();
  sh(`rm -rf ${OWN} /run/other`);
});

/** How podnic opens the file; "" if it does not. */
function flagsOf(path: string): string {
  const open = vi.spyOn(host, "open");
  const looked = withDirectory(path, undefined, (dir) => openLooked(dir, "file", O_RDONLY, notRegular));
  if (looked?.fd !== undefined) host.close(looked.fd);
  const calls = open.mock.calls.filter(([name]) => name === "file");
  return calls.map(([, flags]) => ((flags & O_PATH) !== 0 ? "look" : "open")).join(" ");
}

it.each([
  ["a directory of ours", OWN, "true", "open"],
  ["one that others can write to", OWN, `chmod 0777 ${OWN}`, "look"],
  ["one that another user owns", OWN, `chown 1000 ${OWN}`, "look"],
  ["one behind a link to elsewhere", "/var/lib/cni/link", "ln -sfn /run/other /var/lib/cni/link", "look"],
  ["one elsewhere", "/run/other", "true", "look"],
])("in %s", (_, path, prepare, flags) => {
  sh(prepare);
  expect(flagsOf(path)).toBe(flags);
});

it.each([
  ["FIFO", "mkfifo"],
  ["device", "mknod -m 600", "c 1 11"],
])("a %s is not opened", (_, make, more = "") => {
  sh(`rm ${OWN}/file; ${make} ${OWN}/file ${more}`);
  expect(flagsOf(OWN)).toBe("");
});

it("a link is not followed", () => {
  sh(`ln -sf /run/other/file ${OWN}/file`);
  expect(() => flagsOf(OWN)).toThrow(expect.objectContaining({ code: "ELOOP" }));
});

it.each([
  ["longer", `seen, and ${"more ".repeat(5000)}`],
  ["shorter", "se"],
])("a file that a %s one has replaced since it was looked at is read whole", (_, text) => {
  const { stat } = host;
  vi.spyOn(host, "stat").mockImplementation((...args) => {
    const found = stat.apply(host, args);
    sh(`printf '%s' '${text}' > ${OWN}/new; mv ${OWN}/new ${OWN}/file`);
    return found;
  });
  const read = withDirectory(OWN, undefined, (dir) => readFile(dir, "file", 1 << 20));
  expect(host.decode(read!)).toBe(text);
});
