// A delegate that misbehaves to order. It records each call (environment, stdin, namespace) and then does as told.
import { chmodSync, existsSync, mkdirSync, readFileSync, writeFileSync } from "node:fs";

export interface StubCall {
  readonly command: string;
  readonly env: Readonly<Record<string, string>>;
  readonly rawEnv: string;
  readonly stdin: Buffer;
  /** Link text of /proc/self/ns/net of the stub. */
  readonly netns: string;
  readonly pid: number;
}

/** Shell code per CNI_COMMAND; a command without code succeeds silently. `$D` is the stub's directory. */
export type Behaviour = Readonly<Partial<Record<string, string>>>;

export const STUB_DIR = "/run/stub";

// The record is complete before the behaviour starts: whoever kills the stub still finds the call.
const script = (dir: string, behaviour: Behaviour): string => `#!/bin/sh
PATH=/usr/sbin:/usr/bin:/sbin:/bin
D=${dir}
n=0
while ! mkdir $D/calls/$n 2>/dev/null; do n=$((n+1)); done
c=$D/calls/$n
cat /proc/$$/environ > $c/env
${behaviour.STDIN === "ignore" ? ": > $c/stdin" : "cat > $c/stdin"}
readlink /proc/self/ns/net > $c/netns
echo $$ > $c/pid
echo "$CNI_COMMAND" > $c/command
case "$CNI_COMMAND" in
${Object.entries(behaviour)
  .filter(([command]) => command !== "STDIN")
  .map(([command, code]) => `${command})\n${code}\n;;\n`)
  .join("")}*) exit 0;;
esac
`;

export class Stub {
  readonly dir: string;
  readonly #path: string;

  /** @param root the /proc/PID/root of the sandbox */
  constructor(
    root: string,
    readonly name: string,
    behaviour: Behaviour,
  ) {
    this.dir = `${STUB_DIR}/${name}`;
    this.#path = root + this.dir;
    mkdirSync(`${this.#path}/calls`, { recursive: true });
    mkdirSync(`${this.#path}/bin`, { recursive: true });
    this.behave(behaviour);
  }

  get bin(): string {
    return `${this.dir}/bin`;
  }

  behave(behaviour: Behaviour): void {
    const file = `${this.#path}/bin/${this.name}`;
    writeFileSync(file, script(this.dir, behaviour));
    chmodSync(file, 0o755);
  }

  calls(): StubCall[] {
    const calls: StubCall[] = [];
    for (let n = 0; existsSync(`${this.#path}/calls/${n}/command`); n++) {
      const dir = `${this.#path}/calls/${n}`;
      const rawEnv = readFileSync(`${dir}/env`, "latin1");
      const env: Record<string, string> = {};
      for (const entry of rawEnv.split("\0")) {
        const eq = entry.indexOf("=");
        if (eq > 0) env[entry.slice(0, eq)] = entry.slice(eq + 1);
      }
      calls.push({
        command: readFileSync(`${dir}/command`, "latin1").trim(),
        env,
        rawEnv,
        stdin: readFileSync(`${dir}/stdin`),
        netns: readFileSync(`${dir}/netns`, "latin1").trim(),
        pid: Number(readFileSync(`${dir}/pid`, "latin1")),
      });
    }
    return calls;
  }

  commands(): string {
    return this.calls()
      .map((call) => call.command)
      .join(" ");
  }
}
