// The kubelet's translation of a pod into what it asks of the runtime (pkg/kubelet/kuberuntime), as far as the pods here say something.
import { mkdirSync, writeFileSync } from "node:fs";
import { NODE_NETWORK, RUNTIME_DEFAULT } from "../cri/cri.ts";
import { CGROUP } from "../cri/node.ts";
import type { Message } from "../cri/protobuf.ts";
import type { Item } from "./objects.ts";

interface Mount {
  name: string;
  mountPath: string;
  readOnly?: boolean;
  mountPropagation?: "None" | "HostToContainer" | "Bidirectional";
}

interface Security {
  privileged?: boolean;
  runAsUser?: number;
  allowPrivilegeEscalation?: boolean;
  readOnlyRootFilesystem?: boolean;
  capabilities?: { add?: string[]; drop?: string[] };
  seccompProfile?: { type: string };
}

export interface ContainerSpec {
  name: string;
  image: string;
  command?: string[];
  args?: string[];
  env?: { name: string; value?: string; valueFrom?: { fieldRef?: { fieldPath: string } } }[];
  volumeMounts?: Mount[];
  securityContext?: Security;
  resources?: { requests?: Record<string, string | number>; limits?: Record<string, string | number> };
}

export interface PodSpec {
  nodeName?: string;
  nodeSelector?: Record<string, string>;
  hostNetwork?: boolean;
  hostPID?: boolean;
  serviceAccountName?: string;
  securityContext?: { seccompProfile?: { type: string } };
  initContainers?: ContainerSpec[];
  containers: ContainerSpec[];
  volumes?: { name: string; hostPath?: { path: string }; configMap?: { name: string } }[];
}

/** What a pod needs of the node beyond itself. */
export interface Surroundings {
  nodeName: string;
  /** Directory with token and ca.crt of the pods' service account. */
  account: string;
  api: { host: string; port: number };
  /** Data of a configmap. */
  configMap(namespace: string, name: string): Record<string, string>;
}

export const specOf = (pod: Item) => pod.spec as PodSpec;
const LOGS = "/run/pods";

const namespaces = ({ hostNetwork, hostPID }: PodSpec): Message => ({
  1: hostNetwork ? NODE_NETWORK : 0,
  2: hostPID ? NODE_NETWORK : 1,
});

const profile = (type: string | undefined): Message => (type === "RuntimeDefault" ? RUNTIME_DEFAULT : { 1: 1 });

export function sandboxOf(pod: Item, attempt: number): Message {
  const { name, uid, namespace } = pod.metadata;
  const spec = specOf(pod);
  const log = `${LOGS}/${namespace}_${name}`;
  mkdirSync(log, { recursive: true });
  const privileged = [...(spec.initContainers ?? []), ...spec.containers].some((c) => c.securityContext?.privileged);
  const security = { 1: namespaces(spec), 6: privileged, 9: profile(spec.securityContext?.seccompProfile?.type) };
  return {
    1: { 1: name, 2: uid, 3: namespace, 4: attempt },
    2: spec.hostNetwork ? "" : name,
    3: log,
    4: {},
    6: Object.entries({ "io.kubernetes.pod.name": name, "io.kubernetes.pod.namespace": namespace }).map(
      ([key, value]) => ({ 1: key, 2: value }),
    ),
    8: { 1: `/${CGROUP}`, 2: security },
  };
}

const UNITS: Record<string, number> = { m: 1e-3, "": 1, Ki: 1 << 10, Mi: 1 << 20, Gi: 1 << 30 };

function quantity(text: string | number | undefined): number {
  const [, digits, unit] = /^(\d+)(m|Ki|Mi|Gi|)$/.exec(String(text ?? "0"))!;
  return Number(digits) * UNITS[unit!]!;
}

