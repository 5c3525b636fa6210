// An operator's command at the same time as a call: what cleans up after dead pods, and what replaces the plugins.
import {
  bridge,
  byGo,
  type Call,
  call,
  device,
  gateway,
  HAS_IPVLAN,
  ipvlan,
  macvlan,
  NIC,
  type Operation,
  type Pair,
  PLUGINS,
  pair,
  range,
  THIRD,
  wide,
} from "./calls.ts";

const gc: Operation = { podnic: ["gc", "--all"] };
const doctor: Operation = { podnic: ["doctor", "--fix", "--yes"] };

/** Pod 3 has died and nobody has called DEL: this is what the command takes away, while something else happens. */
function withDead(name: string, config: object, inside: string, actors: Pair["actors"]): Pair {
  return { ...pair(name, `${THIRD}${inside}`, [call("ADD", config, 3)], actors), dead: ["c3"] };
}

const onPools = macvlan(wide);
/** The address that gc releases is the one that ADD then gets. */
const onLast = macvlan(range("198.51.100.10"));
const onBridge = bridge(gateway);

const cleaning: readonly Pair[] = [
  withDead("macvlan ADD, gc --all, one pod dead", onPools, "", [call("ADD", onPools, 1), gc]),
  withDead("macvlan ADD, doctor --fix, one pod dead", onPools, "", [call("ADD", onPools, 1), doctor]),
  withDead("macvlan DEL of the dead, gc --all", onPools, "", [call("DEL", onPools, 3), gc]),
  withDead("macvlan DEL of the dead, doctor --fix", onPools, "", [call("DEL", onPools, 3), doctor]),
  withDead("gc --all, gc --all, one pod dead", onPools, "", [gc, gc]),
  withDead("gc --all, doctor --fix, one pod dead", onPools, "", [gc, doctor]),
  withDead("macvlan ADD, DEL of the dead, gc --all", onPools, "", [
    call("ADD", onPools, 1),
    call("DEL", onPools, 3),
    gc,
  ]),
  withDead("macvlan ADD, DEL of the dead, gc --all, one address left", onLast, "", [
    call("ADD", onLast, 1),
    call("DEL", onLast, 3),
    gc,
  ]),
  withDead("bridge ADD, gc --all, one pod dead", onBridge, "", [call("ADD", onBridge, 1), gc]),
  withDead("bridge ADD, doctor --fix, one pod dead", onBridge, "", [call("ADD", onBridge, 1), doctor]),
  withDead("bridge DEL of the dead, gc --all", onBridge, "", [call("DEL", onBridge, 3), gc]),
  pair("host-device DEL, gc --all", NIC, [call("ADD", device, 1)], [call("DEL", device, 1), gc]),
  pair("host-device DEL, doctor --fix", NIC, [call("ADD", device, 1)], [call("DEL", device, 1), doctor]),
];

const onIpvlan = [
  withDead("ipvlan ADD, gc --all, one pod dead", ipvlan("l2"), "", [call("ADD", ipvlan("l2"), 1), gc]),
  withDead("ipvlan ADD of another mode, doctor --fix, one pod dead", ipvlan("l2"), "", [
    call("ADD", ipvlan("l3"), 1),
    doctor,
  ]),
].map((made) => ({ ...made, needs: HAS_IPVLAN }));

const install: Operation = { podnic: ["install", "--backup", PLUGINS] };
const uninstall: Operation = { podnic: ["uninstall", PLUGINS] };

/** A version that both know: the plugin may be either one. */
const either = (command: Call["command"], n = 1): Call => {
  const { peer: _, ...made } = byGo(call(command, onPools, n));
  return made;
};

const installing: readonly Pair[] = [
  pair("macvlan ADD, install", "", [], [either("ADD"), install]),
  pair("macvlan DEL, install", "", [either("ADD")], [either("DEL"), install]),
  pair("macvlan ADD, uninstall", "", [install], [either("ADD"), uninstall]),
  pair("install, install", "", [], [install, install]),
  pair("install, uninstall", "", [], [install, uninstall]),
].map((made) => ({ ...made, installs: true, after: [install, uninstall] }));

export const ofOperators: readonly Pair[] = [...cleaning, ...installing, ...onIpvlan];
