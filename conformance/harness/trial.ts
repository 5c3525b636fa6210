// Judgement: what a case may demand of a call. Each demand throws a Mismatch that says what was expected and seen.
import { sameAddress, sameNetwork, samePrefix } from "./address.ts";
import { Mismatch } from "./case.ts";
import { brief, describeRun, type Run } from "./invoke.ts";
import type { Config } from "./mains.ts";
import { isOld, type Result, shapeFaults } from "./result.ts";
import { type CallOptions, Sandbox, type Stdin } from "./sandbox.ts";
import { differences, type Picture } from "./state.ts";

export interface ErrorObject {
  readonly code: number;
  readonly msg: string;
  readonly details?: string;
  readonly cniVersion?: string;
}

/** Codes the spec defines, and 8, which the Go skeleton uses; a case allows 8 only by naming it. */
const DEFINED = [1, 2, 3, 4, 5, 6, 7, 11, 50, 51];
export const ANY = "any" as const;
/** Codes of a plugin's own: 100 and more. */
export const OWN = "own" as const;
export type Codes = readonly number[] | typeof ANY | typeof OWN;

export interface OkOptions extends CallOptions {
  /** The result is one of an IPAM plugin: no interfaces, nothing in the kernel. */
  readonly ipam?: boolean;
  /** Skip the comparison with the kernel (DPDK, a container that is not c1). */
  readonly noKernel?: boolean;
  readonly ns?: string;
}

export class Trial extends Sandbox {
  // Single documents

  /** Demands E(codes): non-zero exit and exactly one error object on stdout. */
  error(run: Run, codes: Codes = ANY): ErrorObject {
    const want = `E(${typeof codes === "string" ? (codes === OWN ? ">=100" : "*") : codes.join("|")})`;
    const no = () => new Mismatch(want, describeRun(run));
    if (run.timedOut || run.signal !== null || run.status === 0) throw no();
    let object: ErrorObject;
    try {
      object = JSON.parse(run.stdout);
    } catch {
      throw no();
    }
    if (typeof object !== "object" || object === null || !Number.isInteger(object.code)) throw no();
    if (typeof object.msg !== "string" || object.msg === "")
      throw new Mismatch(`${want} with a message`, describeRun(run));
    const right =
      codes === ANY
        ? DEFINED.includes(object.code) || object.code >= 100
        : codes === OWN
          ? object.code >= 100
          : codes.includes(object.code);
    if (!right) throw no();
    return object;
  }

  /** Demands OK without output. */
  silentRun(run: Run): void {
    if (run.status !== 0 || run.stdout.trim() !== "") throw new Mismatch("exit 0, no output", describeRun(run));
  }

