import { expect, test } from "vitest";
import { type Host, installHost } from "../../host/host.ts";
import { findGarbage } from "../node/garbage.ts";
import type { Holder } from "../node/holders.ts";
import type { Node } from "../node/node.ts";

// On a node with a thousand veths, reading the host's devices takes long.
test("the host's devices are not looked at for holders that are gone", () => {
  const key = { network: "n", containerId: "c", ifName: "eth0" };
  const holder = { life: "gone", age: "now", key, pci: "0000:01:00.0", netns: { path: "/run/netns/c1" } };
  const refusing = new Proxy({} as Host, {
    get: (_, name) => {
      throw new Error(`asked for ${String(name)}`);
    },
  });
  installHost(refusing);
  const found = findGarbage({ holders: [holder as unknown as Holder], leftovers: [] } as unknown as Node, []);
  expect(found).toMatchObject([{ kind: "device", why: "/run/netns/c1 is gone" }]);
});
