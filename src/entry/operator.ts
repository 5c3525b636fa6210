// Entry of the second bytecode, loaded only when a person uses the executable, or a plugin is traced.
import { traceCall } from "../cli/kernel/trace-call.ts";
import { operator } from "../cli/main.ts";

// V8's; commander calls it in the constructor of its errors.
Error.captureStackTrace ??= () => {};

globalThis.podnicOperator = operator;
globalThis.podnicTrace = traceCall;
