// A stand-in for the API server: what Multus (thin and thick) and kubectl ask of it, over TLS, with a token. It is no API server: it
// validates nothing, and knows one user.
import { execFileSync } from "node:child_process";
import { readFileSync, writeFileSync } from "node:fs";
import type { IncomingMessage, ServerResponse } from "node:http";
import { createServer, type Server } from "node:https";
import type { Duplex } from "node:stream";
import { discovery } from "./discovery.ts";
import { decode, groupVersion, type Item, patched, RESOURCES, type Resource, root, selects } from "./objects.ts";
import { type Change, now, Store } from "./store.ts";
import { type Exec, serveExec } from "./streaming.ts";

export const PORT = 6443;
export const URL_OF_SERVER = `https://127.0.0.1:${PORT}`;
const TOKEN = "podnic-cluster-token";

/** Names of files, each of which a client needs. */
export interface Credentials {
  ca: string;
  token: string;
  kubeconfig: string;
}

interface Target {
  resource: Resource;
  namespace: string;
  name: string;
  subresource: string;
}

class Status extends Error {
  readonly code: number;
  readonly reason: string;
  constructor(code: number, reason: string, message: string) {
    super(message);
    this.code = code;
    this.reason = reason;
  }
  body() {
    const { code, reason, message } = this;
    return { kind: "Status", apiVersion: "v1", metadata: {}, status: "Failure", message, reason, code };
  }
}

function targetOf(path: string): Target | undefined {
  for (const resource of RESOURCES) {
    if (!path.startsWith(`${root(resource)}/`)) continue;
    const parts = path.slice(root(resource).length + 1).split("/");
    const namespace = resource.namespaced && parts[0] === "namespaces" ? parts.splice(0, 2)[1]! : "";
    if (parts[0] === resource.name)
      return { resource, namespace, name: parts[1] ?? "", subresource: parts.slice(2).join("/") };
  }
  return undefined;
}

export class Api {
  readonly store = new Store();
  readonly #server: Server;
  readonly #exec: Exec;

