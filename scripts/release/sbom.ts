// Lists what a release consists of, in CycloneDX 1.5: components in the executables ("required"), and tools that made them ("excluded"). It contains
// no time and no serial number, so that two runs of one commit give the same bytes.
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { QUICKJS } from "../build/engine.ts";
import { root, run } from "../build/paths.ts";
import type { Architecture } from "./built.ts";

interface Hash {
  alg: "SHA-256" | "SHA-512";
  content: string;
}

interface Component {
  type: "application" | "library" | "file";
  name: string;
  version?: string;
  purl?: string;
  scope?: "required" | "excluded";
  licenses?: object[];
  hashes?: Hash[];
  "bom-ref"?: string;
}

/** An entry of package-lock.json. */
interface Locked {
  version: string;
  integrity?: string;
  license?: string;
}

export function sha256(data: Uint8Array): string {
  return createHash("sha256").update(data).digest("hex");
}

/** Every locked npm package. Those in `bundled` are part of the executables. */
function npmPackages(bundled: string[]): Component[] {
  const lock: { packages: Record<string, Locked> } = JSON.parse(readFileSync(join(root, "package-lock.json"), "utf8"));
  const installed = Object.entries(lock.packages).filter(([path]) => path !== "");
  const components = installed.map(([path, { version, integrity, license }]): Component => {
    const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
    const hash = /^sha512-(.+)$/.exec(integrity ?? "")?.[1];
    return {
      type: "library",
      name,
      version,
      purl: `pkg:npm/${name.replace("@", "%40")}@${version}`,
      // Bundled packages are at the top of node_modules, because our code imports them.
      scope: bundled.includes(name) && path === `node_modules/${name}` ? "required" : "excluded",
      ...(license === undefined ? {} : { licenses: [{ expression: license }] }),
      ...(hash === undefined
        ? {}
        : { hashes: [{ alg: "SHA-512", content: Buffer.from(hash, "base64").toString("hex") }] }),
    };
  });
  // A package that is installed in several places is one component.
  const required = components.filter(({ scope }) => scope === "required");
  return [...new Map([...components, ...required].map((component) => [component.purl, component])).values()];
}

function debianVersion(name: string): string {
  // biome-ignore lint/suspicious/noTemplateCurlyInString: dpkg's
  return run("dpkg-query", ["-W", "-f", "${Version}", name]).toString();
}

function debian(name: string, version: string, scope: "required" | "excluded"): Component {
  return { type: "library", name, version, purl: `pkg:deb/debian/${name}@${encodeURIComponent(version)}`, scope };
}

const COMPILERS: Record<string, string> = {
  amd64: "gcc-12",
  arm64: "gcc-12-aarch64-linux-gnu",
  s390x: "gcc-12-s390x-linux-gnu",
};

/** The engine with the hash that scripts/setup checks, the C library, and the compilers (parts of their libgcc are in the executables). */
function native(architectures: readonly Architecture[]): Component[] {
  const setup = readFileSync(join(root, "scripts/setup"), "utf8");
  const hash = /^quickjs_sha256=([0-9a-f]{64})$/m.exec(setup)?.[1];
  if (hash === undefined) throw new Error("scripts/setup has no quickjs_sha256");
  const engine: Component = {
    type: "library",
    name: "quickjs",
    version: QUICKJS,
    purl: `pkg:generic/quickjs@${QUICKJS}`,
    scope: "required",
    licenses: [{ expression: "MIT" }],
    hashes: [{ alg: "SHA-256", content: hash }],
  };
  const musl = { ...debian("musl", debianVersion("musl-dev"), "required"), licenses: [{ expression: "MIT" }] };
  const compilers = architectures.map(({ name }) =>
    debian(COMPILERS[name]!, debianVersion(COMPILERS[name]!), "required"),
  );
  return [engine, musl, ...compilers];
}

/** `bundled`: the npm packages in the executables; `files`: the released files. */
export function sbom(
  version: string,
  bundled: string[],
  architectures: readonly Architecture[],
  files: [name: string, data: Uint8Array][],
): string {
  const document = {
    bomFormat: "CycloneDX",
    specVersion: "1.5",
    version: 1,
    metadata: {
      component: {
        type: "application",
        name: "podnic",
        version,
        "bom-ref": `podnic@${version}`,
        licenses: [{ expression: "Apache-2.0" }],
        components: files.map(([name, data]) => ({
          type: "file",
          name,
          hashes: [{ alg: "SHA-256", content: sha256(data) }],
        })),
      },
    },
    components: [...native(architectures), ...npmPackages(bundled)],
  };
  return `${JSON.stringify(document, null, 2)}\n`;
}
