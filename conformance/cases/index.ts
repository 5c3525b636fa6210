// Every table of cases.
import type { CaseTable } from "../harness/case.ts";
import { add } from "./add.ts";
import { args } from "./args.ts";
import { checkCommand } from "./check.ts";
import { containerId } from "./container-id.ts";
import { del } from "./del.ts";
import { delegation } from "./delegation.ts";
import { delegationAdd } from "./delegation-add.ts";
import { env } from "./env.ts";
import { ifname } from "./ifname.ts";
import { keys } from "./keys.ts";
import { name } from "./name.ts";
import { netns } from "./netns.ts";
import { stdin } from "./stdin.ts";
import { version } from "./version.ts";
import { versionCommand } from "./version-command.ts";

export const tables: readonly CaseTable[] = [
  env,
  containerId,
  ifname,
  args,
  netns,
  stdin,
  name,
  version,
  keys,
  versionCommand,
  add,
  checkCommand,
  del,
  delegationAdd,
  delegation,
];
