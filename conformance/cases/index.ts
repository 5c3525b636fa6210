// Every table of cases.
import type { CaseTable } from "../harness/case.ts";
import { env } from "./env.ts";

export const tables: readonly CaseTable[] = [env];