  private constructor(key: string, cert: string, exec: Exec) {
    this.#exec = exec;
    this.#server = createServer({ key: readFileSync(key), cert: readFileSync(cert) }, (request, response) => {
      this.#answer(request, response).catch((error: unknown) => {
        const status = error instanceof Status ? error : new Status(500, "InternalError", String(error));
        send(response, status.code, status.body());
      });
    });
    this.#server.on("upgrade", (request, socket) => this.#upgrade(request, socket));
  }

  /** `directory`: for its certificate, its token, and a kubeconfig with both. */
  static async start(directory: string, exec: Exec): Promise<{ api: Api; credentials: Credentials }> {
    const [key, ca] = [`${directory}/key.pem`, `${directory}/ca.crt`];
    const name = ["-subj", "/CN=podnic", "-addext", "subjectAltName=IP:127.0.0.1"];
    const kind = ["-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2"];
    execFileSync("openssl", ["req", "-x509", ...kind, ...name, "-keyout", key, "-out", ca], { stdio: "pipe" });
    const kubeconfig = `${directory}/kubeconfig`;
    writeFileSync(`${directory}/token`, TOKEN);
    writeFileSync(kubeconfig, kubeconfigOf(readFileSync(ca).toString("base64")), { mode: 0o600 });
    const api = new Api(key, ca, exec);
    await new Promise<void>((done) => api.#server.listen(PORT, "127.0.0.1", done));
    return { api, credentials: { ca, token: `${directory}/token`, kubeconfig } };
  }

  stop(): void {
    this.#server.closeAllConnections();
    this.#server.close();
  }

  async #answer(request: IncomingMessage, response: ServerResponse): Promise<void> {
    const url = new URL(request.url!, URL_OF_SERVER);
    const parts: Buffer[] = [];
    for await (const part of request) parts.push(part);
    if (request.headers.authorization !== `Bearer ${TOKEN}`) throw new Status(401, "Unauthorized", "Unauthorized");
    const known = discovery(url.pathname);
    if (known !== undefined) return send(response, 200, known);
    const target = targetOf(url.pathname);
    if (target === undefined) throw new Status(404, "NotFound", `nothing at ${url.pathname}`);
    if (request.method === "GET" && target.name === "") return this.#list(target, url.searchParams, response);
    const how = `${request.method} ${request.headers["content-type"] ?? ""}`;
    const [code, body] = this.#single(how, target, Buffer.concat(parts));
    send(response, code, body);
  }

  #list({ resource, namespace }: Target, query: URLSearchParams, response: ServerResponse): void {
    const selector = query.get("fieldSelector") ?? "";
    const wanted = (item: Item) =>
      (namespace === "" || item.metadata.namespace === namespace) && selects(selector, item);
    if (query.get("watch") === "true" || query.get("watch") === "1") {
      this.#watch(resource, wanted, query, response);
      return;
    }
    const items = this.store.list(resource, namespace).filter(wanted);
    const metadata = { resourceVersion: this.store.version };
    send(response, 200, { kind: `${resource.kind}List`, apiVersion: groupVersion(resource), metadata, items });
  }

  #watch(resource: Resource, wanted: (item: Item) => boolean, query: URLSearchParams, response: ServerResponse): void {
    response.writeHead(200, { "content-type": "application/json" });
    const write = (type: string, object: object) => response.write(`${JSON.stringify({ type, object })}\n`);
    const tell = (change: Change) => {
      if (change.resource === resource && wanted(change.item)) write(change.type, change.item);
    };
    const from = Number(query.get("resourceVersion") ?? "0");
    if (from === 0) for (const item of this.store.list(resource).filter(wanted)) write("ADDED", item);
    else this.store.since(from).forEach(tell);
    if (query.get("sendInitialEvents") === "true") {
      const metadata = { resourceVersion: this.store.version, annotations: { "k8s.io/initial-events-end": "true" } };
      write("BOOKMARK", { kind: resource.kind, apiVersion: groupVersion(resource), metadata });
    }
    response.flushHeaders();
    response.on("close", this.store.listen(tell));
  }

  /** `how`: the method, and the type of the body. */
  #single(how: string, { resource, namespace, name, subresource }: Target, body: Buffer): [number, object] {
    const { store } = this;
    const [method] = how.split(" ");
    if (method === "POST" && name === "") {
      const draft = decode(body, resource);
      const at = { apiVersion: groupVersion(resource), kind: resource.kind };
      if (store.get(resource, namespace, draft.metadata?.name ?? "") !== undefined)
        throw new Status(409, "AlreadyExists", `${resource.name} "${draft.metadata!.name}" already exists`);
      return [201, store.create({ ...draft, ...at }, namespace)];
    }
    const item = store.get(resource, namespace, name);
    if (item === undefined) throw new Status(404, "NotFound", `${resource.name} "${name}" not found`);
    if (method === "GET") return [200, item];
    if (method === "DELETE") return [200, this.delete(item)];
    if (method !== "PUT" && method !== "PATCH") throw new Status(405, "MethodNotAllowed", `${method} ${subresource}`);
    if (how === "PATCH application/json-patch+json") {
      const result = patched(item, JSON.parse(body.toString()));
      if (result === undefined)
        throw new Status(422, "Invalid", `${resource.name} "${name}": the patch does not apply`);
      return [200, store.replace(result as Item)];
    }
    const { metadata, ...rest } = decode(body, resource);
    const { resourceVersion = item.metadata.resourceVersion } = metadata ?? {};
    if (method === "PUT" && resourceVersion !== item.metadata.resourceVersion)
      throw new Status(
        409,
        "Conflict",
        `${resource.name} "${name}": it has been modified; apply the change to the latest version`,
      );
    // The names and versions that the server keeps are not the client's to write.
    const given = { annotations: metadata?.annotations ?? {}, labels: metadata?.labels ?? {} };
    return [200, store.update(item, { ...rest, metadata: given })];
  }

  /** A pod goes when its node has torn it down, anything else at once. */
  delete(item: Item): Item {
    if (item.kind === "Pod") return this.store.update(item, { metadata: { deletionTimestamp: now() } });
    this.store.remove(item);
    return item;
  }

  #upgrade(request: IncomingMessage, socket: Duplex): void {
    const url = new URL(request.url!, URL_OF_SERVER);
    const target = targetOf(url.pathname);
    if (request.headers.authorization !== `Bearer ${TOKEN}` || target?.subresource !== "exec") {
      socket.end("HTTP/1.1 400 Bad Request\r\n\r\n");
      return;
    }
    const command = url.searchParams.getAll("command");
    serveExec(request, socket, () => this.#exec(target.namespace, target.name, command));
  }
}

function send(response: ServerResponse, code: number, body: object): void {
  response.writeHead(code, { "content-type": "application/json" });
  response.end(JSON.stringify(body));
}

const kubeconfigOf = (ca: string) => `apiVersion: v1
kind: Config
clusters: [{ name: c, cluster: { server: "${URL_OF_SERVER}", certificate-authority-data: ${ca} } }]
users: [{ name: u, user: { token: ${TOKEN} } }]
contexts: [{ name: x, context: { cluster: c, user: u } }]
current-context: x
`;
