// How podnic checks files before opening them if /proc is missing or refuses access.
import { mkdtempSync, renameSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, it } from "vitest";
import { O_RDONLY } from "../host/constants.ts";
import { type Fd, host, installHost, SystemError } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { openLooked } from "./look.ts";

let root = "";
beforeEach(() => {
  root = mkdtempSync(join(tmpdir(), "podnic-look-"));
  writeFileSync(join(root, "file"), "seen");
  writeFileSync(join(root, "other"), "put in its place");
});
afterEach(() => {
  installHost(new NodeHost());
  rmSync(root, { recursive: true });
});

/** Opening a path in /proc/self/fd runs `meanwhile`, and then fails with this error. */
class WithoutProc extends NodeHost {
  readonly #error: SystemError;
  readonly #meanwhile: () => void;

  constructor(errno: number, code: string, meanwhile = () => {}) {
    super();
    this.#error = new SystemError("openat", errno, code, code);
    this.#meanwhile = meanwhile;
    installHost(this);
  }

  override open(path: string, flags: number, mode?: number, dir?: Fd, resolve?: number): Fd {
    if (!path.startsWith("/proc/self/fd/")) return super.open(path, flags, mode, dir, resolve);
    this.#meanwhile();
    throw this.#error;
  }
}

function read(): string {
  const looked = openLooked(undefined, join(root, "file"), O_RDONLY, () => "", false);
  const text = host.decode(host.read(looked!.fd!, 100));
  host.close(looked!.fd!);
  return text;
}

it.each([
  [2, "ENOENT"],
  [20, "ENOTDIR"],
])("without /proc (errno %i) opens the file by its name", (errno, code) => {
  new WithoutProc(errno, code);
  expect(read()).toBe("seen");
});

it("without /proc another file that took the name is not opened", () => {
  new WithoutProc(2, "ENOENT", () => renameSync(join(root, "other"), join(root, "file")));
  expect(read).toThrow(expect.objectContaining({ code: "ELOOP" }));
});

it("another error of /proc is no reason to open it by its name", () => {
  new WithoutProc(13, "EACCES");
  expect(read).toThrow(expect.objectContaining({ code: "EACCES" }));
});