function resources({ requests = {}, limits = {} }: NonNullable<ContainerSpec["resources"]>): Message {
  const cpu = quantity(limits.cpu);
  const memory = quantity(limits.memory);
  return {
    ...(cpu > 0 && { 1: 100_000, 2: Math.round(cpu * 100_000) }),
    3: Math.max(2, Math.round(quantity(requests.cpu) * 1024)),
    ...(memory > 0 && { 4: memory }),
  };
}

function security(spec: PodSpec, context: Security): Message {
  const { add = [], drop = [] } = context.capabilities ?? {};
  const privileged = context.privileged === true;
  const seccomp = context.seccompProfile?.type ?? spec.securityContext?.seccompProfile?.type;
  return {
    1: { 1: add, 2: drop },
    2: privileged,
    3: namespaces(spec),
    ...(context.runAsUser !== undefined && { 5: { 1: context.runAsUser } }),
    7: context.readOnlyRootFilesystem === true,
    11: context.allowPrivilegeEscalation === false,
    13: privileged ? [] : ["/proc/kcore", "/proc/keys", "/proc/timer_list", "/sys/firmware"],
    14: privileged ? [] : ["/proc/bus", "/proc/sys", "/proc/sysrq-trigger"],
    15: privileged ? { 1: 1 } : profile(seccomp),
  };
}

const PROPAGATION = { None: 0, HostToContainer: 1, Bidirectional: 2 };
const ACCOUNT = "/var/run/secrets/kubernetes.io/serviceaccount";

function mounts(pod: Item, container: ContainerSpec, around: Surroundings): Message[] {
  const { volumes = [], serviceAccountName } = specOf(pod);
  const host = (name: string): string => {
    const volume = volumes.find((one) => one.name === name)!;
    if (volume.hostPath !== undefined) {
      mkdirSync(volume.hostPath.path, { recursive: true });
      return volume.hostPath.path;
    }
    const directory = `${LOGS}/${pod.metadata.uid}-${name}`;
    mkdirSync(directory, { recursive: true });
    const data = around.configMap(pod.metadata.namespace, volume.configMap!.name);
    for (const [file, text] of Object.entries(data)) writeFileSync(`${directory}/${file}`, text);
    return directory;
  };
  const own = (container.volumeMounts ?? []).map(({ name, mountPath, readOnly, mountPropagation = "None" }) => ({
    1: mountPath,
    2: host(name),
    3: readOnly === true,
    5: PROPAGATION[mountPropagation],
  }));
  return serviceAccountName === undefined ? own : [...own, { 1: ACCOUNT, 2: around.account, 3: true }];
}

function environment({ serviceAccountName }: PodSpec, container: ContainerSpec, around: Surroundings): Message[] {
  const own = (container.env ?? []).map(({ name, value, valueFrom }) => {
    const path = valueFrom?.fieldRef?.fieldPath;
    if (path !== undefined && path !== "spec.nodeName") throw new Error(`${container.name}: fieldRef ${path}`);
    return { 1: name, 2: path === undefined ? (value ?? "") : around.nodeName };
  });
  const { host, port } = around.api;
  const service = { KUBERNETES_SERVICE_HOST: host, KUBERNETES_SERVICE_PORT: String(port) };
  const given: Record<string, string> = serviceAccountName === undefined ? {} : service;
  return [...own, ...Object.entries(given).map(([name, value]) => ({ 1: name, 2: value }))];
}

export function containerOf(pod: Item, container: ContainerSpec, around: Surroundings): Message {
  const spec = specOf(pod);
  const { name, image, command = [], args = [], resources: limits = {}, securityContext = {} } = container;
  return {
    1: { 1: name },
    2: { 1: image },
    3: command,
    4: args,
    6: environment(spec, container, around),
    7: mounts(pod, container, around),
    11: `${name}.log`,
    15: { 1: resources(limits), 2: security(spec, securityContext) },
  };
}

/** What a container printed. */
export const logOf = (pod: Item, container: string) =>
  `${LOGS}/${pod.metadata.namespace}_${pod.metadata.name}/${container}.log`;
