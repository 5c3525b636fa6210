// podnic leases: lists host-local's pools and the holders of their addresses.
import type { Command } from "commander";
import { host } from "../host/host.ts";
import { command } from "./command.ts";
import { openNamedDirectory } from "./input.ts";
import type { Life } from "./node/namespaces.ts";
import { lookAtNode, poolsOf, requireRoot } from "./node/node.ts";
import type { Pool } from "./node/pools.ts";
import { type Cell, type Colour, print, printJson, printTable, shortId } from "./terminal.ts";

const epilogue = `HOLDER shows whether the container that holds the address still exists:
  alive    a namespace, a record or the container runtime shows that it exists
  gone     its namespace is gone, or the lease is older than this boot; podnic gc releases the lease
  unknown  nothing on this node refers to it except, perhaps, the alias or address of an interface, and pods
           can set these; the lease is left unchanged

podnic reads the ranges from /etc/cni/net.d, /etc/cni/multus/net.d and libcni's cache of running pods.

  podnic leases --network fast
  podnic leases --data-dir /var/lib/cni/other       a "dataDir" that no configuration here names
  podnic leases --json | jq -r '.[].leases[] | select(.life == "gone") | .address'`;

const colours: { [life in Life]: Colour } = { alive: "green", gone: "red", unknown: "yellow" };

/** A number of addresses, in words. Large numbers are shown as powers of two, such as 2^64. */
export function countInWords(count: number | undefined): string {
  if (count === undefined) return "?";
  return count < 1e9 ? String(count) : `2^${Math.round(Math.log2(count))}`;
}

function showPools(pools: Pool[], network?: string): void {
  if (pools.length === 0) {
    print(network === undefined ? "no pools\n" : `There is no pool for network ${network}.\n`);
    return;
  }
  const poolRows = pools.map(({ network, directory, ranges, size, used, free }) => [
    network,
    countInWords(size),
    String(used),
    countInWords(free),
    ranges.join(" ") || "?",
    directory,
  ]);
  printTable(["NETWORK", "SIZE", "USED", "FREE", "RANGES", "DIRECTORY"], poolRows);
  const leaseRows = pools.flatMap(({ network, leases }) =>
    leases.map(({ address, containerId, interface: as, life, why }): Cell[] => [
      network,
      address,
      shortId(containerId) || "?",
      as || "?",
      { text: life, colour: colours[life] },
      why,
    ]),
  );
  if (leaseRows.length === 0) return;
  print("\n");
  printTable(["NETWORK", "ADDRESS", "CONTAINER", "AS", "HOLDER", "BECAUSE"], leaseRows);
}

interface Options {
  network?: string;
  dataDir?: string[];
  json?: boolean;
}

export const leasesCommand = (): Command =>
  command("leases", "list host-local's address pools and who holds the addresses", epilogue)
    .option("--network <name>", "this network only")
    .option("--data-dir <dir...>", "look only in these directories")
    .option("--json", "as JSON")
    .action(({ network, dataDir = [], json }: Options) => {
      requireRoot();
      for (const dir of dataDir) host.close(openNamedDirectory(dir, 'Use the "dataDir" of a configuration.'));
      const pools = poolsOf(lookAtNode(), dataDir).filter((pool) => network === undefined || pool.network === network);
      if (json === true) printJson(pools);
      else showPools(pools, network);
    });
