// Whose files the queue settings are read from and written to, when /sys is that of another namespace with a device of the name and index of ours.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { restoreQueues } from "../queues.ts";

enterSandbox();
sh(`ip netns add stranger
  ip -n stranger link add card index 4711 type veth peer name cardp
  mkdir -p /run/sys/own /run/sys/stranger
  mount -t sysfs own /run/sys/own
  nsenter --net=/run/netns/stranger mount -t sysfs stranger /run/sys/stranger`);

beforeEach(() => {
  sh("ip link add card index 4711 type veth peer name cardp");
  for (const whose of ["own", "stranger"]) sh(`echo 1 > ${fileOf(whose)}`);
});
afterEach(() => sh("umount /sys; ip link del cardp"));

const fileOf = (whose: string) => `/run/sys/${whose}/class/net/card/queues/rx-0/rps_cpus`;
const readOf = (whose: string) => sh(`cat ${fileOf(whose)}`).trim();
const markOf = (whose: string) => Number(sh(`stat -c %i /run/sys/${whose}/class/net/card/`));
const card = { name: "card", index: 4711, mac: "" };

describe("a device that is known by its mark", () => {
  it("gets its settings back where /sys shows it, and not where another one has its name and index", () => {
    const mark = markOf("own");
    sh("mount --bind /run/sys/stranger /sys");
    restoreQueues({ ...card, mark }, {}, true);
    expect([readOf("own"), readOf("stranger")]).toEqual(["1", "1"]);
    sh("umount /sys; mount --bind /run/sys/own /sys");
    restoreQueues({ ...card, mark }, {}, true);
    expect([readOf("own"), readOf("stranger")]).toEqual(["0", "1"]);
  });
});

describe("a device without a mark", () => {
  it("gets its settings back by its index, and not where another one has its address", () => {
    const mac = sh("cat /run/sys/own/class/net/card/address").trim();
    sh("mount --bind /run/sys/stranger /sys");
    restoreQueues({ ...card, mac }, {}, true);
    expect(readOf("stranger")).toBe("1");
    sh("umount /sys; mount --bind /run/sys/own /sys");
    restoreQueues({ ...card, mac, index: 4712 }, {}, true);
    expect(readOf("own")).toBe("1");
    restoreQueues({ ...card, mac }, {}, true);
    expect(readOf("own")).toBe("0");
  });
});
