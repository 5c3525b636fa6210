// ipvlan: an interface with the MAC address of a host device and its own IP addresses. For its keys, see config.schema.json and README.md.
import { Cleanup } from "../../src/cleanup.ts";
import { isValidAttachment } from "../../src/cni/attachments.ts";
import type { Call, Plugin } from "../../src/cni/plugin.ts";
import { ownPlace } from "../../src/config/policy.ts";
import { orFail } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import { refuseToJoin } from "../../src/plugin/node-device.ts";
import { addUpper, statusUpper } from "../../src/plugin/upper/add.ts";
import { checkUpper } from "../../src/plugin/upper/check.ts";
import { gcUpper } from "../../src/plugin/upper/collect.ts";
import type { UpperKind } from "../../src/plugin/upper/kind.ts";
import { delUpper, isElsewhere, removeMadeUpper } from "../../src/plugin/upper/own.ts";
import { refuseAddresses } from "./addresses.ts";
import type { IpvlanConfig } from "./config.schema.ts";
import { forgetSlaves, isOf, KNOWN_SLAVES } from "./known-slave.ts";
import { onPort } from "./port.ts";

/** IPVLAN_MODE_* and IPVLAN_F_*; bridge means that no flag is set. */
const names = { mode: { l2: 0, l3: 1, l3s: 2 }, flag: { bridge: 0, private: 1, vepa: 2 } } as const;

function modeOf({ config }: Call<IpvlanConfig>): keyof typeof names.mode {
  return (config.mode || "l2") as keyof typeof names.mode;
}

/**
 * `master`, or else the only interface that the plugins before us have made, or else "" for the device of the default route. Throws Failure("invalid
 * config") if the previous plugins have made several interfaces, or none.
 */
function masterName({ config, prevResult, command }: Call<IpvlanConfig>): string {
  const name = config.master ?? "";
  if (name !== "" || prevResult === undefined || command !== "ADD") return name;
  const named = prevResult.interfaces.filter((each) => each.name !== "");
  if (named.length === 1) return named[0]!.name;
  throw new Failure(
    "invalid config",
    "chained master failure. PrevResult lacks a single named interface",
    `Without "master", the previous plugin's interface is the master, but prevResult has ${named.length} interfaces. Set "master".`,
  );
}

const kind: UpperKind<IpvlanConfig> = {
  kind: "ipvlan",
  ownMac: false,
  names,
  properties: (call) => ({
    mode: names.mode[modeOf(call)],
    modeFlags: names.flag[(call.config.flag || "bridge") as keyof typeof names.flag],
  }),
  masterName,
  refuse: (_call, master) => refuseToJoin(master.link),
  refuseAddresses,
  onMaster: (call, master, create) => onPort(call, master, kind, create),
  explainRefusal: () => undefined,
  chained: ({ prevResult }) => (prevResult !== undefined && prevResult.ips.length > 0 ? prevResult : undefined),
};

/** The directories that ipvlan writes to. */
const STATE = [ownPlace(KNOWN_SLAVES)];

export const ipvlan: Plugin<IpvlanConfig> = {
  name: "ipvlan",
  kind: "interface",
  knownArgs: [],
  schema: "ipvlan",
  linkKind: "ipvlan",
  isElsewhere: (call) => isElsewhere(kind, call),
  writes: () => STATE,
  validate: (call, attempt = orFail) => void attempt("/master", () => masterName(call)),
  add: (call) => addUpper(kind, call),
  removeMade: (call) => removeMadeUpper(kind, call),
  check: (call) => checkUpper(kind, call),
  del,
  gc,
  status: (call) => statusUpper(kind, call),
  forgetGone: (isGone) => forgetSlaves(({ netns }) => isGone(netns)),
};

function del(call: Call<IpvlanConfig>): void {
  delUpper(kind, call);
  forgetSlaves(isOf(call));
}

function gc(call: Call<IpvlanConfig>): void {
  const cleanup = new Cleanup();
  cleanup.attempt(() => gcUpper(kind, call));
  cleanup.attempt(() =>
    forgetSlaves((slave) => slave.network === call.attachment.network && !isValidAttachment(call, slave)),
  );
  cleanup.finish();
}
