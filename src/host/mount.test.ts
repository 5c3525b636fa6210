// A scripted kernel: the real one has fsopen(2).
import { expect, test } from "vitest";
import { SystemError } from "./host.ts";
import { mountInChild } from "./mount.ts";

const SYSFS = 0x62656572;
const PROC = 0x9fa0;

/** `pid`: what clone(2) returns. `found`: the file system that the child's number leads to in /proc, or the errno of opening it. */
function kernel(pid: number, found: number | string) {
  const log: string[] = [];
  const host = {
    call(name: string, _: string, ...args: unknown[]) {
      log.push(`${name} ${args.join(" ")}`);
      return name === "getppid" ? 1 : 0;
    },
    clone: () => pid,
    waitpid: () => 0x7f,
    getpid: () => 1,
    open() {
      if (typeof found === "string") throw new SystemError("openat", 2, found, "");
      return 7;
    },
    fstatfs: () => found as number,
    close: (fd: number) => log.push(`close ${fd}`),
    exit(): never {
      throw new Error("exit");
    },
  };
  return { host, log };
}

test("the sysfs of the child is opened, and the child is killed", () => {
  const { host, log } = kernel(5, SYSFS);
  expect(mountInChild(host, "sysfs", 0xf)).toBe(7);
  expect(log).toEqual(["kill 5 9"]);
});

test.each([
  ["another process", PROC, ["close 7", "kill 5 9"]],
  ["nobody", "ENOENT", ["kill 5 9"]],
])("in a /proc where the child's number is that of %s, it cannot be had", (_, found, calls) => {
  const { host, log } = kernel(5, found);
  expect(mountInChild(host, "sysfs", 0xf)).toBeUndefined();
  expect(log).toEqual(calls);
});

test("the sysfs that everybody in the network namespace mounts does not become read-only", () => {
  const { host, log } = kernel(0, SYSFS);
  expect(() => mountInChild(host, "sysfs", 0xf)).toThrow("exit");
  expect(log).toContain(`mount sysfs /proc sysfs ${0xe} `);
});
