// Kubernetes' objects as far as a node's side of it cares, and how they come over the wire.
import { Fields } from "../cri/protobuf.ts";

export interface Meta {
  name: string;
  namespace: string;
  uid: string;
  resourceVersion: string;
  creationTimestamp: string;
  deletionTimestamp?: string;
  generation?: number;
  annotations?: Record<string, string>;
  labels?: Record<string, string>;
}

export interface Item {
  apiVersion: string;
  kind: string;
  metadata: Meta;
  spec?: unknown;
  status?: unknown;
  [key: string]: unknown;
}

/** What somebody writes: the server adds the rest. */
export type Draft = Partial<Omit<Item, "metadata">> & { metadata?: Partial<Meta> };

export interface Resource {
  group: string;
  version: string;
  name: string;
  kind: string;
  namespaced: boolean;
}

const resource = (group: string, version: string, name: string, kind: string, namespaced = true): Resource => ({
  group,
  version,
  name,
  kind,
  namespaced,
});

export const RESOURCES: readonly Resource[] = [
  resource("", "v1", "pods", "Pod"),
  resource("", "v1", "events", "Event"),
  resource("", "v1", "configmaps", "ConfigMap"),
  resource("", "v1", "serviceaccounts", "ServiceAccount"),
  resource("", "v1", "namespaces", "Namespace", false),
  resource("", "v1", "nodes", "Node", false),
  resource("apps", "v1", "daemonsets", "DaemonSet"),
  resource("rbac.authorization.k8s.io", "v1", "clusterroles", "ClusterRole", false),
  resource("rbac.authorization.k8s.io", "v1", "clusterrolebindings", "ClusterRoleBinding", false),
  resource("apiextensions.k8s.io", "v1", "customresourcedefinitions", "CustomResourceDefinition", false),
  resource("k8s.cni.cncf.io", "v1", "network-attachment-definitions", "NetworkAttachmentDefinition"),
  resource("coordination.k8s.io", "v1", "leases", "Lease"),
  resource("whereabouts.cni.cncf.io", "v1alpha1", "ippools", "IPPool"),
  resource("whereabouts.cni.cncf.io", "v1alpha1", "overlappingrangeipreservations", "OverlappingRangeIPReservation"),
];

export function resourceOf({ apiVersion, kind }: Draft): Resource {
  const found = RESOURCES.find((r) => groupVersion(r) === apiVersion && r.kind === kind);
  if (found === undefined) throw new Error(`${apiVersion} ${kind}: the stand-in for the API server does not have it`);
  return found;
}

export const groupVersion = ({ group, version }: Resource) => (group === "" ? version : `${group}/${version}`);
export const root = ({ group, version }: Resource) => (group === "" ? `/api/${version}` : `/apis/${group}/${version}`);

const MAGIC = Buffer.from("k8s\0");

/** JSON, or as much of protobuf (k8s.io/api, core/v1/generated.proto) as Multus writes: a pod's annotations, and events. */
export function decode(body: Buffer, { name }: Resource): Draft {
  if (body.length === 0) return {};
  if (!body.subarray(0, 4).equals(MAGIC)) return JSON.parse(body.toString());
  const message = new Fields(body.subarray(4)).message(2);
  const metadata = metaOf(message.message(1));
  if (name === "pods") return { metadata };
  if (name !== "events") throw new Error(`${name} in protobuf`);
  const on = message.message(2);
  return {
    metadata,
    involvedObject: { kind: on.text(1), namespace: on.text(2), name: on.text(3), uid: on.text(4) },
    reason: message.text(3),
    message: message.text(4),
    source: { component: message.message(5).text(1) },
    count: message.number(8),
    type: message.text(9),
    ...Object.fromEntries(
      [6, 7].map((field) => [
        field === 6 ? "firstTimestamp" : "lastTimestamp",
        new Date(message.message(field).number(1) * 1000).toISOString(),
      ]),
    ),
  };
}

function metaOf(message: Fields): Partial<Meta> {
  const annotations = Object.fromEntries(message.messages(12).map((entry) => [entry.text(1), entry.text(2)]));
  return { name: message.text(1), namespace: message.text(3), annotations };
}

/** Objects of `over` go into those of `base` (RFC 7386). Lists are replaced. */
export function merge(base: unknown, over: unknown): unknown {
  if (!isObject(over)) return over;
  const merged: Record<string, unknown> = isObject(base) ? { ...base } : {};
  for (const [key, value] of Object.entries(over)) {
    if (value === null) delete merged[key];
    else merged[key] = merge(merged[key], value);
  }
  return merged;
}

interface Operation {
  op: "add" | "replace" | "remove" | "test";
  path: string;
  value?: unknown;
}

/** RFC 6902, as far as objects of objects go. undefined: a test failed. */
export function patched(base: unknown, operations: Operation[]): unknown {
  const whole: unknown = structuredClone(base);
  for (const { op, path, value } of operations) {
    const keys = path
      .split("/")
      .slice(1)
      .map((key) => key.replaceAll("~1", "/").replaceAll("~0", "~"));
    const last = keys.pop()!;
    const at = keys.reduce<unknown>((object, key) => (isObject(object) ? object[key] : undefined), whole);
    const there = isObject(at) ? at[last] : undefined;
    if (op === "test" && JSON.stringify(there ?? null) !== JSON.stringify(value ?? null)) return undefined;
    if (op === "test") continue;
    if (!isObject(at)) return undefined;
    if (op === "remove") delete at[last];
    else at[last] = value;
  }
  return whole;
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === "object" && value !== null && !Array.isArray(value);

/** A field selector: `metadata.name=web,spec.nodeName!=b`. */
export function selects(selector: string, item: Item): boolean {
  return selector
    .split(",")
    .filter(Boolean)
    .every((term) => {
      const [, path, negated, wanted] = /^([^!=]+)(!?)==?(.*)$/.exec(term)!;
      const value = path!.split(".").reduce<unknown>((at, key) => (isObject(at) ? at[key] : undefined), item);
      return (String(value ?? "") === wanted) === (negated === "");
    });
}
