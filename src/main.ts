// Which role am I? Placeholder until cni/dispatch.ts is there: answers VERSION, else is the operator's command line.
import { host } from "./host/host.ts";

/** `operator` is the command line for people; loading it costs, so it is called only when wanted. Returns the exit status. */
export function main(operator: (args: string[]) => number): number {
  const command = host.getenv("CNI_COMMAND");
  if (command === undefined) return operator(host.args().slice(1));
  if (command !== "VERSION") throw new Error("not built yet");
  const config = JSON.parse(host.decode(host.read(0, 1 << 20)));
  const answer = {
    cniVersion: config.cniVersion ?? "1.1.0",
    supportedVersions: ["0.1.0", "0.2.0", "0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"],
  };
  host.write(1, host.encode(`${JSON.stringify(answer)}\n`));
  return 0;
}
