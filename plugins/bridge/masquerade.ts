// ipMasq: what the pod sends out of its subnet leaves with the node's address. Rules of nftables, whichever back end is asked for.
import type { Call } from "../../src/cni/plugin.ts";
import type { IpConfig } from "../../src/cni/result.ts";
import { openIfAny } from "../../src/nftables/attempt.ts";
import { addMasquerade, checkMasquerade, removeMasquerade } from "../../src/nftables/masquerade.ts";
import { NftSocket } from "../../src/nftables/socket.ts";

/** Removed again when the transaction is rolled back. */
export function masquerade(call: Call, ips: IpConfig[]): void {
  const nft = NftSocket.open();
  call.transaction.onRollback("remove the rules of ipMasq", () => void removeMasquerade(nft, call.attachment));
  addMasquerade(
    nft,
    call.attachment,
    ips.map(({ address }) => address),
  );
}

/** CHECK. */
export function checkMasquerading(call: Call, ips: IpConfig[]): void {
  const nft = NftSocket.open();
  try {
    checkMasquerade(
      nft,
      call.attachment,
      ips.map(({ address }) => address),
    );
  } finally {
    nft.close();
  }
}

/** DEL: ours, and what the Go plugin wrote by either back end. */
export function forgetMasquerade({ attachment, prevResult }: Call): void {
  const nft = openIfAny();
  if (nft === undefined) return;
  // The Go plugin's chain of iptables is that of all interfaces of the pod in this network.
  const known = prevResult?.ips.map(({ address }) => address.address);
  removeMasquerade(nft, attachment, undefined, known !== undefined && known.length > 0 ? known : undefined);
}
