// What somebody may have filled a node with, and what each command that reads it may cost.
import { mkdirSync, utimesSync, writeFileSync } from "node:fs";

export interface State {
  name: string;
  /** Makes it, of this many files, below /var/lib/cni and /etc/cni, which are empty. */
  make(count: number): void;
  /** Where the files are: the floor is what it takes to read them. */
  directory: string;
  /** A command's arguments, after which it may have taken so many times the floor. */
  commands: readonly (readonly [limit: number, ...args: string[]])[];
}

const address = (n: number): string => `10.${n >> 16}.${(n >> 8) & 255}.${n & 255}`;
const host = { type: "host-local", ranges: [[{ subnet: "10.0.0.0/8" }]] };
const network = { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "up0", ipam: host };

function fill(directory: string, count: number, file: (n: number) => [name: string, text: string]): void {
  mkdirSync(directory, { recursive: true });
  for (let n = 2; n < count + 2; n++) {
    const [name, text] = file(n);
    writeFileSync(`${directory}/${name}`, text);
  }
}

function configure(): void {
  mkdirSync("/etc/cni/net.d", { recursive: true });
  writeFileSync("/etc/cni/net.d/10.conf", JSON.stringify(network));
}

const pool = "/var/lib/cni/networks/net1";
const records = "/var/lib/cni/podnic/host-device";
const results = "/var/lib/cni/results";

const leases = (age: number): ((count: number) => void) => {
  return (count) => {
    configure();
    fill(pool, count, (n) => [address(n), `c${String(n).padStart(63, "0")}\r\neth0`]);
    // Older than this boot: each of them is garbage.
    if (age > 0) ageOf(pool, count);
  };
};

function ageOf(directory: string, count: number): void {
  for (let n = 2; n < count + 2; n++) utimesSync(`${directory}/${address(n)}`, 1e6, 1e6);
}

const record = (n: number, data: unknown): [string, string] => [
  `${n}.json`,
  JSON.stringify({
    version: 2,
    key: { network: "n", containerId: `c${n}`, ifName: "eth0" },
    bootId: "another",
    data,
  }),
];

const cached = (n: number, config: string): [string, string] => [
  `net1-c${n}-eth0`,
  JSON.stringify({
    kind: "cniCacheV1",
    containerId: `c${n}`,
    config,
    ifName: "eth0",
    networkName: "net1",
    netns: "/run/netns/none",
    result: { cniVersion: "1.0.0", ips: [{ address: `${address(n)}/8` }] },
  }),
];

export const states: readonly State[] = [
  {
    name: "leases of this boot",
    make: leases(0),
    directory: pool,
    commands: [
      [30, "leases"],
      [30, "leases", "--json"],
      [20, "doctor"],
      [20, "gc", "--all"],
    ],
  },
  {
    name: "leases of an earlier boot",
    make: leases(1),
    directory: pool,
    commands: [
      [40, "gc", "--all", "--dry-run"],
      [60, "doctor", "--fix", "--yes"],
    ],
  },
  {
    name: "damaged records",
    make: (count) => fill(records, count, (n) => record(n, null)),
    directory: records,
    commands: [
      [20, "leases"],
      [30, "devices"],
      [40, "doctor"],
      [100, "doctor", "--fix", "--yes"],
    ],
  },
  {
    name: "damaged records of nobody knows when",
    make: (count) => fill(records, count, (n) => [`net1:c${n}:eth0.json`, "{"]),
    directory: records,
    commands: [
      [40, "doctor"],
      [100, "doctor", "--fix", "--yes"],
    ],
  },
  {
    name: "cached results",
    make: (count) => {
      const config = Buffer.from(JSON.stringify(network)).toString("base64");
      fill(results, count, (n) => cached(n, config));
    },
    directory: results,
    commands: [
      [40, "leases"],
      [40, "doctor"],
      [40, "gc", "--all"],
    ],
  },
];
