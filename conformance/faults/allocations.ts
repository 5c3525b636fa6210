// Refuses the allocations of ADD and of DEL, one in each run, and demands what the matrix demands after an error: one document, or success with
// all that belongs to it; nothing left of a failed ADD; no signal; one DEL that makes everything as it was. Options:
//   --bin DIR      plugins of the build that refuses (dist/variants/refuse/cni)
//   --plugin A,B   host-device,macvlan,bridge
//   --ipam A,B     none,host-local
//   --points N     so many allocations of each command, evenly spread; 0: all
//   --json FILE    write the outcome there
import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { parseArgs } from "node:util";
import { dist } from "../../scripts/build/paths.ts";
import { type Command, judgeRefusal, record } from "./judge.ts";
import { Sandbox } from "./sandbox.ts";
import { type IpamName, type PluginName, scenario } from "./scenario.ts";

const { values: flags } = parseArgs({
  options: {
    bin: { type: "string", default: join(dist, "variants/refuse/cni") },
    plugin: { type: "string", default: "host-device,macvlan,bridge" },
    ipam: { type: "string", default: "none,host-local" },
    points: { type: "string", default: "40" },
    json: { type: "string" },
  },
});

interface Outcome {
  readonly call: string;
  readonly allocations: number;
  readonly points: number;
  readonly notReached: string[];
  readonly notClean: { point: string; found: string[] }[];
}

/** How many allocations the call makes: the last one that can be refused. */
async function countAllocations(sandbox: Sandbox, command: Command, made: string): Promise<number> {
  const isThere = async (n: number) => (await judgeRefusal(sandbox, command, n, made)) !== undefined;
  let [some, tooMany] = [0, 1024];
  while (await isThere(tooMany)) [some, tooMany] = [tooMany, tooMany * 2];
  while (tooMany - some > 1) {
    const middle = (some + tooMany) >> 1;
    if (await isThere(middle)) some = middle;
    else tooMany = middle;
  }
  return some;
}

async function refuseAll(plugin: PluginName, ipam: IpamName, command: Command): Promise<Outcome> {
  const world = scenario(plugin, ipam, "1.0.0");
  const open = () => Sandbox.open({ bin: resolve(flags.bin), scenario: world, ignore: new Set(world.driven ?? []) });
  let sandbox = await open();
  try {
    const { made } = await record(sandbox, command);
    const allocations = await countAllocations(sandbox, command, made);
    const step = Number(flags.points) === 0 ? 1 : Math.max(1, allocations / Number(flags.points));
    const outcome: Outcome = {
      call: `${plugin} ${ipam} ${command}`,
      allocations,
      points: 0,
      notReached: [],
      notClean: [],
    };
    let points = 0;
    for (let at = 1; at <= allocations; at += step, points++) {
      const n = Math.floor(at);
      const found = await judgeRefusal(sandbox, command, n, made).catch((error: Error) => [error.message]);
      if (found === undefined || found.length === 0) continue;
      outcome.notClean.push({ point: `allocation ${n}`, found });
      console.log(`  ${outcome.call}, allocation ${n}: ${found.slice(0, 4).join("; ")}`);
      await sandbox.close();
      sandbox = await open();
    }
    console.log(
      `${outcome.call}: ${points} of ${allocations} allocations refused, ${outcome.notClean.length} not clean`,
    );
    return { ...outcome, points };
  } finally {
    await sandbox.close();
  }
}

const outcomes: Outcome[] = [];
for (const plugin of flags.plugin.split(",") as PluginName[])
  for (const ipam of flags.ipam.split(",") as IpamName[])
    for (const command of ["ADD", "DEL"] as const) outcomes.push(await refuseAll(plugin, ipam, command));
if (flags.json !== undefined) writeFileSync(flags.json, `${JSON.stringify(outcomes, null, 1)}\n`);
const [points, bad] = outcomes.reduce(([all, un], o) => [all + o.points, un + o.notClean.length], [0, 0]);
console.log(`${points} points, ${bad} not clean`);
process.exitCode = bad === 0 && points > 0 ? 0 : 1;
