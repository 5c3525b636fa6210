// A real kubelet, as far as the API server knows what it did.
import { execFile } from "node:child_process";
import type { Item } from "../objects.ts";
import { EVENTS, PODS } from "../store.ts";
import type { RealApi } from "./api.ts";

interface PodStatus {
  startTime?: string;
  conditions?: { type: string; status: string; lastTransitionTime: string }[];
  containerStatuses?: {
    name: string;
    ready: boolean;
    restartCount: number;
    lastState?: { terminated?: { reason: string } };
  }[];
}

export const statusOf = (pod: Item): PodStatus => (pod.status ?? {}) as PodStatus;

export class RealKubelet {
  readonly #api: RealApi;
  readonly #kubeconfig: string;

  constructor(api: RealApi, kubeconfig: string) {
    this.#api = api;
    this.#kubeconfig = kubeconfig;
  }

  stop(): void {}

  exec(namespace: string, name: string, command: string[]) {
    const args = ["--kubeconfig", this.#kubeconfig, "-n", namespace, "exec", name, "--", ...command];
    return new Promise<{ stdout: string; stderr: string; exitCode: number }>((done) => {
      execFile("kubectl", args, (error, stdout, stderr) => {
        const code = error === null ? 0 : typeof error.code === "number" ? error.code : 1;
        done({ stdout, stderr, exitCode: code });
      });
    });
  }

  /** Sandboxes that could not be made. The kubelet counts alike ones in one event. */
  get failures(): string[] {
    const events = this.#api.store.list(EVENTS).filter(({ reason }) => reason === "FailedCreatePodSandBox");
    return events.flatMap(({ message, count, series }) => {
      const times = (series as { count?: number } | undefined)?.count ?? (count as number | undefined) ?? 1;
      return Array.from({ length: times }, () => String(message));
    });
  }

  get restarts(): string[] {
    return this.#api.store
      .list(PODS, "kube-system")
      .flatMap((pod) => statusOf(pod).containerStatuses ?? [])
      .filter(({ restartCount }) => restartCount > 0)
      .map(({ name, restartCount, lastState }) => `${name} ${restartCount} times: ${lastState?.terminated?.reason}`);
  }

  /** From the kubelet's first word about the pod to its network: in whole seconds, as the API has times. */
  readonly sandboxSeconds = {
    get: (key: string): number | undefined => {
      const pod = this.#api.store.list(PODS).find(({ metadata: m }) => `${m.namespace}/${m.name}` === key);
      const { startTime, conditions = [] } = pod === undefined ? {} : statusOf(pod);
      const network = conditions.find(({ type }) => type === "PodReadyToStartContainers");
      if (startTime === undefined || network?.status !== "True") return undefined;
      return (Date.parse(network.lastTransitionTime) - Date.parse(startTime)) / 1000;
    },
  };

  forget(_pod: Item): { removeSandbox(): Promise<void> } {
    throw new Error("a real kubelet forgets no pod");
  }

  /** The kubelet starts them by itself: until each container has been started again and is ready. */
  resumed(): true | undefined {
    const pods = this.#api.store.list(PODS, "default");
    const again = (pod: Item) => statusOf(pod).containerStatuses?.every((one) => one.ready && one.restartCount > 0);
    return pods.every(again) ? true : undefined;
  }
}
