// What podnic asks for when it restores a VLAN's flags, for every state before and after. The kernel refuses the whole request unless flags and
// mask have 8 bytes together, and tells no flags when none is set.
import { expect, it } from "vitest";
import { findAttribute } from "../../netlink/attributes.ts";
import { Bytes, Writer } from "../../netlink/bytes.ts";
import { bareText, bytes as raw, u32 } from "../../netlink/codecs.ts";
import * as c from "../../netlink/constants.ts";
import { LINK_HEADER, writeLink } from "../../netlink/link.ts";
import { ack, FakeKernel } from "../../testing/fake-kernel.ts";
import { kindSettings, restoreKind } from "../kind.ts";

const [VLAN_ID, VLAN_FLAGS, VLAN_INGRESS, VLAN_MAPPING] = [1, 2, 4, 1];

interface State {
  flags: number;
  /** Priorities that are mapped to 3. */
  mapped: number[];
}

/** What the kernel says of a VLAN. */
function told({ flags, mapped }: State): Uint8Array {
  const writer = new Writer(256);
  writeLink(writer, 5, 0, 0, {});
  const info = writer.open(c.IFLA_LINKINFO);
  bareText.write(writer, c.IFLA_INFO_KIND, "vlan");
  const data = writer.open(c.IFLA_INFO_DATA);
  u32.write(writer, VLAN_ID, 7);
  if (flags !== 0) raw.write(writer, VLAN_FLAGS, new Uint8Array(Uint32Array.of(flags, 0xffffffff).buffer));
  if (mapped.length > 0) {
    const list = writer.open(VLAN_INGRESS);
    for (const from of mapped) raw.write(writer, VLAN_MAPPING, new Uint8Array(Uint32Array.of(from, 3).buffer));
    writer.close(list);
  }
  writer.close(data);
  writer.close(info);
  return writer.written().slice();
}

const device = (state: State) => ({ index: 5, name: "v7", kind: "vlan", message: told(state) });

/** The IFLA_VLAN_FLAGS of each request, as words; undefined: a request without. */
function requestsFor(before: State, now: State): (number[] | undefined)[] {
  const kernel = new FakeKernel((requests) => [{ messages: requests.map((request) => ack(request)) }]);
  const route = kernel.open();
  restoreKind(route, device(now), kindSettings(route, device(before))!);
  return kernel.sends.flat().map(({ payload }) => {
    const sent = Bytes.from(payload);
    const info = findAttribute(sent, LINK_HEADER, payload.length, c.IFLA_LINKINFO, 0)!;
    const data = findAttribute(sent, ...info, c.IFLA_INFO_DATA, 0)!;
    const flags = findAttribute(sent, ...data, VLAN_FLAGS, 0);
    return flags && [...new Uint32Array(payload.slice(...flags).buffer)];
  });
}

for (const was of [0, 1, 4, 5]) {
  for (const is of [0, 1, 4, 5]) {
    it(`flags ${was} after the pod has made them ${is}, with and without other priorities`, () => {
      for (const [before, now] of [
        [[], []],
        [[], [2]],
        [[2], []],
        [[2], [3]],
      ] as const) {
        const requests = requestsFor({ flags: was, mapped: [...before] }, { flags: is, mapped: [...now] });
        const flags = requests.filter((each) => each !== undefined);
        expect(flags).toEqual(was === is ? [] : [[was, was ^ is]]);
        expect(requests.length > 0).toBe(was !== is || before.length + now.length > 0);
      }
    });
  }
}
