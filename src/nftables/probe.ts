// Checks whether this kernel supports a feature, for STATUS, for `podnic doctor`, and before an ADD changes anything.
import { nftFailure } from "./attempt.ts";
import * as c from "./constants.ts";
import { compare, type Expression, masquerade, meta } from "./expression.ts";
import { MASQUERADE_BASE } from "./masquerade-base.ts";
import type { ChainAttributes } from "./message.ts";
import { NftSocket } from "./socket.ts";
import { SOURCE_MAC, SPOOF_BASE } from "./spoof-check.ts";

/** A name that no other program uses. */
const TABLE = "podnic-probe";

/** Throws Failure, with a cure, if the kernel cannot compare MAC addresses in nftables' bridge family. Changes nothing. */
export function probeSpoofCheck(): void {
  probe("macspoofchk", c.NFPROTO_BRIDGE, SPOOF_BASE, [SOURCE_MAC, compare(new Uint8Array(6))]);
}

/** Throws Failure, with a cure, if the kernel cannot masquerade with nftables. Changes nothing. */
export function probeMasquerade(): void {
  probe("ipMasq", c.NFPROTO_INET, MASQUERADE_BASE, [
    meta(c.NFT_META_NFPROTO),
    compare(new Uint8Array([2])),
    masquerade,
  ]);
}

/** Sends a transaction that would create a chain at a hook with a rule, but does not commit it. */
function probe(what: string, family: number, chain: ChainAttributes, rule: Expression[]): void {
  let nft: NftSocket | undefined;
  try {
    nft = NftSocket.open();
    nft.start();
    nft.addTable(family, { name: TABLE, flags: 0 });
    nft.addChain(family, { ...chain, table: TABLE });
    nft.addRule(family, { table: TABLE, chain: chain.name, expressions: rule });
    nft.rehearse();
  } catch (error) {
    throw nftFailure(error, what);
  } finally {
    nft?.close();
  }
}
