import { expect, it, vi } from "vitest";
import { Failure } from "../../errors.ts";
import { host, SystemError } from "../../host/host.ts";
import { LinuxHost } from "../../host/linux.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { lookOrDoubt, seeNamespaces, withThreads } from "../visible.ts";

enterSandbox();

it("a doubt is what the look says, or that nobody could look, which may pass", () => {
  const told = new Failure("failed", "cannot tell which attachment this belongs to");
  const look = (error: Error) =>
    lookOrDoubt("/run/netns/pod", () => {
      throw error;
    });
  expect(look(told)).toEqual({ doubt: told });
  const { doubt } = look(new SystemError("setns", 1, "EPERM", "operation not permitted"));
  expect(doubt?.kind).toBe("try again");
  expect(doubt?.message).toContain("cannot look into the network namespace /run/netns/pod");
  expect(lookOrDoubt("/run/netns/none", () => "seen")).toEqual({});
});

it("no namespace is taken for gone because no file can be opened at the moment", () => {
  const failing = (which: string, errno: number, code: string) => {
    const open = vi.spyOn(host, "open").mockImplementation((path, ...rest) => {
      if (path === which) throw new SystemError("openat", errno, code, "too many open files", path);
      return LinuxHost.prototype.open.call(host, path, ...rest);
    });
    try {
      return seeNamespaces().namespaces.some(({ path }) => path === "/run/netns/pod");
    } finally {
      open.mockRestore();
    }
  };
  expect(failing("/run/nothing", 24, "EMFILE")).toBe(true);
  for (const which of ["/run/netns", "/run/netns/pod", "/proc/self/ns/pid"]) {
    expect(() => failing(which, 24, "EMFILE")).toThrow(SystemError);
    expect(() => failing(which, 23, "ENFILE")).toThrow(SystemError);
  }
  expect(failing("/run/docker/netns", 2, "ENOENT")).toBe(true);
});

it("threads are looked at after all others, when whoever searches goes on, and each namespace once", () => {
  sh(`mkdir -p /run/proc/7/task/7/ns /run/proc/7/task/8/ns /run/proc/7/task/9/ns /run/proc/x/task/10/ns
    for n in 7/task/7 7/task/8 x/task/10; do touch /run/proc/$n/ns/net; done; ln /run/proc/7/task/8/ns/net /run/proc/7/task/9/ns/net`);
  const seen = { namespaces: [{ path: "/run/netns/pod", dev: 1, ino: 2, named: true }] };
  const paths = (goesOn?: () => boolean) => [...withThreads(seen, goesOn, "/run/proc")].map(({ path }) => path);
  expect(paths()).toEqual(["/run/netns/pod", "/run/proc/7/task/8/ns/net"]);
  expect(paths(() => false)).toEqual(["/run/netns/pod"]);
});
