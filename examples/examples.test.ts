// The examples are what the schemas take, and the platforms' configurations to the letter.
import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parseAllDocuments } from "yaml";
import { validate } from "../src/cli/validate.ts";
import { registerPlugins } from "../src/cni/registry.ts";
import { plugins } from "../src/plugins.ts";

registerPlugins(plugins);

const dir = join(process.cwd(), "examples");
const files = readdirSync(dir).filter((name) => name.endsWith(".yaml"));

interface Resource {
  kind: string;
  metadata: { name: string; annotations?: Record<string, string> };
  spec: { config: string; containers: { resources?: { limits: Record<string, number> } }[] };
}

function resources(file: string): Resource[] {
  const documents = parseAllDocuments(readFileSync(join(dir, file), "utf8"));
  return documents.map((document) => {
    expect(document.errors, file).toEqual([]);
    return document.toJS();
  });
}

const definitions = (file: string) => resources(file).filter(({ kind }) => kind === "NetworkAttachmentDefinition");

test.each(files)("%s is valid, without a warning", (file) => {
  const [judged] = validate([join(dir, file)]);
  // Pods and the like are noted, and not looked at.
  expect(judged!.findings.filter(({ path }) => path !== "kind")).toEqual([]);
  expect(judged!.networks).toHaveLength(definitions(file).length);
});

test.each(files)("%s: the pods ask for the networks, and for the devices of their resource", (file) => {
  const networks = new Map(definitions(file).map((each) => [each.metadata.name, each]));
  const pods = resources(file).filter(({ kind }) => kind === "Pod");
  expect(pods.length).toBeGreaterThan(0);
  for (const { metadata, spec } of pods) {
    const wanted = metadata.annotations!["k8s.v1.cni.cncf.io/networks"]!;
    const name = wanted.startsWith("[") ? JSON.parse(wanted)[0].name : wanted;
    expect([...networks.keys()]).toContain(name);
    const resource = networks.get(name)!.metadata.annotations?.["k8s.v1.cni.cncf.io/resourceName"];
    if (resource !== undefined) expect(spec.containers[0]!.resources!.limits[resource]).toBe(1);
  }
});

test.each([
  ["oke-vm-host-device.yaml", 0, "host-device/examples/oke-vm-host-device.node1.json"],
  ["oke-vm-host-device.yaml", 1, "host-device/examples/oke-vm-host-device.node2.json"],
  ["eks-ipvlan.yaml", 0, "ipvlan/examples/eks-ipvlan.json"],
  ["tkg-macvlan.yaml", 0, "macvlan/examples/tkg-macvlan.json"],
  ["openshift-cnv-bridge.yaml", 0, "bridge/examples/openshift-cnv-bridge.json"],
])("%s, network %i is the configuration that the conformance suite runs (%s)", (file, i, original) => {
  const text = readFileSync(join(process.cwd(), "plugins", original), "utf8");
  expect(JSON.parse(definitions(file)[i]!.spec.config)).toEqual(JSON.parse(text));
});
