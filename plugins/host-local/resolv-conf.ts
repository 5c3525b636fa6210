// Reads the result's dns from a resolv.conf(5) file of the host. It uses only known keywords: the path comes from the configuration, and a
// configuration must not be able to read other files.

import type { Dns } from "../../src/cni/result.ts";
import { readResolvFile } from "../../src/config/place.ts";
import { Failure } from "../../src/errors.ts";
import { host } from "../../src/host/host.ts";

const LIMIT = 64 * 1024;

/** Reads the file. Throws Failure("invalid config") when it cannot be read. */
export function readResolvConf(path: string): Dns {
  let data: Uint8Array | undefined;
  try {
    data = readResolvFile(path, LIMIT);
  } catch (error) {
    throw unreadable(path, error instanceof Error ? error.message : String(error));
  }
  if (data === undefined) throw unreadable(path, "no such file or directory");
  return parseResolvConf(host.decode(data));
}

export function parseResolvConf(text: string): Dns {
  const nameservers: string[] = [];
  const search: string[] = [];
  const options: string[] = [];
  let domain = "";
  for (const line of text.split("\n")) {
    const [keyword = "", ...values] = line.split(/\s+/).filter((word) => word !== "");
    const first = values[0];
    if (first === undefined) continue;
    if (keyword === "domain") domain = first;
    else if (keyword === "nameserver") nameservers.push(first);
    else if (keyword === "search") search.push(...values);
    else if (keyword === "options") options.push(...values);
  }
  // Results leave out empty lists.
  const dns: Dns = { nameservers, search, options };
  if (domain !== "") dns.domain = domain;
  return dns;
}

function unreadable(path: string, why: string): Failure {
  return new Failure(
    "invalid config",
    `open ${path}: ${why}`,
    'Set "ipam.resolvConf" to a resolv.conf file on the host, or remove the key.',
  );
}
