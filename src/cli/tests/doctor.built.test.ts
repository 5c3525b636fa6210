// podnic doctor's findings in prepared directories.
import { chmodSync, copyFileSync, mkdirSync, mkdtempSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { registerPlugins } from "../../cni/registry.ts";
import { installHost } from "../../host/host.ts";
import { NodeHost } from "../../host/node/host.ts";
import { plugins } from "../../plugins.ts";
import { installEdge } from "../../testing/edge.ts";
import { checkDirectories, pluginDirectories } from "../doctor/directories.ts";
import { finding } from "../doctor/finding.ts";
import { checkCapabilities, checkRelease } from "../doctor/kernel.ts";
import { showFindings } from "../doctor.ts";
import { pluginsOf } from "../node/configurations.ts";

beforeAll(() => registerPlugins(plugins));

let first: string;
let second: string;
beforeEach(() => {
  const root = mkdtempSync(join(tmpdir(), "podnic-doctor-"));
  first = join(root, "first");
  second = join(root, "second");
  mkdirSync(first);
  mkdirSync(second);
});

const about = (name: string, used: string[] = []) =>
  checkDirectories(new Set(used), [first, second]).find(({ found }) => found.includes(name));

it("shows ten findings with one cure, and counts the rest", () => {
  const edge = installEdge({ env: { NO_COLOR: "1" } });
  try {
    const lease = (i: number) => finding("state", "warning", `lease ${i}`, "podnic gc net", true);
    showFindings([...Array.from({ length: 300 }, (_, i) => lease(i)), finding("state", "error", "another", "Look.")]);
  } finally {
    installHost(new NodeHost());
  }
  expect(edge.stdout.split("\n").slice(19)).toEqual([
    "  warning  lease 9",
    "           podnic gc net",
    "           and 290 more like this; --json shows all",
    "  error    another",
    "           Look.",
    "",
    "1 error, 300 warnings; podnic doctor --fix can fix 300",
    "",
  ]);
});

describe("directories of plugins", () => {
  it("are those of CNI_PATH before the usual ones", () => {
    expect(pluginDirectories("/a:relative:/opt/cni/bin")).toEqual([
      "/a",
      "/opt/cni/bin",
      "/usr/lib/cni",
      "/usr/libexec/cni",
    ]);
  });

  it("must hold something", () => {
    expect(checkDirectories(new Set(), [first])).toMatchObject([
      { level: "error", cure: expect.stringContaining("podnic install") },
    ]);
  });

  it("say which one wins", () => {
    copyFileSync("/usr/lib/cni/macvlan", join(first, "macvlan"));
    copyFileSync(resolve("dist/podnic"), join(second, "macvlan"));
    expect(about("macvlan")).toMatchObject({
      level: "warning",
      found: `${first}/macvlan: Go plugin, which comes before podnic in ${second}/macvlan`,
      cure: expect.stringContaining(`podnic install ${first}`),
    });
    copyFileSync(resolve("dist/podnic"), join(first, "macvlan"));
    expect(about("macvlan")).toMatchObject({ level: "ok", found: expect.stringContaining(`${first}/macvlan: podnic`) });
  });

  it("must have what configurations name, executable", () => {
    writeFileSync(join(first, "bridge"), "x", { mode: 0o755 });
    expect(about("ipvlan", ["ipvlan"])).toMatchObject({ level: "error", cure: `podnic install ${first}` });
    expect(about("ipvlan")).toMatchObject({ level: "note" });
    expect(about("portmap", ["portmap"])).toMatchObject({ level: "error", cure: expect.stringContaining("portmap") });
    expect(about("bridge", ["bridge"])).toMatchObject({ level: "ok", found: `${first}/bridge: unknown program` });
    chmodSync(join(first, "bridge"), 0o644);
    expect(about("bridge", ["bridge"])).toMatchObject({ level: "error", cure: `chmod 755 ${first}/bridge` });
  });

  it("may hold a link that leads to itself", () => {
    symlinkSync("macvlan", join(first, "macvlan"));
    expect(about("macvlan")).toMatchObject({ level: "error", cure: expect.stringContaining("Remove") });
  });

  it("show what an interrupted installation left", () => {
    writeFileSync(join(first, ".podnic.new"), "half");
    expect(about(".podnic.new")).toMatchObject({ level: "warning", cure: `podnic install ${first}` });
  });
});

describe("kernel and process", () => {
  it("judges a release", () => {
    expect(checkRelease("6.12.9-amd64").level).toBe("ok");
    expect(checkRelease("4.18.0-553.el8").level).toBe("ok");
    expect(checkRelease("4.4.302").level).toBe("warning");
    expect(checkRelease("").level).toBe("warning");
  });

  it("names the capabilities that are missing", () => {
    expect(checkCapabilities("CapEff:\t000001ffffffffff\n")).toMatchObject([{ level: "ok" }]);
    const docker = checkCapabilities("Name:\tx\nCapEff:\t00000000a80425fb\n").map(({ found }) => found);
    expect(docker).toEqual([expect.stringContaining("CAP_NET_ADMIN"), expect.stringContaining("CAP_SYS_ADMIN")]);
    expect(checkCapabilities("")).toMatchObject([{ level: "note" }]);
  });
});

it("a name that is no text makes a network without name, and no end of the command", () => {
  expect(pluginsOf({ name: { toString: 1 }, cniVersion: {}, type: "x" })).toMatchObject([
    { network: "", version: "0.1.0" },
  ]);
});
