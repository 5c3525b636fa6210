// Kernels before 5.11 ignore the length of the broadcast queue. The current kernel does so, too, if the test replaces the attribute's number.
import { beforeAll, expect, it } from "vitest";
import { host } from "../../src/host/host.ts";
import { IFLA_MACVLAN_BC_QUEUE_LEN } from "../../src/netlink/constants.ts";
import { failure, makeCall } from "../../src/testing/calls.ts";
import { enterSandbox, ipJson, sh } from "../../src/testing/sandbox.ts";
import { macvlan } from "./plugin.ts";

beforeAll(() => {
  enterSandbox();
  sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
});

const add = () => {
  const call = makeCall(macvlan, "ADD", { cniVersion: "1.1.0", type: "macvlan", master: "up0", bcqueuelen: 2000 });
  try {
    macvlan.add({ ...call, netns: "/run/netns/pod" });
  } catch (error) {
    call.transaction.rollback();
    throw error;
  }
};

/** Gives the attribute an unknown number while `body` runs. */
function onOldKernel(body: () => void): void {
  const send = host.send;
  host.send = (fd, data, address) => {
    for (let at = 16; at + 8 <= data.length; at += 4)
      if (data[at] === 8 && data[at + 2] === IFLA_MACVLAN_BC_QUEUE_LEN && data[at + 4] === 0xd0 && data[at + 5] === 7)
        data[at + 2] = 0x3f;
    return send.call(host, fd, data, address);
  };
  try {
    body();
  } finally {
    host.send = send;
  }
}

it("refuses a queue length that the kernel ignores, and leaves nothing", () => {
  onOldKernel(() => expect(failure(add)).toContain("this kernel ignored bcqueuelen 2000"));
  expect(ipJson("-n pod link show type macvlan")).toEqual([]);
});

it("makes the interface where the kernel takes it", () => {
  add();
  expect(ipJson("-n pod link show eth0")[0].linkinfo.info_data.bcqueuelen).toBe(2000);
});
