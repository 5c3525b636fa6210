import { expect, test } from "vitest";
import type { LinkSnapshot } from "../../src/link/snapshot.ts";
import { isMeant } from "./find.ts";

const nothing = { pci: "", auxiliary: "", userspace: false };
const card = { name: "eth5", altnames: [], parentDevice: "0000:01:00.0" } as unknown as LinkSnapshot;

test.each([
  ["/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0", true],
  ["/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/virtio1", true],
  ["/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/", true],
  ["/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.0/mlx5_core.sf.4", false],
  ["/sys/devices/pci0000:00/0000:00:01.0/0000:01:00.1", false],
  ["/sys/devices/virtual", false],
])("kernelpath %s means the recorded card of 0000:01:00.0: %s", (kernelpath, is) => {
  expect(isMeant(card, { kernelpath } as never, nothing)).toBe(is);
  expect(isMeant({ ...card, parentDevice: "" }, { kernelpath } as never, nothing)).toBe(false);
});
