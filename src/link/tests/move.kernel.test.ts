// Moves on a real kernel. After every failure the device must be what and where it was.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { Failure } from "../../errors.ts";
import { NetlinkError } from "../../netlink/errors.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { getLink, IFF_UP, type Link, type LinkChange, listLinks } from "../link.ts";
import { moveLink } from "../move.ts";
import type { NetNs } from "../namespace.ts";

const { own, pod } = enterSandbox();

beforeEach(() =>
  sh(`ip link add v0 type veth peer name v1
    ip link set v1 up
    ip link set v0 up mtu 1400 alias before txqueuelen 77
    ip link property add dev v0 altname alt0`),
);
afterEach(() =>
  sh(
    "ip link del v1; for i in $(ip -n pod -br link | cut -d' ' -f1 | cut -d@ -f1 | grep -v lo); do ip -n pod link del $i || true; done",
  ),
);

const v0 = () => getLink(own.route, "v0")!;
/** All of a link but what follows from the state of its peer. */
/** `message` is the kernel's answer as it came, which some look-ups keep: every counter is in it. */
const essence = (link: Link | undefined) =>
  link && { ...link, message: undefined, operstate: 0, linkNetnsid: undefined, flags: link.flags & IFF_UP };

function caught(run: () => unknown): Failure {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return error;
    throw error;
  }
  throw new Error("nothing was thrown");
}

/** Asserts that a move into the pod fails with `message` and that nothing has changed anywhere. */
function failsWithoutTrace(link: Link, name: string, change: LinkChange, message: string): Failure {
  const before = { link: essence(v0()), pod: listLinks(pod.route) };
  const error = caught(() => moveLink(own, pod, link, name, change));
  expect(error.message).toContain(message);
  expect({ link: essence(v0()), pod: listLinks(pod.route) }).toEqual(before);
  return error;
}

