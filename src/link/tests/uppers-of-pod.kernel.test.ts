// What a pod stacked on a device that returns, of kinds of which the kernel does not say that their parent is in another namespace (ipoib, rmnet,
// virt_wifi). This kernel has none of them: macvlans stand in.
import { beforeAll, expect, test } from "vitest";
import { Bytes } from "../../netlink/bytes.ts";
import { RTM_NEWLINK } from "../../netlink/constants.ts";
import { namespaceNumbers } from "../../netlink/nsid.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { identify } from "../identity.ts";
import { getLink, type Link } from "../link.ts";
import { type NetNs, openNamespace } from "../namespace.ts";
import { mayHaveUppers, moveBack, removeUppers } from "../return.ts";

let own: NetNs;
let pod: NetNs;

beforeAll(() => {
  ({ own, pod } = enterSandbox());
});

const inPod = (): string => sh("ip -n pod -o link");

test("those on an IPoIB device are gone before it moves", () => {
  sh("ip link add d0 type veth peer name p0; ip link set d0 netns pod; ip -n pod link add v0 link d0 type macvlan");
  const link = { ...getLink(pod.route, "d0")!, kind: "ipoib" };
  let left: string | undefined;
  traceMessages((direction, message) => {
    if (direction === "send" && Bytes.from(message).u16[2] === RTM_NEWLINK) left ??= inPod();
  });
  try {
    moveBack(pod, own, link, identify(pod, link));
  } finally {
    traceMessages(undefined);
  }
  expect(left).toContain("d0");
  expect(left).not.toContain("v0");
});

/** As the kernel tells of such kinds. */
function blind({ route, ...rest }: NetNs): NetNs {
  const dump = (...args: Parameters<typeof route.dump>) => {
    const { items, ...more } = route.dump(...args);
    return { ...more, items: items.map((item) => ({ ...(item as Link), linkNetnsid: undefined })) };
  };
  const get = (target: typeof route, key: keyof typeof route) => {
    if (key === "dump") return dump;
    const value = target[key] as unknown;
    return typeof value === "function" ? value.bind(target) : value;
  };
  return { ...rest, path: "/run/netns/pod", route: new Proxy(route, { get: get as never }) } as NetNs;
}

test("one that stands on an index which the pod does not have goes, and one on an interface of the pod stays", () => {
  sh("ip link add d1 index 77 type veth peer name p1; ip link add v1 link d1 type macvlan; ip link set v1 netns pod");
  sh("ip -n pod link add x1 index 77 type veth peer name y1; ip -n pod link add v2 link x1 type macvlan");
  const device = getLink(own.route, "d1")!;
  removeUppers(blind(pod), own, device);
  expect(inPod()).toContain("v2@");
  sh("ip -n pod link del x1");
  removeUppers(blind(pod), own, device);
  expect(inPod()).not.toContain("v1@");
});

test("one that the pod has moved on goes, also when the pod has a number for no other namespace", () => {
  sh(`ip netns add young; ip netns add third; ip -n third link add d2 type veth peer name p2; ip -n third link set d2 netns young
    ip -n young link add v3 link d2 type macvlan; ip -n young link set v3 netns third
    ip -n young link set d2 netns third; ip -n third link set d2 netns ${process.pid}`);
  const young = openNamespace("/run/netns/young")!;
  expect(namespaceNumbers(young.route)).toHaveLength(1);
  const device = getLink(own.route, "d2")!;
  expect(mayHaveUppers(young, own, device, false)).toBe(true);
  removeUppers(young, own, device);
  expect(sh("ip -n third -o link")).not.toContain("v3@");
});
