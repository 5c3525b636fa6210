// A cluster of one node: containerd, Multus, podnic, and the stand-ins for API server and kubelet.
import { spawn } from "node:child_process";
import { copyFileSync, existsSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { setTimeout as sleep } from "node:timers/promises";
import { parseAllDocuments } from "yaml";
import { BIN, Containerd, SOCKET } from "../cri/node.ts";
import { unlike } from "../interleave/picture.ts";
import { Api, PORT } from "./api.ts";
import { busyboxImage, busyboxParts, multusImage, pauseImage } from "./images.ts";
import { Kubelet } from "./kubelet.ts";
import { type Boot, makeNode, NET_D, NODE, remains, sh } from "./node.ts";
import type { Draft, Item } from "./objects.ts";
import { RealApi } from "./real/api.ts";
import { RealKubelet } from "./real/kubelet.ts";
import { startKubernetes } from "./real/programs.ts";
import { startRegistry } from "./real/registry.ts";
import { DAEMONSETS, EVENTS, NETWORKS, NODES, PODS } from "./store.ts";
import { logOf } from "./translate.ts";

export type Flavour = "thin" | "thick";

export interface Places {
  /** What is under test: dist. */
  podnic: string;
  image: string;
  /** What scripts/containerd unpacked, scripts/go-clients and scripts/go-cluster built. */
  containerd: string;
  clients: string;
  programs: string;
}

export interface Start extends Boot {
  flavour: Flavour;
  /** With etcd, API server, controllers, scheduler and kubelet instead of the stand-ins. */
  real?: boolean;
}

export interface NetworkStatus {
  name: string;
  interface?: string;
  ips?: string[];
  mac?: string;
  mtu?: number;
}

export class Wrong extends Error {}

export function equal(got: unknown, wanted: unknown, what: string): void {
  const [a, b] = [JSON.stringify(got), JSON.stringify(wanted)];
  if (a !== b) throw new Wrong(`${what}: ${a}, and not ${b}`);
}

export function expect(condition: boolean, what: string, got: unknown = ""): void {
  if (!condition) throw new Wrong(`${what}; ${typeof got === "string" ? got : JSON.stringify(got)}`);
}

/** Until it returns something; undefined when the seconds are over. */
export async function until<T>(seconds: number, look: () => T | undefined): Promise<T | undefined> {
  for (const end = Date.now() + seconds * 1000; ; await sleep(50)) {
    const found = look();
    if (found !== undefined || Date.now() > end) return found;
  }
}

function importImages(runtime: Containerd): void {
  for (const [name, make] of Object.entries({ busybox: busyboxImage, pause: pauseImage })) {
    make(`/run/${name}.tar`);
    runtime.import(`/run/${name}.tar`);
  }
}

interface Parts {
  api: Api | RealApi;
  kubelet: Kubelet | RealKubelet;
  kubeconfig: string;
}

/** Seconds for a pod to run or go, on a busy machine. */
const PATIENCE = 240;
/** For the pods of a failed case to go. */
const PATIENCE_WITH_FAILED = 60;

export class Cluster {
  readonly places: Places;
  readonly flavour: Flavour;
  /** A directory of the machine for what outlives a start of the node. */
  readonly kept: string;
  readonly api: Api | RealApi;
  readonly runtime: Containerd;
  readonly kubelet: Kubelet | RealKubelet;
  readonly kubeconfig: string;

  private constructor(start: Start, places: Places, runtime: Containerd, parts: Parts) {
    this.places = places;
    this.flavour = start.flavour;
    this.kept = start.kept;
    this.runtime = runtime;
    this.api = parts.api;
    this.kubelet = parts.kubelet;
    this.kubeconfig = parts.kubeconfig;
  }

  static start(start: Start, places: Places): Promise<Cluster> {
    return start.real ? Cluster.#real(start, places) : Cluster.#standIn(start, places);
  }

  static async #real(start: Start, places: Places): Promise<Cluster> {
    makeNode(start);
    const place = { root: join(start.kept, "containerd"), snapshotter: "overlayfs" } as const;
    const registries = "/run/c/registries";
    await startRegistry(registries, "library/busybox", busyboxParts());
    const runtime = await Containerd.start(places.programs, {
      ...{ ...place, registries, runtime: join(places.programs, "runc") },
    });
    importImages(runtime);
    const server = await startKubernetes(places.programs, start.kept);
    const api = new RealApi(server);
    const kubelet = new RealKubelet(api, server.kubeconfig);
    const cluster = new Cluster(start, places, runtime, { api, kubelet, kubeconfig: server.kubeconfig });
    await cluster.nodeReady();
    return cluster;
  }

  static async #standIn(start: Start, places: Places): Promise<Cluster> {
    const again = existsSync(join(start.kept, "api.json"));
    makeNode(start);
    let cluster: Cluster | undefined;
    const exec = (namespace: string, name: string, command: string[]) =>
      cluster!.kubelet.exec(namespace, name, command);
    const { api, credentials } = await Api.start("/run/cluster", exec);
    if (again) api.store.load(join(start.kept, "api.json"));
    const storage = { root: join(start.kept, "containerd"), snapshotter: "overlayfs" } as const;
    const runtime = await Containerd.start(join(places.containerd, "usr/bin"), storage);
    const server = { host: "127.0.0.1", port: PORT };
    const kubelet = new Kubelet(api, runtime.cri, NODE, { account: "/run/cluster", api: server });
    cluster = new Cluster(start, places, runtime, { api, kubelet, kubeconfig: credentials.kubeconfig });
    importImages(runtime);
    return cluster;
  }

  /** What the kubelet says of the node. */
  async nodeReady(name = NODE): Promise<void> {
    const found = () => this.api.store.list(NODES).find(({ metadata }) => metadata.name === name);
    const ready = () => {
      const node = found();
      const { conditions = [] } = (node?.status ?? {}) as { conditions?: { type: string; status: string }[] };
      return conditions.some(({ type, status }) => type === "Ready" && status === "True") ? true : undefined;
    };
    if ((await until(PATIENCE, ready)) === undefined)
      throw new Error(`${name} is not ready: ${JSON.stringify(found()?.status)}`);
  }

  /** After another start of the node: what is installed is there, the API's certificate is a new one. */
  async resume(): Promise<void> {
    if (this.flavour === "thin") sh(`cp ${this.kubeconfig} ${NET_D}/multus.d/kubeconfig`);
    if (this.kubelet instanceof Kubelet) return this.kubelet.resume();
    const { kubelet } = this;
    if ((await until(PATIENCE, () => kubelet.resumed())) === undefined)
      throw new Wrong(`pods do not run again: ${JSON.stringify(this.api.store.list(PODS, "default"))}`);
  }

  /** Multus as its own manifest installs it, thick; or its one program with a kubeconfig, thin. Returns when pods get networks. */
  async installMultus(): Promise<void> {
    if (this.flavour === "thick") {
      multusImage("/run/multus.tar", this.places.programs);
      this.runtime.import("/run/multus.tar");
      this.apply(readFileSync(join(this.places.programs, "multus-daemonset-thick.yml"), "utf8"));
    } else {
      copyFileSync(join(this.places.clients, "multus"), join(BIN, "multus"));
      sh(`chmod 755 ${BIN}/multus; mkdir -p ${NET_D}/multus.d; cp ${this.kubeconfig} ${NET_D}/multus.d/kubeconfig`);
      const network = JSON.parse(readFileSync(`${NET_D}/10-bridge.conflist`, "utf8"));
      const more = { logToStderr: true, kubeconfig: `${NET_D}/multus.d/kubeconfig`, delegates: [network] };
      writeFileSync(
        `${NET_D}/00-multus.conf`,
        JSON.stringify({ cniVersion: "1.0.0", name: "multus-cni-network", type: "multus", ...more }),
      );
    }
    if (this.flavour === "thick") await this.daemonSet("kube-multus-ds");
    const ready = await until(60, () => (existsSync(`${NET_D}/00-multus.conf`) ? true : undefined));
    if (ready === undefined) throw new Error(`Multus wrote no configuration\n${this.multusLog()}`);
    // The runtime watches the directory, and reads it when something changed.
    await sleep(1000);
  }

  /** Another directory's plugins instead, to compare with. */
  installPlugins(directory: string): void {
    sh(`cp -f --remove-destination ${directory}/* ${BIN}/`);
  }

  /** podnic over the distribution's plugins: the DaemonSet of the image, or, without an image, the command. */
  async installPodnic(): Promise<void> {
    if (!existsSync(this.places.image)) {
      sh(`${this.places.podnic}/podnic install --backup ${BIN}`);
      return;
    }
    this.runtime.import(this.places.image);
    this.apply(readFileSync("deploy/daemonset.yaml", "utf8"));
    await this.daemonSet("podnic");
    // The image may be of an earlier build than the one under test.
    await this.reinstallPodnic();
  }

  /** As a node is before podnic comes: Debian's plugins, and no DaemonSet. */
  async uninstallPodnic(): Promise<void> {
    for (const set of this.api.store.list(DAEMONSETS).filter(({ metadata }) => metadata.name === "podnic"))
      this.api.delete(set);
    const pod = this.api.store.list(PODS).find(({ metadata }) => metadata.name.startsWith("podnic-"));
    if (pod !== undefined) await this.gone([pod.metadata.name], () => this.api.delete(pod));
    sh(
      `rm -rf ${BIN}/podnic ${BIN}/sriov ${BIN}/cnv-bridge ${BIN}/.podnic.backup; cp -f --remove-destination /usr/lib/cni/* ${BIN}/`,
    );
  }

  async reinstallPodnic(): Promise<void> {
    const { status, output } = await this.command(`${this.places.podnic}/podnic install ${BIN}`);
    if (status !== 0) throw new Error(`podnic install: ${output}`);
  }

  /** Until its pods are ready, on so many nodes. */
  async daemonSet(name: string, nodes = 1): Promise<void> {
    const count = (status: unknown) => (status as { numberReady?: number } | undefined)?.numberReady ?? 0;
    const ready = () =>
      this.api.store.list(DAEMONSETS).find(({ metadata, status }) => metadata.name === name && count(status) >= nodes);
    if ((await until(PATIENCE, ready)) === undefined) {
      const pod = this.api.store.list(PODS).find(({ metadata }) => metadata.name.startsWith(name));
      throw new Error(
        `DaemonSet ${name}: ${JSON.stringify(pod?.status)}\n${this.events(pod?.metadata.name ?? "").join("\n")}`,
      );
    }
  }

  /** As `kubectl apply -f`: the documents, in their order. */
  apply(text: string): Item[] {
    return parseAllDocuments(text).map((document) => this.api.store.create(document.toJS() as Draft, "default"));
  }

  network(name: string, config: object): void {
    const spec = { config: JSON.stringify(config) };
    this.api.store.create({
      ...{ apiVersion: "k8s.cni.cncf.io/v1", kind: "NetworkAttachmentDefinition", metadata: { name }, spec },
    });
  }

  /** `networks`: the annotation, as a name or a list of requests. `node`: where it must run. */
  pod(name: string, networks: string | object[], node?: string): void {
    const wanted = typeof networks === "string" ? networks : JSON.stringify(networks);
    const spec = {
      containers: [{ name: "shell", image: "busybox:1.36", command: ["sleep", "infinity"] }],
      ...(node !== undefined && { nodeSelector: { "kubernetes.io/hostname": node } }),
    };
    const metadata = { name, annotations: { "k8s.v1.cni.cncf.io/networks": wanted } };
    this.api.store.create({ apiVersion: "v1", kind: "Pod", metadata, spec });
  }

  get(name: string): Item {
    const pod = this.api.store.list(PODS).find(({ metadata }) => metadata.name === name);
    if (pod === undefined) throw new Wrong(`there is no pod ${name}`);
    return pod;
  }

  /** Until it runs; throws what its events say when it does not in time. */
  async running(name: string): Promise<Item> {
    const phase = () => (this.get(name).status as { phase?: string } | undefined)?.phase;
    if ((await until(PATIENCE, () => (phase() === "Running" ? true : undefined))) === undefined)
      throw new Wrong(`pod ${name} does not run: ${this.events(name).slice(-3).join("; ")}\n${this.multusLog()}`);
    return this.get(name);
  }

  /** Until it has failed; what the runtime's event says. */
  async failed(name: string): Promise<string> {
    const event = await until(PATIENCE, () =>
      this.events(name).find((text) => /^(FailedCreatePodSandBox|Failed):/.test(text)),
    );
    if (event === undefined) throw new Wrong(`pod ${name} has not failed: ${JSON.stringify(this.get(name).status)}`);
    return event;
  }

  networkStatus(name: string): NetworkStatus[] {
    const text = this.get(name).metadata.annotations?.["k8s.v1.cni.cncf.io/network-status"];
    if (text === undefined) throw new Wrong(`pod ${name} has no network-status annotation`);
    return JSON.parse(text);
  }

  async exec(pod: string, command: string): Promise<string> {
    const { stdout, stderr, exitCode } = await this.kubelet.exec("default", pod, command.split(" "));
    if (exitCode !== 0) throw new Wrong(`${command} in ${pod}: exit ${exitCode} ${stderr}`);
    return stdout;
  }

  /** "REASON: MESSAGE" of each of its events. */
  events(pod: string): string[] {
    return this.api.store
      .list(EVENTS)
      .filter((event) => (event.involvedObject as { name: string }).name === pod)
      .map((event) => `${event.reason}: ${event.message}`);
  }

  /** Until the pods are gone. */
  async delete(...names: string[]): Promise<void> {
    const pods = names.map((name) => this.get(name));
    await this.gone(names, () => pods.forEach((pod) => void this.api.delete(pod)));
  }

  private async gone(names: string[], remove: () => void): Promise<void> {
    remove();
    const left = () => this.api.store.list(PODS).filter(({ metadata }) => names.includes(metadata.name));
    if ((await until(PATIENCE, () => (left().length === 0 ? true : undefined))) === undefined)
      throw new Wrong(
        `pods are still there: ${left().map(({ metadata: { name } }) => `${name} ${this.events(name).at(-1)}`)}`,
      );
  }

  /** After a case that failed: its pods and networks go. Returns what is on the node that was not there before. */
  async clear(before: string[]): Promise<string[]> {
    const { store } = this.api;
    const pods = store.list(PODS, "default");
    for (const pod of pods) this.api.delete(pod);
    const left = () => store.list(PODS, "default");
    await until(PATIENCE_WITH_FAILED, () => (left().length === 0 ? true : undefined));
    for (const pod of left()) store.remove(pod);
    for (const network of store.list(NETWORKS)) this.api.delete(network);
    return unlike(before, this.remains());
  }

  multusLog(): string {
    if (this.api instanceof RealApi)
      return sh(`kubectl --kubeconfig ${this.kubeconfig} -n kube-system logs ds/kube-multus-ds --tail 12 2>&1 || true`);
    const pod = this.api.store.list(PODS).find(({ metadata }) => metadata.name.startsWith("kube-multus"));
    const file = pod === undefined ? "" : logOf(pod, "kube-multus");
    return existsSync(file) ? readFileSync(file, "utf8").split("\n").slice(-12).join("\n") : "";
  }

  /** kubectl, or another program that talks to the API, to its end. */
  command(script: string, cwd = process.cwd()): Promise<{ status: number; output: string }> {
    const path = `${join(this.places.containerd, "usr/bin")}:${process.env.PATH}`;
    const more = { KUBECONFIG: this.kubeconfig, CONTAINERD_ADDRESS: SOCKET, PATH: path };
    const env = { ...process.env, ...more };
    return new Promise((done) => {
      const child = spawn("sh", ["-ec", script], { env, cwd, stdio: ["ignore", "pipe", "pipe"] });
      const parts: Buffer[] = [];
      for (const stream of [child.stdout, child.stderr]) stream.on("data", (part: Buffer) => parts.push(part));
      child.on("close", (status) => done({ status: status ?? 1, output: Buffer.concat(parts).toString() }));
    });
  }

  remains(): string[] {
    // The kernel counts a dead pod's macvlan on its master until it has taken the namespace down, which the daemon of Multus may hold open.
    const lines = remains().map((line) => line.replace(/ promiscuity \d+/, ""));
    return lines.filter((line) => !/\/var\/lib\/cni\/multus(\/|$)/.test(line));
  }

  /** Without saying good-bye: the API's objects stay for the next start. */
  save(kept: string): void {
    if (this.api instanceof Api) this.api.store.save(join(kept, "api.json"));
  }

  stop(): void {
    this.kubelet.stop();
    this.runtime.stop();
    this.api.stop();
  }
}
