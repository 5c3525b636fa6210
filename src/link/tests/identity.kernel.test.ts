// The mark of a device that leaves the host, when /sys has it, when it has another one of that name and index, and when there is none.
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { host, SystemError } from "../../host/host.ts";
import { LinuxHost } from "../../host/linux.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { confirm, findDevice, identify, isSameDevice, viewOf } from "../identity.ts";
import { getLink, setLink } from "../link.ts";
import { moveLink } from "../move.ts";
import { dropSysfs } from "../namespace.ts";
import type { LinkSnapshot } from "../snapshot.ts";

const { own, pod } = enterSandbox();

// Of another namespace, with a device that has the name and the index of ours.
sh(`ip netns add stranger
  ip -n stranger link add card index 4711 type veth peer name cardp
  mkdir -p /run/sys/own /run/sys/stranger
  mount -t sysfs own /run/sys/own
  nsenter --net=/run/netns/stranger mount -t sysfs stranger /run/sys/stranger`);

beforeEach(() => sh("ip link add card index 4711 type veth peer name cardp"));
afterEach(() => sh("umount /sys; ip link del cardp 2>/dev/null || true"));

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

  it("is put right after the move when /sys is that of another namespace, whose queues are not the device's", () => {
    sh("mount --bind /run/sys/stranger /sys; echo 1 > /sys/class/net/card/queues/rx-0/rps_cpus");
    const mark = truth();
    const { saved, confirmed } = lend();
    expect(saved.mark).not.toBe(mark);
    const { peerMark, ...rest } = saved;
    const { queues, ...settings } = saved.settings!;
    expect(queues).toEqual({ "queues/rx-0/rps_cpus": "1" });
    expect(confirmed).toEqual({ ...rest, settings, mark });
  });

  it("comes from a sysfs of our own when /sys is empty", () => {
    sh("mount -t tmpfs none /sys");
    const mark = truth();
    const { saved, confirmed, mounts } = lend();
    expect([saved.mark, confirmed, mounts]).toEqual([mark, saved, 1]);
  });
});

describe("a veth that is lent", () => {
  beforeEach(() => sh("mount --bind /run/sys/own /sys"));
  const inode = (name: string) => Number(sh(`stat -c %i /run/sys/own/class/net/${name}/`));
  const inPod = (saved: LinkSnapshot) => {
    const mount = vi.spyOn(host, "mountDetached");
    try {
      return { found: findDevice(viewOf(pod, own), saved, "eth0")?.link?.name, mounts: mount.mock.calls.length };
    } finally {
      mount.mockRestore();
      dropSysfs(pod);
    }
  };

  it("is found in the pod by its other end, and nothing is mounted", () => {
    const peer = inode("cardp");
    const { saved } = lend();
    expect(saved.peerMark).toBe(peer);
    expect(inPod(saved)).toEqual({ found: "eth0", mounts: 0 });
    sh("ip link set cardp name elsewise");
    expect(inPod(saved)).toEqual({ found: "eth0", mounts: 0 });
    sh("ip -n pod link set eth0 name x");
    expect(inPod(saved)).toEqual({ found: "x", mounts: 1 });
    sh("ip link del elsewise");
  });

  it("is not one that was made again with all that one can choose, the index of the other end as well", () => {
    const { saved } = lend();
    const index = getLink(own.route, "cardp")!.index;
    sh(`ip link del cardp; ip link add cardp index ${index} type veth peer name eth0 netns pod`);
    expect(getLink(pod.route, "eth0")).toMatchObject({ parent: saved.parent, kind: "veth" });
    expect(inPod(saved)).toEqual({ found: undefined, mounts: 1 });
  });

  it("is looked for in a sysfs when its other end has left the host", () => {
    const { saved } = lend();
    sh("ip link set cardp netns stranger name gone");
    expect(inPod(saved)).toEqual({ found: "eth0", mounts: 1 });
    sh("ip -n stranger link del gone");
  });

  it("has no other end on the host when both are of the pod", () => {
    sh("ip link set cardp netns pod");
    const saved = identify(own, card());
    expect([saved.mark, saved.peerMark]).toEqual([truth(), undefined]);
    sh("ip link del card");
  });
});

