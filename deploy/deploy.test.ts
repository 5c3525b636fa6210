// What the DaemonSet asks of a node: as little as installing files takes.
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { expect, test } from "vitest";
import { parse } from "yaml";
import { imageName } from "../scripts/release/image.ts";

const root = process.cwd();
const read = (name: string) => parse(readFileSync(join(root, "deploy", name), "utf8"));
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
const daemonSet = read("daemonset.yaml");
const pod = daemonSet.spec.template.spec;
const containers = [...pod.initContainers, ...pod.containers];

test("is a DaemonSet whose selector finds its pods", () => {
  expect([daemonSet.apiVersion, daemonSet.kind]).toEqual(["apps/v1", "DaemonSet"]);
  expect(daemonSet.spec.template.metadata.labels).toEqual(daemonSet.spec.selector.matchLabels);
});

test("uses none of the host's namespaces and no service account", () => {
  for (const key of ["hostNetwork", "hostPID", "hostIPC"]) expect(pod).not.toHaveProperty(key);
  expect(pod).not.toHaveProperty("serviceAccountName");
  expect([pod.automountServiceAccountToken, pod.enableServiceLinks]).toEqual([false, false]);
});

test.each(containers.map((c): [string, typeof c] => [c.name, c]))("container %s has no rights", (_, container) => {
  const { securityContext, resources } = container;
  expect(securityContext).not.toHaveProperty("privileged");
  expect(securityContext.capabilities).toEqual({ drop: ["ALL"] });
  expect([securityContext.allowPrivilegeEscalation, securityContext.readOnlyRootFilesystem]).toEqual([false, true]);
  expect(resources.limits.memory).toBeDefined();
  expect(container).not.toHaveProperty("command"); // the images' own
});

test("only the installer sees the node, and only its directory of plugins", () => {
  expect(pod.volumes).toEqual([{ name: "cni-bin", hostPath: { path: "/opt/cni/bin", type: "DirectoryOrCreate" } }]);
  const [installer] = pod.initContainers;
  expect(installer.volumeMounts).toEqual([{ name: "cni-bin", mountPath: installer.args.at(-1) }]);
  expect(pod.containers[0]).not.toHaveProperty("volumeMounts");
  expect(pod.containers[0].securityContext.runAsNonRoot).toBe(true);
});

test("runs on every Linux node, also on one that is not ready, and is updated a few nodes at a time", () => {
  expect(pod.nodeSelector).toEqual({ "kubernetes.io/os": "linux" });
  expect(pod.tolerations).toEqual([{ operator: "Exists" }]);
  expect(pod.priorityClassName).toBe("system-node-critical");
  expect(pod.securityContext.seccompProfile.type).toBe("RuntimeDefault");
  expect(daemonSet.spec.updateStrategy.type).toBe("RollingUpdate");
});

test("the images have this version", () => {
  expect(pod.initContainers[0].image).toBe(imageName(version));
  const { resources, images, namespace } = read("kustomization.yaml");
  expect(resources).toEqual(["daemonset.yaml"]);
  expect(images).toEqual([{ name: "localhost/podnic", newName: "localhost/podnic", newTag: version }]);
  expect(namespace).toBe(daemonSet.metadata.namespace);
});
