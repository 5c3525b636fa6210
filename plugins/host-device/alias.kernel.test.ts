// Cards that nothing is written down about, and that the kernel took to the host from a namespace that died: which one gets its name back? The
// cards are simulated; this machine's kernel has no hardware to give away.
import { beforeEach, describe, expect, test } from "vitest";
import { ownNamespace } from "../../src/link/namespace.ts";
import { failure } from "../../src/testing/calls.ts";
import type { Interface, SimulatedCard } from "../sriov/testing/simulated-card.ts";
import { leaveMachine, newCard } from "../sriov/testing/simulated-node.ts";
import { giveBackByAlias, restoreNameByAlias } from "./alias.ts";

leaveMachine();

const IFF_UP = 1;
const nothing = { pci: "", auxiliary: "", userspace: false };

let card: SimulatedCard;

beforeEach(() => {
  ({ card } = newCard());
});

function plug(...interfaces: Partial<Interface>[]): void {
  for (const [n, one] of interfaces.entries()) {
    card.interfaces.set(20 + n, { name: `dev${20 + n}`, mac: `02:00:00:00:01:0${n}`, flags: 0, ...one });
  }
}

const names = (): string[] => [...card.interfaces].filter(([index]) => index >= 20).map(([, { name }]) => name);
const del = (config: object = { device: "ens5" }): void => {
  const attachment = { network: "net", containerId: "c1", ifName: "net1" };
  giveBackByAlias({ command: "DEL", netns: "", attachment, config } as never, nothing);
};
const add = (): string | undefined => restoreNameByAlias(ownNamespace(), "ens5")?.name;

describe("a card with the alias ens5", () => {
  test("gets that name back, by DEL and by the next ADD, when it is down", () => {
    plug({ alias: "ens5" });
    del();
    expect([names(), card.interfaces.get(20)!.alias]).toEqual([["ens5"], ""]);
    plug({ alias: "ens5" });
    expect([add(), names()]).toEqual(["ens5", ["ens5"]]);
  });

  test("gets that name back by DEL of a network that selects it by its address", () => {
    plug({ alias: "ens5" });
    del({ hwaddr: "02:00:00:00:01:00" });
    expect([names(), card.interfaces.get(20)!.alias]).toEqual([["ens5"], ""]);
  });

  test("keeps its own when it is up: the kernel brings devices back down, so it is a card of the host with an alias", () => {
    plug({ alias: "ens5", flags: IFF_UP });
    del();
    expect([add(), names()]).toEqual([undefined, ["dev20"]]);
  });

  test("keeps its own when another one has that alias too", () => {
    plug({ alias: "ens5" }, { alias: "ens5" });
    del();
    expect(names()).toEqual(["dev20", "dev21"]);
    expect(failure(add)).toBe('several devices might be "ens5": dev20, dev21');
    expect(names()).toEqual(["dev20", "dev21"]);
  });

  test("keeps its own when the name is another's, and DEL succeeds", () => {
    plug({ alias: "ens5" }, { name: "ens5" });
    del({ hwaddr: "02:00:00:00:01:00" });
    expect([names(), card.interfaces.get(20)!.alias]).toEqual([["dev20", "ens5"], "ens5"]);
  });
});
