// ipMasq: packets that the pod sends to other subnets leave with the node's address. podnic uses nftables rules, whichever back end is
// configured.
import { isProvenNew } from "../../src/cni/ipam.ts";
import type { Call } from "../../src/cni/plugin.ts";
import type { IpConfig } from "../../src/cni/result.ts";
import { Failure } from "../../src/errors.ts";
import { formatAddress } from "../../src/ip/address.ts";
import { ownNamespace } from "../../src/link/namespace.ts";
import { isNodesOwn } from "../../src/link/route.ts";
import {
  addMasquerade,
  checkMasquerade,
  removeMasquerade,
  removeNewMasquerade,
} from "../../src/nftables/masquerade.ts";
import { NftSocket } from "../../src/nftables/socket.ts";

/**
 * The rules are about all packets from an address, whoever sends them: those of the node as well. Throws Failure("invalid config") for an address
 * that the node has itself.
 */
export function refuseNodesAddresses(ips: IpConfig[]): void {
  const { route } = ownNamespace();
  for (const { address } of ips) {
    if (!isNodesOwn(route, address.address)) continue;
    throw new Failure(
      "invalid config",
      `ipMasq: the node itself has the address ${formatAddress(address.address)}`,
      "The rules of ipMasq would change the source address of the node's own packets. Use another address for the pod, or remove ipMasq.",
    );
  }
}

/**
 * Removed again when the transaction is rolled back. Returns the rules' handles. Where IPAM refuses an attachment that has addresses from an
 * earlier ADD, the DEL of that has removed its rules, and nobody looks for them among those of all pods.
 */
export function masquerade(call: Call, ips: IpConfig[]): number[] {
  const nft = NftSocket.open();
  let isNew = false;
  call.transaction.onRollback("remove the rules of ipMasq", () => {
    removeMasquerade(nft, call.attachment);
    if (isNew) removeNewMasquerade(nft);
  });
  const addresses = ips.map(({ address }) => address);
  return addMasquerade(nft, call.attachment, addresses, isProvenNew(call), (table) => {
    isNew = table;
  });
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

/** DEL: ours, and what the Go plugin wrote by either back end. `rules`: what ADD made, if that is known. True: there was something. */
export function forgetMasquerade(nft: NftSocket, { attachment, prevResult }: Call, rules?: number[]): boolean {
  // The Go plugin's chain of iptables is that of all interfaces of the pod in this network.
  const known = prevResult?.ips.map(({ address }) => address.address);
  return removeMasquerade(nft, attachment, rules, known !== undefined && known.length > 0 ? known : undefined);
}
