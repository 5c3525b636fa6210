import { chmodSync, mkdirSync, mkdtempSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import fc from "fast-check";
import { afterEach, beforeEach, expect, test } from "vitest";
import { Failure } from "../errors.ts";
import { RESOLVE_BENEATH } from "../host/constants.ts";
import { type Fd, host, installHost, SystemError } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { runs } from "../testing/effort.ts";
import { findDelegate } from "./find-delegate.ts";

/** A kernel without openat2, or a seccomp filter that refuses it. */
class OldKernel extends NodeHost {
  override open(path: string, flags: number, mode?: number, dir?: Fd, resolve?: number): Fd {
    if ((resolve ?? 0) & RESOLVE_BENEATH) throw new SystemError("openat2", 38, "ENOSYS", "function not implemented");
    return super.open(path, flags, mode, dir, resolve);
  }
}

let root = "";
let bin = "";

beforeEach(() => {
  root = realpathSync(mkdtempSync(join(tmpdir(), "podnic-delegate-")));
  bin = join(root, "bin");
  mkdirSync(bin);
});

afterEach(() => {
  rmSync(root, { recursive: true });
  installHost(new NodeHost());
});

function executable(path: string, mode = 0o755): void {
  writeFileSync(path, "#!/bin/sh\n");
  chmodSync(path, mode);
}

function find(name: string, path = [bin]): string {
  const delegate = findDelegate(name, path);
  const inode = host.fstat(delegate.file).ino;
  host.close(delegate.file);
  expect(host.stat(delegate.path).ino).toBe(inode);
  return delegate.path;
}

function refusal(name: string, path = [bin]): Failure {
  try {
    find(name, path);
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error(`found ${name}`);
}

test("the first directory that has it as an executable file wins", () => {
  const other = join(root, "other");
  mkdirSync(join(other, "dir"), { recursive: true });
  for (const name of ["a", "dir", "plain"]) executable(join(bin, name));
  executable(join(other, "a"));
  writeFileSync(join(other, "plain"), "");
  const path = ["/nonexistent", join(root, "file"), other, bin];
  expect(find("a", path)).toBe(`${other}/a`);
  expect(find("dir", path)).toBe(`${bin}/dir`);
  expect(find("plain", path)).toBe(`${bin}/plain`);
});

test("files that must not be run are passed over, and it is said why", () => {
  executable(join(bin, "suid"), 0o4755);
  executable(join(bin, "world"), 0o757);
  writeFileSync(join(bin, "plain"), "");
  expect(refusal("suid").details).toContain("set-user-ID");
  expect(refusal("world").details).toContain("writable by everyone");
  expect(refusal("plain").details).toContain("is not executable");
});

test.each([new NodeHost(), new OldKernel()])("links work inside CNI_PATH and lead nowhere else (%#)", (kernel) => {
  installHost(kernel);
  const other = join(root, "other");
  mkdirSync(other);
  executable(join(bin, "real"));
  executable(join(root, "outside"));
  executable(join(other, "there"));
  symlinkSync("real", join(bin, "relative"));
  symlinkSync(join(bin, "real"), join(bin, "absolute"));
  symlinkSync("relative", join(bin, "twice"));
  symlinkSync("../outside", join(bin, "out"));
  symlinkSync(join(root, "outside"), join(bin, "far"));
  symlinkSync(join(bin, "..", "outside"), join(bin, "sly"));
  symlinkSync(join(other, "there"), join(bin, "sibling"));
  symlinkSync("loop", join(bin, "loop"));
  symlinkSync("gone", join(bin, "dangling"));
  for (const name of ["real", "relative", "absolute", "twice"]) expect(find(name)).toBe(`${bin}/${name}`);
  for (const name of ["out", "far", "sly", "sibling"])
    expect(refusal(name).details).toContain("which is not in CNI_PATH");
  expect(find("sibling", [bin, other])).toBe(`${bin}/sibling`);
  for (const name of ["loop", "dangling", "none"]) expect(refusal(name).kind).toBe("failed");
});

test("a name is a name and never a path", () => {
  executable(join(root, "evil"));
  mkdirSync(join(bin, "sub"));
  const step = fc.constantFrom("..", ".", "/", "evil", "sub", "\0", " ", "%2e", "\\", "a", "\n", "…");
  fc.assert(
    fc.property(fc.array(step, { minLength: 1, maxLength: 8 }), (steps) => {
      expect(["invalid config", "failed"]).toContain(refusal(steps.join("")).kind);
    }),
    runs(2000),
  );
  for (const name of ["", ".", "..", "./x", "../evil", "/bin/sh", "x ", "x\0", "x".repeat(5000), "-x"]) {
    expect(refusal(name).kind).toBe("invalid config");
  }
});

test("without directories CNI_PATH is asked for", () => {
  expect(refusal("a", [])).toMatchObject({
    kind: "invalid environment",
    message: "required env variables [CNI_PATH] missing",
  });
});
