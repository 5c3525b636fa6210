// Entry point of the second bytecode, which is loaded only if a person runs the executable or if a plugin is traced.
import { traceCall } from "../cli/kernel/trace-call.ts";
import { operator } from "../cli/main.ts";

// V8's; commander calls it in the constructor of its errors.
Error.captureStackTrace ??= () => {};

globalThis.podnicOperator = operator;
globalThis.podnicTrace = traceCall;
