// Our numbers are the kernel's: its headers come with linux-libc-dev.
import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { cache } from "../../scripts/build/paths.ts";
import * as c from "./constants.ts";
import { errnoName, errnoOf, errnoText } from "./errno.ts";
import { ioctlNumber, openFlags, socketOption } from "./layout.ts";
import { COLUMNS, NUMBERS } from "./syscalls.ts";

function defined(header: string): Map<string, number> {
  const text = readFileSync(header, "utf8");
  const found = [...text.matchAll(/^#define\s+(?:__NR_|__NR3264_)?(\w+)\s+(\d+)/gm)];
  return new Map(found.map(([, name, value]) => [name!, Number(value)]));
}

test("system call numbers are those of the kernel's headers", () => {
  const x64 = defined("/usr/include/x86_64-linux-gnu/asm/unistd_64.h");
  const arm64 = defined("/usr/include/asm-generic/unistd.h");
  for (const [name, [onX64, onArm64]] of Object.entries(NUMBERS))
    expect([name, onX64, onArm64]).toEqual([name, x64.get(name), arm64.get(name)]);
});

// musl's, which come with what a build for these needs.
for (const [machine, musl] of [
  ["s390x", "s390x"],
  ["riscv64", "riscv64"],
  ["ppc64le", "powerpc64le"],
] as const) {
  const header = join(cache, `${machine}/usr/include/${musl}-linux-musl/bits/syscall.h`);
  test.skipIf(!existsSync(header))(`and of ${machine}`, () => {
    const numbers = defined(header);
    for (const [name, columns] of Object.entries(NUMBERS))
      expect([name, columns[COLUMNS[machine]]]).toEqual([name, numbers.get(name)]);
  });
}

test("errno names are those of the kernel's headers", () => {
  const names = new Map([
    ...defined("/usr/include/asm-generic/errno-base.h"),
    ...defined("/usr/include/asm-generic/errno.h"),
  ]);
  const known = [...Array(200).keys()].filter((errno) => errnoName(errno) !== `E${errno}`);
  expect(known.length).toBeGreaterThan(60);
  for (const errno of known) {
    expect([errno, names.get(errnoName(errno))]).toEqual([errno, errno]);
    expect(errnoOf(errnoName(errno))).toBe(errno);
  }
  expect(errnoText(2)).toBe("no such file or directory");
  expect([errnoName(4000), errnoText(4000), errnoOf("ENONE")]).toEqual(["E4000", "error 4000", 0]);
});

test.skipIf(!existsSync(join(cache, "ppc64le/usr")))("what is different on ppc64le is translated", () => {
  const bits = join(cache, "ppc64le/usr/include/powerpc64le-linux-musl/bits");
  const value = (header: string, name: string): number =>
    Number(
      new RegExp(`^#define ${name}\\s+(\\d+)$`, "m")
        .exec(readFileSync(join(bits, header), "utf8"))![1]!
        .replace(/^0(?=.)/, "0o"),
    );
  const { O_CREAT, O_NONBLOCK, O_PATH, O_DIRECTORY, O_NOFOLLOW } = c;
  for (const [name, flag] of Object.entries({ O_CREAT, O_NONBLOCK, O_PATH, O_DIRECTORY, O_NOFOLLOW }))
    expect([name, openFlags(flag, "ppc64le")]).toEqual([name, value("fcntl.h", name) | value("fcntl.h", "O_CLOEXEC")]);
  expect(socketOption(c.SOL_SOCKET, c.SO_RCVTIMEO, "ppc64le")).toBe(value("socket.h", "SO_RCVTIMEO"));
  // _IOC(direction, type, number, size) of bits/ioctl.h.
  expect(ioctlNumber(0xb703, "ppc64le")).toBe((1 << 29) | (0xb7 << 8) | 3);
  expect(ioctlNumber(c.TIOCGWINSZ, "ppc64le")).toBe((2 << 29) | (8 << 16) | (0x74 << 8) | 104);
});
