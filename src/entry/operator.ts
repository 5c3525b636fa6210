// Entry of the second bytecode, loaded only when the executable is used by a person.
import { operator } from "../cli/main.ts";

// V8's; commander calls it in the constructor of its errors.
Error.captureStackTrace ??= () => {};

globalThis.podnicOperator = operator;
