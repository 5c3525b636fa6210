// The timer and the sidecar that call podnic gc, since no runtime does.
import { spawnSync } from "node:child_process";
import { existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { imageName } from "../scripts/release/image.ts";
import { podnic } from "../src/cli/main.ts";
import { registerPlugins } from "../src/cni/registry.ts";
import { plugins } from "../src/plugins.ts";

const read = (name: string) => readFileSync(join("deploy", name), "utf8");
const { version } = JSON.parse(readFileSync("package.json", "utf8"));

/** Options of podnic gc, as its command line has them. */
function known(args: string[]): string[] {
  registerPlugins(plugins);
  const options = podnic()
    .commands.find((command) => command.name() === "gc")!
    .options.map(({ long }) => long);
  return args.filter((arg) => arg.startsWith("--") && !options.includes(arg));
}

test("the timer's command is one that podnic knows", () => {
  const [, program, command, ...args] = /^ExecStart=(\S+) (\S+) (.*)$/m.exec(read("systemd/podnic-gc.service"))!;
  expect([program, command, known(args[0]!.split(" "))]).toEqual(["/opt/cni/bin/podnic", "gc", []]);
  expect(args).toEqual(["--all"]);
});

test("the service has no mount, network or PID namespace of its own: what it cannot see it could not tell from gone", () => {
  const settings = read("systemd/podnic-gc.service").match(/^[A-Z]\w+(?==)/gm)!;
  for (const setting of settings)
    expect(setting).not.toMatch(/^(Private|Protect|ReadOnly|ReadWrite|Inaccessible|Temp)/);
});

test.runIf(existsSync("/usr/bin/systemd-analyze"))("systemd understands both units", () => {
  const dir = mkdtempSync(join(tmpdir(), "podnic-units-"));
  try {
    for (const name of ["podnic-gc.service", "podnic-gc.timer"]) {
      writeFileSync(join(dir, name), read(`systemd/${name}`).replace("/opt/cni/bin/podnic", "/bin/true"));
    }
    const { status, stderr } = spawnSync("systemd-analyze", ["verify", join(dir, "podnic-gc.timer")], {
      encoding: "utf8",
    });
    expect([status, stderr.split("\n").filter((line) => line.includes("podnic-gc"))]).toEqual([0, []]);
  } finally {
    rmSync(dir, { recursive: true });
  }
});

test("the sidecar sees what gc must see, under the names that runtimes write down", () => {
  const { spec } = parse(read("gc/gc.yaml")).spec.template;
  const [gc] = spec.containers;
  expect([spec.hostNetwork, spec.hostPID]).toEqual([true, true]);
  const mounts = Object.fromEntries(
    gc.volumeMounts.map((one: { mountPath: string; mountPropagation?: string }) => [
      one.mountPath,
      one.mountPropagation,
    ]),
  );
  expect(mounts).toEqual({
    ...{ "/var/lib/cni": undefined, "/etc/cni": undefined, "/sys": undefined },
    ...{ "/run": "HostToContainer", "/var/run": "HostToContainer" },
  });
  expect([gc.image, gc.command.slice(0, 2), known(gc.command)]).toEqual([imageName(version), ["/podnic", "gc"], []]);
  expect(gc.securityContext).not.toHaveProperty("privileged");
});

test("the component patches the DaemonSet that is there, with this version's image", () => {
  const { kind, patches, images } = parse(read("gc/kustomization.yaml"));
  const { metadata } = parse(read("daemonset.yaml"));
  expect(kind).toBe("Component");
  expect(patches).toEqual([{ path: "gc.yaml" }]);
  expect(parse(read("gc/gc.yaml")).metadata).toEqual({ name: metadata.name, namespace: metadata.namespace });
  expect(images[0].newTag).toBe(version);
});
