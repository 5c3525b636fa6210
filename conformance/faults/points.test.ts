import { expect, test } from "vitest";
import { faults, parseDocuments } from "./judge.ts";
import { happened, injection, likelyErrors, mayStayMute, parsePoints } from "./points.ts";

const TRACE = `7     execve("/bin/x", ["x"], 0x1 /* 2 vars */) = 0
7     openat(AT_FDCWD, "/a", O_RDONLY) = 3
7     read(3,  <unfinished ...>
9     openat(AT_FDCWD, "/b", O_RDONLY) = 3
7     <... read resumed>"x", 1) = 1
9     openat(AT_FDCWD, "/c", O_RDONLY) = 4
7     restart_syscall(<... resuming interrupted nanosleep ...>) = 0
7     write(1, "{}", 2) = 2
7     exit_group(0) = ?
7     +++ exited with 0 +++
`;

test("a point is a syscall and its number in its process", () => {
  const points = parsePoints(TRACE);
  expect(points.map((p) => `${p.syscall} ${p.nth}`)).toEqual([
    "openat 1",
    "read 1",
    "openat 2",
    "write 1",
    "exit_group 1",
  ]);
  expect(points[2]!.seen).toContain('"/c"');
});

test("each point is killed once; what cannot fail is not made to", () => {
  const points = parsePoints(TRACE);
  expect(faults(points, "kill")).toHaveLength(5);
  expect(faults(points, "error").map((f) => `${f.point.syscall} ${f.what}`)).not.toContain("exit_group error=EIO");
  expect(faults(points, "error", ["EPERM"])).toHaveLength(4);
  expect(likelyErrors({ syscall: "bpf", nth: 1, seen: "" })).toEqual(["EPERM"]);
  expect(likelyErrors({ syscall: "sendto", nth: 1, seen: "" })).toEqual(["ENOBUFS", "ENOMEM", "EINTR"]);
});

test("only a call without memory or standard output may stay mute", () => {
  const mute = parsePoints(TRACE).filter(mayStayMute);
  expect(mute.map((p) => p.syscall)).toEqual(["write"]);
  expect(mayStayMute({ syscall: "write", nth: 1, seen: "write(10, " })).toBe(false);
  expect(mayStayMute({ syscall: "mmap", nth: 1, seen: "mmap(NULL" })).toBe(true);
});

test("strace is asked for the point, and its trace shows whether it came to it", () => {
  const point = { syscall: "read", nth: 3, seen: "" };
  expect(injection(point, "error=EIO")).toBe("--seccomp-bpf -e trace=read -e inject=read:error=EIO:when=3");
  expect(injection(point, "signal=KILL")).not.toContain("seccomp");
  expect(happened("7 read(3, 0x1, 1) = -1 EIO (Input/output error) (INJECTED)", "error=EIO")).toBe(true);
  expect(happened("7 +++ exited with 0 +++", "error=EIO")).toBe(false);
  expect(happened("7 +++ killed by SIGKILL +++", "signal=KILL")).toBe(true);
});

test("documents on stdout are counted", () => {
  expect(parseDocuments("")).toEqual([]);
  expect(parseDocuments('{"a":"}"}\n')).toEqual([{ a: "}" }]);
  expect(parseDocuments('{"a":{"b":"\\"{"}} {"c":1}')).toHaveLength(2);
  expect(parseDocuments('{"a":1')).toBeUndefined();
  expect(parseDocuments("{} x")).toBeUndefined();
});
