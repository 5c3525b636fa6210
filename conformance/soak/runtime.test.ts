import { expect, test } from "vitest";
import { Random } from "../../src/testing/random.ts";
import type { Call, Hand } from "./node.ts";
import { Runtime } from "./runtime.ts";

/** A hand whose calls take one turn of the event loop. */
function handOf(log: string[]): Hand {
  const turn = () => new Promise<void>((done) => setImmediate(done));
  const hand = {
    async run(): Promise<string> {
      await turn();
      return "";
    },
    async call({ command, config, container }: Call) {
      log.push(`${command} begins ${container ?? (config as { name: string }).name}`);
      await turn();
      log.push(`${command} ends`);
      return { status: 0, out: '{"ips":[]}' };
    },
  };
  return hand as unknown as Hand;
}

test("no pod starts while GC runs, also when another GC has waited for the same end as the pod", async () => {
  const log: string[] = [];
  const hand = handOf(log);
  const runtime = new Runtime(new Random(1));
  await Promise.all([runtime.collect(hand), runtime.collect(hand), runtime.start(hand), runtime.start(hand)]);
  expect(log.filter((line) => line.startsWith("GC begins"))).toHaveLength(8);
  expect(log.findIndex((line) => line.startsWith("ADD"))).toBeGreaterThan(log.lastIndexOf("GC ends"));
});
