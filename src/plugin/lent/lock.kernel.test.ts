// The locks of those who give back, on a disk that takes no lock file: a device must not stay in a dead pod for that.
import { spawn } from "node:child_process";
import { once } from "node:events";
import { mkdirSync, symlinkSync } from "node:fs";
import { beforeAll, describe, expect, test } from "vitest";
import { SystemError } from "../../host/host.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { besides, lockOrGoOn, whileReturningCard, whileTakingCard } from "./lock.ts";

const DIRECTORY = "/run/locks";
beforeAll(() => {
  enterSandbox();
  mkdirSync(DIRECTORY);
  sh(`mount -t tmpfs -o ro none ${DIRECTORY}`);
});

const other = { directory: DIRECTORY, file: "other.lock" };

test.each([
  ["own", (body: () => string) => lockOrGoOn(DIRECTORY, "own.lock", 0, body)],
  ["other", (body: () => string) => besides({ directory: DIRECTORY, file: "own.lock" }, other, body)],
])("without the device's %s lock: once, and what it throws is thrown", (_, locked) => {
  let times = 0;
  expect(locked(() => `${++times} time`)).toBe("1 time");
  const refused = new SystemError("openat", 30, "EROFS", "read-only", "");
  expect(() =>
    locked(() => {
      times++;
      throw refused;
    }),
  ).toThrow(refused);
  expect(times).toBe(2);
});

test.each([
  ["takes", whileTakingCard],
  ["returns", whileReturningCard],
])("who %s a card waits for whoever has its lock, and not for itself", async (_, locked) => {
  const directory = "/var/lib/cni/podnic/card";
  const pci = "0000:01:10.0";
  mkdirSync(directory, { recursive: true, mode: 0o700 });
  const holder = spawn("flock", [`${directory}/${pci}.lock`, "sh", "-c", "echo; sleep 0.4"]);
  const ended = once(holder, "close");
  await once(holder.stdout, "data");
  const start = performance.now();
  expect(locked(pci, () => locked(pci, () => "once"))).toBe("once");
  expect(performance.now() - start).toBeGreaterThan(200);
  expect(locked("0000:01:10.1", () => locked(pci, () => "both"))).toBe("both");
  await ended;
});

describe("a physical function and its virtual functions", () => {
  const directory = "/var/lib/cni/podnic/card";
  const [pf, vf, other] = ["0000:02:00.0", "0000:02:10.0", "0000:02:10.1"];
  const devices = "/sys/bus/pci/devices";

  beforeAll(() => {
    mkdirSync(directory, { recursive: true, mode: 0o700 });
    sh("mount -t tmpfs none /sys");
    for (const each of [pf, vf, other]) mkdirSync(`${devices}/${each}`, { recursive: true });
    for (const each of [vf, other]) symlinkSync(`../${pf}`, `${devices}/${each}/physfn`);
  });

  /** Milliseconds that a call for `mine` waits while another one has `theirs`, which takes the locks as a call does. */
  async function wait(theirs: string, mine: string, locked = whileTakingCard): Promise<number> {
    const shared = theirs === pf ? "" : `flock -s ${directory}/${pf}.lock`;
    const holder = spawn("sh", ["-c", `${shared} flock ${directory}/${theirs}.lock sh -c 'echo; sleep 0.4'`]);
    const ended = once(holder, "close");
    await once(holder.stdout, "data");
    const start = performance.now();
    locked(mine, () => undefined);
    const waited = performance.now() - start;
    await ended;
    return waited;
  }

  test.each([
    ["takes", whileTakingCard],
    ["returns", whileReturningCard],
  ])("who %s one waits for whoever has the other", async (_, locked) => {
    expect(await wait(pf, vf, locked)).toBeGreaterThan(200);
    expect(await wait(vf, pf, locked)).toBeGreaterThan(200);
  });

  test("virtual functions do not wait for each other", async () => {
    expect(await wait(vf, other)).toBeLessThan(200);
  });
});
