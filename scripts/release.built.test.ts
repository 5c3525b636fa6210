// Checks the release: two builds give the same bytes, the hashes match, the archives have the right contents, and a runtime can run the image.
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { parse } from "yaml";
import { cache, calledNames, manifest, root } from "./build/paths.ts";

const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const dir = mkdtempSync(join(tmpdir(), "podnic-release-"));
const released = join(dir, "one");
const image = join(released, `podnic-image-v${version}.tar`);
afterAll(() => rmSync(dir, { recursive: true, force: true }));

/** Runs a program that must succeed, and returns its stdout. */
function sh(program: string, args: string[], options: object = {}): string {
  const { status, stdout, stderr, error } = spawnSync(program, args, { encoding: "utf8", ...options });
  expect(status, `${program} ${args.join(" ")}: ${error ?? stderr}`).toBe(0);
  return stdout;
}

function release(output: string): void {
  const targets = manifest().targets.join(",");
  sh("node", ["scripts/ts.mjs", "scripts/release.ts", "--output", output, "--targets", targets], { cwd: root });
}

function unpack(archive: string, into: string): string {
  mkdirSync(into);
  sh("tar", ["-C", into, "-xf", archive]);
  return into;
}

beforeAll(() => release(released), 300_000);

test("two runs give the same bytes", () => {
  const other = join(dir, "other");
  release(other);
  expect(readdirSync(other)).toEqual(readdirSync(released));
  for (const name of readdirSync(other))
    expect(readFileSync(join(other, name)).equals(readFileSync(join(released, name))), name).toBe(true);
}, 300_000);

test("each file has its hashes", () => {
  const files = readdirSync(released).filter((name) => !/\.sha(256|512)$/.test(name));
  expect(files).toHaveLength(4);
  for (const name of files)
    for (const hash of ["sha256", "sha512"]) sh(`${hash}sum`, ["-c", `${name}.${hash}`], { cwd: released });
});

describe.each([
  ["amd64", []],
  ["arm64", [join(cache, "arm64/usr/bin/qemu-aarch64")]],
] as [string, string[]][])("the archive for %s", (architecture, emulator) => {
  const place = join(dir, architecture);
  beforeAll(() => unpack(join(released, `podnic-linux-${architecture}-v${version}.tgz`), place));

  test("holds one file under all names", () => {
    const names = ["podnic", ...calledNames()];
    expect(readdirSync(place).sort()).toEqual([...names, "LICENSE", "README.md"].sort());
    expect(new Set(names.map((name) => statSync(join(place, name)).ino)).size).toBe(1);
    expect(statSync(join(place, "podnic")).mode & 0o7777).toBe(0o755);
    expect(statSync(join(place, "podnic")).size).toBeLessThanOrEqual(manifest().budgets.podnic);
  });

  test.each(calledNames())("runs as %s", (name) => {
    const [program, ...args] = [...emulator, join(place, name)];
    const env = { CNI_COMMAND: "VERSION" };
    const answer = JSON.parse(sh(program!, args, { env, input: '{"cniVersion":"1.1.0"}' }));
    expect(answer.supportedVersions).toContain("1.1.0");
  });

  test("names no path of the machine it was built on", () => {
    const bytes = readFileSync(join(place, "podnic")).toString("latin1");
    for (const path of [root, cache]) expect(bytes).not.toContain(path);
  });
});

describe("the bill of materials", () => {
  type Component = { name: string; version: string; purl: string; scope: string; hashes?: object[] };
  const read = () => JSON.parse(readFileSync(join(released, `podnic-v${version}.cdx.json`), "utf8"));

  test("names what is in the executable, with versions and hashes", () => {
    const { components } = read() as { components: Component[] };
    const required = components.filter(({ scope }) => scope === "required");
    expect(required.map(({ name }) => name)).toEqual(
      expect.arrayContaining(["commander", "ip-address", "musl", "quickjs"]),
    );
    for (const { name, version } of components) expect(version, name).toMatch(/^\d/);
    for (const { purl, hashes } of components) if (!purl.startsWith("pkg:deb")) expect(hashes, purl).toHaveLength(1);
    expect(new Set(components.map(({ purl }) => purl)).size).toBe(components.length);
  });

  test("lists every package of package-lock.json", () => {
    const { packages } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
    const purls = new Set((read().components as Component[]).map(({ purl }) => decodeURIComponent(purl)));
    for (const [path, { version }] of Object.entries<{ version: string }>(packages))
      if (path !== "") expect(purls).toContain(`pkg:npm/${path.replace(/.*node_modules\//, "")}@${version}`);
  });

  test("has the hashes of the files", () => {
    const files: { name: string; hashes: { content: string }[] }[] = read().metadata.component.components;
    for (const { name, hashes } of files.filter(({ name }) => existsSync(join(released, name))))
      expect(hashes[0]!.content, name).toBe(
        createHash("sha256")
          .update(readFileSync(join(released, name)))
          .digest("hex"),
      );
  });
});

