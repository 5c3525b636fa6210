// What the confinement makes of kernels that cannot do all of it: their answers are given here, because this kernel can.
import { expect, test } from "vitest";
import { confineProcess } from "./confine.ts";
import { E2BIG, EINVAL, ENOSYS, EOPNOTSUPP, EPERM } from "./constants.ts";
import { type Grants, SystemError } from "./host.ts";
import type { LinuxHost } from "./linux.ts";

const grants = (): Grants => ({ trees: [7], files: [8] });

/** A kernel that answers landlock_create_ruleset(2) so; `abi` 0: with `errno` to whatever. The attributes' sizes it knows are the kernel's. */
function kernel(abi: number, errno = 0): { host: LinuxHost; calls: string[]; rulesets: unknown[] } {
  const known = abi < 4 ? 8 : abi < 6 ? 16 : 24;
  const calls: string[] = [];
  const rulesets: unknown[] = [];
  const refuse = (name: string, code: number) => {
    throw new SystemError(name, code, String(code), "", "");
  };
  const call = (name: string, _: string, attributes: Uint8Array | null, size: number, flags: number): number => {
    if (name !== "landlock_create_ruleset") {
      calls.push(name);
      return 0;
    }
    if (abi === 0) refuse(name, errno);
    if (flags === 1) return abi;
    const words = new Uint32Array(attributes!.slice().buffer);
    if (size > known && words.slice(known / 4).some((word) => word !== 0)) refuse(name, E2BIG);
    // REFER came with ABI 2; what is not known is EINVAL.
    if (abi < 2 && (words[0]! & 0x2000) !== 0) refuse(name, EINVAL);
    rulesets.push([...words]);
    return 9;
  };
  const host = { call };
  return { host: host as unknown as LinuxHost, calls, rulesets };
}

test.each([
  ["unknown", ENOSYS],
  ["switched off", EOPNOTSUPP],
  ["hidden by a sandbox", EPERM],
])("Landlock %s: nothing but capabilities is given up", (_, errno) => {
  const { host, calls } = kernel(0, errno);
  confineProcess(host, () => expect.unreachable());
  expect(calls).toEqual(["capset"]);
});

test("another error is one", () => {
  expect(() => confineProcess(kernel(0, 12).host, grants)).toThrow(SystemError);
});

test.each([
  [1, [0x1ff3, 0]],
  [2, [0x3ff3, 0]],
  [3, [0x3ff3, 0]],
  [4, [0x3ff3, 0, 3, 0]],
  [5, [0x3ff3, 0, 3, 0]],
  [6, [0x3ff3, 0, 3, 0, 3, 0]],
])("ABI %d: all that it knows", (abi, words) => {
  const { host, calls, rulesets } = kernel(abi);
  confineProcess(host, grants);
  expect(rulesets).toEqual([words]);
  expect(calls).toEqual(["landlock_add_rule", "landlock_add_rule", "landlock_restrict_self", "capset"]);
});
