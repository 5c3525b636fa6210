// A physical function back from a pod, on a simulated card: the state of its virtual functions in the record, and what a failure leaves undone.
import { beforeEach, expect, test } from "vitest";
import { host } from "../../src/host/host.ts";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { snapshotLink } from "../../src/link/snapshot.ts";
import { listVfs } from "../../src/link/vf.ts";
import { homeOf } from "../../src/plugin/lent/lender.ts";
import type { SimulatedCard } from "../sriov/testing/simulated-card.ts";
import { leaveMachine, newCard } from "../sriov/testing/simulated-node.ts";
import { type HeldDevice, hostDeviceLender } from "./record.ts";

leaveMachine();

const EMSGSIZE = 90;
const PF = "enp175s0f1";
const NONE = { addresses: [], routes: [] };
/** No address: restoring it throws. */
const DAMAGED = { addresses: [{ address: "", broadcast: "", permanent: true, flags: 0 }], routes: [] };

let card: SimulatedCard;
let stderr: string;

beforeEach(() => {
  ({ card } = newCard());
  stderr = "";
  const { write } = host;
  host.write = (fd, data) => {
    if (fd !== 2) return write.call(host, fd, data);
    stderr += host.decode(data);
    return data.length;
  };
});

function lend(network: HeldDevice["network"] = NONE): HeldDevice {
  const { route } = ownNamespace();
  const link = getLink(route, PF)!;
  const vfs = listVfs(route, link.index, PF);
  return { netns: { path: "/run/netns/pod", dev: 4, ino: 4026532000 }, was: snapshotLink(link), network, vfs };
}

function giveBack(record: HeldDevice): void {
  const link = getLink(ownNamespace().route, PF)!;
  hostDeviceLender.restore(record, { link, saved: record.was } as never);
}

test("restores the virtual functions", () => {
  const record = lend();
  card.vfs[1]!.trust = true;
  giveBack(record);
  expect(card.asked).toEqual(["trust 0"]);
  expect(stderr).toBe("");
});

test("keeps them in the record, as `vfs`, and takes nothing else for them", () => {
  const key = { network: "net", containerId: "c1", ifName: "net1" };
  const record = lend();
  hostDeviceLender.store().write(key, record, homeOf(ownNamespace()));
  expect(record.vfs).toHaveLength(2);
  expect(hostDeviceLender.store().read(key)?.data.vfs).toEqual(record.vfs);
  const other = { ...record, vfs: [{ vf: "1" }] } as never;
  hostDeviceLender.store().write(key, other, homeOf(ownNamespace()));
  expect(hostDeviceLender.store().unreadable(key)).toBeDefined();
});

test("restores them even if the addresses cannot be restored, and fails", () => {
  const record = lend(DAMAGED);
  card.vfs[1]!.trust = true;
  expect(() => giveBack(record)).toThrow();
  expect(card.asked).toEqual(["trust 0"]);
});

test("says so when the kernel cannot list them, when it lends the card and when it comes back", () => {
  const record = lend();
  card.unanswered = () => {
    throw EMSGSIZE;
  };
  expect(lend().vfs).toEqual([]);
  expect(stderr).toContain("cannot list the virtual functions");
  expect(stderr).toContain(`device="${PF}"`);
  stderr = "";
  giveBack(record);
  expect(stderr).toContain("cannot list the virtual functions");
});
