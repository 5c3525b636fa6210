// podnic devices: which pod has a device, and which devices are lost.
import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endPods, enterNode, sh } from "./node.ts";
import { run } from "./run.ts";
import { emptyNode, json, pod } from "./state.ts";

beforeAll(enterNode);
beforeEach(emptyNode);

describe("podnic devices", () => {
  it("says who has a device, and which one is lost", () => {
    pod("blue");
    pod("grey");
    const blue = json("devices").find((one: { name: string }) => one.name === "blue");
    expect(blue).toMatchObject({
      state: "pod",
      why: "",
      interface: { name: "net1", namespace: "/run/netns/blue" },
      holder: {
        by: "host-device",
        network: "net",
        containerId: "c-blue",
        interface: "net1",
        namespace: "/run/netns/blue",
      },
    });
    endPods("grey");
    const grey = json("devices").find((one: { name: string }) => one.name === "grey");
    expect(grey).toMatchObject({ state: "lost", why: expect.stringContaining("its namespace is gone") });
    expect(run(["devices"]).stdout).toMatch(/grey .* lost /);
  });

  it("finds a device that came back under the pod's name", () => {
    pod("blue");
    sh("ip -n blue link set net1 netns $$");
    const blue = json("devices").find((one: { name: string }) => one.name === "blue");
    expect(blue).toMatchObject({ state: "lost", interface: { name: "net1", namespace: "" } });
  });

  it("shows what software made only when asked", () => {
    sh("ip link add v0 type veth peer name v1");
    // Ignore the other devices of this machine.
    const states = (...args: string[]): string[] =>
      json("devices", ...args)
        .filter(({ name }: { name: string }) => ["lo", "v0", "v1"].includes(name))
        .map(({ name, state }: { name: string; state: string }) => `${name} ${state}`);
    expect(states()).toEqual([]);
    expect(states("--all")).toEqual(["lo node", "v0 virtual", "v1 virtual"]);
  });
});

it("podnic devices --watch tells of changes until it is interrupted", async () => {
  const child = spawn("dist/podnic", ["devices", "--all", "--watch", "--json"], {
    stdio: ["ignore", "pipe", "inherit"],
  });
  const lines = createInterface(child.stdout)[Symbol.asyncIterator]();
  const names = async (): Promise<string[]> =>
    JSON.parse((await lines.next()).value).map(({ name }: { name: string }) => name);
  const ended = new Promise((done) => child.on("exit", (_status, signal) => done(signal)));
  expect(await names()).not.toContain("w0");
  sh("ip link add w0 type veth peer name w1");
  expect(await names()).toEqual(expect.arrayContaining(["w0", "w1"]));
  child.kill("SIGINT");
  expect(await ended).toBe("SIGINT");
});
