// A stand-in for kubelet and controllers: it runs the pods that the API has for its node, by CRI, and makes a pod of each DaemonSet.
import { setTimeout as sleep } from "node:timers/promises";
import { type Cri, EXITED } from "../cri/cri.ts";
import type { Message } from "../cri/protobuf.ts";
import type { Api } from "./api.ts";
import type { Devices } from "./devices.ts";
import type { Item } from "./objects.ts";
import { type Change, CONFIGMAPS, DAEMONSETS, now, PODS } from "./store.ts";
import { type ContainerSpec, containerOf, type Surroundings, sandboxOf, specOf } from "./translate.ts";

interface Running {
  sandbox: string;
  containers: Map<string, string>;
}

export class Kubelet {
  readonly nodeName: string;
  /** What containers can ask for besides processors and memory. */
  devices: Devices | undefined;
  readonly #api: Api;
  readonly #cri: Cri;
  readonly #around: Surroundings;
  readonly #running = new Map<string, Running>();
  readonly #starting = new Map<string, Promise<void>>();
  /** Containers of DaemonSets that ended and were started again, with the runtime's reason. */
  readonly restarts: string[] = [];
  /** What each attempt said that failed. */
  readonly failures: string[] = [];
  readonly #ending = new Set<string>();
  /** Seconds that a sandbox took, by pod. */
  readonly sandboxSeconds = new Map<string, number>();
  readonly #stop: () => void;

  constructor(api: Api, cri: Cri, nodeName: string, around: Omit<Surroundings, "nodeName" | "configMap">) {
    this.#api = api;
    this.#cri = cri;
    this.nodeName = nodeName;
    const configMap = (namespace: string, name: string) =>
      api.store.get(CONFIGMAPS, namespace, name)!.data as Record<string, string>;
    this.#around = { ...around, nodeName, configMap };
    this.#stop = api.store.listen((change) => this.#hear(change));
  }

  stop(): void {
    this.#stop();
  }

