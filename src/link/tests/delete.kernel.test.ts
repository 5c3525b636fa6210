// Many links deleted by one request, on a real kernel.
import { beforeEach, expect, it } from "vitest";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, ipJson, sh } from "../../testing/sandbox.ts";
import { deleteTogether } from "../delete.ts";
import { getLink, type Link, listLinksOn } from "../link.ts";

const { own } = enterSandbox();
const route = own.route;
const RTM_DELLINK = 17;

beforeEach(() => sh("ip link del v1 2>/dev/null || true; ip link add v0 type veth peer name v1"));

function children(count: number): Link[] {
  sh(`for i in $(seq ${count}); do echo "link add link v0 name m$i type macvlan mode bridge"; done | ip -batch -`);
  return listLinksOn(route, getLink(route, "v0")!.index).filter(({ kind }) => kind === "macvlan");
}

const names = (): string[] => ipJson("link show type macvlan").map(({ ifname }: { ifname: string }) => ifname);

it("deletes those given with one RTM_DELLINK, and no others", () => {
  const all = children(150);
  sh("ip link set v0 group 7; ip link set m150 group 7");
  let deletions = 0;
  traceMessages((direction, bytes) => {
    // Several messages in one send: the type follows the length in each.
    const words = new DataView(bytes.buffer, bytes.byteOffset, bytes.length);
    for (let at = 0; direction === "send" && at < bytes.length; at += (words.getUint32(at, true) + 3) & ~3)
      if (words.getUint16(at + 4, true) === RTM_DELLINK) deletions++;
  });
  try {
    deleteTogether(
      route,
      all.filter(({ name }) => name !== "m150"),
    );
  } finally {
    traceMessages(undefined);
  }
  expect(names()).toEqual(["m150"]);
  expect(deletions).toBe(1);
  expect(getLink(route, "v0")).toBeDefined();
});

it("does not mind those that are gone, and takes none or one", () => {
  const all = children(3);
  sh("ip link del m2");
  deleteTogether(route, all);
  expect(names()).toEqual([]);
  deleteTogether(route, []);
  deleteTogether(route, children(1));
  expect(names()).toEqual([]);
});