describe("moveLink", () => {
  it("moves, renames, sets the alias and up in one request, and the rest stays", () => {
    const before = v0();
    const sent: number[] = [];
    traceMessages((direction, data) => direction === "send" && data[4] === 16 && sent.push(1));
    let moved: Link;
    try {
      moved = moveLink(own, pod, before, "eth0", { alias: "v0", up: true });
    } finally {
      traceMessages(undefined);
    }
    expect(sent.length).toBe(1);
    expect(essence(moved)).toEqual(essence({ ...before, name: "eth0", alias: "v0" }));
    expect(getLink(own.route, "v0")).toBeUndefined();
    const back = moveLink(pod, own, moved, "v0", { alias: "before", up: true });
    expect(essence(back)).toEqual(essence(before));
  });

  it("works when the device's host name is taken in the pod", () => {
    sh("ip -n pod link add v0 type veth peer name other");
    expect(moveLink(own, pod, v0(), "eth0", {}).name).toBe("eth0");
    expect(getLink(pod.route, "v0")).toBeDefined();
  });

  it("gives the device another index when its own is taken", () => {
    sh(`ip -n pod link add occupied index ${v0().index} type veth peer name other`);
    const moved = moveLink(own, pod, v0(), "eth0", { up: true });
    expect(moved.name).toBe("eth0");
    expect(moved.mtu).toBe(1400);
  });

  it("refuses a name that is taken before anything happens", () => {
    sh("ip -n pod link add eth0 type veth peer name other");
    const error = failsWithoutTrace(v0(), "eth0", { alias: "v0", up: true }, "already has an interface eth0");
    expect(error.message).toContain("/run/netns/pod");
  });

  it("refuses a name that is somebody's alternative name", () => {
    sh("ip -n pod link add other0 type veth peer name other; ip -n pod link property add dev other0 altname eth0");
    failsWithoutTrace(v0(), "eth0", {}, "an interface other0 with the alternative name eth0");
  });

  it("drops an alternative name that is the wanted name", () => {
    const moved = moveLink(own, pod, v0(), "alt0", {});
    expect(moved).toMatchObject({ name: "alt0", altnames: [] });
  });

  it("drops an alternative name that is taken in the pod", () => {
    sh("ip -n pod link add alt0 type veth peer name other");
    expect(moveLink(own, pod, v0(), "eth0", {})).toMatchObject({ name: "eth0", altnames: [] });
  });

  it("a name taken between the look and the move: the kernel has moved and not renamed; it comes back as it was, altnames too", () => {
    // Whoever looks sees nothing; the kernel sees it.
    sh("ip -n pod link add eth0 type veth peer name other; ip -n pod link add alt0 type veth peer name other2");
    const itself = { cookie: { value: pod.cookie }, sysfs: { value: pod.sysfs } };
    const blind: NetNs = Object.create(pod, { ...itself, route: { value: blindTo("eth0") } });
    const before = essence(v0());
    const error = caught(() => moveLink(own, blind, v0(), "eth0", { alias: "v0", up: true }));
    expect(error.message).toContain("file exists");
    expect(essence(v0())).toEqual(before);
    expect(listLinks(pod.route).map((link) => link.name)).not.toContain("v0");
  });

  it("a change refused after the move: back as it was", () => {
    failsWithoutTrace(v0(), "eth0", { mtu: 70000, alias: "x", up: true }, "mtu greater than device maximum");
  });

  it("a device that is gone is named, and so is the cure", () => {
    const link = v0();
    sh("ip link del v0; ip link add v1 type veth peer name v9");
    const error = caught(() => moveLink(own, pod, link, "eth0", {}));
    expect(error.message).toContain("v0");
    expect(error.message).toContain("no such device");
  });

  it("a device that may not leave its namespace stays", () => {
    sh("ip link add br0 type bridge");
    const bridge = getLink(own.route, "br0")!;
    expect(caught(() => moveLink(own, pod, bridge, "eth0", {})).details).toContain("cannot leave its namespace");
    expect(getLink(own.route, "br0")).toEqual(bridge);
    sh("ip link del br0");
  });
});

/** The pod's socket, which does not find one name the first time it is asked. */
function blindTo(name: string): NetNs["route"] {
  let asked = false;
  return new Proxy(pod.route, {
    get(target, property) {
      const value = Reflect.get(target, property);
      if (typeof value !== "function") return value;
      return (...args: unknown[]) => {
        if (property === "find" && args[0] === `ip link show ${name}` && !asked) {
          asked = true;
          return undefined;
        }
        return value.apply(target, args);
      };
    },
  });
}

describe("a function that is being reset (iavf: moved, and EBUSY when it is to go up)", () => {
  /** The socket whose next `times` changes end with this errno, after `act`. */
  function busy(route: NetNs["route"], times: number, act: () => void): NetNs["route"] {
    let left = times;
    return new Proxy(route, {
      get(target, property) {
        const value = Reflect.get(target, property);
        if (typeof value !== "function") return value;
        return (...args: unknown[]) => {
          const done = property === "run" && left-- > 0 && act();
          if (done !== false) throw new NetlinkError("ip link set", 16, "EBUSY", "device or resource busy");
          return value.apply(target, args);
        };
      },
    });
  }

  it("is retried in its new namespace", () => {
    let asked = 0;
    const link = v0();
    // What the kernel has done by then.
    const from = {
      ...own,
      fd: own.fd,
      route: busy(own.route, 1, () => sh("ip link set v0 down; ip link set v0 netns pod name eth0")),
    };
    const to = { ...pod, fd: pod.fd, route: busy(pod.route, 3, () => void asked++) };
    const moved = moveLink(from as NetNs, to as NetNs, link, "eth0", { up: true });
    expect(moved).toMatchObject({ name: "eth0", mac: link.mac });
    expect(moved.flags & IFF_UP).toBe(IFF_UP);
    expect(asked).toBe(3);
  });
});
