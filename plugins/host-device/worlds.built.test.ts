// Worlds on the real kernel, with the shipped executable: whatever pods and the host's root did, ADD and DEL touch no device but their own, and
// DEL brings home each that is in its pod or on the host. In memory, and by ten thousands: src/link/tests/worlds.test.ts.
import { beforeAll, expect, it } from "vitest";
import { enterNode } from "../../src/cli/tests/node.ts";
import { type Device, KernelWorld, kindsHere, type Loan } from "./testing/kernel-world.ts";

/** A stage of the full tier has a hundred. */
const WORLDS = Number(process.env.KERNEL_WORLDS ?? 8);
const FIRST = Number(process.env.KERNEL_SEED ?? 1);
const STEPS = 26;

beforeAll(enterNode);

/** What happened, so that no run passes in which nothing did. */
const count = { lent: 0, refused: 0, home: 0, gone: 0, astray: 0, spare: 0, displaced: 0, impostors: 0 };
const mistaken: string[] = [];
const lost: string[] = [];

/** All but up and down, and whether there is a carrier. */
const dressed = ({ serial, space, name, mac, alias, mtu, master }: Device): string =>
  `#${serial} ${space || "host"} ${name} ${mac} "${alias}" ${mtu} ${master}`;

/** What differs between two looks, but for the devices that may. */
function changes(before: readonly Device[], after: readonly Device[], may: ReadonlySet<number>): string[] {
  const [was, is] = [before, after].map((all) => all.filter(({ serial }) => !may.has(serial)).map(dressed));
  return [
    ...was!.filter((one) => !is!.includes(one)).map((one) => `- ${one}`),
    ...is!.filter((one) => !was!.includes(one)).map((one) => `+ ${one}`),
  ];
}

function lend(world: KernelWorld): void {
  const before = world.look();
  const loan = world.drawLoan(before);
  if (loan === undefined) return;
  const failure = world.call("ADD", loan);
  const after = world.look();
  const { serial, name } = loan.was;
  const label = `seed ${world.seed}: ADD of ${name} #${serial}`;
  const touched = changes(before, after, new Set(failure === "" ? [serial] : []));
  if (touched.length > 0) mistaken.push(`${label}: ${failure} ${touched.join("; ")}`);
  if (failure !== "") {
    count.refused++;
    return;
  }
  count.lent++;
  world.loans.push(loan);
  const device = after.find((one) => one.serial === serial);
  if (device?.space !== loan.pod || device.name !== loan.ifName) mistaken.push(`${label}: not in the pod`);
}

/** Another that has its name, MAC, alias or index where it would be looked for. */
function hasImpostor(all: readonly Device[], { was, ifName, pod }: Loan): boolean {
  const looksAlike = (one: Device): boolean =>
    [one.name === was.name || one.name === ifName, one.mac === was.mac, one.alias === was.name, one.index === was.index]
      .map(Number)
      .reduce((a, b) => a + b) >= 2;
  return all.some((one) => one.serial !== was.serial && (one.space === pod || one.space === "") && looksAlike(one));
}

/** What it was called before it had a spare name (docs/differences.md): it gets that name back once nobody has it. */
function formerly(was: Device): Device | undefined {
  const [, alias, name] = /^(.*?) ?\[was (\S+)\]$/.exec(was.alias) ?? [];
  return name === undefined ? undefined : { ...was, name, alias: alias! };
}

/** What a pod has stacked on the device goes when the device does. */
const standsOn = (all: readonly Device[], device: Device | undefined): number[] =>
  all
    .filter(({ space, parent, kind }) => space === device?.space && parent === device.name && kind !== "veth")
    .map(({ serial }) => serial);