  /** As after a start of the machine: sandboxes that no process is in are stopped, and the pods start again. */
  async resume(): Promise<void> {
    for (const id of await this.#cri.sandboxes()) await this.#cri.removeSandbox(id);
    for (const pod of this.#api.store.list(PODS).filter((one) => this.#mine(one)))
      this.#starting.set(pod.metadata.uid, this.#start(pod, 1));
  }

  async exec(namespace: string, name: string, command: string[]) {
    const pod = this.#api.store.get(PODS, namespace, name);
    const [container] = [...(this.#running.get(pod?.metadata.uid ?? "")?.containers.values() ?? [])].slice(-1);
    if (container === undefined) throw new Error(`pod ${namespace}/${name} has no container`);
    return this.#cri.exec(container, command);
  }

  /** Without a word to the runtime, as when the API forgets a pod. */
  forget(pod: Item): { removeSandbox(): Promise<void> } {
    const { sandbox } = this.#running.get(pod.metadata.uid)!;
    this.#running.delete(pod.metadata.uid);
    this.#api.store.remove(pod);
    return { removeSandbox: () => this.#cri.removeSandbox(sandbox) };
  }

  #hear({ type, resource, item }: Change): void {
    if (resource === DAEMONSETS && type === "ADDED") this.#daemon(item);
    if (resource !== PODS || !this.#mine(item)) return;
    if (type === "ADDED") this.#starting.set(item.metadata.uid, this.#start(item, 0));
    const { uid, deletionTimestamp } = item.metadata;
    if (type !== "MODIFIED" || deletionTimestamp === undefined || this.#ending.has(uid)) return;
    this.#ending.add(uid);
    void this.#end(item);
  }

  #mine(pod: Item): boolean {
    const { nodeSelector = {} } = specOf(pod);
    return (nodeSelector["kubernetes.io/hostname"] ?? this.nodeName) === this.nodeName;
  }

  #daemon(set: Item): void {
    const { metadata, spec } = (set.spec as { template: { metadata: object; spec: object } }).template;
    const { name, namespace } = set.metadata;
    const more = { name: `${name}-${set.metadata.uid.slice(0, 5)}`, annotations: { "podnic/daemonset": name } };
    this.#api.store.create({ apiVersion: "v1", kind: "Pod", metadata: { ...metadata, ...more }, spec }, namespace);
  }

  /** Again and again until it runs or is deleted, as the kubelet does. */
  async #start(pod: Item, first: number): Promise<void> {
    const { uid, namespace, name } = pod.metadata;
    this.#api.store.update(pod, { spec: { nodeName: this.nodeName }, status: { phase: "Pending" } });
    for (let attempt = first; !this.#ending.has(uid); attempt++) {
      const running: Running = { sandbox: "", containers: new Map() };
      try {
        await this.#attempt(pod, attempt, running);
        return;
      } catch (error) {
        this.failures.push((error as Error).message);
        const reason = running.sandbox === "" ? "FailedCreatePodSandBox" : "Failed";
        this.#event(pod, reason, `Failed to create pod sandbox: rpc error: ${(error as Error).message}`);
        if (running.sandbox !== "") await this.#cri.removeSandbox(running.sandbox);
        this.#running.delete(uid);
      }
      await sleep(1000);
      if (this.#api.store.get(PODS, namespace, name)?.metadata.uid !== uid) return;
    }
  }

  async #attempt(pod: Item, attempt: number, running: Running): Promise<void> {
    const { uid, namespace, name } = pod.metadata;
    const config = sandboxOf(pod, attempt);
    const before = Date.now();
    this.devices?.allocate(pod);
    running.sandbox = await this.#cri.runSandbox(config);
    this.sandboxSeconds.set(`${namespace}/${name}`, (Date.now() - before) / 1000);
    this.#running.set(uid, running);
    for (const container of specOf(pod).initContainers ?? []) await this.#init(pod, config, running, container);
    for (const container of specOf(pod).containers) await this.#run(pod, config, running, container);
    const podIP = await this.#cri.sandboxAddress(running.sandbox);
    const conditions = [{ type: "Ready", status: "True", lastTransitionTime: now() }];
    this.#api.store.update(pod, { status: { phase: "Running", podIP, hostIP: this.#around.api.host, conditions } });
    this.#daemonReady(pod);
    void this.#keepRunning(pod, config, running);
  }

  /** A container that ends is started again: at once, then after ten seconds more each time. */
  async #keepRunning(pod: Item, config: Message, running: Running): Promise<void> {
    const { uid } = pod.metadata;
    const here = () => this.#running.get(uid) === running && !this.#ending.has(uid);
    if (pod.metadata.annotations?.["podnic/daemonset"] === undefined) return;
    for (let restarts = 0; here(); await sleep(500)) {
      for (const container of specOf(pod).containers) {
        const id = running.containers.get(container.name)!;
        const { state, reason } = await this.#cri.containerState(id);
        if (state !== EXITED || !here()) continue;
        this.restarts.push(`${container.name}: ${reason}`);
        await this.#cri.removeContainer(id);
        await sleep(10_000 * restarts++);
        await this.#run(pod, config, running, container);
      }
    }
  }

  async #run(pod: Item, config: Message, running: Running, container: ContainerSpec): Promise<string> {
    const env = [...(container.env ?? []), ...(this.devices?.environment(pod, container) ?? [])];
    const whole = containerOf(pod, { ...container, env }, this.#around);
    const id = await this.#cri.createContainer(running.sandbox, whole, config);
    await this.#cri.startContainer(id);
    running.containers.set(container.name, id);
    return id;
  }

  async #init(pod: Item, config: Message, running: Running, container: ContainerSpec): Promise<void> {
    const id = await this.#run(pod, config, running, container);
    for (;;) {
      const { state, exitCode, message } = await this.#cri.containerState(id);
      if (state === EXITED && exitCode === 0) return;
      if (state === EXITED) throw new Error(`init container ${container.name} ended with ${exitCode}: ${message}`);
      await sleep(50);
    }
  }

  async #end(pod: Item): Promise<void> {
    await this.#starting.get(pod.metadata.uid);
    const running = this.#running.get(pod.metadata.uid);
    this.#running.delete(pod.metadata.uid);
    try {
      if (running !== undefined) await this.#cri.removeSandbox(running.sandbox);
      this.devices?.release(pod);
      this.#api.store.remove(pod);
    } catch (error) {
      if (running !== undefined) this.#running.set(pod.metadata.uid, running);
      this.#event(pod, "FailedKillPod", `error killing pod: ${(error as Error).message}`);
    }
  }

  #daemonReady(pod: Item): void {
    const set = this.#api.store.get(
      DAEMONSETS,
      pod.metadata.namespace,
      pod.metadata.annotations?.["podnic/daemonset"] ?? "",
    );
    if (set === undefined) return;
    const counts = ["desired", "current", "updated"].map((word) => [`${word}NumberScheduled`, 1]);
    const status = { ...Object.fromEntries(counts), numberReady: 1, numberAvailable: 1, observedGeneration: 1 };
    this.#api.store.update(set, { status });
  }

  #event(pod: Item, reason: string, message: string): void {
    const { name, namespace, uid } = pod.metadata;
    this.#api.store.create(
      {
        ...{ apiVersion: "v1", kind: "Event", metadata: { name: `${name}.${reason.toLowerCase()}.${Date.now()}` } },
        ...{ involvedObject: { kind: "Pod", namespace, name, uid }, reason, message, type: "Warning", count: 1 },
        ...{ source: { component: "kubelet", host: this.nodeName }, firstTimestamp: now(), lastTimestamp: now() },
      },
      namespace,
    );
  }
}
