import { mkdirSync, writeFileSync } from "node:fs";
import { expect, it } from "vitest";
import type { Call } from "../cni/plugin.ts";
import { enterSandbox, sh } from "../testing/sandbox.ts";
import { macGiven } from "./results.ts";

enterSandbox();
sh("mount -t tmpfs none /var/lib");
mkdirSync("/var/lib/cni/results", { recursive: true });

const attachment = { network: "net1", containerId: "c1", ifName: "eth0" };
const own = { name: "eth0", mac: "02:00:00:00:00:07", sandbox: "/run/netns/c1" };
const result = { interfaces: [own, { name: "up0", mac: "02:00:00:00:00:01" }], ips: [], routes: [], dns: {} };
const asked = (call: object) => macGiven({ attachment, ...call } as Call);

it("the MAC address that the ADD reported, by the prevResult, or else by what libcni keeps", () => {
  expect(asked({ prevResult: result })).toBe(own.mac);
  expect(asked({})).toBeUndefined();
  const keep = (interfaces: unknown) =>
    writeFileSync("/var/lib/cni/results/net1-c1-eth0", JSON.stringify({ kind: "cniCacheV1", result: { interfaces } }));
  keep([
    { ...own, mac: own.mac.toUpperCase() },
    { name: "eth0", mac: "02:00:00:00:00:02" },
  ]);
  expect(asked({})).toBe(own.mac);
  expect(asked({ prevResult: { ...result, interfaces: [] } })).toBeUndefined();
  for (const strange of [null, "x", [null], [{ ...own, mac: 7 }], [{ ...own, sandbox: "" }]]) {
    keep(strange);
    expect(asked({})).toBeUndefined();
  }
});
