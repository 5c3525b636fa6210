// A host for tests: the name, environment, stdin, stdout and stderr of the process are in memory, and everything else is the real kernel.
import { errnoOf, errnoText } from "../host/errno.ts";
import { type Fd, installHost, type PollFd, SystemError } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";

export interface Edge {
  args?: string[];
  env?: Record<string, string>;
  stdin?: string | Uint8Array;
  /** Code of the error that writing to stdout throws. */
  stdoutFails?: string;
}

export class EdgeHost extends NodeHost {
  stdout = "";
  stderr = "";
  readonly #edge: Edge;
  #input: Uint8Array;

  constructor(edge: Edge) {
    super();
    this.#edge = edge;
    this.#input =
      typeof edge.stdin === "string" ? new TextEncoder().encode(edge.stdin) : (edge.stdin ?? new Uint8Array());
  }

  override args(): string[] {
    return this.#edge.args ?? ["podnic"];
  }

  override getenv(name: string): string | undefined {
    return this.#edge.env?.[name];
  }

  override read(fd: Fd, max: number): Uint8Array {
    if (fd !== 0) return super.read(fd, max);
    const data = this.#input.subarray(0, max);
    this.#input = this.#input.subarray(data.length);
    return data;
  }

  override write(fd: Fd, data: Uint8Array): number {
    if (fd !== 1 && fd !== 2) return super.write(fd, data);
    const code = this.#edge.stdoutFails;
    if (fd === 1 && code !== undefined) {
      throw new SystemError("write", errnoOf(code), code, errnoText(errnoOf(code)));
    }
    const text = new TextDecoder().decode(data);
    if (fd === 1) this.stdout += text;
    else this.stderr += text;
    return data.length;
  }

  override poll(fds: PollFd[], timeout: number): Fd[] {
    return fds[0]?.fd === 0 ? [0] : super.poll(fds, timeout);
  }

  /** Does nothing, because the test runner needs its own signals. */
  override ignoreSignal(_signal: number): void {}
}

/** Installs a host with this edge and returns it. */
export function installEdge(edge: Edge): EdgeHost {
  const host = new EdgeHost(edge);
  installHost(host);
  return host;
}
