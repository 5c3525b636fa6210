// The layers of CONTRIBUTING.md: what each folder may import, and who may know a plugin by name. A new edge is a decision: it is made here.
import { execFileSync } from "node:child_process";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { expect, test } from "vitest";

const base = ["src/errors.ts", "src/host", "src/log.ts", "src/json-text.ts"];
const kernel = [...base, "src/ip", "src/netlink", "src/state", "src/sysfs"];
const protocol = [...kernel, "src/link", "src/config", "src/cleanup.ts", "src/transaction.ts"];
const plugins = [...protocol, "src/cni", "src/plugin", "src/nftables"];

/** From the lowest upwards. Other folders of the same name's first part are inside: plugins/NAME may not import plugins/OTHER. */
const allowed: Record<string, readonly string[]> = {
  "src/errors.ts": [],
  "src/version.ts": [],
  "src/host": ["src/errors.ts"],
  "src/log.ts": ["src/host"],
  "src/json-text.ts": ["src/host"],
  "src/cleanup.ts": [],
  "src/transaction.ts": [],
  "src/ip": [],
  "src/netlink": ["src/errors.ts", "src/host"],
  "src/state": base,
  "src/sysfs": ["src/errors.ts", "src/host"],
  "src/link": [...kernel, "src/cleanup.ts"],
  "src/nftables": kernel,
  "src/config": ["src/ip", "src/state", "src/sysfs", ...base],
  "src/cni": protocol,
  "src/plugin": [...protocol, "src/cni", "src/nftables"],
  "plugins/*": plugins,
  "src/plugins.ts": ["plugins/*", ...plugins],
  "src/cli": ["src/plugins.ts", "plugins/*", "src/version.ts", ...plugins],
  "src/main.ts": ["src/plugins.ts", "src/version.ts", ...plugins],
  "src/entry": ["src/main.ts", "src/cli", "src/cni", "src/host"],
};

/** The port, and what is neither of a host nor of a call: the others are a host's own. */
const port = ["host.ts", "constants.ts", "errno.ts", "concat.ts", "endian.ts", "loops.ts", "utf8.ts"].map(
  (file) => `src/host/${file}`,
);

/** Node's API is for the Node host. */
const onNode = /^src\/host\/node\/|^src\/entry\/node\.ts$/;

interface Import {
  from: string;
  to: string;
}

function listed(...paths: string[]): string[] {
  const args = ["ls-files", "--cached", "--others", "--exclude-standard", ...paths];
  return execFileSync("git", args, { encoding: "utf8" }).split("\n").filter(existsSync);
}

const files = (...folders: string[]): string[] => listed(...folders.map((folder) => `${folder}/*.ts`));

const isTest = (file: string): boolean => /\.test\.ts$|\/tests\/|\/testing\//.test(file);
const shipped = files("src", "plugins").filter((file) => !isTest(file) && !file.endsWith(".d.ts"));

