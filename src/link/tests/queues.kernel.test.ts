// Whose files the queue settings are read from and written to, when /sys is that of another namespace with a device of the name and index of ours.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { host } from "../../host/host.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { queueSettings, restoreQueues } from "../queues.ts";

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

// What stays on the device and may differ, however many queues it has, and whichever of them is changed.
describe.each([
  [1, 1],
  [1, 2],
  [2, 1],
  [3, 2],
])("a device with %i queues of the one and %i of the other direction", (receiving, sending) => {
  const files = (): string[] => {
    const all = ["gro_flush_timeout", "napi_defer_hard_irqs"];
    for (let i = 0; i < receiving; i++) all.push(`queues/rx-${i}/rps_cpus`, `queues/rx-${i}/rps_flow_cnt`);
    for (let i = 0; sending > 1 && i < sending; i++) all.push(`queues/tx-${i}/xps_cpus`);
    return all;
  };
  const inSys = "/sys/class/net/many";

  beforeEach(() => {
    sh(`mount --bind /run/sys/own /sys
      ip link add many numrxqueues ${receiving} numtxqueues ${sending} type veth peer name manyp numrxqueues 4 numtxqueues 4`);
  });
  afterEach(() => sh("ip link del many; mount --bind /run/sys/own /sys"));

  it.each(["virtual", "other"])("has the settings of all told and restored (as a %s one)", (what) => {
    const values = new Map(files().map((file) => [file, file.includes("flow_cnt") ? "32" : "1"]));
    for (const [file, value] of values) sh(`echo ${value} > ${inSys}/${file}`);
    const [index, mark] = [Number(sh(`cat ${inSys}/ifindex`)), Number(sh(`stat -c %i ${inSys}/`))];
    const device = { name: "many", index, mac: "" };
    const directory = host.open(inSys, 0);
    const found = what === "virtual" ? queueSettings(device, directory) : queueSettings(device);
    host.close(directory);
    expect(found).toEqual(Object.fromEntries(values));
    restoreQueues(what === "virtual" ? { ...device, mark } : device, {}, true);
    expect(queueSettings(device)).toEqual({});
    restoreQueues(what === "virtual" ? { ...device, mark } : device, found!, true);
    expect(queueSettings(device)).toEqual(Object.fromEntries(values));
  });
});
