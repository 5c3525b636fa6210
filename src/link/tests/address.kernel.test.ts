// Addresses of a link that goes away while somebody looks for them: other calls delete links all the time.
import { expect, test } from "vitest";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { listAddresses } from "../address.ts";
import { getLink } from "../link.ts";

const { pod } = enterSandbox();

test("a link that has gone since it was listed has none, and says nothing of the others", () => {
  sh(`ip -n pod link add a0 type veth peer name a1; ip -n pod address add 192.0.2.1/24 dev a0
    ip -n pod link add b0 type veth peer name b1; ip -n pod address add 192.0.2.2/24 dev b0`);
  const { index } = getLink(pod.route, "a0")!;
  expect(listAddresses(pod.route, index)).toHaveLength(1);
  sh("ip -n pod link del a0");
  expect(listAddresses(pod.route, index)).toEqual([]);
  expect(listAddresses(pod.route, 0).map(({ length }) => length)).toEqual([24]);
});
