// `npm run debug`: runs one call of a plugin on Node and stops at its first line for a debugger (chrome://inspect, or "attach" of an editor, on port
// 9229). The call runs in its own namespaces, with a device `card` and a pod. A command other than ADD runs after an ADD that does not stop.
// Arguments:
//   --command DEL   or CHECK, STATUS, … (default: ADD)
//   --config FILE   the configuration (default: macvlan on `card`, with static)
//   --go            do not stop
import { type ChildProcess, spawn, spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { createServer } from "node:net";
import { join, resolve } from "node:path";
import { env, execPath } from "node:process";
import { parseArgs } from "node:util";
import { build } from "esbuild";
import { cache, root } from "./build/paths.ts";
import { hideState, sh } from "./sandbox.ts";
import { writeValidators } from "./schemas.ts";

const PORT = 9229;
/** An executable called "podnic…" takes the plugin's name from the configuration's type. */
const bundle = join(cache, "debug/podnic.cjs");

const { values: flags } = parseArgs({
  options: {
    command: { type: "string", default: "ADD" },
    config: { type: "string" },
    go: { type: "boolean", default: false },
  },
});

const example = {
  cniVersion: "1.1.0",
  name: "debug",
  type: "macvlan",
  master: "card",
  ipam: { type: "static", addresses: [{ address: "192.0.2.2/24", gateway: "192.0.2.1" }] },
};

async function makeBundle(): Promise<void> {
  writeValidators(root);
  await build({
    absWorkingDir: root,
    entryPoints: ["src/entry/node.ts"],
    outfile: bundle,
    bundle: true,
    external: ["koffi"],
    platform: "node",
    format: "cjs",
    target: "node20",
    sourcemap: true,
    logLevel: "warning",
  });
}

/** Forwards connections from the port to the same port in the namespace of a process, which is not reachable from outside. */
function forward(to: ChildProcess): void {
  const connect = `const s = require("net").connect(${PORT}, "127.0.0.1"); process.stdin.pipe(s).pipe(process.stdout)`;
  const server = createServer((socket) => {
    const inside = spawn("nsenter", ["-t", String(to.pid), "-n", execPath, "-e", connect]);
    for (const end of [socket, inside.stdin]) end.on("error", () => inside.kill());
    socket.pipe(inside.stdin);
    inside.stdout.pipe(socket);
  });
  server.listen(PORT, "127.0.0.1");
  to.on("exit", (code) => {
    process.exitCode = code ?? 1;
    server.close();
  });
}

function call(command: string, input: string, options: string[]): string {
  const cni = { CNI_COMMAND: command, CNI_CONTAINERID: "debugged", CNI_NETNS: "/run/netns/pod", CNI_IFNAME: "eth0" };
  const { stdout } = spawnSync(execPath, [...options, bundle], {
    env: { ...env, ...cni, CNI_PATH: "/opt/cni/bin" },
    input,
    stdio: ["pipe", "pipe", "inherit"],
    encoding: "utf8",
  });
  return stdout;
}

/** Runs in the sandbox. */
function inside(): void {
  hideState();
  sh("ip", "link", "add", "card", "type", "veth", "peer", "name", "peer");
  for (const name of ["card", "peer"]) sh("ip", "link", "set", name, "up");
  sh("ip", "netns", "add", "pod");
  const config = flags.config === undefined ? example : JSON.parse(readFileSync(flags.config, "utf8"));
  const stop = flags.go ? [] : [`--inspect-brk=127.0.0.1:${PORT}`];
  if (flags.command !== "ADD") config.prevResult = JSON.parse(call("ADD", JSON.stringify(config), []));
  console.log(call(flags.command, JSON.stringify(config), ["--enable-source-maps", ...stop]));
}

async function outside(): Promise<void> {
  await makeBundle();
  const config = flags.config === undefined ? [] : ["--config", resolve(flags.config)];
  const args = ["--command", flags.command, ...config, ...(flags.go ? ["--go"] : [])];
  const again = [execPath, "scripts/ts.mjs", "scripts/debug.ts", ...args];
  const namespaces = ["--mount", "--net", "--propagation", "private"];
  forward(
    spawn("unshare", [...namespaces, ...again], { cwd: root, stdio: "inherit", env: { ...env, PODNIC_INSIDE: "1" } }),
  );
}

if (env.PODNIC_INSIDE === undefined) await outside();
else inside();