/** Types count: who must read the other file to understand this one depends on it. */
function importsOf(file: string): Import[] {
  const text = readFileSync(file, "utf8");
  const found = text.matchAll(/^(?:import|export)\b(?:[^;"]*?\bfrom)?\s*"([^"]+)";/gm);
  return [...found].map(([, to = ""]) => ({ from: file, to: to.startsWith(".") ? join(dirname(file), to) : to }));
}

const imports = shipped.flatMap(importsOf);

function layerOf(file: string): string {
  const [first, second] = file.split("/");
  return first === "plugins" ? "plugins/*" : `${first}/${second}`;
}

function isInside(from: string, to: string): boolean {
  return layerOf(from) === layerOf(to) && (!from.startsWith("plugins/") || from.split("/")[1] === to.split("/")[1]);
}

test("a folder imports only from those below it", () => {
  const upward = imports.filter(({ from, to }) => {
    if (!to.includes("/") || to.startsWith("node:") || isInside(from, to)) return false;
    return !allowed[layerOf(from)]?.includes(layerOf(to));
  });
  expect(upward.filter(({ to }) => /^(src|plugins)\//.test(to))).toEqual([]);
  expect(Object.keys(allowed)).toEqual(expect.arrayContaining([...new Set(shipped.map(layerOf))]));
});

test("the host is reached through its port", () => {
  const around = imports.filter(({ from, to }) => to.startsWith("src/host/") && !isInside(from, to));
  expect(around.filter(({ from, to }) => layerOf(from) !== "src/entry" && !port.includes(to))).toEqual([]);
});

test("what ships imports no test helper, and Node only where Node is the host", () => {
  expect(imports.filter(({ to }) => isTest(to))).toEqual([]);
  expect(imports.filter(({ from, to }) => to.startsWith("node:") && !onNode.test(from))).toEqual([]);
});

test("a namespace's number is not asked before that of a link is read, with which it is compared: isNumberOf takes that", () => {
  const asks = shipped.filter((file) => /\bnamespaceNumber\(/.test(readFileSync(file, "utf8")));
  // astray.ts keeps the numbers of what it has looked into, to ask the others.
  expect(asks).toEqual(["src/netlink/nsid.ts", "src/plugin/lent/astray.ts"]);
});

test("no files import each other, by way of types neither", () => {
  const next = new Map<string, string[]>();
  for (const { from, to } of imports) next.set(from, [...(next.get(from) ?? []), to]);
  const done = new Set<string>();
  const path: string[] = [];
  const circles: string[][] = [];
  const visit = (file: string): void => {
    const at = path.indexOf(file);
    if (at >= 0) circles.push([...path.slice(at), file]);
    if (at >= 0 || done.has(file)) return;
    path.push(file);
    for (const to of next.get(file) ?? []) visit(to);
    path.pop();
    done.add(file);
  };
  for (const file of next.keys()) visit(file);
  expect(circles).toEqual([]);
});

/** Files of podnic that know a plugin by its name, besides its own folder, and why. */
const knowsPlugins: { [file: string]: string } = {
  "src/plugins.ts": "the table",
  "src/cli/node/pools.ts": "podnic leases is about host-local's files",
  "src/cli/node/ports.ts": "ports of bridges, their rules and gateways are bridge's",
  "src/cli/doctor/bridges.ts": "would bridge find the node fit?",
  "src/cli/node/devices.ts": "who holds a port of a bridge",
  "src/cli/doctor/state.ts": "directories of sriov-cni and host-local that others may have spoiled",
  "src/plugin/lent/lender.ts": "the directory of sriov-cni, which host-device's ADD may clean as well",
  "src/cli/explain/files.ts": "leaves out what host-local writes for its own speed",
  "src/cli/install.ts": "stands in for sriov-cni's image, which brings one plugin",
  "src/cli/main.ts": "an example in the help",
  "src/cli/validate/network.ts": "an example in a message",
  "scripts/train.ts": "the usual calls of each plugin; the build fails for one that has none",
  "conformance/harness/mains.ts": "the suite's own table of plugins that a case can be run with",
};

/** Files that mean a kind of link of the kernel, or nf_tables' family of bridges, which is called as the plugin that makes it. */
const knowsLinkKinds = [
  "src/cli/explain/links.ts",
  "src/cli/kernel/attributes.ts",
  "src/cli/kernel/ip-words.ts",
  "src/cli/kernel/nft-words.ts",
  "src/link/bridge.ts",
  "src/link/identity.ts",
  "src/link/kind.ts",
  "src/link/link.ts",
  "src/link/master.ts",
  "src/link/uplink.ts",
  "src/netlink/bridge.ts",
  "src/netlink/link.ts",
  "src/nftables/attempt.ts",
  "src/nftables/names.ts",
  "src/nftables/spoof-check.ts",
  "src/plugin/card-address.ts",
  "src/plugin/former.ts",
  "src/plugin/lent/astray.ts",
  "src/plugin/node-device.ts",
];

test("a new plugin is taught to one table", () => {
  const names = [...new Set(files("plugins").map((file) => file.split("/")[1]!))];
  const named = new RegExp(`["'\`/](${names.join("|")})["'\`/]`);
  const makers = ["scripts/build", "scripts/build*.ts", "scripts/schemas.ts", "scripts/keys.ts", "scripts/train.ts"];
  const suite = ["mains", "probe"].map((name) => `conformance/harness/${name}.ts`);
  const knowing = [...files("src"), ...listed(...makers, ...suite)].filter((file) => {
    const text = readFileSync(file, "utf8").replace(/^\s*(\/\/|\*|\/\*).*$/gm, "");
    return !isTest(file) && named.test(text);
  });
  expect(knowing.sort()).toEqual([...Object.keys(knowsPlugins), ...knowsLinkKinds].sort());
});

/** C is what no type checker sees: a line more is a decision. The lines of the engine's patch are under the same roof. */
test("the C keeps to its budget", () => {
  const lines = (file: string) => readFileSync(file, "utf8").split("\n").length - 1;
  const own = readdirSync("src/host/quickjs").filter((name) => /\.[ch]$/.test(name));
  const count = (names: string[], dir: string) => names.reduce((sum, name) => sum + lines(join(dir, name)), 0);
  expect(lines("src/host/quickjs/native.c")).toBeLessThanOrEqual(862);
  expect(count(own, "src/host/quickjs")).toBeLessThanOrEqual(1032);
  expect(count(readdirSync("scripts/build/patches"), "scripts/build/patches")).toBeLessThanOrEqual(639);
});
