// The mark of a device that leaves the host, when /sys has it, when it has another one of that name and index, and when there is none.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { host } from "../../host/host.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { confirm, identify } from "../identity.ts";
import { getLink } from "../link.ts";
import { moveLink } from "../move.ts";
import type { LinkSnapshot } from "../snapshot.ts";

const { own, pod } = enterSandbox();

// Of another namespace, with a device that has the name and the index of ours.
sh(`ip netns add stranger
  ip -n stranger link add card index 4711 type veth peer name cardp
  mkdir -p /run/sys/own /run/sys/stranger
  mount -t sysfs own /run/sys/own
  nsenter --net=/run/netns/stranger mount -t sysfs stranger /run/sys/stranger`);

beforeEach(() => sh("ip link add card index 4711 type veth peer name cardp"));
afterEach(() => sh("umount /sys; ip link del cardp"));

const card = () => getLink(own.route, "card")!;
const truth = () => Number(sh("stat -c %i /run/sys/own/class/net/card/"));

function lend(): { saved: LinkSnapshot; confirmed: LinkSnapshot; mounts: number } {
  const mount = vi.spyOn(host, "mountDetached");
  try {
    const link = card();
    const saved = identify(own, link);
    const confirmed = confirm(saved, pod, moveLink(own, pod, link, "eth0", {}, saved));
    return { saved, confirmed, mounts: mount.mock.calls.length };
  } finally {
    mount.mockRestore();
  }
}

describe("the mark of a device that leaves the host", () => {
  it("is what /sys says, and nothing is mounted", () => {
    sh("mount --bind /run/sys/own /sys");
    const mark = truth();
    const { saved, confirmed, mounts } = lend();
    expect([saved.mark, confirmed, mounts]).toEqual([mark, saved, 0]);
  });

  it("is put right after the move when /sys is that of another namespace", () => {
    sh("mount --bind /run/sys/stranger /sys");
    const mark = truth();
    const { saved, confirmed } = lend();
    expect(saved.mark).not.toBe(mark);
    expect(confirmed).toEqual({ ...saved, mark });
  });

  it("comes from a sysfs of our own when /sys is empty", () => {
    sh("mount -t tmpfs none /sys");
    const mark = truth();
    const { saved, confirmed, mounts } = lend();
    expect([saved.mark, confirmed, mounts]).toEqual([mark, saved, 1]);
  });
});
