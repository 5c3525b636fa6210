// A client of the Kubernetes container runtime interface (k8s.io/cri-api, runtime.v1): gRPC over a Unix socket. The numbers are those
// of the fields in its api.proto.
import { type ClientHttp2Session, connect } from "node:http2";
import { connect as connectSocket } from "node:net";
import { encode, Fields, type Message } from "./protobuf.ts";

/** Milliseconds that a call may take: the kubelet's four minutes. */
const LIMIT = 240_000;

export const NODE_NETWORK = 2;
export const RUNTIME_DEFAULT: Message = { 1: 0 };

export interface Ended {
  state: number;
  exitCode: number;
  reason: string;
  message: string;
}

export const RUNNING = 1;
export const EXITED = 2;

/** What the server answered with a status that is not 0. */
export class Refused extends Error {}

export class Cri {
  readonly #session: ClientHttp2Session;

  constructor(socket: string) {
    this.#session = connect("http://localhost", { createConnection: () => connectSocket(socket) });
    this.#session.on("error", () => {}); // each call says so itself
  }

  close(): void {
    this.#session.destroy();
  }

  /** One unary call. Throws Refused. */
  call(service: "ImageService" | "RuntimeService", method: string, message: Message): Promise<Fields> {
    return new Promise((done, failed) => {
      const path = `/runtime.v1.${service}/${method}`;
      const headers = { ":method": "POST", ":path": path, "content-type": "application/grpc", te: "trailers" };
      const stream = this.#session.request(headers);
      const parts: Buffer[] = [];
      let status = "no answer";
      const note = (said: Record<string, unknown>) => {
        if (said["grpc-status"] !== undefined)
          status = `${said["grpc-status"]} ${decodeURIComponent(String(said["grpc-message"] ?? ""))}`.trim();
      };
      stream.setTimeout(LIMIT, () => stream.destroy(new Error(`${method}: no answer within ${LIMIT} ms`)));
      stream.on("response", note).on("trailers", note).on("error", failed);
      stream.on("data", (part: Buffer) => parts.push(part));
      stream.on("close", () => {
        // A byte that says "not compressed", the length, the message.
        if (status === "0") done(new Fields(Buffer.concat(parts).subarray(5)));
        else failed(new Refused(`${method}: ${status}`));
      });
      const body = encode(message);
      const head = Buffer.alloc(5);
      head.writeUInt32BE(body.length, 1);
      stream.end(Buffer.concat([head, body]));
    });
  }

  /** The names under which the runtime has the image; undefined: it does not have it. */
  async imageNames(image: string): Promise<string[] | undefined> {
    const answer = await this.call("ImageService", "ImageStatus", { 1: { 1: image } });
    return answer.has(1) ? answer.message(1).texts(2) : undefined;
  }

  async runSandbox(config: Message): Promise<string> {
    return (await this.call("RuntimeService", "RunPodSandbox", { 1: config })).text(1);
  }

  async sandboxAddress(id: string): Promise<string> {
    const answer = await this.call("RuntimeService", "PodSandboxStatus", { 1: id });
    return answer.message(1).message(5).text(1);
  }

  async removeSandbox(id: string): Promise<void> {
    await this.call("RuntimeService", "StopPodSandbox", { 1: id });
    await this.call("RuntimeService", "RemovePodSandbox", { 1: id });
  }

  async createContainer(sandbox: string, config: Message, sandboxConfig: Message): Promise<string> {
    const request = { 1: sandbox, 2: config, 3: sandboxConfig };
    return (await this.call("RuntimeService", "CreateContainer", request)).text(1);
  }

  async startContainer(id: string): Promise<void> {
    await this.call("RuntimeService", "StartContainer", { 1: id });
  }

  async removeContainer(id: string): Promise<void> {
    await this.call("RuntimeService", "RemoveContainer", { 1: id });
  }

  async stopContainer(id: string, seconds: number): Promise<void> {
    await this.call("RuntimeService", "StopContainer", { 1: id, 2: seconds });
  }

  /** A command in a container, to its end. */
  async exec(container: string, command: string[]): Promise<{ stdout: string; stderr: string; exitCode: number }> {
    const answer = await this.call("RuntimeService", "ExecSync", { 1: container, 2: command, 3: 20 });
    return { stdout: answer.text(1), stderr: answer.text(2), exitCode: answer.number(3) };
  }

  /** What the kubelet makes the node's condition Ready of. */
  async networkReady(): Promise<{ ready: boolean; message: string }> {
    const answer = await this.call("RuntimeService", "Status", {});
    const condition = answer
      .message(1)
      .messages(1)
      .find((one) => one.text(1) === "NetworkReady");
    return { ready: condition?.number(2) === 1, message: condition?.text(4) ?? "" };
  }

  /** Ids of all sandboxes, also of those that a start of the machine left without processes. */
  async sandboxes(): Promise<string[]> {
    const answer = await this.call("RuntimeService", "ListPodSandbox", {});
    return answer.messages(1).map((item) => item.text(1));
  }

  async containerState(id: string): Promise<Ended> {
    const status = (await this.call("RuntimeService", "ContainerStatus", { 1: id })).message(1);
    return { state: status.number(3), exitCode: status.number(7), reason: status.text(10), message: status.text(11) };
  }
}
