// What stands on a device, where the kernel's answer has a ring: two tunnels may be each other's IFLA_LINK. The node's devices do not form one today.
import { expect, it, vi } from "vitest";
import { host, installHost } from "../../host/host.ts";
import { NodeHost } from "../../host/node/host.ts";
import { RT_SCOPE_UNIVERSE, RTM_GETADDR, RTM_GETLINK, RTM_GETNSID } from "../../netlink/constants.ts";
import { IFF_UP, type Link } from "../link.ts";
import type { NetNs } from "../namespace.ts";
import { countUppers, othersOn } from "../uppers.ts";

const upper = (index: number, parent: number): Partial<Link> =>
  ({ index, parent, kind: "macsec", name: `n${index}`, flags: IFF_UP, master: 0 }) as Partial<Link>;

const GROUPS = "5    n5              3     0     01005e000001\n";

function showGroups(groups: string, opened = () => {}): void {
  installHost(new NodeHost());
  let text = "";
  host.open = () => {
    opened();
    text = groups;
    return 1_000_000;
  };
  host.close = () => undefined;
  host.read = () => {
    const part = new TextEncoder().encode(text);
    text = "";
    return part;
  };
}

/** Says what othersOn says of the first link, and how often it asked for addresses and looked into the only other namespace. `addressed` has one of the node. */
function used(
  links: Partial<Link>[],
  addressed = 0,
  groups = GROUPS,
): { said: string | undefined; asked: number; read: number; looked: number } {
  let asked = 0;
  let read = 0;
  let looked = 0;
  const dump = (operation: string, type: number) => {
    if (type === RTM_GETNSID) return { items: [1] };
    if (operation.includes("(namespace")) {
      looked++;
      return { items: [] };
    }
    if (type === RTM_GETLINK) return { items: links };
    if (type !== RTM_GETADDR) return { items: [] };
    asked++;
    // A loop without an end would take all memory.
    if (asked > 100) throw new Error("asks without an end");
    return { items: operation.endsWith(` ${addressed}`) ? [{ scope: RT_SCOPE_UNIVERSE }] : [] };
  };
  showGroups(groups, () => read++);
  const said = othersOn({ route: { dump } } as unknown as NetNs, links[0] as Link, "");
  return { said, asked, read, looked };
}

const RING = [upper(5, 8), upper(6, 5), upper(7, 6), upper(8, 7)];

it("ends when two devices stand on each other", () => {
  expect(used([upper(5, 6), upper(6, 5)])).toMatchObject({ said: undefined, asked: 1 });
});

it("ends when what stands on a device forms a ring with it, and asks each once", () => {
  expect(used(RING)).toMatchObject({ said: undefined, asked: 3 });
});

it("finds an address at the far end of a ring, and takes the device itself for none of those on it", () => {
  expect(used(RING, 8).said).toContain("n8");
  expect(used(RING, 5).said).toBeUndefined();
});

it("reads the groups of all that stand on a device at once", () => {
  const many = [...Array(50).keys()].map((n) => upper(6 + n, 5));
  expect(used([upper(5, 0), ...many]).read).toBe(2);
});

it("looks once into each other namespace for all VLANs, which count themselves twice", () => {
  const many = [...Array(50).keys()].map((n) => upper(6 + n, 5));
  const twice = many.map(({ index, name }) => `${index}    ${name}              2     0     01005e000001\n`).join("");
  expect(used([upper(5, 0), ...many], 0, GROUPS + twice)).toMatchObject({ said: undefined, looked: 1 });
});

it("finds the pod's interface on one of several that stand on a device", () => {
  const other = "7    a\u2028b           2     0     01005e000001\n7    a\u2028b           1     0     01005e0000fb\n";
  const all = [upper(5, 0), upper(6, 5), upper(7, 5)];
  expect(used(all, 0, `${GROUPS}6    n6              1     0     01005e000001\n${other}`).said).toContain(
    "another namespace",
  );
  expect(used(all, 0, GROUPS + other.replace("2 ", "1 ")).said).toBeUndefined();
});

// A VLAN counts itself twice. Without IPv6, there is no other group to tell.
it.each([
  ["a VLAN without IPv6", "2     0     01005e000001", 0],
  ["a VLAN without IPv6, and one on it", "3     0     01005e000001", 1],
  ["a VLAN, and one on it", "3     0     01005e000001\n5    n5              2     0     333300000001", 1],
])("counts those on %s", (_, groups, count) => {
  showGroups(`5    n5              ${groups}\n`);
  expect(countUppers(upper(5, 4) as Link)).toBe(count);
});

// QuickJS passes so many at most. Node passes more.
it("takes more groups than a call has arguments", () => {
  const { min } = Math;
  const limited = vi.spyOn(Math, "min").mockImplementation((...values) => {
    if (values.length > 65_534) throw new RangeError("too many arguments");
    return min(...values);
  });
  try {
    const many = Array.from({ length: 66_000 }, (_, n) => `5    n5              1     0     ${n.toString(16)}\n`);
    expect(used([upper(5, 0)], 0, GROUPS + many.join("")).said).toContain("another namespace");
    expect(countUppers(upper(5, 0) as Link)).toBe(2);
  } finally {
    limited.mockRestore();
  }
});