describe("the image", () => {
  const layout = join(dir, "layout");
  beforeAll(() => {
    unpack(image, layout);
  });

  /** Returns a blob after checking its size and digest against its descriptor. */
  function blob({ digest, size }: { digest: string; size: number }): Buffer {
    const data = readFileSync(join(layout, "blobs", digest.replace(":", "/")));
    expect(data.length).toBe(size);
    expect(`sha256:${createHash("sha256").update(data).digest("hex")}`).toBe(digest);
    return data;
  }
  const json = (descriptor: { digest: string; size: number }) => JSON.parse(blob(descriptor).toString());
  const manifests = () => {
    const { manifests } = JSON.parse(readFileSync(join(layout, "index.json"), "utf8"));
    return json(manifests[0]).manifests;
  };

  test("is there for both architectures", () => {
    const platforms = manifests().map((m: { platform: { os: string; architecture: string } }) => m.platform);
    expect(platforms).toEqual([
      { architecture: "amd64", os: "linux" },
      { architecture: "arm64", os: "linux" },
    ]);
  });

  test.each([
    [0, "amd64"],
    [1, "arm64"],
  ])("%i (%s) holds the executable and nothing else", (i, architecture) => {
    const { config, layers } = json(manifests()[i]);
    expect(layers).toHaveLength(1);
    const packed = join(dir, `layer-${architecture}.tar.gz`);
    writeFileSync(packed, blob(layers[0]));
    expect(sh("tar", ["-tvzf", packed])).toMatch(/^-rwxr-xr-x root\/root +\d+ 1970-01-01 00:00 podnic\n$/);
    const contents = spawnSync("gzip", ["-dc", packed], { maxBuffer: 1 << 24 }).stdout;
    const { rootfs, config: run, ...rest } = json(config);
    expect(rootfs.diff_ids).toEqual([`sha256:${createHash("sha256").update(contents).digest("hex")}`]);
    expect([run.Entrypoint, run.Cmd]).toEqual([["/podnic", "install"], ["/host/opt/cni/bin"]]);
    expect([rest.architecture, rest.os]).toEqual([architecture, "linux"]);
    const executable = readFileSync(join(unpack(packed, join(dir, `root-${architecture}`)), "podnic"));
    const archived = join(dir, `tgz-${architecture}`);
    unpack(join(released, `podnic-linux-${architecture}-v${version}.tgz`), archived);
    expect(executable.equals(readFileSync(join(archived, "podnic")))).toBe(true);
  });

  test("is loaded by podman", () => {
    const podman = "podman --root /run/root --runroot /run/runroot --storage-driver vfs";
    const script = `mount -t tmpfs none /run; ${podman} load -q -i "$0" >&2; ${podman} inspect podnic:${version}`;
    const [seen] = JSON.parse(
      sh("unshare", ["--mount", "--net", "--propagation", "private", "sh", "-ec", script, image]),
    );
    expect([seen.Architecture, seen.Os, seen.RootFS.Layers.length]).toEqual(["amd64", "linux", 1]);
    expect(seen.Labels["org.opencontainers.image.version"]).toBe(version);
  });

  test("installs the plugins in an empty root, with the rights that the DaemonSet gives", () => {
    const { spec } = parse(readFileSync(join(root, "deploy/daemonset.yaml"), "utf8")).spec.template;
    const [installer] = spec.initContainers;
    const { config } = json(json(manifests()[0]).config);
    const bundle = join(dir, "bundle");
    const target = join(dir, "target");
    mkdirSync(bundle);
    mkdirSync(target);
    mkdirSync(join(bundle, "rootfs"));
    writeFileSync(join(bundle, "layer.tgz"), blob(json(manifests()[0]).layers[0]));
    sh("tar", ["-C", join(bundle, "rootfs"), "-xzf", join(bundle, "layer.tgz")]);
    expect(installer.securityContext.capabilities).toEqual({ drop: ["ALL"] });
    const runtime = {
      ociVersion: "1.0.0",
      process: {
        user: { uid: installer.securityContext.runAsUser, gid: 0 },
        args: [...config.Entrypoint, ...installer.args],
        cwd: config.WorkingDir,
        capabilities: {},
        noNewPrivileges: !installer.securityContext.allowPrivilegeEscalation,
      },
      root: { path: "rootfs", readonly: installer.securityContext.readOnlyRootFilesystem },
      mounts: [
        { destination: "/proc", type: "proc", source: "proc" },
        { destination: "/dev", type: "tmpfs", source: "tmpfs" },
        { destination: installer.volumeMounts[0].mountPath, type: "bind", source: target, options: ["bind", "rw"] },
      ],
      linux: { namespaces: ["mount", "pid", "network", "ipc", "uts"].map((type) => ({ type })) },
    };
    writeFileSync(join(bundle, "config.json"), JSON.stringify(runtime));
    const script = `mount -t tmpfs none /run; mount -t cgroup2 none /sys/fs/cgroup
      exec crun --cgroup-manager=disabled run --bundle "$0" podnic-test`;
    sh("unshare", ["--mount", "--net", "--propagation", "private", "sh", "-ec", script, bundle]);
    expect(readdirSync(target).sort()).toEqual(["podnic", ...calledNames()].sort());
    // Each name is a separate file, because other programs' installers overwrite single names with cp -f.
    expect(new Set(readdirSync(target).map((name) => statSync(join(target, name)).ino)).size).toBe(
      calledNames().length + 1,
    );
    const env = { CNI_COMMAND: "VERSION" };
    expect(sh(join(target, "macvlan"), [], { env, input: "{}" })).toContain('"1.1.0"');
  });
});
