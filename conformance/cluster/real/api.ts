// A real API server, asked by curl: the cases look at it as they look at the stand-in.
import { execFileSync } from "node:child_process";
import type { Draft, Item, Resource } from "../objects.ts";
import { groupVersion, resourceOf, root } from "../objects.ts";
import { type Server, stopKubernetes } from "./programs.ts";

/** Milliseconds for which a list serves those who ask again: many wait for many pods. */
const FRESH = 300;

export class RealApi {
  readonly store: RealStore;

  constructor(server: Server) {
    this.store = new RealStore(server);
  }

  delete(item: Item): Item {
    this.store.end(item, 1);
    return item;
  }

  stop(): void {
    stopKubernetes();
  }
}

class RealStore {
  readonly #server: Server;
  readonly #lists = new Map<Resource, { at: number; items: Item[] }>();

  constructor(server: Server) {
    this.#server = server;
  }

  list(resource: Resource, namespace = ""): Item[] {
    const known = this.#lists.get(resource);
    const items = known !== undefined && Date.now() - known.at < FRESH ? known.items : this.#list(resource);
    return items.filter((item) => namespace === "" || item.metadata.namespace === namespace);
  }

  create(draft: Draft, namespace = "default"): Item {
    const resource = resourceOf(draft);
    return this.#ask("POST", pathOf(resource, draft.metadata?.namespace ?? namespace), draft) as Item;
  }

  /** Without waiting for its node. */
  remove(item: Item): void {
    this.end(item, 0);
  }

  end(item: Item, gracePeriodSeconds: number): void {
    const { name, namespace } = item.metadata;
    const options = { apiVersion: "v1", kind: "DeleteOptions", propagationPolicy: "Background" };
    const grace = item.kind === "Pod" ? { gracePeriodSeconds } : {};
    this.#ask("DELETE", `${pathOf(resourceOf(item), namespace)}/${name}`, { ...options, ...grace });
  }

  #list(resource: Resource): Item[] {
    const { items } = this.#ask("GET", pathOf(resource, "")) as { items: Item[] };
    const whole = items.map((item) => ({ ...item, apiVersion: groupVersion(resource), kind: resource.kind }));
    this.#lists.set(resource, { at: Date.now(), items: whole });
    return whole;
  }

  #ask(method: string, path: string, body?: object): unknown {
    const { url, ca, cert, key } = this.#server;
    const who = ["--cacert", ca, "--cert", cert, "--key", key, "-H", "content-type: application/json"];
    const what = [
      "-s",
      "-S",
      "-X",
      method,
      "-w",
      "\n%{http_code}",
      ...(body === undefined ? [] : ["--data-binary", "@-"]),
    ];
    const input = body === undefined ? "" : JSON.stringify(body);
    const text = execFileSync("curl", [...who, ...what, url + path], { encoding: "utf8", input, maxBuffer: 1 << 28 });
    const end = text.lastIndexOf("\n");
    if (method !== "GET") this.#lists.clear();
    const [code, answer] = [Number(text.slice(end + 1)), text.slice(0, end)];
    if (code >= 400)
      throw new Error(`${method} ${path}: ${code} ${(JSON.parse(answer) as { message: string }).message}`);
    return JSON.parse(answer);
  }
}

const pathOf = (resource: Resource, namespace: string) =>
  `${root(resource)}${resource.namespaced && namespace !== "" ? `/namespaces/${namespace}` : ""}/${resource.name}`;
