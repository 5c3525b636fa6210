// Runs one of podnic's plugins as a runtime would, but in this process: the caller provides its environment, stdin and stdout.
import { endTurn } from "../../cni/call.ts";
import { serve } from "../../cni/dispatch.ts";
import type { Plugin } from "../../cni/plugin.ts";
import { host as current, type Host, installHost } from "../../host/host.ts";
import { passOn } from "../kernel/pass-on.ts";
import { print } from "../terminal.ts";

export interface Played {
  status: number;
  stdout: string;
}

/** There is one Stage for the whole process, because plugins keep sockets from one call to the next. */
export class Stage {
  /** The host that plugins use. Callers can replace its methods, for example to trace them. */
  readonly host: Host;
  readonly #real: Host;
  #environment: { [name: string]: string } = {};
  #input: Uint8Array = new Uint8Array(0);
  #output: string[] = [];
  #errors: string[] = [];

  constructor() {
    this.#real = current;
    this.host = passOn(current);
    const real = this.#real;
    this.host.getenv = (name) => this.#environment[name] ?? (name.startsWith("CNI_") ? undefined : real.getenv(name));
    this.host.read = (fd, max) => (fd === 0 ? this.#take(max) : real.read(fd, max));
    this.host.poll = (fds, timeout) => (fds[0]?.fd === 0 ? [0] : real.poll(fds, timeout));
    this.host.write = (fd, data) => {
      if (fd !== 1 && fd !== 2) return real.write(fd, data);
      (fd === 1 ? this.#output : this.#errors).push(real.decode(data));
      return data.length;
    };
    // A delegate inherits the environment of this process, so add the plugin's environment.
    this.host.run = (command) => real.run({ ...command, env: { ...this.#environment, ...command.env } });
  }

  #take(max: number): Uint8Array {
    const data = this.#input.subarray(0, max);
    this.#input = this.#input.subarray(data.length);
    return data;
  }

  /** Runs `body` as a plugin with this environment and stdin. Returns its value, and what it wrote to stdout and stderr. */
  within<T>(
    environment: { [name: string]: string },
    stdin: string,
    body: () => T,
  ): { value: T; stdout: string; stderr: string[] } {
    this.#environment = environment;
    this.#input = this.#real.encode(stdin);
    this.#output = [];
    this.#errors = [];
    installHost(this.host);
    try {
      const value = body();
      return { value, stdout: this.#output.join(""), stderr: this.#errors };
    } finally {
      installHost(this.#real);
    }
  }

  /** Prints a line on stderr immediately. A plugin's own stderr is collected until the plugin has finished. */
  say(line: string): void {
    installHost(this.#real);
    try {
      print(`${line}\n`, 2);
    } finally {
      installHost(this.host);
    }
  }

  /** Runs a plugin, and prints its log on stderr. */
  play(plugin: Plugin, environment: { [name: string]: string }, stdin: string): Played {
    const command = environment.CNI_COMMAND ?? "";
    const {
      value: status,
      stdout,
      stderr,
    } = this.within(environment, stdin, () => {
      try {
        return serve(command, plugin, plugin.name);
      } finally {
        endTurn();
      }
    });
    // If the plugin failed, the last line of its log is the same error as on its stdout.
    for (const line of status === 0 ? stderr : stderr.slice(0, -1)) print(line, 2);
    return { status, stdout };
  }
}
