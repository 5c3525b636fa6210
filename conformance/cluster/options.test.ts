import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { expect, test, vi } from "vitest";
import type { Case } from "./case.ts";
import { type Asked, BIN, IMAGE, type Options, refusal, selectedOf } from "./options.ts";

const run = () => Promise.resolve();
const cases: Case[] = [
  { id: "pushed", expected: "", push: true, run },
  { id: "plain", expected: "", run },
  { id: "seen", expected: "", only: "real", run },
  { id: "asked", expected: "", only: "stand-in", flavours: ["thin"], run },
  { id: "card", expected: "", needs: ["guest"], run },
];
const here: Asked = { root: true, inGuest: false, early: true };
const options = (more: Partial<Options>): Options => ({
  ...{ bin: BIN, image: IMAGE, guest: false, list: false, push: false, real: false },
  ...more,
});
const said = (more: Partial<Options>, asked: Partial<Asked> = {}) =>
  refusal(cases, options(more), { ...here, ...asked });

test("options that exclude each other are refused, in one line", () => {
  for (const [more, words, asked] of [
    [{ push: true, real: true }, "give --push or --real"],
    [{ push: true, guest: true }, "give --push or --guest"],
    [{ push: true }, "give --push or --guest", { inGuest: true }],
    [{ push: true, multus: ["thick"] }, "leave --multus out"],
    [{ real: true, guest: true }, "give --guest or --real"],
    [{ real: true, multus: ["thin", "thick"] }, "leave --multus out"],
    [{ guest: true, multus: ["thick"] }, "leave --multus out"],
    [{ guest: true }, "npm run cluster -- --guest", { early: false }],
    [{}, "needs root", { root: false }],
  ] as [Partial<Options>, string, Partial<Asked>?][])
    expect(said(more, asked), JSON.stringify([more, asked])).toMatch(new RegExp(`^[^\n]*${words}[^\n]*$`));
});

test("a case that does not exist, or does not run so, is refused", () => {
  expect(said({ case: ["pushed", "zzz"] })).toContain('no case begins with "zzz"');
  expect(said({ case: [""] })).toContain('no case begins with ""');
  for (const [name, more] of [
    ["seen", {}],
    ["plain", { push: true }],
    ["asked", { multus: ["thick"] }],
    ["asked", { real: true }],
  ] as [string, Partial<Options>][])
    expect(said({ ...more, case: [name] }), name).toContain(`--case ${name} does not run with these options`);
});

test("files that do not exist are refused by the option that names them", () => {
  for (const option of ["bin", "image", "plugins"])
    expect(said({ [option]: "/nonexistent/x" })).toContain(`--${option} /nonexistent/x: there`);
  expect(said({ image: "plugins" })).toContain("--image plugins: there is no such file");
  // The sources, whose directories have the plugins' names.
  expect(said({ plugins: "plugins" })).toContain("--plugins plugins: there is no program macvlan");
  const dir = mkdtempSync("/tmp/podnic-options-");
  try {
    writeFileSync(`${dir}/macvlan`, "", { mode: 0o755 });
    expect(said({ plugins: dir })).toContain("there is no program host-device");
    writeFileSync(`${dir}/image.tar`, "");
    const cwd = vi.spyOn(process, "cwd").mockReturnValue("/home/me/podnic");
    expect(said({ image: `${dir}/image.tar` })).toContain("the node does not see it");
    // In a clone below /tmp, the node has the machine's /tmp.
    cwd.mockReturnValue("/tmp/podnic");
    expect(said({ image: `${dir}/image.tar` }) ?? "").not.toContain("the node does not see it");
  } finally {
    vi.restoreAllMocks();
    rmSync(dir, { recursive: true });
  }
});

test("what may run is not refused, and runs", () => {
  const ids = (more: Partial<Options>, inGuest = false) => {
    expect(said(more, { inGuest })).toBeUndefined();
    return selectedOf(cases, options(more), inGuest).map(({ id }) => id);
  };
  expect(ids({})).toEqual(["pushed", "plain", "asked", "card"]);
  expect(ids({ push: true, multus: ["thin"] })).toEqual(["pushed"]);
  expect(ids({ real: true, multus: ["thick"] })).toEqual(["pushed", "plain", "seen", "card"]);
  expect(ids({ guest: true })).toEqual(["card"]);
  expect(ids({}, true)).toEqual(["card"]);
  expect(ids({ multus: ["thick"] })).toEqual(["pushed", "plain", "card"]);
  expect(ids({ case: ["p"] })).toEqual(["pushed", "plain"]);
});
