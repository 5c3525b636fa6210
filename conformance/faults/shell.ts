// A shell that lives in the namespaces of a sandbox: thousands of calls, each for the price of one fork.
import { type ChildProcess, spawn } from "node:child_process";
import type { Namespaces } from "../harness/namespaces.ts";

const MARK = "@done@";

export class Shell {
  readonly #process: ChildProcess;
  #said = "";
  #errors = "";
  #wake: () => void = () => {};

  /** Without anything to enter it lives where we do. */
  constructor(ns: Pick<Namespaces, "enter">) {
    const [program, ...args] = [
      ...(ns.enter.length > 0 ? ["/usr/bin/nsenter", ...ns.enter, "--"] : []),
      "/bin/sh",
      "-s",
    ];
    this.#process = spawn(program!, args, {
      stdio: ["pipe", "pipe", "pipe"],
      env: { PATH: "/usr/sbin:/usr/bin:/sbin:/bin", LC_ALL: "C" },
    });
    this.#process.stdout!.on("data", (chunk) => {
      this.#said += chunk;
      this.#wake();
    });
    this.#process.stderr!.on("data", (chunk) => {
      this.#errors = (this.#errors + chunk).slice(-2000);
    });
    this.#process.on("exit", () => this.#wake());
  }

  /** Runs a script and returns what it wrote to stdout. Throws when the shell is gone or has not ended in limitMs. */
  async run(script: string, limitMs = 30_000): Promise<string> {
    this.#said = "";
    this.#process.stdin!.write(`${script}\necho ${MARK}\n`);
    const end = Date.now() + limitMs;
    for (;;) {
      const at = this.#said.indexOf(MARK);
      if (at >= 0) return this.#said.slice(0, at);
      if (this.#process.exitCode !== null || this.#process.signalCode !== null)
        throw new Error(`the shell ended in: ${script}\n${this.#errors}`);
      if (Date.now() > end) throw new Error(`no end in ${limitMs} ms: ${script}\n${this.#errors}`);
      await new Promise<void>((resolve) => {
        const timer = setTimeout(resolve, end - Date.now());
        this.#wake = () => {
          clearTimeout(timer);
          resolve();
        };
      });
    }
  }

  close(): void {
    this.#process.kill("SIGKILL");
  }
}
