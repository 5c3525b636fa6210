// macvlan: an interface with its own MAC address on a host device. For its keys, see config.schema.json and README.md.
import type { Call, Plugin } from "../../src/cni/plugin.ts";
import { orFail } from "../../src/config/rules.ts";
import { Failure } from "../../src/errors.ts";
import type { Master } from "../../src/link/master.ts";
import {
  cardOf,
  refuseAddressBelow,
  refuseAddressOfFunctions,
  refuseAddressOfGateway,
} from "../../src/plugin/card-address.ts";
import { macOf, macSource, unicastMac, wantedMac } from "../../src/plugin/mac.ts";
import { lowestOf, refuseToJoin, refuseToListen, refuseToShare } from "../../src/plugin/node-device.ts";
import { addUpper, statusUpper } from "../../src/plugin/upper/add.ts";
import { checkUpper } from "../../src/plugin/upper/check.ts";
import { gcUpper } from "../../src/plugin/upper/collect.ts";
import type { UpperKind } from "../../src/plugin/upper/kind.ts";
import { delUpper, isElsewhere, removeMadeUpper } from "../../src/plugin/upper/own.ts";
import type { MacvlanConfig } from "./config.schema.ts";

/** MACVLAN_MODE_* and MACVLAN_FLAG_*. */
const names = { mode: { private: 1, vepa: 2, bridge: 4, passthru: 8, source: 16 }, flag: { nopromisc: 1 } } as const;

type Mode = keyof typeof names.mode;

function modeOf({ config }: Call<MacvlanConfig>): Mode {
  return (config.mode || "bridge") as Mode;
}

function validate(call: Call<MacvlanConfig>, attempt = orFail): void {
  const source = attempt("/mac", () => macSource(call));
  const mac = source && attempt(source.at, () => macOf(source));
  attempt("/macaddr", () => {
    call.config.macaddr?.forEach((sender, i) => {
      attempt(`/macaddr/${i}`, () => unicastMac("macaddr", sender));
    });
  });
  if (source && mac) attempt(source.at, () => refuseMacOfPassthru(call, mac));
  attempt("/macaddr", () => checkSenders(call));
}

function refuseMacOfPassthru(call: Call<MacvlanConfig>, mac: string): void {
  if (modeOf(call) !== "passthru") return;
  const cure = "Remove the MAC address, or use bridge mode.";
  throw contradiction(call, `In passthru mode, the interface has the master's MAC address, not ${mac}. ${cure}`);
}

function checkSenders(call: Call<MacvlanConfig>): void {
  const senders = call.config.macaddr ?? [];
  const mode = modeOf(call);
  if (mode === "source" && senders.length === 0) {
    throw contradiction(
      call,
      'In source mode, the interface receives only from the senders in "macaddr", which is empty.',
    );
  }
  if (mode !== "source" && senders.length > 0) {
    throw contradiction(call, `"macaddr" lists the senders for source mode, but the mode is ${mode}.`);
  }
}

function contradiction(call: Call<MacvlanConfig>, why: string): Failure {
  return new Failure("invalid config", `other keys conflict with macvlan mode ${modeOf(call)}`, why);
}

/**
 * Throws Failure("invalid config") if the requested MAC address belongs to the node's router, or to another function of a card with virtual
 * functions. The kernel itself compares addresses only among the interfaces on one master.
 */
function refuseAddressOfOthers(call: Call<MacvlanConfig>, { namespace: { route }, link }: Master): void {
  const mac = wantedMac(call);
  if (mac === "") return;
  const lowest = lowestOf(link);
  refuseAddressOfGateway(route, lowest, mac);
  const card = cardOf(route, lowest);
  if (card !== undefined) refuseAddressOfFunctions(route, card, mac, call.attachment);
  else refuseAddressBelow(lowest.name, mac, call.attachment);
}

const kind: UpperKind<MacvlanConfig> = {
  kind: "macvlan",
  ownMac: true,
  names,
  properties(call) {
    const { bcqueuelen, macaddr } = call.config;
    const mac = wantedMac(call);
    return {
      mode: names.mode[modeOf(call)],
      ...(mac === "" ? {} : { mac }),
      ...(bcqueuelen ? { bcqueuelen } : {}),
      ...(macaddr === undefined ? {} : { macaddrs: macaddr.map((sender) => unicastMac("macaddr", sender)) }),
    };
  },
  masterName: ({ config }) => config.master ?? "",
  refuse(call, master) {
    // passthru takes every frame of its master, so the node loses the device.
    if (modeOf(call) === "passthru") refuseToShare(master.namespace, master.link, call.netns);
    else if (modeOf(call) === "source") refuseToListen(master.link);
    else refuseToJoin(master.link);
    refuseAddressOfOthers(call, master);
  },
  onMaster: (_call, _master, create) => create(),
  explainRefusal(call, master, error) {
    if (error.code !== "EINVAL") return undefined;
    const cause =
      modeOf(call) === "passthru"
        ? `passthru mode requires exclusive use of master "${master.link.name}", which already has other macvlan interfaces`
        : `master "${master.link.name}" is already in use by a macvlan interface in passthru mode`;
    return new Failure("failed", `failed to create macvlan: ${error.message}`, `${cause}. Use another master.`);
  },
  chained: () => undefined,
};

export const macvlan: Plugin<MacvlanConfig> = {
  name: "macvlan",
  kind: "interface",
  knownArgs: ["MAC"],
  schema: "macvlan",
  linkKind: "macvlan",
  isElsewhere: (call) => isElsewhere(kind, call),
  validate,
  add: (call) => addUpper(kind, call),
  removeMade: (call) => removeMadeUpper(kind, call),
  check: (call) => checkUpper(kind, call),
  del: (call) => delUpper(kind, call),
  gc: (call) => gcUpper(kind, call),
  status: (call) => statusUpper(kind, call),
};
