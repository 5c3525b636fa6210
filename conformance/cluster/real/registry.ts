// A registry with one image: a pod whose image has no tag makes the kubelet ask for it each time.

import { mkdirSync, writeFileSync } from "node:fs";
import { createServer } from "node:http";
import { blob, type Parts } from "../images.ts";

const PORT = 5000;

/** Answers for docker.io: `directory` is containerd's config_path. */
export function startRegistry(directory: string, name: string, { config, layer }: Parts): Promise<void> {
  mkdirSync(`${directory}/docker.io`, { recursive: true });
  const mirror = `[host."http://127.0.0.1:${PORT}"]\n  capabilities = ["pull", "resolve"]\n`;
  writeFileSync(`${directory}/docker.io/hosts.toml`, `server = "http://127.0.0.1:${PORT}"\n${mirror}`);
  const kind = (what: string) => `application/vnd.oci.image.${what}`;
  const described = (mediaType: string, data: Buffer) => ({ mediaType, ...blob(data) });
  const manifest = Buffer.from(
    JSON.stringify({
      ...{ schemaVersion: 2, mediaType: kind("manifest.v1+json") },
      config: described(kind("config.v1+json"), config),
      layers: [described(kind("layer.v1.tar"), layer)],
    }),
  );
  const blobs = new Map([config, layer, manifest].map((data) => [blob(data).digest, data]));
  const server = createServer((request, response) => {
    const [, image, what, which] = /^\/v2\/(.+)\/(manifests|blobs)\/([^?]+)/.exec(request.url!) ?? [];
    const data = what === "manifests" && !which!.startsWith("sha256:") ? manifest : blobs.get(which ?? "");
    if (request.url === "/v2/" || image !== name || data === undefined) {
      response.writeHead(request.url === "/v2/" ? 200 : 404).end();
      return;
    }
    const type = what === "manifests" ? kind("manifest.v1+json") : "application/octet-stream";
    const { digest, size } = blob(data);
    response.writeHead(200, { "content-type": type, "content-length": size, "docker-content-digest": digest });
    response.end(request.method === "HEAD" ? undefined : data);
  });
  return new Promise((done) => server.listen(PORT, "127.0.0.1", done));
}
