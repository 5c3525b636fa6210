// Makes the calls of IPAM plugins in tests, as cni/dispatch.ts makes them from a configuration.

import { parseArgs } from "../cni/args.ts";
import { configFor } from "../cni/config.ts";
import { codeOf } from "../cni/failure.ts";
import type { Call, Command, NetworkConfig, Plugin } from "../cni/plugin.ts";
import type { Result } from "../cni/result.ts";
import { readResult, writeResult } from "../cni/result-json.ts";
import { Failure } from "../errors.ts";
import { SystemError } from "../host/host.ts";
import { formatAddress, formatPrefix } from "../ip/address.ts";
import { Transaction } from "../transaction.ts";

export const VERSIONS = ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];
export const HAS_MANY = VERSIONS.slice(2);

export interface Given {
  id?: string;
  ifName?: string;
  args?: string;
  prevResult?: unknown;
  valid?: { containerId: string; ifName: string }[];
  transaction?: Transaction;
  isPart?: boolean;
}

export function makeCall<C extends NetworkConfig>(
  plugin: Plugin<C>,
  command: Command,
  raw: { name?: string; cniVersion?: string; [key: string]: unknown },
  given: Given = {},
): Call<C> {
  const {
    id = "dummy",
    ifName = "eth0",
    args = "",
    prevResult,
    valid = [],
    transaction = new Transaction(),
    isPart,
  } = given;
  const version = raw.cniVersion ?? "0.1.0";
  const ignored: string[] = [];
  return {
    command,
    attachment: { network: raw.name ?? "mynet", containerId: id, ifName },
    netns: "/some/where",
    args: parseArgs(args, plugin.knownArgs, true),
    path: [],
    config: configFor(plugin as Plugin, { command, raw, ignored }) as C,
    stdin: new Uint8Array(0),
    raw,
    version,
    prevResult: prevResult === undefined ? undefined : readResult(prevResult, version, "previous"),
    validAttachments: valid,
    transaction,
    ignored,
    ...(isPart === undefined ? {} : { isPart }),
  };
}

/** Runs one command as dispatch does. Returns the result of ADD, and its JSON text. */
export function run<C extends NetworkConfig>(
  plugin: Plugin<C>,
  command: Command,
  raw: { name?: string; cniVersion?: string; [key: string]: unknown },
  given: Given = {},
): { result: Result; text: string } {
  const call = makeCall(plugin, command, raw, given);
  if (command === "ADD" || command === "CHECK" || command === "STATUS") plugin.validate(call);
  if (command !== "ADD") {
    plugin[command.toLowerCase() as "check" | "del" | "gc" | "status"](call);
    return { result: { interfaces: [], ips: [], routes: [], dns: {} }, text: "" };
  }
  try {
    const result = plugin.add(call);
    return { result, text: writeResult(result, call.version) };
  } catch (error) {
    if (given.transaction === undefined) call.transaction.rollback();
    throw error;
  }
}

/** "address gateway", or "address" without one. */
export function ipsOf({ result }: { result: Result }): string[] {
  return result.ips.map(
    ({ address, gateway }) => formatPrefix(address) + (gateway ? ` ${formatAddress(gateway)}` : ""),
  );
}

export function routesOf({ result }: { result: Result }): string[] {
  return result.routes.map(({ dst, gw }) => formatPrefix(dst) + (gw ? ` ${formatAddress(gw)}` : ""));
}

/** The message of what `run` throws. */
export function failure(run: () => unknown): string {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure || error instanceof SystemError) return error.message;
    throw error;
  }
  return "nothing thrown";
}

/** The code of what `run` throws. */
export function failureCode(run: () => unknown): number | string {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return codeOf(error);
    if (error instanceof SystemError) return error.code;
    throw error;
  }
  return "nothing thrown";
}
