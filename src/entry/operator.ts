// Entry point of the second bytecode, which is loaded only if a person runs the executable or if a plugin is traced.
import { traceCall } from "../cli/kernel/trace-call.ts";
import { operator } from "../cli/main.ts";

// A function of V8, which commander calls in the constructor of its errors.
Error.captureStackTrace ??= () => {};

globalThis.podnicOperator = operator;
globalThis.podnicTrace = traceCall;
