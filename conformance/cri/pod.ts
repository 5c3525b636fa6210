// What the kubelet asks the runtime for, made of deploy/daemonset.yaml: the sandbox of its pod, and its install container.
import { readFileSync } from "node:fs";
import { parse } from "yaml";
import { RUNTIME_DEFAULT } from "./cri.ts";
import { CGROUP } from "./node.ts";
import type { Message } from "./protobuf.ts";

export interface Container {
  image: string;
  args: string[];
  securityContext: {
    runAsUser: number;
    allowPrivilegeEscalation: boolean;
    readOnlyRootFilesystem: boolean;
    capabilities: { drop: string[] };
  };
  resources: { requests: { cpu: string; memory: string }; limits: { memory: string } };
  volumeMounts: { name: string; mountPath: string }[];
}

interface Pod {
  securityContext: { seccompProfile: { type: string } };
  initContainers: [Container];
  volumes: { name: string; hostPath: { path: string } }[];
}

export function readPod(file = "deploy/daemonset.yaml"): Pod {
  return parse(readFileSync(file, "utf8")).spec.template.spec;
}

export function sandbox(name: string): Message {
  return {
    1: { 1: name, 2: `${name}-uid`, 3: "kube-system" },
    4: {},
    8: { 1: `/${CGROUP}`, 2: { 9: RUNTIME_DEFAULT } },
  };
}

const SUFFIX = { m: 1e-3, Ki: 1 << 10, Mi: 1 << 20 };

function quantity(text: string): number {
  const [, digits, suffix] = /^(\d+)(m|Ki|Mi)?$/.exec(text)!;
  return Number(digits) * (suffix === undefined ? 1 : SUFFIX[suffix as keyof typeof SUFFIX]);
}

/** The kubelet's translation (pkg/kubelet/kuberuntime), as far as the DaemonSet says something. `args`: instead of its own. */
export function container(pod: Pod, name: string, args?: string[]): Message {
  const [{ image, args: own, securityContext, resources, volumeMounts }] = pod.initContainers;
  if (pod.securityContext.seccompProfile.type !== "RuntimeDefault") throw new Error("another seccomp profile");
  const host = (volume: string) => pod.volumes.find((one) => one.name === volume)!.hostPath.path;
  return {
    1: { 1: name },
    2: { 1: image },
    4: args ?? own,
    7: volumeMounts.map(({ name: volume, mountPath }) => ({ 1: mountPath, 2: host(volume) })),
    15: {
      1: { 3: Math.max(2, quantity(resources.requests.cpu) * 1024), 4: quantity(resources.limits.memory) },
      2: {
        1: { 2: securityContext.capabilities.drop },
        5: { 1: securityContext.runAsUser },
        7: securityContext.readOnlyRootFilesystem,
        11: !securityContext.allowPrivilegeEscalation,
        13: ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
        14: ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"],
        15: RUNTIME_DEFAULT,
      },
    },
  };
}
