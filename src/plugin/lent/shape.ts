// Checks whether a record has the structure that a plugin writes. Invalid records are ignored, and podnic doctor --fix removes them.
import { parseAddress, parsePrefix } from "../../ip/address.ts";
import type { CapturedAddress, CapturedHop, CapturedNetwork, CapturedRoute } from "../../link/capture.ts";
import type { NamedNamespace } from "../../link/return.ts";
import type { LinkSettings } from "../../link/settings.ts";
import type { LinkSnapshot } from "../../link/snapshot.ts";
import type { VfState } from "../../link/vf.ts";
import { flag, integer, listOf, mapOf, objectOf, optional, type Shape, text } from "../../state/shape.ts";
import type { LoanData } from "./lender.ts";

const prefix: Shape<string> = (value): value is string => text(value) && parsePrefix(value) !== undefined;
/** Or "": none. */
const address: Shape<string> = (value): value is string =>
  value === "" || (text(value) && parseAddress(value) !== undefined);
/** Type and bytes of each. */
const attributes = optional(listOf(listOf(integer, 1)));

export const namespace = objectOf<NamedNamespace>({ path: text, dev: integer, ino: integer, cookie: optional(text) });

/** What every record of a device has. */
export const loanFields = { netns: namespace, refused: optional(listOf(text)) } satisfies {
  [K in keyof LoanData]-?: Shape<LoanData[K]>;
};

const hop = objectOf<CapturedHop>({
  gateway: optional(address),
  onlink: optional(flag),
  weight: integer,
  device: optional(text),
});

const networkAddress = objectOf<CapturedAddress>({
  address: prefix,
  broadcast: address,
  permanent: flag,
  flags: integer,
  scope: optional(integer),
  peer: optional(text),
  label: optional(text),
  attributes,
});

const networkRoute = objectOf<CapturedRoute>({
  dst: prefix,
  type: optional(integer),
  expires: optional(integer),
  tos: optional(integer),
  gateway: optional(address),
  onlink: optional(flag),
  prefsrc: optional(address),
  table: integer,
  scope: integer,
  protocol: integer,
  priority: integer,
  mtu: optional(integer),
  advmss: optional(integer),
  metrics: attributes,
  attributes,
  srcLength: optional(integer),
  hops: optional(listOf(hop)),
});

export const network = objectOf<CapturedNetwork>({
  addresses: listOf(networkAddress),
  routes: listOf(networkRoute),
});

const settings = objectOf<LinkSettings>({
  broadcast: text,
  sizes: mapOf(integer),
  conf4: optional(listOf(integer)),
  conf6: optional(listOf(integer)),
  secret: optional(text),
  linkMode: optional(integer),
  xdp: listOf(integer),
  tcx: optional(listOf(integer)),
  queues: optional(mapOf(text)),
  ofKind: optional(mapOf(listOf(integer))),
});

export const linkSnapshot = objectOf<LinkSnapshot>({
  name: text,
  alias: text,
  altnames: listOf(text),
  index: integer,
  kind: text,
  parent: integer,
  parentDevice: text,
  permanentMac: text,
  mac: text,
  mtu: integer,
  txqlen: integer,
  up: flag,
  promisc: flag,
  allmulti: flag,
  noarp: optional(flag),
  multicast: optional(flag),
  flags: optional(integer),
  settings: optional(settings),
  mark: optional(integer),
  peerMark: optional(integer),
  vlan: optional(objectOf<{ id: number; protocol: number }>({ id: integer, protocol: integer })),
  portName: optional(text),
  mode: optional(integer),
  parentOnHost: optional(flag),
  master: optional(text),
  isOpen: optional(flag),
});

/** What a VF is on its PF. */
export const vfState = objectOf<VfState>({
  vf: integer,
  mac: text,
  vlan: objectOf<VfState["vlan"]>({ id: integer, qos: integer, protocol: integer }),
  linkState: optional(integer),
  spoofchk: optional(flag),
  trust: optional(flag),
  minTxRate: integer,
  maxTxRate: integer,
});
