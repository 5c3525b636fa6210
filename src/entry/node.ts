// Entry point on Node: for the pkg package, and for running the sources without a build.
import { traceCall } from "../cli/kernel/trace-call.ts";
import { operator } from "../cli/main.ts";
import { installHost } from "../host/host.ts";
import { NodeHost } from "../host/node/host.ts";
import { main } from "../main.ts";

installHost(new NodeHost());
process.exitCode = main(operator, traceCall) ?? 0;
