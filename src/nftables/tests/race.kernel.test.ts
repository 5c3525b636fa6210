// Other programs change tables between podnic's query and its commit.
import { afterEach, beforeEach, describe, expect, it } from "vitest";
import { parsePrefix } from "../../ip/address.ts";
import { traceMessages } from "../../netlink/socket.ts";
import { enterSandbox, sh } from "../../testing/sandbox.ts";
import { addMasquerade, checkMasquerade, listMasquerades, removeMasquerade } from "../masquerade.ts";
import { spoofId } from "../names.ts";
import { NftSocket } from "../socket.ts";
import { addSpoofCheck, checkSpoofCheck, removeSpoofCheck } from "../spoof-check.ts";
import { flush, owner, ruleset } from "./node.ts";

enterSandbox();
const nft = NftSocket.open();
const stranger = NftSocket.open();
const v4 = parsePrefix("10.61.0.2/24")!;
const MAC = new Uint8Array([2, 0, 0, 0, 0, 1]);
const ID = spoofId(owner);
const other = { ...owner, containerId: "cid-2" };
let began = 0;

beforeEach(flush);
afterEach(() => traceMessages(undefined));

/** Runs `change` directly before each of podnic's transactions, at most `times` times. */
function meanwhile(times: number, change: () => void): void {
  began = 0;
  let busy = false;
  traceMessages((direction, data) => {
    if (direction === "recv" || data[4] !== 16 || data[5] !== 0 || busy) return;
    began++;
    busy = true;
    if (began <= times) change();
    busy = false;
  });
}

const touch = () => {
  stranger.start();
  stranger.addTable(1, { name: "other", flags: 0 });
  stranger.addChain(1, { table: "other", name: `c${began}` });
  stranger.commit();
};

describe("removeMasquerade", () => {
  it("looks again after a change of anybody", () => {
    const rules = addMasquerade(nft, owner, [v4]);
    meanwhile(3, touch);
    expect(removeMasquerade(nft, owner, rules)).toBe(true);
    expect(began).toBe(4);
    expect(listMasquerades(nft)).toEqual([]);
  });

  it("does not take the rule that has the number now", () => {
    addMasquerade(nft, owner, [v4]);
    const [handle] = addMasquerade(nft, owner, [v4]);
    meanwhile(1, () => {
      flush();
      let theirs: number[] = [];
      while ((theirs[0] ?? 0) < handle!) theirs = addMasquerade(stranger, other, [v4]);
      expect(theirs).toEqual([handle]);
    });
    expect(removeMasquerade(nft, owner, [handle!])).toBe(false);
    checkMasquerade(nft, other, [v4]);
  });

  it("says to try again when the changes do not end", () => {
    addMasquerade(nft, owner, [v4]);
    meanwhile(Number.POSITIVE_INFINITY, touch);
    expect(() => removeMasquerade(nft, owner)).toThrow(expect.objectContaining({ name: "Failure", kind: "try again" }));
    expect(began).toBe(200);
  });
});

describe("addMasquerade", () => {
  it("makes the table again that was there a moment ago", () => {
    addMasquerade(nft, other, [v4]);
    meanwhile(1, flush);
    addMasquerade(nft, owner, [v4], true);
    checkMasquerade(nft, owner, [v4]);
    expect(began).toBe(2);
  });
});

describe("addSpoofCheck", () => {
  it("makes the chain again that was there a moment ago", () => {
    addSpoofCheck(nft, other, "veth1", MAC);
    meanwhile(1, flush);
    addSpoofCheck(nft, owner, "veth0", MAC);
    checkSpoofCheck(nft, ID, "veth0", MAC);
    expect(began).toBe(2);
  });

  it("replaces what somebody made of the same ids", () => {
    meanwhile(1, () => addSpoofCheck(stranger, owner, "veth1", MAC));
    addSpoofCheck(nft, owner, "veth0", MAC);
    checkSpoofCheck(nft, ID, "veth0", MAC);
    expect(ruleset()).not.toContain("veth1");
  });
});

describe("removeSpoofCheck", () => {
  it("is done when somebody else was faster", () => {
    const jump = addSpoofCheck(nft, owner, "veth0", MAC);
    meanwhile(1, () => removeSpoofCheck(stranger, ID));
    expect(removeSpoofCheck(nft, ID, jump)).toBe(false);
    expect(ruleset()).not.toContain("cni-br");
  });

  it("also removes the jump that came a moment ago", () => {
    const jump = addSpoofCheck(nft, owner, "veth0", MAC);
    meanwhile(1, () => sh("nft add rule bridge nat PREROUTING iifname veth7 jump cni-br-iface-cid-1-eth0"));
    removeSpoofCheck(nft, ID, jump);
    expect(ruleset()).not.toContain("cni-br");
  });
});
