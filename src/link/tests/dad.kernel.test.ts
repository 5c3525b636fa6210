// Duplicate address detection on a real kernel: when ADD waits, for how long, and when not.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { IFA_F_OPTIMISTIC, IFA_F_TENTATIVE } from "../../netlink/constants.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { spec } from "../../testing/spec.ts";
import { listAddresses } from "../address.ts";
import { type ConfigureOptions, configureInterface } from "../configure.ts";
import { settleAddresses } from "../dad.ts";
import { addLink, getLink } from "../link.ts";

const { own, pod } = enterSandbox();

beforeEach(() => sh("ip link add m0 type veth peer name m1; ip link set m1 up"));
afterEach(() => sh("ip link del m1"));

/** A macvlan in the pod; its carrier is m0's, which is up as far as `carrier` says. */
function podLink(carrier: boolean): number {
  sh(`ip link set m0 up; ip link set m1 ${carrier ? "up" : "down"}`);
  addLink(own.route, {
    kind: "macvlan",
    name: "net1",
    parent: getLink(own.route, "m0")!.index,
    netns: pod.fd,
    mode: 4,
  });
  return getLink(pod.route, "net1")!.index;
}

// Detection takes at least a second: what ends in less did not wait for it.
function configure(index: number, ip: string, options: ConfigureOptions = {}): number {
  const started = performance.now();
  configureInterface(pod, index, "net1", spec([ip], [{ dst: "::/0", gw: "fd00::1" }]), options);
  return performance.now() - started;
}

/** Flags of the one address that is not link-local. */
function flags(index: number): number {
  return listAddresses(pod.route, index, 6).find(({ address }) => address.bytes[0] !== 0xfe)!.flags;
}

describe("with an IPv6 gateway", () => {
  it("waits until the address can be used", () => {
    const index = podLink(true);
    const took = configure(index, "fd00::5/64 via fd00::1");
    expect(flags(index) & IFA_F_TENTATIVE).toBe(0);
    expect(took).toBeGreaterThan(500);
    expect(took).toBeLessThan(4000);
  });

  it("a duplicate is an error as soon as it is known, in the words of the Go plugins", () => {
    sh("ip addr add fd00::5/64 dev m1 nodad");
    const index = podLink(true);
    const started = performance.now();
    expect(() => configure(index, "fd00::5/64 via fd00::1")).toThrow(
      "link net1 has address fd00::5 in DADFAILED state",
    );
    expect(performance.now() - started).toBeLessThan(4000);
  });

  it("without carrier on the master does not wait: no detection can happen (the Go plugins: 5 s)", () => {
    const index = podLink(false);
    expect(configure(index, "fd00::5/64 via fd00::1")).toBeLessThan(900);
    expect(flags(index) & IFA_F_TENTATIVE).toBe(IFA_F_TENTATIVE);
  });

  it("skip: usable at once, no detection", () => {
    const index = podLink(true);
    expect(configure(index, "fd00::5/64 via fd00::1", { dad: "skip" })).toBeLessThan(900);
    expect(flags(index) & IFA_F_TENTATIVE).toBe(0);
  });

  it("optimistic: usable at once, with detection", () => {
    const index = podLink(true);
    expect(configure(index, "fd00::5/64 via fd00::1", { dad: "optimistic" })).toBeLessThan(900);
    expect(flags(index) & (IFA_F_TENTATIVE | IFA_F_OPTIMISTIC)).toBe(IFA_F_TENTATIVE | IFA_F_OPTIMISTIC);
  });
});

it("an interface that goes away meanwhile is an error", () => {
  const index = podLink(true);
  sh("ip -n pod link del net1");
  expect(() => settleAddresses(pod.route, pod.route, index, "net1")).toThrow("net1 disappeared");
});

it("without IPv6 gateway does not wait, as the Go plugins", () => {
  const index = podLink(true);
  expect(configure(index, "fd00::5/64")).toBeLessThan(900);
  expect(flags(index) & IFA_F_TENTATIVE).toBe(IFA_F_TENTATIVE);
});
