// podnic gc in this process: the rounds of --every, and pods' leases from before the boot.
import { mkdirSync, readdirSync, utimesSync, writeFileSync } from "node:fs";
import { beforeAll, beforeEach, expect, test } from "vitest";
import { SIGTERM } from "../../host/constants.ts";
import { installHost } from "../../host/host.ts";
import { NodeHost } from "../../host/node/host.ts";

import { EdgeHost } from "../../testing/edge.ts";
import { operator } from "../main.ts";
import { enterNode, sh } from "./node.ts";

beforeAll(enterNode);

const pool = "/var/lib/cni/networks/net";
beforeEach(() => {
  sh("rm -rf /var/lib/cni/networks");
  mkdirSync(pool, { recursive: true });
  writeFileSync(`${pool}/198.18.77.2`, "old\r\neth0");
  utimesSync(`${pool}/198.18.77.2`, 1_000_000_000, 1_000_000_000);
  writeFileSync(`${pool}/198.18.77.3`, "new\r\neth0");
});

class Exited extends Error {}

/** `fork` is the return value of fork. The signal arrives before the second round. */
class Rounds extends EdgeHost {
  forked: number;
  waits: number[] = [];
  exits: number[] = [];
  #rounds = 0;

  constructor(forked: number) {
    super({ args: ["podnic"] });
    this.forked = forked;
  }
  override fork(): number {
    return this.forked;
  }
  override waitpid(pid: number): number {
    this.waits.push(pid);
    return 0;
  }
  override exit(status: number): never {
    this.exits.push(status);
    throw new Exited();
  }
  override waitSignal(): number {
    return this.#rounds++ === 0 ? 0 : SIGTERM;
  }
}

function every(forked: number): Rounds {
  const host = new Rounds(forked);
  installHost(host);
  try {
    operator(["gc", "--all", "--every", "1"]);
  } finally {
    installHost(new NodeHost());
  }
  return host;
}

test("the parent of a round waits for the child, and does nothing itself", () => {
  expect(every(4711)).toMatchObject({ waits: [4711], exits: [] });
  expect(readdirSync(pool)).toContain("198.18.77.2");
});

test("the child releases the lease from before the boot, keeps the other, and exits", () => {
  const { waits, exits } = every(0);
  expect(waits).toEqual([]);
  expect(exits.length).toBeGreaterThan(0);
  expect(readdirSync(pool)).not.toContain("198.18.77.2");
  expect(readdirSync(pool)).toContain("198.18.77.3");
});
