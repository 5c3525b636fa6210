// Makes the container image. It is built from scratch and contains only the executable. The file is an OCI image layout (image-spec 1.1) in one tar
// file, made without a daemon, with an image for each architecture under one index. `podman load`, `ctr images import` and skopeo accept it.
import { createHash } from "node:crypto";
import type { Architecture } from "./built.ts";
import { gzip, tar } from "./tar.ts";

/** The path at which a DaemonSet mounts the node's directory of plugins. */
const TARGET = "/host/opt/cni/bin";
const EXECUTABLE_MODE = 0o755;

interface Descriptor {
  mediaType: string;
  digest: string;
  size: number;
}

function digest(data: Uint8Array): string {
  return `sha256:${createHash("sha256").update(data).digest("hex")}`;
}

/** The blobs of the image, by their digest. */
class Blobs {
  readonly all = new Map<string, Uint8Array>();

  add(mediaType: string, data: Uint8Array): Descriptor {
    this.all.set(digest(data), data);
    return { mediaType, digest: digest(data), size: data.length };
  }

  addJson(mediaType: string, value: object): Descriptor {
    return this.add(mediaType, Buffer.from(JSON.stringify(value)));
  }
}

function addImage(blobs: Blobs, { name, executable }: Architecture, labels: Record<string, string>): Descriptor {
  const contents = tar([{ name: "podnic", mode: EXECUTABLE_MODE, data: executable }]);
  const layer = blobs.add("application/vnd.oci.image.layer.v1.tar+gzip", gzip(contents));
  const config = blobs.addJson("application/vnd.oci.image.config.v1+json", {
    architecture: name,
    os: "linux",
    config: { Entrypoint: ["/podnic", "install"], Cmd: [TARGET], WorkingDir: "/", Labels: labels },
    rootfs: { type: "layers", diff_ids: [digest(contents)] },
    history: [{ created_by: "podnic: scripts/image.ts" }],
  });
  return blobs.addJson("application/vnd.oci.image.manifest.v1+json", {
    schemaVersion: 2,
    mediaType: "application/vnd.oci.image.manifest.v1+json",
    config,
    layers: [layer],
    annotations: labels,
  });
}

/**
 * The name of the image in the DaemonSet. podman uses "localhost" for an image that it loads under a short name. It is not a registry, so a node
 * without the image does not look for it elsewhere. Without a host in the name, the runtime of Kubernetes would look for the image at docker.io.
 */
export const imageName = (version: string): string => `localhost/podnic:${version}`;

/** Returns the tar file of the image layout. */
export function imageArchive(architectures: Architecture[], version: string): Buffer {
  const labels = {
    "org.opencontainers.image.title": "podnic",
    "org.opencontainers.image.version": version,
    "org.opencontainers.image.licenses": "Apache-2.0",
  };
  const blobs = new Blobs();
  const manifests = architectures.map((architecture) => ({
    ...addImage(blobs, architecture, labels),
    platform: { architecture: architecture.name, os: "linux" },
  }));
  const type = "application/vnd.oci.image.index.v1+json";
  const index = blobs.addJson(type, { schemaVersion: 2, mediaType: type, manifests });
  const annotations = {
    "io.containerd.image.name": imageName(version), // ctr images import
    "org.opencontainers.image.ref.name": `podnic:${version}`, // podman load, which adds "localhost/"
  };
  const entry = { ...index, annotations };
  const json = (value: object) => Buffer.from(JSON.stringify(value));
  return tar([
    { name: "oci-layout", mode: 0o644, data: json({ imageLayoutVersion: "1.0.0" }) },
    { name: "index.json", mode: 0o644, data: json({ schemaVersion: 2, mediaType: type, manifests: [entry] }) },
    { name: "blobs/", mode: 0o755 },
    { name: "blobs/sha256/", mode: 0o755 },
    ...[...blobs.all]
      .sort(([a], [b]) => (a < b ? -1 : 1))
      .map(([name, data]) => ({ name: `blobs/${name.replace(":", "/")}`, mode: 0o644, data })),
  ]);
}
