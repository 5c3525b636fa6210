// A device without a record comes home while a process of its pod goes on creating interfaces on it.
import { expect, test } from "vitest";
import type { Result } from "../../src/cni/result.ts";
import { getLink } from "../../src/link/link.ts";
import { Bytes } from "../../src/netlink/bytes.ts";
import { NLM_F_DUMP, RTM_GETLINK } from "../../src/netlink/constants.ts";
import { traceMessages } from "../../src/netlink/socket.ts";
import { enterSandbox, sh } from "../../src/testing/sandbox.ts";
import { giveBackByAlias } from "./alias.ts";

const { own } = enterSandbox();
sh("ip link add net1 type veth peer name p5; ip link set net1 alias ens5; ip link set net1 netns pod");

test("DEL succeeds, and the device has its name and no alias", () => {
  const prevResult = { interfaces: [], ips: [], routes: [] } as unknown as Result;
  const attachment = { network: "net", containerId: "c1", ifName: "net1" };
  const call = {
    command: "DEL",
    netns: "/run/netns/pod",
    attachment,
    config: { type: "host-device", device: "ens5" },
    prevResult,
  };
  let made = 0;
  traceMessages((direction, message) => {
    const { u16 } = Bytes.from(message);
    if (direction !== "send" || u16[2] !== RTM_GETLINK || (u16[3]! & NLM_F_DUMP) === 0) return;
    if (getLink(own.route, "ens5") === undefined) return;
    sh(`ip link add mv${made} link ens5 type macvlan; ip link set mv${made++} netns pod`);
  });
  try {
    giveBackByAlias(call as never, { pci: "", auxiliary: "", userspace: false });
  } finally {
    traceMessages(undefined);
  }
  expect(made).toBeGreaterThan(4);
  expect(getLink(own.route, "ens5")).toMatchObject({ name: "ens5", alias: "" });
});
