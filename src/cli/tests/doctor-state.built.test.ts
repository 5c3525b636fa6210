// podnic doctor on a node with state: what it finds, and what --fix removes.
import { spawnSync } from "node:child_process";
import { existsSync, mkdirSync, readdirSync, readFileSync, utimesSync, writeFileSync } from "node:fs";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { endPods, enterNode, sh } from "./node.ts";
import { run } from "./run.ts";
import { emptyNode, json, leasesOf, pod, pool, RECORDS } from "./state.ts";

beforeAll(enterNode);
beforeEach(emptyNode);

describe("podnic doctor", () => {
  it("says, as status and devices do, that a device is not where it should be", () => {
    pod("grey");
    sh("ip -n grey link del net1");
    const said = "interface not found";
    expect(json("devices")).toEqual(
      expect.arrayContaining([expect.objectContaining({ why: expect.stringContaining(said) })]),
    );
    for (const command of ["status", "doctor"]) {
      expect(run([command])).toMatchObject({
        status: 1,
        stdout: expect.stringContaining(`device grey of container c-grey: ${said}`),
      });
    }
  });

  it("does not warn of a device that an ADD or DEL is moving", () => {
    pod("grey");
    sh(`ip -n grey link set net1 netns $$ name grey
      flock ${RECORDS}/lock sh -c 'touch /run/locked; sleep 1; ip link set grey netns grey name net1 up' >/dev/null 2>&1 &
      until [ -e /run/locked ]; do sleep 0.01; done`);
    const { findings } = json("doctor") as { findings: { about: string }[] };
    expect(findings.filter(({ about }) => about === "state")).toMatchObject([{ level: "ok" }]);
  });

  it("finds what pods left, and takes it away when it is told to", () => {
    pod("grey");
    endPods("grey");
    const state = (): { fixable: boolean; level: string; found: string }[] =>
      json("doctor").findings.filter(({ about }: { about: string }) => about === "state");
    expect(state().map(({ level, fixable }) => [level, fixable])).toEqual([
      ["warning", true],
      ["warning", true],
    ]);
    // Without a terminal and without --yes, it shows what it would do, and does nothing.
    const { status, stdout, stderr } = run(["doctor", "--fix"]);
    expect(status).toBe(1);
    expect(stdout).toContain("To do:");
    expect(stderr).toContain("add --yes");
    expect(leasesOf("net")).toHaveLength(1);
    expect(json("doctor", "--fix", "--yes").fixed).toHaveLength(2);
    expect(leasesOf("net")).toEqual([]);
    expect(state()).toMatchObject([{ level: "ok" }]);
  });

  it("--fix does not say at its end that --fix can fix what it could not", () => {
    pod("grey");
    endPods("grey");
    sh(`rm -f ${RECORDS}/lock; mkdir ${RECORDS}/lock`);
    expect(run(["doctor", "--fix"]).stdout).toMatch(/; podnic doctor --fix can fix 2\n$/);
    expect(run(["doctor", "--fix", "--yes"]).stdout).toMatch(/; podnic doctor --fix did not fix 2\n$/);
  });

  it("--fix removes files that are not valid records, which every call passes over", () => {
    pod("grey");
    writeFileSync(`${RECORDS}/net:other:net1.json`, '{"key":{"network":"net"},"bootId":"x","data":null}');
    const state = (): string[] =>
      json("doctor")
        .findings.filter(({ about, level }: { about: string; level: string }) => about === "state" && level !== "ok")
        .map(({ found }: { found: string }) => found);
    expect(state()).toEqual([`${RECORDS}/net:other:net1.json is not a valid record`]);
    expect(json("doctor", "--fix", "--yes").fixed).toHaveLength(1);
    expect([state(), readdirSync(RECORDS).filter((name) => name.endsWith(".json"))]).toEqual([
      [],
      ["net:c-grey:net1.json"],
    ]);
  });

  describe("a damaged record whose device may be in a pod", () => {
    const file = `${RECORDS}/net:c-grey:net1.json`;
    /** The first part of the record. */
    const cut = (): string => readFileSync(file, "utf8").slice(0, 400);
    const results = "/var/lib/cni/results";
    const keep = (): void => {
      const cached = { kind: "cniCacheV1", networkName: "net", containerId: "c-grey", ifName: "net1" };
      mkdirSync(results, { recursive: true });
      writeFileSync(`${results}/net-c-grey-net1`, JSON.stringify({ ...cached, netns: "/run/netns/grey" }));
    };
    /** The exit status of --fix, what it removed, and doctor's findings about records. */
    const fix = (): unknown[] => {
      const { fixed, findings } = json("doctor", "--fix", "--yes");
      const said: { found: string; fixable: boolean }[] = findings;
      const about = said.filter(({ found }) => found.includes("not a valid record"));
      return [
        fixed.map(({ kind }: { kind: string }) => kind).filter((kind: string) => kind === "record"),
        about.map(({ found, fixable }) => [found.replace(/.*valid record, and /, ""), fixable]),
        existsSync(file),
      ];
    };
    const kept = (said: string): unknown[] => [[], [[said, false]], true];
    const removed = [["record"], [], false];

    it.each([
      ["nothing says which pod it is", (): string => "{", (): void => {}],
      ["its beginning says which pod it is", (): string => cut(), (): void => {}],
      ["libcni knows which pod it is", (): string => "", keep],
      ["it is empty, and its time is of an earlier boot", (): string => "", (): void => utimesSync(file, 1e6, 1e6)],
    ])("stays while the pod lives: %s", (_, text, before) => {
      pod("grey");
      const left = text();
      writeFileSync(file, left);
      sh("ip -n grey link set net1 down; ip -n grey link set net1 name moved alias other; ip netns add empty");
      before();
      expect(fix()).toEqual(kept("moved in /run/netns/grey might be its device"));
      endPods("grey");
      // While nothing tells which pod had the device, it may also be in the other namespaces of this machine.
      if (left.length > 1 || before === keep) expect(fix()).toEqual(removed);
    });

    it("stays when its pod is gone, and the device is in another namespace", () => {
      pod("grey");
      writeFileSync(file, cut());
      sh("ip netns add inner; ip -n grey link set net1 netns inner name x");
      endPods("grey");
      expect(fix()).toEqual(kept("x in /run/netns/inner might be its device"));
      sh("ip -n inner link set x alias other");
      expect(fix()).toEqual(removed);
    });

    it("goes when its pod has nothing that may be it, or it was written in an earlier boot", () => {
      pod("grey");
      pod("blue");
      writeFileSync(file, cut());
      const text = cut().replace(/"bootId":"[^"]*"/, '"bootId":"another"');
      sh("ip -n grey link set net1 netns $$ name grey");
      expect(fix()).toEqual(removed);
      writeFileSync(file, text);
      sh("ip link set grey netns grey name net1");
      expect(fix()).toEqual(removed);
    });
  });

  // The cards of this machine. A separate network namespace sees the machine's cards and processes, as a node that is a container does.
  const cards = readdirSync("/sys/bus/pci/devices").filter((pci) =>
    readFileSync(`/sys/bus/pci/devices/${pci}/class`, "utf8").startsWith("0x02"),
  );
  it.runIf(cards.length > 0).each([[["--pid", "--fork", "--mount-proc"]], [["--mount"]]])(
    "gives no advice about the machine's own card (%j)",
    (namespaces) => {
      const ask = (command: string) => {
        const podnic = ["dist/podnic", command, "--json"];
        return JSON.parse(spawnSync("unshare", [...namespaces, ...podnic], { encoding: "utf8" }).stdout);
      };
      const findings: { about: string; level: string; cure: string; found: string }[] = ask("doctor").findings;
      const about = findings.filter((one) => one.about === "state" && one.level !== "ok");
      const hidden = namespaces.includes("--pid") ? cards : [];
      expect(about.map(({ level, cure }) => [level, cure])).toEqual(hidden.map(() => ["note", ""]));
      const devices: { pci: string; state: string }[] = ask("devices");
      expect(devices.filter(({ pci }) => cards.includes(pci)).map(({ state }) => state)).toEqual(
        cards.map(() => "elsewhere"),
      );
    },
  );

  it("finds a plugin that does not support the version of its list", () => {
    sh("mkdir -p /etc/cni/net.d /run/plugins; cp /usr/lib/cni/tuning /usr/lib/cni/host-local /run/plugins/");
    sh("cp dist/podnic /run/plugins/macvlan; cp dist/podnic /run/plugins/static");
    const list = (cniVersion: string, plugins: object[]): string[] => {
      writeFileSync("/etc/cni/net.d/10-new.conflist", JSON.stringify({ cniVersion, name: "new", plugins }));
      const env = { ...process.env, CNI_PATH: "/run/plugins" };
      const { stdout } = spawnSync("dist/podnic", ["doctor", "--json"], { encoding: "utf8", env });
      const { findings } = JSON.parse(stdout) as { findings: { about: string; level: string; found: string }[] };
      return findings
        .filter(({ level, found }) => level === "error" && found.includes("cniVersion"))
        .map((one) => one.found);
    };
    const ours = { type: "macvlan", master: "up0", ipam: { type: "static", addresses: [{ address: "192.0.2.1/24" }] } };
    expect(list("1.1.0", [ours, { type: "tuning" }])).toEqual([
      expect.stringMatching(
        /10-new.conflist: network "new" has cniVersion 1.1.0, but \/run\/plugins\/tuning supports only .*1\.0\.0:/,
      ),
    ]);
    expect(list("1.1.0", [{ ...ours, ipam: pool }])).toEqual([expect.stringContaining("/run/plugins/host-local")]);
    expect(list("1.0.0", [ours, { type: "tuning" }])).toEqual([]);
    writeFileSync("/run/plugins/mute", "#!/bin/sh\nexit 1\n", { mode: 0o755 });
    expect(list("1.1.0", [ours, { type: "mute" }])).toEqual([]);
  });

  it("finds a broken configuration with its line, and a policy that is not to be trusted", () => {
    sh("mkdir -p /etc/cni/net.d");
    writeFileSync(
      "/etc/cni/net.d/10-good.conf",
      JSON.stringify({
        cniVersion: "1.0.0",
        name: "good",
        type: "host-device",
        device: "d0",
        ipam: { type: "static", addresses: [{ address: "198.18.77.1/24" }] },
      }),
    );
    writeFileSync(
      "/etc/cni/net.d/20-bad.conf",
      '{\n"cniVersion": "1.0.0", "name": "bad",\n"type": "macvlan", "mode": "brige"}',
    );
    writeFileSync("/etc/cni/podnic.json", "{}", { mode: 0o666 });
    sh("chmod 666 /etc/cni/podnic.json");
    // Run the executable, because a process reads the policy only once.
    const { stdout } = spawnSync("dist/podnic", ["doctor", "--json"], { encoding: "utf8" });
    const { findings } = JSON.parse(stdout);
    const found = (about: string): string[] =>
      findings
        .filter((one: { about: string; level: string }) => one.about === about && one.level === "error")
        .map((one: { found: string }) => one.found);
    expect(found("configurations")).toHaveLength(1);
    expect(found("configurations")[0]).toContain("/etc/cni/net.d/20-bad.conf:3: ");
    expect(found("policy")).toEqual([expect.stringContaining("/etc/cni/podnic.json is not trusted")]);
    for (const { level, cure } of findings) if (level === "error" || level === "warning") expect(cure).not.toBe("");
    expect(readFileSync("/etc/cni/podnic.json", "utf8")).toBe("{}");
  });
});

it("podnic doctor finds a slip of the pen in the policy, and where it is no JSON", () => {
  const policy = (text: string): [level: string, found: string, cure: string][] => {
    writeFileSync("/etc/cni/podnic.json", text, { mode: 0o644 });
    const { stdout } = spawnSync("dist/podnic", ["doctor", "--json"], { encoding: "utf8" });
    const all: { about: string; level: string; found: string; cure: string }[] = JSON.parse(stdout).findings;
    return all.filter(({ about }) => about === "policy").map(({ level, found, cure }) => [level, found, cure]);
  };
  expect(policy('{"devices": {"deney": ["eth0"]}}')).toEqual([
    [
      "error",
      '/etc/cni/podnic.json: devices.deney is not a known key; did you mean "deny"?; every ADD fails',
      expect.stringContaining("Known keys: allow, deny, source."),
    ],
  ]);
  expect(policy('{\n"devices": }')).toEqual([
    ["error", "/etc/cni/podnic.json is not JSON; every ADD fails", expect.stringContaining("Line 2, column 12: ")],
  ]);
});