describe("a device whose name is no UTF-8", () => {
  const mark = () => Number(sh("stat -c %i /run/sys/own/class/net/card/"));
  const saved = (): LinkSnapshot => ({ ...identify(own, card()), mark: mark() });
  beforeEach(() => sh("mount --bind /run/sys/own /sys"));
  // It goes by its index: afterEach knows the name that it had.
  afterEach(() => setLink(own.route, 4711, { name: "card" }));

  it("is found by its mark, and has its own bytes", () => {
    const device = saved();
    setLink(own.route, 4711, { name: "\udcff\udcfeX" });
    expect(findDevice(viewOf(own, own), device, "eth0")).toMatchObject({ link: { name: "\udcff\udcfeX" } });
    expect(isSameDevice(viewOf(own, own), getLink(own.route, 4711)!, device)).toBe(true);
  });

  const absent = (path: string) => new SystemError("openat", 2, "ENOENT", "no such file or directory", path);
  const hideFromStat = () =>
    vi.spyOn(host, "stat").mockImplementation((path, follow, dir) => {
      if (path.endsWith("/unseen")) throw absent(path);
      return LinuxHost.prototype.stat.call(host, path, follow, dir);
    });
  const find = (device: LinkSnapshot) => findDevice(viewOf(own, own), { ...device, name: "x" }, "eth0");

  it("is found by its index when its name is never where it was listed", () => {
    const device = saved();
    setLink(own.route, 4711, { name: "unseen" });
    const stat = hideFromStat();
    try {
      expect(find(device)).toMatchObject({ link: { name: "unseen" } });
    } finally {
      stat.mockRestore();
    }
  });

  it("is not taken for gone when it cannot be looked at", () => {
    const device = saved();
    setLink(own.route, 4711, { name: "unseen" });
    const stat = hideFromStat();
    const open = vi.spyOn(host, "open").mockImplementation((path, flags, mode, dir, resolve) => {
      if (path.endsWith("/unseen")) throw absent(path);
      return LinuxHost.prototype.open.call(host, path, flags, mode, dir, resolve);
    });
    try {
      expect(() => find(device)).toThrow(/cannot tell which device/);
    } finally {
      open.mockRestore();
      stat.mockRestore();
    }
  });

  it("is found when it swaps names with a link that was looked at", () => {
    const device = saved();
    const other = getLink(own.route, "cardp")!.index;
    const readdir = vi
      .spyOn(host, "readdir")
      .mockImplementation((dir) => LinuxHost.prototype.readdir.call(host, dir).sort().reverse());
    const stat = vi.spyOn(host, "stat").mockImplementation((path, follow, dir) => {
      const found = LinuxHost.prototype.stat.call(host, path, follow, dir);
      if (path.endsWith("/cardp")) {
        setLink(own.route, other, { name: "between" });
        setLink(own.route, 4711, { name: "cardp" });
        setLink(own.route, other, { name: "card" });
      }
      return found;
    });
    try {
      expect(find(device)).toMatchObject({ link: { index: 4711, name: "cardp" } });
    } finally {
      stat.mockRestore();
      readdir.mockRestore();
      setLink(own.route, other, { name: "between" });
      setLink(own.route, 4711, { name: "card" });
      setLink(own.route, other, { name: "cardp" });
    }
  });

  it("is gone, whatever names another link gets meanwhile", () => {
    const device = saved();
    const other = getLink(own.route, "cardp")!.index;
    let renames = 0;
    const readdir = vi.spyOn(host, "readdir").mockImplementation((dir) => {
      setLink(own.route, other, { name: `fresh${renames++}` });
      return LinuxHost.prototype.readdir.call(host, dir);
    });
    try {
      expect(find({ ...device, mark: 1 })).toBeUndefined();
    } finally {
      readdir.mockRestore();
      setLink(own.route, other, { name: "cardp" });
    }
  });

  it("is not taken for another when its directory is never where its name says", () => {
    const device = saved();
    const link = getLink(own.route, 4711)!;
    const open = vi.spyOn(host, "open").mockImplementation((path, flags, mode, dir, resolve) => {
      if (path.endsWith("/card")) throw new SystemError("openat", 2, "ENOENT", "no such file or directory", path);
      return LinuxHost.prototype.open.call(host, path, flags, mode, dir, resolve);
    });
    try {
      expect(() => isSameDevice(viewOf(own, own), link, device)).toThrow(/cannot tell which device/);
    } finally {
      open.mockRestore();
    }
  });
});
