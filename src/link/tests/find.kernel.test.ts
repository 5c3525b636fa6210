// Looking for an address on a host whose links change so fast that every dump is interrupted (5,000 links: 33 of 40 dumps).
import { execFileSync } from "node:child_process";
import { mkdirSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import { host } from "../../host/host.ts";
import { Bytes, Writer } from "../../netlink/bytes.ts";
import { NLM_F_DUMP, NLM_F_DUMP_INTR, NLM_F_MULTI, RTM_NEWLINK } from "../../netlink/constants.ts";
import { readLink, writeLink } from "../../netlink/link.ts";
import { ack, done, FakeKernel, message, type Request } from "../../testing/fake-kernel.ts";
import { findLinksByAddress } from "../link.ts";

host.unshare(0x20000);
execFileSync("sh", ["-ec", "mount --make-rprivate /; mount -t tmpfs tmpfs /sys"]);
mkdirSync("/sys/class/net/eth7", { recursive: true });
writeFileSync("/sys/class/net/eth7/address", "02:00:00:00:00:07\n");
mkdirSync("/sys/class/net/eth6", { recursive: true });
writeFileSync("/sys/class/net/eth6/address", "02:00:00:00:00:08\n");

function linkMessage(to: Request, name: string, last: number, flags: number): Uint8Array {
  const writer = new Writer(64);
  writeLink(writer, last, 0, 0, { name, address: Uint8Array.of(2, 0, 0, 0, 0, last) });
  expect(readLink(Bytes.from(writer.written()), 0, writer.length).attributes.name).toBe(name);
  return message(RTM_NEWLINK, flags, to, writer.written());
}

/** Dumps are always interrupted and bring eth1 alone; GET knows eth7, and eth6 whose address has changed meanwhile. */
function churning(): FakeKernel {
  return new FakeKernel(([request]) => {
    if ((request!.flags & NLM_F_DUMP) === NLM_F_DUMP) {
      return [{ messages: [linkMessage(request!, "eth1", 1, NLM_F_MULTI | NLM_F_DUMP_INTR), done(request!)] }];
    }
    return [{ messages: [linkMessage(request!, "eth7", 7, 0)] }];
  });
}

it("falls back to sysfs after five dumps and asks the kernel about what it found", () => {
  const kernel = churning();
  expect(findLinksByAddress(kernel.open(), "02:00:00:00:00:07")).toMatchObject([{ index: 7, name: "eth7" }]);
  expect(kernel.sends.length).toBe(6);
});

it("takes what an interrupted dump did bring", () => {
  const kernel = churning();
  expect(findLinksByAddress(kernel.open(), "02:00:00:00:00:01")).toMatchObject([{ index: 1 }]);
  expect(kernel.sends.length).toBe(5);
});

it("does not believe sysfs when the kernel says otherwise", () => {
  expect(findLinksByAddress(churning().open(), "02:00:00:00:00:08")).toEqual([]);
});

it("asks sysfs nothing when a dump was complete", () => {
  const kernel = new FakeKernel(([request]) => [
    { messages: [linkMessage(request!, "eth1", 1, NLM_F_MULTI), done(request!)] },
  ]);
  expect(findLinksByAddress(kernel.open(), "02:00:00:00:00:07")).toEqual([]);
  expect(kernel.sends.length).toBe(1);
  const gone = new FakeKernel(([request]) => [{ messages: [ack(request!, 1)] }]);
  expect(() => findLinksByAddress(gone.open(), "02:00:00:00:00:07")).toThrow("operation not permitted");
});
