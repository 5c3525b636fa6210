// The kernel gives a namespace its number when it first tells of a link that leads there. What is compared with such a number is asked after it.
import { expect, test, vi } from "vitest";
import { host, SystemError } from "../../host/host.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import { isNumberOf } from "../../netlink/nsid.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { findByNumber, findIn } from "../beside.ts";
import { viewOf } from "../identity.ts";
import { deleteLinkOf, getLink, listLinksOf } from "../link.ts";
import { hostDeviceBelow } from "../master.ts";
import { openNamespace } from "../namespace.ts";
import { removeUppers } from "../return.ts";

const { own, pod } = enterSandbox();

test("our own namespace, which has no number until the pod's links are read from here", () => {
  sh("ip link add a0 type veth peer name a1 netns pod");
  expect(sh("ip netns list-id").trim().split("\n")).toHaveLength(1);
  const near = listLinksOf(own.route, getLink(own.route, "a0")!.linkNetnsid!).find(({ name }) => name === "a1")!;
  expect(isNumberOf(own.route, near.linkNetnsid, own.fd)).toBe(true);
  expect(isNumberOf(own.route, near.linkNetnsid, pod.fd)).toBe(false);
  expect(isNumberOf(own.route, undefined, own.fd)).toBe(false);
});

test("the host, which gets its number in the pod only when the second link is read", () => {
  // The other end of b0 comes here by way of x: nobody told the pod.
  sh(`ip netns add x; ip netns add young
    ip -n young link add b0 type veth peer name b1; ip -n young link add c0 type veth peer name c1
    ip -n young link set b1 netns x; ip -n young link set c1 netns x; ip -n x link set b1 netns ${process.pid}`);
  const young = openNamespace("/run/netns/young")!;
  const view = viewOf(young, own);
  expect(view.isMadeAtHome(view.link("c0")!)).toBe(false);
  expect(view.isMadeAtHome(view.link("b0")!)).toBe(true);
});

test("the host, below a macvlan that the pod got", () => {
  sh("ip link add low type veth peer name low1; ip link add link low name mv type macvlan; ip link set mv netns x");
  const x = openNamespace("/run/netns/x")!;
  expect(hostDeviceBelow(x, getLink(x.route, "mv")!)?.name).toBe("low");
});

test("a link of a namespace that has ended since its links were listed is gone", () => {
  sh("ip netns add brief; ip link add f0 type veth peer name f1 netns brief");
  const number = getLink(own.route, "f0")!.linkNetnsid!;
  const { index } = listLinksOf(own.route, number).find(({ name }) => name === "f1")!;
  sh("ip netns del brief; while ip link show f0 2>/dev/null; do sleep 0.01; done");
  expect(deleteLinkOf(own.route, number, index)).toBe(false);
});

const outcome = (run: () => unknown): unknown => {
  try {
    return run();
  } catch (error) {
    return error;
  }
};

// The first two say of a namespace that it is ending, or that it is none of ours.
test.each<[string, number, boolean]>([
  ["EINVAL", 22, false],
  ["EACCES", 13, false],
  ["ENOBUFS", 105, true],
  ["ENOMEM", 12, true],
  ["ETIMEDOUT", 110, true],
])("a namespace whose links are not listed, because of %s: %i", (code, errno, isThrown) => {
  sh(`ip netns add n${errno}; ip link add s${errno} type veth peer name t netns n${errno}
    ip -n pod link add u${errno} type veth peer name t1 netns n${errno}; ip link add w${errno} type veth peer name w1; ip link set w1 netns pod name w${errno}`);
  const refused = new NetlinkError("ip link show", errno, code, "refused");
  const dumps = [own, pod].map(({ route }) => {
    const { dump } = route;
    return vi.spyOn(route, "dump").mockImplementation((operation, ...rest) => {
      if (operation.includes("(namespace")) throw refused;
      return dump.call(route, operation, ...rest) as never;
    });
  });
  try {
    const card = getLink(own.route, `w${errno}`)!;
    expect(outcome(() => findByNumber(own, () => true))).toBe(isThrown ? refused : undefined);
    expect(outcome(() => removeUppers(pod, own, card))).toBe(isThrown ? refused : undefined);
  } finally {
    for (const each of dumps) each.mockRestore();
  }
});

test.each<[string, number, boolean]>([
  ["EACCES", 13, false],
  ["EMFILE", 24, true],
])("a namespace that is not opened, because of %s: %i", (code, errno, isThrown) => {
  const refused = new SystemError("openat", errno, code, "refused");
  const open = vi.spyOn(host, "open").mockImplementation(() => {
    throw refused;
  });
  try {
    expect(outcome(() => findIn("/run/netns/pod", () => undefined))).toBe(isThrown ? refused : undefined);
  } finally {
    open.mockRestore();
  }
});

test.each<[string, number, boolean]>([
  ["EINVAL", 22, false],
  ["ENOBUFS", 105, true],
  ["ETIMEDOUT", 110, true],
  ["EMSGSIZE", 90, true],
])("a namespace that is not searched, because of %s: %i", (code, errno, isThrown) => {
  const refused = new NetlinkError("ip link show", errno, code, "refused");
  const find = () => {
    throw refused;
  };
  expect(outcome(() => findIn("/run/netns/pod", find))).toBe(isThrown ? refused : undefined);
});
