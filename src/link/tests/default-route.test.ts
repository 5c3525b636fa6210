// What this kernel never does, others may: a dump that is not sorted by metric.
import { expect, it } from "vitest";
import { Writer } from "../../netlink/bytes.ts";
import { NLM_F_MULTI } from "../../netlink/constants.ts";
import { type RouteAttributes, writeRoute } from "../../netlink/route.ts";
import { done, FakeKernel, message, type Request } from "../../testing/fake-kernel.ts";
import { defaultRouteDevice } from "../route.ts";

function defaultRoute(to: Request, attributes: RouteAttributes): Uint8Array {
  const writer = new Writer(64);
  const header = {
    family: 2,
    dstLength: 0,
    srcLength: 0,
    tos: 0,
    table: 254,
    protocol: 3,
    scope: 0,
    type: 1,
    flags: 0,
  };
  writeRoute(writer, { ...header, attributes });
  return message(24, NLM_F_MULTI, to, writer.written());
}

it("the lowest metric wins wherever it stands; none is 0", () => {
  const device = (...routes: RouteAttributes[]) =>
    defaultRouteDevice(
      new FakeKernel(([request]) => [
        { messages: [...routes.map((attributes) => defaultRoute(request!, attributes)), done(request!)] },
      ]).open(),
    );
  expect(device({ oif: 5, priority: 200 }, { oif: 6, priority: 100 }, { oif: 7, priority: 300 })).toBe(6);
  expect(device({ oif: 5, priority: 200 }, { oif: 6 })).toBe(6);
  // A route without a device (a nexthop object that is gone would be another case) is passed over.
  expect(device({ priority: 1 }, { oif: 6, priority: 100 })).toBe(6);
});