function giveBack(world: KernelWorld, loan: Loan): void {
  const before = world.look();
  const { was, pod, generation } = loan;
  const { serial, name } = was;
  const device = before.find((one) => one.serial === serial);
  const inPod = device?.space === pod && world.spaces.get(pod) === generation;
  const holder = before.find((one) => one.space === "" && one.name === name && one.serial !== serial);
  const displaced = world.loans.find(({ was }) => was.serial === holder?.serial && was.name !== name);
  if (hasImpostor(before, loan)) count.impostors++;

  const failure = world.call("DEL", loan, world.draw(4) !== 0);
  const after = world.look();
  const label = `seed ${world.seed}: DEL of ${name} #${serial}`;
  const home = after.find((one) => one.serial === serial);
  const mayChange = new Set<number>();
  if (failure === "" || device?.space === "") {
    for (const one of device?.space === "" ? [] : standsOn(before, device)) mayChange.add(one);
    if (displaced) mayChange.add(holder!.serial);
    mayChange.add(serial);
  }
  const touched = changes(before, after, mayChange);
  if (touched.length > 0) mistaken.push(`${label}: ${failure} ${touched.join("; ")}`);

  const expectation = judge();
  if (expectation !== undefined) lost.push(`${label}: ${expectation}; ${failure} ${home && dressed(home)}`);
  if (failure === "") world.loans = world.loans.filter((one) => one !== loan);

  /** What is wrong; undefined: nothing. */
  function judge(): string | undefined {
    if (device === undefined) {
      count.gone++;
      return failure === "" ? undefined : "nothing of it is left, and DEL fails";
    }
    if (!inPod && device.space !== "") {
      count.astray++;
      // Whether its pod moved it there is not always known; it is never forgotten.
      if (failure !== "")
        return failure.includes("cannot tell whether its pod moved it") ? undefined : "it is in a pod";
    }
    if (failure !== "" || home?.space !== "") return "it does not come home";
    const former = formerly(was);
    if (
      former !== undefined &&
      !before.some((one) => one.space === "" && one.name === former.name && one.serial !== serial)
    ) {
      count.home++;
      return dressed(home) === dressed(former) ? undefined : `it was ${dressed(former)} before it was ${was.name}`;
    }
    if (holder !== undefined && displaced === undefined) {
      count.spare++;
      return /^dev\d+$/.test(home.name) && home.mac === was.mac ? undefined : "it has no spare name";
    }
    count.home++;
    if (displaced !== undefined) count.displaced++;
    return dressed(home) === dressed(was) ? undefined : `it was ${dressed(was)}`;
  }
}

function step(world: KernelWorld): void {
  const kind = world.draw(14);
  const space = world.pick(["", ...world.pods()])!;
  if (kind < 4) lend(world);
  else if (kind < 9) world.tamper(space);
  else if (kind < 11) world.make(space);
  else if (kind === 11 && world.draw(2) === 0 && space !== "") world.end(space);
  else if (kind >= 12) {
    const loan = world.pick(world.loans);
    if (loan !== undefined) giveBack(world, loan);
  }
}

it("no device is mistaken for another one, and none that can be known is lost", () => {
  const kinds = kindsHere();
  for (let seed = FIRST; seed < FIRST + WORLDS; seed++) {
    const world = new KernelWorld(seed, kinds);
    for (let n = 0; n < STEPS; n++) step(world);
    const all = [...world.loans];
    for (const loan of all) giveBack(world, loan);
    // A runtime repeats DEL. Those that ended have nothing left to do.
    const before = world.look();
    for (const loan of all.filter((one) => !world.loans.includes(one))) {
      const failure = world.call("DEL", loan);
      if (failure !== "") lost.push(`seed ${seed}: DEL again of ${loan.was.name}: ${failure}`);
    }
    const touched = changes(before, world.look(), new Set());
    if (touched.length > 0) mistaken.push(`seed ${seed}: DEL again: ${touched.join("; ")}`);
  }
  console.log(`${WORLDS} worlds from seed ${FIRST}, kinds ${kinds.join(", ")}: ${JSON.stringify(count)}`);
  expect({ mistaken: mistaken.slice(0, 5), lost: lost.slice(0, 5) }).toEqual({ mistaken: [], lost: [] });
  // A DEL ends its loan, whatever became of the name: of impostors there are fewer than worlds.
  expect(Math.min(count.lent / 3, count.home, count.gone, count.impostors * 2)).toBeGreaterThan(WORLDS / 2);
}, 3_600_000);