  /** Demands OK: exit 0 and one result that satisfies every V-rule. */
  result(run: Run, version: string, options: OkOptions = {}): Result {
    let result: Result;
    try {
      if (run.status !== 0) throw new Error();
      result = JSON.parse(run.stdout);
    } catch {
      throw new Mismatch("exit 0, one result", describeRun(run));
    }
    const faults = shapeFaults(result, version === "" ? "0.1.0" : version, options.ipam === true);
    if (faults.length === 0 && options.ipam !== true && !isOld(version))
      faults.push(...this.#placeFaults(result, options));
    if (faults.length === 0 && options.ipam !== true && options.noKernel !== true) {
      faults.push(...this.#kernelFaults(result, options));
    }
    if (faults.length > 0)
      throw new Mismatch("a result that satisfies the V-rules", `${faults.join("; ")} in ${brief(run.stdout)}`);
    return result;
  }

  // Calls with their demand

  /** Demands that the call succeeds with a good result, and returns it. */
  add(conf: Config, options: OkOptions = {}): Result {
    const version = typeof conf.cniVersion === "string" ? conf.cniVersion : "";
    return this.result(this.call("ADD", conf, options), version, options);
  }

  silent(command: string, stdin: Stdin, options: CallOptions = {}): void {
    this.silentRun(this.call(command, stdin, options));
  }

  /** Demands E(codes) and that links, addresses and state are afterwards as before. */
  refused(command: string, stdin: Stdin, codes: Codes = ANY, options: CallOptions = {}): ErrorObject {
    const before = this.picture();
    const object = this.error(this.call(command, stdin, options), codes);
    this.unchangedSince(before, brief(JSON.stringify(object)));
    return object;
  }

  /** Demands either a refusal that changes nothing, or success with a good result. */
  okOrRefused(conf: Config, codes: Codes = ANY, options: OkOptions = {}): Result | undefined {
    const before = this.picture();
    const run = this.call("ADD", conf, options);
    if (run.status === 0) return this.result(run, String(conf.cniVersion ?? ""), options);
    this.error(run, codes);
    this.unchangedSince(before);
    return undefined;
  }

  /** @param upOrDown whether the links' administrative state counts; the Go plugins give a device back down */
  unchangedSince(before: Picture, said = "", upOrDown = true): void {
    const found = differences(before, this.picture(), upOrDown);
    if (found.length > 0)
      throw new Mismatch("nothing left behind", `${found.join("; ")}${said === "" ? "" : ` after ${said}`}`);
  }

  // Statements about the world

  expect(holds: boolean, expected: string, got: unknown): void {
    if (!holds) throw new Mismatch(expected, typeof got === "string" ? got : (JSON.stringify(got) ?? "nothing"));
  }

  equal(got: unknown, expected: unknown, what: string): void {
    const [a, b] = [canonical(got), canonical(expected)];
    if (a !== b) throw new Mismatch(`${what} ${b}`, String(a));
  }

  gone(name = "eth0", ns = "c1"): void {
    const link = this.link(name, ns);
    this.expect(link === undefined, `no ${name} in ${ns || "the host"}`, `it is there (${link?.kind})`);
  }

  present(name: string, ns = "c1"): void {
    const names = this.links(ns).map((l) => l.name);
    this.expect(names.includes(name), `${name} in ${ns || "the host"}`, names.join(" "));
  }

  leaseCount(count: number, network = "net1"): void {
    const leases = [...this.leases(network).keys()];
    this.expect(leases.length === count, `${count} leases`, `${leases.length} (${leases.slice(0, 5).join(" ")})`);
  }

  #placeFaults(result: Result, options: OkOptions): string[] {
    const env = options.only ?? this.environment("ADD", options.set);
    const faults: string[] = [];
    const own = (result.interfaces ?? []).findIndex((i) => i.name === env.CNI_IFNAME && i.sandbox === env.CNI_NETNS);
    if (own < 0) faults.push(`V5: no interface ${env.CNI_IFNAME} with sandbox ${env.CNI_NETNS}`);
    for (const ip of result.ips ?? []) {
      const target = result.interfaces?.[ip.interface ?? -1];
      if (target === undefined) faults.push(`V4: ${ip.address} has interface index ${ip.interface}`);
    }
    return faults;
  }

  #kernelFaults(result: Result, options: OkOptions): string[] {
    const env = options.only ?? this.environment("ADD", options.set);
    const name = env.CNI_IFNAME ?? "";
    const link = this.links(options.ns).find((l) => l.name === name);
    if (link === undefined) return [`V7: no ${name} in the container`];
    const faults: string[] = [];
    const reported = result.interfaces?.find((i) => i.name === name && i.sandbox === env.CNI_NETNS);
    if (reported?.mac !== undefined && reported.mac !== link.mac)
      faults.push(`V6: mac ${reported.mac}, kernel ${link.mac}`);
    if (reported?.mtu !== undefined && reported.mtu !== link.mtu)
      faults.push(`V11: mtu ${reported.mtu}, kernel ${link.mtu}`);
    if (!link.up) faults.push(`V7: ${name} is down`);
    const claimed = [
      ...(result.ips ?? [])
        .filter((ip) => result.interfaces?.[ip.interface ?? -1]?.name === name)
        .map((ip) => ip.address),
      ...[result.ip4?.ip, result.ip6?.ip].filter((ip) => ip !== undefined),
    ];
    const held = link.addresses.filter((a) => a.scope !== "link").map((a) => a.cidr);
    for (const ip of claimed) if (!held.some((h) => samePrefix(h, ip))) faults.push(`V7: ${ip} is not on ${name}`);
    for (const ip of held) {
      if (!isOld(result.cniVersion) && !claimed.some((c) => samePrefix(c, ip)))
        faults.push(`V7: ${ip} is not in the result`);
    }
    const wanted = [...(result.routes ?? []), ...(result.ip4?.routes ?? []), ...(result.ip6?.routes ?? [])];
    const routes = wanted.length === 0 ? [] : this.routes(options.ns);
    for (const route of wanted) {
      const there = routes.some(
        (r) =>
          r.dev === name &&
          sameNetwork(r.dst, route.dst) &&
          (route.gw === undefined || /^[0:.]+$/.test(route.gw) || r.gateways.some((g) => sameAddress(g, route.gw!))) &&
          // Results before 1.1.0 cannot say which table.
          (r.table === tableName(route.table) || result.cniVersion !== "1.1.0"),
      );
      if (!there) faults.push(`V7: route ${JSON.stringify(route)} is not in the kernel`);
    }
    return faults;
  }
}

/** JSON with sorted keys: equal for equal values, whatever the order of members. */
export function canonical(value: unknown): string | undefined {
  const sort = (_: string, v: unknown) =>
    typeof v === "object" && v !== null && !Array.isArray(v)
      ? Object.fromEntries(Object.entries(v).sort(([a], [b]) => (a < b ? -1 : 1)))
      : v;
  return JSON.stringify(value, sort);
}

function tableName(table: number | undefined): string {
  const names: Record<number, string> = { 0: "main", 253: "default", 254: "main", 255: "local" };
  return table === undefined ? "main" : (names[table] ?? String(table));
}
