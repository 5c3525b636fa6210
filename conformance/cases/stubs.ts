// What the delegation cases share: configurations with a stub as IPAM, and things a stub may say.
import type { Config } from "../harness/mains.ts";
import { type CallOptions, quote } from "../harness/sandbox.ts";
import type { Behaviour, Stub } from "../harness/stub.ts";
import type { Codes, Trial } from "../harness/trial.ts";

export interface Stubbed {
  readonly stub: Stub;
  readonly conf: Config;
  /** Environment changes that make the stub found. */
  readonly set: Record<string, string>;
}

/** Shell code that prints a document and exits. */
export function say(document: unknown, status = 0): string {
  const text = typeof document === "string" ? document : JSON.stringify(document);
  return `printf %s ${quote(text)}; exit ${status}`;
}

/** Where podnic documents its limits; a plugin without such a file must have limits that suit every case. */
export const POLICY = "/etc/cni/podnic.json";
export const LIMITS = '{"delegateTimeout":2000,"lockTimeout":2000}';

export const ADDRESS = { address: "198.51.100.7/24", gateway: "198.51.100.1" };
export const GOOD = { cniVersion: "1.0.0", ips: [ADDRESS] };

/** A configuration of MAIN whose IPAM is a stub that behaves as told. */
export function stubbed(t: Trial, behaviour: Behaviour, extra: Config = {}): Stubbed {
  const stub = t.stub(behaviour);
  const conf = t.l2({ ipam: { type: "stub" }, ...extra });
  return { stub, conf, set: { CNI_PATH: `${stub.bin}:${t.settings.bin}` } };
}

/** Demands that ADD with this stub fails, leaves nothing, and is followed by exactly one delegated DEL. */
export function undone(t: Trial, add: string, codes: Codes, extra: Config = {}, options: CallOptions = {}) {
  const s = stubbed(t, { ADD: add }, extra);
  const error = t.refused("ADD", s.conf, codes, { ...options, set: { ...s.set, ...options.set } });
  t.equal(s.stub.commands(), "ADD DEL", "calls of the delegate");
  return error;
}
