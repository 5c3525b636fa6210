// Images made on the spot, in the form of `docker save`, under the names that manifests use.
import { execFileSync } from "node:child_process";
import { createHash } from "node:crypto";
import { copyFileSync, mkdirSync, mkdtempSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { tar } from "../../scripts/release/tar.ts";

interface Content {
  /** Path in the image to a file of this machine. */
  files: Record<string, string>;
  texts?: Record<string, string>;
  /** Path to where it leads. */
  links?: Record<string, string>;
  config?: object;
}

/** What an image consists of, as a registry has it. */
export interface Parts {
  config: Buffer;
  layer: Buffer;
}

const json = (value: object) => Buffer.from(JSON.stringify(value));

/** How a manifest names data. */
export const blob = (data: Buffer) => ({
  digest: `sha256:${createHash("sha256").update(data).digest("hex")}`,
  size: data.length,
});

function parts({ files, texts = {}, links = {}, config = {} }: Content): Parts {
  const rootfs = mkdtempSync("/run/image-");
  for (const [path, source] of Object.entries(files)) {
    mkdirSync(join(rootfs, dirname(path)), { recursive: true });
    copyFileSync(source, join(rootfs, path));
  }
  for (const [path, text] of Object.entries(texts)) {
    mkdirSync(join(rootfs, dirname(path)), { recursive: true });
    writeFileSync(join(rootfs, path), text);
  }
  for (const [path, to] of Object.entries(links)) {
    mkdirSync(join(rootfs, dirname(path)), { recursive: true });
    symlinkSync(to, join(rootfs, path));
  }
  const layer = execFileSync("tar", ["-C", rootfs, "--owner=0", "--group=0", "-c", "."], { maxBuffer: 1 << 30 });
  rmSync(rootfs, { recursive: true });
  const whole = { architecture: "amd64", os: "linux", config };
  return { config: json({ ...whole, rootfs: { type: "layers", diff_ids: [blob(layer).digest] } }), layer };
}

/** Writes the archive for `ctr images import`. */
export function image(archive: string, names: string[], content: Content): void {
  const { config, layer } = parts(content);
  const entries = [
    { name: "config.json", data: config },
    { name: "layer.tar", data: layer },
    { name: "manifest.json", data: json([{ Config: "config.json", RepoTags: names, Layers: ["layer.tar"] }]) },
  ];
  writeFileSync(archive, tar(entries.map((entry) => ({ ...entry, mode: 0o644 }))));
}

const APPLETS = "sh sleep ip ping cat env ls id hostname wget ifconfig route true false";

const busybox = (): Content => ({
  files: { "bin/busybox": execFileSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).trim() },
  links: Object.fromEntries(APPLETS.split(" ").map((name) => [`bin/${name}`, "busybox"])),
  config: { Env: ["PATH=/bin"], Cmd: ["sh"] },
});

export const busyboxParts = (): Parts => parts(busybox());

/** busybox:1.36 and busybox, of this machine's own. */
export function busyboxImage(archive: string): void {
  image(archive, ["docker.io/library/busybox:1.36", "docker.io/library/busybox:latest"], busybox());
}

/** A program that waits, under the name of the pause image that the DaemonSet's second container has. */
export function pauseImage(archive: string): void {
  const program = execFileSync("sh", ["-c", "command -v busybox"], { encoding: "utf8" }).trim();
  image(archive, ["registry.k8s.io/pause:3.10"], {
    files: { busybox: program },
    config: { Entrypoint: ["/busybox", "sleep", "infinity"] },
  });
}

/** As its Dockerfile lays it out, on a base that has a user database, /run and /var/run. */
export function multusImage(archive: string, programs: string): void {
  const at = (name: string) => `usr/src/multus-cni/bin/${name}`;
  image(archive, ["ghcr.io/k8snetworkplumbingwg/multus-cni:snapshot-thick"], {
    files: {
      [at("multus-daemon")]: join(programs, "multus-daemon"),
      [at("multus-shim")]: join(programs, "multus-shim"),
      [at("install_multus")]: join(programs, "install_multus"),
      [at("passthru")]: join(programs, "passthru-cni"),
    },
    texts: { "etc/passwd": "root:x:0:0:root:/root:/bin/sh\n", "run/lock/.keep": "" },
    links: { "var/run": "/run" },
    config: { Entrypoint: ["/usr/src/multus-cni/bin/multus-daemon"] },
  });
}
