import { expect, test } from "vitest";
import { FIRST_NAMESPACE, fateOfHome } from "./home.ts";

/** No namespace has this inode. */
const nowhere = { dev: 1, ino: 1 };

test("the machine's first network namespace always exists, whatever can be seen", () => {
  expect(fateOfHome({ ...nowhere, cookie: FIRST_NAMESPACE })).toBe("alive");
});

test("a namespace that nothing refers to is not alive", () => {
  expect(fateOfHome({ ...nowhere, cookie: "00000000000f4240" })).not.toBe("alive");
});

test("nothing is known about the home of a record that does not name it", () => {
  expect(fateOfHome(undefined)).toBe("unknown");
});
