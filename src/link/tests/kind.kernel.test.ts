// What the kernel tells of a kind only when it is not the usual: nothing was told before, so what the pod sets must still go.
import { afterEach, beforeEach, expect, it } from "vitest";
import { bareText, u32 } from "../../netlink/codecs.ts";
import * as c from "../../netlink/constants.ts";
import { writeLink } from "../../netlink/link.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { type KindSettings, kindSettings, restoreKind } from "../kind.ts";
import { getLink } from "../link.ts";

const { route } = enterSandbox().own;
const BC_CUTOFF = 9;

beforeEach(() => sh("ip link add d0 type veth peer name p; ip link add m0 link d0 type macvlan mode bridge"));
afterEach(() => sh("ip link del p"));

const settings = (): KindSettings => kindSettings(route, getLink(route, "m0")!)!;

/** `ip link set m0 type macvlan bclim VALUE`, which Debian 12's `ip` does not have. */
function setCutoff(value: number): void {
  const { index } = getLink(route, "m0")!;
  const writer = route.begin("bclim", c.RTM_NEWLINK, 0);
  writeLink(writer, index, 0, 0, {});
  const info = writer.open(c.IFLA_LINKINFO);
  bareText.write(writer, c.IFLA_INFO_KIND, "macvlan");
  const data = writer.open(c.IFLA_INFO_DATA);
  u32.write(writer, BC_CUTOFF, value);
  writer.close(data);
  writer.close(info);
  route.run();
}

for (const [what, cutoff] of [
  ["the usual cutoff of broadcasts", undefined],
  ["a cutoff that the administrator has chosen", 3],
] as const) {
  it(`restores ${what} of a macvlan`, (test) => {
    setCutoff(cutoff ?? 1);
    const before = settings();
    setCutoff(7);
    // Kernels before 6.4 have none.
    if (settings()[BC_CUTOFF] === undefined) return test.skip();
    expect(before[BC_CUTOFF]?.[0]).toBe(cutoff);
    restoreKind(route, getLink(route, "m0")!, before);
    expect(settings()).toEqual(before);
  });
}
