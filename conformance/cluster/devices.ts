// A stand-in for the kubelet's device manager and for the SR-IOV network device plugin: it gives containers the PCI functions that their
// limits ask for, tells Multus which (k8s.io/kubelet, podresources/v1), and writes the files that describe them.
import { existsSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:http2";
import { encode, type Message } from "../cri/protobuf.ts";
import type { Item } from "./objects.ts";
import { type ContainerSpec, specOf } from "./translate.ts";

const SOCKET = "/var/lib/kubelet/pod-resources/kubelet.sock";
const INFO = "/var/run/k8s.cni.cncf.io/devinfo/dp";

interface Given {
  resource: string;
  function: string;
}

export class Devices {
  /** "oracle.com/sriov" to addresses on the bus. */
  readonly #pools: Record<string, string[]>;
  readonly #given = new Map<string, { pod: Item; containers: Map<string, Given[]> }>();

  private constructor(pools: Record<string, string[]>) {
    this.#pools = pools;
  }

  static async start(pools: Record<string, string[]>): Promise<Devices> {
    const devices = new Devices(pools);
    for (const [resource, functions] of Object.entries(pools)) for (const one of functions) describe(resource, one);
    const server = createServer();
    server.on("stream", (stream, headers) => {
      const isList = headers[":path"] === "/v1.PodResourcesLister/List";
      const body = encode(isList ? devices.#list() : {});
      const head = Buffer.alloc(5);
      head.writeUInt32BE(body.length, 1);
      stream.resume();
      stream.respond({ ":status": 200, "content-type": "application/grpc" }, { waitForTrailers: true });
      stream.on("wantTrailers", () => stream.sendTrailers({ "grpc-status": isList ? "0" : "12" }));
      stream.end(isList ? Buffer.concat([head, body]) : undefined);
    });
    mkdirSync("/var/lib/kubelet/pod-resources", { recursive: true });
    rmSync(SOCKET, { force: true });
    await new Promise<void>((done) => server.listen(SOCKET, done));
    return devices;
  }

  /** For all containers of the pod. Throws when too few are left. */
  allocate(pod: Item): void {
    if (this.#given.has(pod.metadata.uid)) return;
    const taken = new Set(
      [...this.#given.values()].flatMap(({ containers }) => [...containers.values()].flat()).map((one) => one.function),
    );
    const containers = new Map<string, Given[]>();
    for (const { name, resources } of specOf(pod).containers) {
      const wanted = Object.entries(resources?.limits ?? {}).filter(([resource]) => resource in this.#pools);
      const given = wanted.flatMap(([resource, count]) => {
        const free = this.#pools[resource]!.filter(
          (one) => !taken.has(one) && existsSync(`/sys/bus/pci/devices/${one}`),
        );
        if (free.length < Number(count)) throw new Error(`no ${resource} is left`);
        return free.slice(0, Number(count)).map((one) => ({ resource, function: one }));
      });
      for (const one of given) taken.add(one.function);
      containers.set(name, given);
    }
    this.#given.set(pod.metadata.uid, { pod, containers });
  }

  release(pod: Item): void {
    this.#given.delete(pod.metadata.uid);
  }

  /** The variables by which a container learns what it has: PCIDEVICE_ORACLE_COM_SRIOV. */
  environment(pod: Item, container: ContainerSpec): { name: string; value: string }[] {
    const given = this.#given.get(pod.metadata.uid)?.containers.get(container.name) ?? [];
    return given.map((one) => ({
      name: `PCIDEVICE_${one.resource.toUpperCase().replaceAll(/[./-]/g, "_")}`,
      value: one.function,
    }));
  }

  /** ListPodResourcesResponse. */
  #list(): Message {
    const pods = [...this.#given.values()].map(({ pod, containers }) => ({
      1: pod.metadata.name,
      2: pod.metadata.namespace,
      3: [...containers].map(([name, given]) => ({
        1: name,
        2: given.map((one) => ({ 1: one.resource, 2: [one.function] })),
      })),
    }));
    return { 1: pods };
  }
}

/** Device information specification 1.1.0, as the plugin writes it for Multus. */
function describe(resource: string, address: string): void {
  mkdirSync(INFO, { recursive: true });
  const info = { type: "pci", version: "1.1.0", pci: { "pci-address": address } };
  writeFileSync(`${INFO}/${resource.replace("/", "-")}-${address}-device.json`, JSON.stringify(info));
}
