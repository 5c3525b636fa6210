// A device comes home, and its name on the host is that of a device that is on loan too: of the same plugin or of another one, whose own
// call may be at work.
import { mkdirSync } from "node:fs";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { LOCK_EX } from "../../host/constants.ts";
import { identify } from "../../link/identity.ts";
import { getLink } from "../../link/link.ts";
import type { NetNs } from "../../link/namespace.ts";
import { snapshotLink } from "../../link/snapshot.ts";
import { withDirectory } from "../../state/files.ts";
import { ifLockable } from "../../state/lock.ts";
import { bootId, type RecordKey } from "../../state/record.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { type AnyLender, homeOf, isLent, type Lender, type LoanData, registerLenders } from "./lender.ts";
import { freeName, mayBeRenamed, underSpareName } from "./name.ts";

const DIRECTORY = "/run/locks";
let host: NetNs;
beforeAll(() => {
  host = enterSandbox().own;
  mkdirSync(DIRECTORY);
});

type Data = LoanData & { saved: ReturnType<typeof identify> };
const loans = new Map<string, { key: RecordKey; data: Data; bootId?: string }[]>();

/** A plugin of whose records this file has the only copy; each of its devices has a lock of its own. */
function lender(plugin: string): Lender<Data> {
  const list = () => (loans.get(plugin) ?? []).map((one) => ({ bootId: bootId(), home: homeOf(host), ...one }));
  return {
    plugin,
    store: () => ({ list, read: () => undefined }) as never,
    loanOf: ({ saved }) => ({ saved, pci: "", name: saved.name, held: "" }),
    lockOf: ({ containerId }) => ({ directory: DIRECTORY, file: containerId }),
    whileReturning: (_, body) => body(),
    restore: () => {},
  };
}

const [ours, theirs] = [lender("ours"), lender("theirs")];
const key = (containerId: string): RecordKey => ({ network: "net", containerId, ifName: "eth0" });
const names = (): string[] => sh("ls /sys/class/net").trim().split("\n");
const spare = (): string => `dev${getLink(host.route, "b0")!.index}`;

/** A device of this plugin that was called b0, and is on the host as a0. */
function lend(by: AnyLender): void {
  sh("ip link add b0 type veth peer name b0p; ip link set b0 up");
  const saved = identify(host, getLink(host.route, "b0")!);
  loans.set(by.plugin, [{ key: key("b"), data: { netns: { path: "/run/netns/gone", dev: 1, ino: 1 }, saved } }]);
}

beforeEach(() => {
  loans.clear();
  registerLenders([ours, theirs]);
  sh("for dev in a0 b0 b0p; do ip link del $dev 2>/dev/null || true; done");
});

const free = () => freeName(ours, key("a"), host, "a0");

test.each([ours, theirs])("a device of $plugin makes room", (by) => {
  lend(by);
  const wanted = spare();
  sh("ip link set b0 down; ip link set b0 name a0 up");
  expect(free()).toBe("free");
  expect(names()).toContain(wanted);
  expect(names()).not.toContain("a0");
});

test("a device that is on loan and has its own name keeps it", () => {
  sh("ip link add a0 type veth peer name b0p");
  const saved = identify(host, getLink(host.route, "a0")!);
  loans.set("theirs", [{ key: key("b"), data: { netns: { path: "/run/netns/gone", dev: 1, ino: 1 }, saved } }]);
  expect(free()).toBe("taken");
  expect(names()).toContain("a0");
});

test("a device of the host keeps it", () => {
  sh("ip link add a0 type veth peer name b0p");
  expect(free()).toBe("taken");
  expect(names()).toContain("a0");
});

test("while another call has the device it is left alone", () => {
  lend(theirs);
  sh("ip link set b0 down; ip link set b0 name a0");
  const seen = withDirectory(DIRECTORY, undefined, (dir) => ifLockable(dir, "b", LOCK_EX, () => [free(), names()]));
  expect(seen![0]).toBe("busy");
  expect(seen![1]).toContain("a0");
  expect(free()).toBe("free");
});

test("of the lock that the call has itself nobody waits", () => {
  lend(theirs);
  sh("ip link set b0 down; ip link set b0 name a0");
  const one = { ...ours, lockOf: () => ({ directory: DIRECTORY, file: "b" }) };
  const seen = withDirectory(DIRECTORY, undefined, (dir) =>
    ifLockable(dir, "b", LOCK_EX, () => freeName(one, key("a"), host, "a0")),
  );
  expect(seen).toBe("free");
});

test("a name and an alias that a pod has chosen do not pass for a spare name; those that we gave it do", () => {
  sh("ip link add b0 type veth peer name b0p; ip link set b0 alias wan");
  const saved = { ...snapshotLink(getLink(host.route, "b0")!), name: "a0" };
  sh("ip link set b0 name dev7000000 alias 'other [was a0]'");
  const forged = getLink(host.route, "dev7000000")!;
  const given = underSpareName(host, forged, saved, forged);
  expect(given).toMatchObject({ name: `dev${forged.index}`, alias: "wan [was a0]" });
  expect(mayBeRenamed("a0")).toBe(true);
  sh(`ip link set dev7000000 name ${given.name} alias '${given.alias}'`);
  const renamed = getLink(host.route, given.name)!;
  expect(underSpareName(host, renamed, saved, renamed)).toEqual(given);
});

test("a record of an earlier boot says nothing of a link with the same numbers", () => {
  lend(theirs);
  const link = getLink(host.route, "b0")!;
  expect(isLent(host, link)).toBe(true);
  const [loan] = loans.get("theirs")!;
  loans.set("theirs", [{ ...loan!, bootId: "earlier" }]);
  expect(isLent(host, link)).toBe(false);
});
