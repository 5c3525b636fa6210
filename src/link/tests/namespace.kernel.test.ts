import { readdirSync, readlinkSync, writeFileSync } from "node:fs";
import { describe, expect, it } from "vitest";
import { Failure } from "../../errors.ts";
import { O_RDONLY } from "../../host/constants.ts";
import { host, SystemError } from "../../host/host.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { getLink } from "../link.ts";
import { inNamespace, lookInto, openNamespace, ownNamespace, sameNamespace } from "../namespace.ts";
import { readSysctl, writeSysctl } from "../sysctl.ts";

const { own, pod } = enterSandbox();

function problem(path: string): Failure {
  try {
    openNamespace(path);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error(`${path} was opened`);
}

describe("openNamespace", () => {
  it("knows the same namespace by any of its paths", () => {
    sh("ln -s /run/netns/pod /run/link");
    for (const path of ["/run/netns/pod", "/run/link"]) expect(sameNamespace(openNamespace(path)!, pod)).toBe(true);
    expect(sameNamespace(openNamespace("/proc/self/ns/net")!, own)).toBe(true);
    expect(sameNamespace(own, pod)).toBe(false);
  });

  it("of a missing path keeps the words runtimes look for", () => {
    for (const path of ["/run/netns/none", "/proc/999999999/ns/net", "/run/netns/pod/x"]) {
      expect(problem(path).kind).toBe("no namespace");
      expect(openNamespace(path, "ok")).toBeUndefined();
    }
    expect(problem("/run/netns/none").message).toContain("no such file or directory");
    expect(problem("/run/netns/none").message).toContain("CNI_NETNS");
  });

  it("refuses at once what is no network namespace, and touches nothing", () => {
    writeFileSync("/run/file", "");
    sh("mkfifo /run/fifo");
    const paths = [
      "/run/file",
      "/run",
      "/run/fifo",
      "/dev/null",
      "/proc/self/ns/mnt",
      "/proc/self/ns/uts",
      "/proc/self/status",
    ];
    const started = performance.now();
    for (const path of paths) {
      expect(problem(path).kind, path).toBe("no namespace");
      expect(openNamespace(path, "ok"), path).toBeUndefined();
    }
    // A FIFO opened for reading would wait for a writer for ever.
    expect(performance.now() - started).toBeLessThan(1000);
    expect(problem("/proc/self/ns/mnt").message).toContain("not a network namespace");
  });

  it("leaks no descriptor, whatever it finds", () => {
    // Only those on files it was given: the test runner opens and closes its own.
    const open = () =>
      readdirSync("/proc/self/fd").filter((fd) => {
        try {
          return /^\/run\/|^mnt:/.test(readlinkSync(`/proc/self/fd/${fd}`));
        } catch {
          return false;
        }
      }).length;
    const before = open();
    for (const path of ["/run/file", "/run/fifo", "/proc/self/ns/mnt", "/run/netns/none"]) openNamespace(path, "ok");
    expect(open()).toBe(before);
    // It would be seen: a namespace that is held open counts.
    host.open("/proc/self/ns/mnt", O_RDONLY);
    expect(open()).toBe(before + 1);
  });
});

describe("a path that should be a namespace", () => {
  const refuseOpen = (refused: (path: string) => string | undefined): (() => void) => {
    const { open } = host;
    host.open = (path, ...rest) => {
      const code = refused(path);
      if (code === undefined) return open.call(host, path, ...rest);
      throw new SystemError("open", 1000, code, "refused by the test", path);
    };
    return () => {
      host.open = open;
    };
  };
  const outcome = (path: string): string => {
    try {
      return openNamespace(path, "ok") === undefined ? "gone" : "open";
    } catch (error) {
      if (error instanceof Failure || error instanceof SystemError) return "cannot tell";
      throw error;
    }
  };

  it.each([
    ...["ENOENT", "ENOTDIR"].map((code) => [code, "gone"]),
    ..."EACCES EPERM ELOOP ENAMETOOLONG EMFILE ENFILE ENOMEM EIO ESTALE ENODEV ENXIO EINTR EINVAL ETIMEDOUT EOVERFLOW EAGAIN EBUSY"
      .split(" ")
      .map((code) => [code, "cannot tell"]),
  ])("that answers %s: %s", (code, expected) => {
    const path = "/run/netns/refused";
    const restore = refuseOpen((opened) => (opened === path ? code : undefined));
    try {
      expect(outcome(path)).toBe(expected);
      // ADD fails in any case.
      expect(() => openNamespace(path)).toThrow();
      if (expected === "gone") expect(lookInto(path, () => 1)).toBeUndefined();
      else expect(() => lookInto(path, () => 1)).toThrow();
    } finally {
      restore();
    }
  });

  it("a path with a loop of links, or a path that is too long, might still exist", () => {
    sh("ln -s loop /run/loop");
    for (const path of ["/run/loop", `/run/${"x".repeat(5000)}`]) {
      expect(outcome(path)).toBe("cannot tell");
      expect(problem(path).kind).toBe("no namespace");
      expect(problem(path).details).toContain("Cannot tell");
    }
  });

  it("is uncertain if /proc is missing", () => {
    sh("ip netns add seen; ln -s /proc/1/ns/net /run/link-to-proc");
    const { open, stat } = host;
    const below = (path: string): boolean => path === "/proc" || path.startsWith("/proc/");
    const missing = (path: string) => new SystemError("open", 2, "ENOENT", "no such file or directory", path);
    host.open = (path, ...rest) => {
      if (below(path) || path === "/run/link-to-proc") throw missing(path);
      return open.call(host, path, ...rest);
    };
    host.stat = (path, ...rest) => {
      if (below(path)) throw missing(path);
      return stat.call(host, path, ...rest);
    };
    try {
      for (const path of ["/run/netns/seen", "/proc/1/ns/net", "/run/link-to-proc"]) {
        expect(outcome(path), path).toBe("cannot tell");
        expect(problem(path).message).toContain("there is no /proc");
        expect(problem(path).message).not.toContain("CNI_NETNS");
      }
      // This one needs no /proc to be seen to be missing.
      expect(outcome("/run/netns/none")).toBe("gone");
    } finally {
      Object.assign(host, { open, stat });
    }
  });
});

describe("inNamespace", () => {
  const here = () => host.readlink("/proc/thread-self/ns/net");
  const ours = here();

  it("is there inside and back outside, also after an error and when nested", () => {
    expect(inNamespace(pod, here)).toBe(`net:[${pod.ino}]`);
    expect(here()).toBe(ours);
    expect(() =>
      inNamespace(pod, () => {
        throw new RangeError("body");
      }),
    ).toThrow(RangeError);
    expect(here()).toBe(ours);
    const nested = inNamespace(pod, () => [here(), inNamespace(own, here), here()]);
    expect(nested).toEqual([`net:[${pod.ino}]`, ours, `net:[${pod.ino}]`]);
    expect(here()).toBe(ours);
  });

  it("ends the process when there is no way back (F27)", () => {
    const exits: number[] = [];
    const { setns, exit } = host;
    let calls = 0;
    host.setns = (fd, type) => {
      if (++calls >= 2) throw new SystemError("setns", 1, "EPERM", "operation not permitted");
      setns.call(host, fd, type);
    };
    host.exit = ((status: number) => {
      exits.push(status);
      throw new Error("the process has ended");
    }) as typeof host.exit;
    try {
      expect(() => inNamespace(pod, () => 1)).toThrow("the process has ended");
    } finally {
      host.setns = setns;
      host.exit = exit;
      host.setns(own.fd, 0);
    }
    expect(exits).toEqual([1]);
    expect(here()).toBe(ours);
  });
});

it("a route socket stays in its namespace", () => {
  sh("ip -n pod link add only-here type veth peer name other");
  expect(getLink(pod.route, "only-here")).toBeDefined();
  expect(getLink(own.route, "only-here")).toBeUndefined();
  expect(inNamespace(pod, () => getLink(own.route, "only-here"))).toBeUndefined();
  expect(ownNamespace()).toBe(own);
});

describe("sysctls", () => {
  it("are those of the namespace, with a dot in an interface name", () => {
    sh("ip -n pod link add eth0.5 type veth peer name p5");
    const key = "net/ipv4/conf/eth0.5/arp_notify";
    expect(inNamespace(pod, () => readSysctl(key))).toBe("0");
    inNamespace(pod, () => writeSysctl(key, "1"));
    expect(inNamespace(pod, () => readSysctl(key))).toBe("1");
    expect(readSysctl(key)).toBeUndefined();
    expect(() => writeSysctl(key, "1")).toThrow(expect.objectContaining({ code: "ENOENT" }));
  });
});
