// ADD of a physical function, on a simulated card: what the node uses its virtual functions for is asked under locks, so it is asked once for all.
import { expect, test } from "vitest";
import { getLink } from "../../src/link/link.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { IFF_UP, RTM_GETROUTE } from "../../src/netlink/constants.ts";
import { refuseToLend } from "../../src/plugin/node-device.ts";
import { leaveMachine, newCard, PF, sysfs } from "../sriov/testing/simulated-node.ts";

leaveMachine();

function routeDumps(functionsUp: number): number {
  const { card, route } = newCard();
  sysfs("igbvf");
  card.interfaces.get(1)!.parent = PF;
  for (let n = 0; n < functionsUp; n++) card.interfaces.get(10 + n)!.flags = IFF_UP;
  refuseToLend(ownNamespace(), getLink(route, "enp175s0f1")!, "/run/netns/pod", []);
  return card.kernel.sends.flat().filter(({ type }) => type === RTM_GETROUTE).length;
}

test.each([
  [0, 0],
  [1, 2],
  [2, 2],
])("%i virtual functions that are up: the routes are read %i times, of each family once", (functionsUp, dumps) => {
  expect(routeDumps(functionsUp)).toBe(dumps);
});
