// A device of hardware whose cable comes late, or not: this machine has none, so the kernel is made up.
import { expect, it } from "vitest";
import { parseAddress } from "../../ip/address.ts";
import { writeAddress } from "../../netlink/address.ts";
import { Writer } from "../../netlink/bytes.ts";
import { RTM_GETADDR, RTM_GETLINK, RTM_NEWADDR, RTM_NEWLINK } from "../../netlink/constants.ts";
import { writeLink } from "../../netlink/link.ts";
import { done, FakeKernel, message } from "../../testing/fake-kernel.ts";
import { spec } from "../../testing/spec.ts";
import { announceAddresses } from "../announce.ts";
import { IFF_RUNNING, IFF_UP } from "../link.ts";
import type { NetNs } from "../namespace.ts";

/** NLM_F_MULTI */
const IS_PART = 2;

/** How often the link was looked at, when it runs from the `running`th look on and a look takes 20 ms. */
function looks(running: number): number {
  const kernel = new FakeKernel(([request], nth) => {
    const writer = new Writer(64);
    if (request!.type === RTM_GETADDR) {
      const address = parseAddress("2001:db8::5")!.bytes;
      writeAddress(writer, { family: 10, prefixLength: 64, flags: 0, scope: 0, index: 5, attributes: { address } });
      return [{ messages: [message(RTM_NEWADDR, IS_PART, request!, writer.written()), done(request!)] }];
    }
    // The first request asked for the addresses.
    writeLink(writer, 5, nth >= running ? IFF_UP | IFF_RUNNING : IFF_UP, 0, { name: "net1" });
    return [{ messages: [message(RTM_NEWLINK, 0, request!, writer.written())] }];
  });
  kernel.tick = 20;
  const pod: NetNs = {
    path: "/run/netns/pod",
    fd: -1,
    dev: 0,
    ino: 0,
    cookie: "",
    sysfs: undefined,
    route: kernel.open(),
  };
  announceAddresses(pod, 5, "net1", "02:00:00:00:00:aa", spec(["2001:db8::5/64"], []).ips);
  return kernel.sends.filter(([request]) => request!.type === RTM_GETLINK).length;
}

it("is waited for 200 ms and no longer; nothing fails", () => {
  expect(looks(3)).toBe(3);
  expect(looks(1000)).toBe(10);
});
