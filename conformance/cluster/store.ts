// The stand-in's objects, with a history from which watches start.
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { type Draft, type Item, merge, RESOURCES, type Resource, resourceOf } from "./objects.ts";

export interface Change {
  type: "ADDED" | "MODIFIED" | "DELETED";
  resource: Resource;
  item: Item;
}

export class Store {
  readonly #items = new Map<string, { resource: Resource; item: Item }>();
  readonly #history: Change[] = [];
  readonly #listeners = new Set<(change: Change) => void>();
  #version = 1;

  get version(): string {
    return String(this.#version);
  }

  list(resource: Resource, namespace = ""): Item[] {
    return [...this.#items.values()]
      .filter(
        (entry) => entry.resource === resource && (namespace === "" || entry.item.metadata.namespace === namespace),
      )
      .map(({ item }) => item);
  }

  get(resource: Resource, namespace: string, name: string): Item | undefined {
    return this.#items.get(keyOf(resource, namespace, name))?.item;
  }

  /** Changes after that version. */
  since(version: number): Change[] {
    return this.#history.filter(({ item }) => Number(item.metadata.resourceVersion) > version);
  }

  listen(listener: (change: Change) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  create(draft: Draft, namespace = "default"): Item {
    const resource = resourceOf(draft);
    const metadata = {
      ...draft.metadata,
      name: draft.metadata?.name || `unnamed-${randomUUID().slice(0, 5)}`,
      namespace: resource.namespaced ? draft.metadata?.namespace || namespace : "",
      uid: randomUUID(),
      resourceVersion: "",
      creationTimestamp: now(),
      generation: 1,
    };
    return this.#put("ADDED", resource, { ...draft, metadata } as Item);
  }

  /** As it is written here, and not merged. */
  replace(item: Item): Item {
    return this.#put("MODIFIED", resourceOf(item), item);
  }

  /** Merges into what is there. */
  update(item: Item, over: object): Item {
    const resource = resourceOf(item);
    const { name, namespace } = item.metadata;
    const current = this.get(resource, namespace, name);
    if (current === undefined) throw new Error(`${resource.kind} ${namespace}/${name} is gone`);
    return this.#put("MODIFIED", resource, merge(current, over) as Item);
  }

  remove(item: Item): void {
    const resource = resourceOf(item);
    const key = keyOf(resource, item.metadata.namespace, item.metadata.name);
    const entry = this.#items.get(key);
    if (entry === undefined) return;
    this.#items.delete(key);
    this.#tell("DELETED", resource, entry.item);
  }

  /** For another start of the machine. */
  save(file: string): void {
    writeFileSync(
      file,
      JSON.stringify({ version: this.#version, items: [...this.#items.values()].map((e) => e.item) }),
    );
  }

  load(file: string): void {
    const { version, items } = JSON.parse(readFileSync(file, "utf8")) as { version: number; items: Item[] };
    this.#version = version;
    for (const item of items) {
      const resource = resourceOf(item);
      this.#items.set(keyOf(resource, item.metadata.namespace, item.metadata.name), { resource, item });
    }
  }

  #put(type: Change["type"], resource: Resource, item: Item): Item {
    this.#tell(type, resource, item, (stamped) => {
      this.#items.set(keyOf(resource, item.metadata.namespace, item.metadata.name), { resource, item: stamped });
    });
    return this.get(resource, item.metadata.namespace, item.metadata.name)!;
  }

  #tell(type: Change["type"], resource: Resource, item: Item, keep: (stamped: Item) => void = () => {}): void {
    const stamped = { ...item, metadata: { ...item.metadata, resourceVersion: String(++this.#version) } };
    keep(stamped);
    const change = { type, resource, item: stamped };
    this.#history.push(change);
    for (const listener of this.#listeners) listener(change);
  }
}

export const now = () => new Date().toISOString().replace(/\.\d+Z$/, "Z");
const keyOf = ({ group, name: plural }: Resource, namespace: string, name: string) =>
  `${group}/${plural}/${namespace}/${name}`;

const byName = (name: string) => RESOURCES.find((resource) => resource.name === name)!;
export const PODS = byName("pods");
export const EVENTS = byName("events");
export const DAEMONSETS = byName("daemonsets");
export const CONFIGMAPS = byName("configmaps");
export const NODES = byName("nodes");
export const IP_POOLS = byName("ippools");
export const RESERVATIONS = byName("overlappingrangeipreservations");
export const NETWORKS = byName("network-attachment-definitions");
