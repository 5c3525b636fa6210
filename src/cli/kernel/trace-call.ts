// PODNIC_TRACE=FILE in the runtime's environment: each plugin call writes its requests to the kernel and the replies to this file. It is for
// calls that fail only when the kubelet starts the pod.
import { openLog } from "../../cni/log-file.ts";
import { confinePath } from "../../config/policy.ts";
import { type Fd, host, installHost } from "../../host/host.ts";
import { oneLine, timestamp } from "../../log.ts";
import { passOn } from "./pass-on.ts";
import { traceNetlink } from "./trace.ts";

const FIRST_LINE = "# podnic trace\n";

/**
 * Replaces the host with one that traces all calls to `file`. The rules of "logFile" apply to this file: it must be in an allowed directory,
 * belong to root and have mode 0600, and must not be a link. Throws Failure and SystemError.
 */
export function traceCall(file: string): void {
  const real = host;
  const fd = openLog(confinePath("logFile", file), FIRST_LINE);
  const pid = real.getpid();
  /** Writes a line with one system call, because several calls can share the file. Ignores errors: a full disk must not prevent a pod's start. */
  const say = (line: string): void => {
    try {
      real.write(fd, real.encode(`[${pid}] ${oneLine(line)}\n`));
    } catch {
      // there is no other place to report the error
    }
  };
  begin(fd);
  const name = (real.args()[0] ?? "").split("/").pop();
  const about = ["CONTAINERID", "IFNAME", "NETNS"].map((key) => `${key}=${real.getenv(`CNI_${key}`) ?? ""}`).join(" ");
  say(`${timestamp(real.now())} ${name} ${real.getenv("CNI_COMMAND")} ${about}`);

  const listening = passOn(real);
  traceNetlink(listening, say);
  listening.run = (command) => {
    say(`   runs ${command.path}`);
    return real.run(command);
  };
  listening.write = (to, data) => {
    if (to === 1 || to === 2) say(`${to === 1 ? "   answers" : "   logs"} ${real.decode(data).trimEnd()}`);
    return real.write(to, data);
  };
  installHost(listening);
}

function begin(fd: Fd): void {
  if (host.fstat(fd).size === 0) host.write(fd, host.encode(FIRST_LINE));
}
