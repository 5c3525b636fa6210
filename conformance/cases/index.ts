// Every table of cases.
import type { CaseTable } from "../harness/case.ts";
import { add } from "./add.ts";
import { args } from "./args.ts";
import { attacks } from "./attacks.ts";
import { attacksBridge } from "./attacks-bridge.ts";
import { attacksDevice } from "./attacks-device.ts";
import { attacksFunction } from "./attacks-function.ts";
import { attacksLimits } from "./attacks-limits.ts";
import { attacksPaths } from "./attacks-paths.ts";
import { attacksPlanted } from "./attacks-planted.ts";
import { attacksRouter } from "./attacks-router.ts";
import { bridgeBurden } from "./bridge-burden.ts";
import { bridgeCheck } from "./bridge-check.ts";
import { bridgeConfig } from "./bridge-config.ts";
import { bridgeDel } from "./bridge-del.ts";
import { bridgeGateway } from "./bridge-gateway.ts";
import { bridgeGc } from "./bridge-gc.ts";
import { bridgePorts } from "./bridge-ports.ts";
import { bridgeRules } from "./bridge-rules.ts";
import { bridgeVlans, bridgeWithoutFiltering } from "./bridge-vlans.ts";
import { chaining } from "./chaining.ts";
import { checkCommand } from "./check.ts";
import { concurrency } from "./concurrency.ts";
import { configure } from "./configure.ts";
import { container } from "./container.ts";
import { containerId } from "./container-id.ts";
import { del } from "./del.ts";
import { delStripped } from "./del-stripped.ts";
import { delWhose } from "./del-whose.ts";
import { delegation } from "./delegation.ts";
import { delegationAdd } from "./delegation-add.ts";
import { env } from "./env.ts";
import { gcWhose } from "./gc-whose.ts";
import { guides } from "./guides.ts";
import { hostDevice } from "./host-device.ts";
import { hostDeviceBack } from "./host-device-back.ts";
import { hostDeviceEvidence } from "./host-device-evidence.ts";
import { hostDeviceGone } from "./host-device-gone.ts";
import { hostDeviceIdentity } from "./host-device-identity.ts";
import { hostDeviceRecord } from "./host-device-record.ts";
import { hostDeviceUnrecorded } from "./host-device-unrecorded.ts";
import { hostLocal } from "./host-local.ts";
import { ifname } from "./ifname.ts";
import { interop } from "./interop.ts";
import { io } from "./io.ts";
import { ipvlan } from "./ipvlan.ts";
import { keys } from "./keys.ts";
import { macvlan } from "./macvlan.ts";
import { name } from "./name.ts";
import { netns } from "./netns.ts";
import { nodeDevices } from "./node-devices.ts";
import { checkOrder } from "./order.ts";
import { ranges } from "./ranges.ts";
import { security } from "./security.ts";
import { sriov } from "./sriov.ts";
import { sriovBack } from "./sriov-back.ts";
import { sriovNetdevsim } from "./sriov-netdevsim.ts";
import { sriovState } from "./sriov-state.ts";
import { sriovSysfs } from "./sriov-sysfs.ts";
import { sriovUnrecorded } from "./sriov-unrecorded.ts";
import { sriovVirtio } from "./sriov-virtio.ts";
import { staticIpam } from "./static.ts";
import { statusGc } from "./status-gc.ts";
import { stdin } from "./stdin.ts";
import { version } from "./version.ts";
import { versionCommand } from "./version-command.ts";
import { virtual } from "./virtual.ts";
import { virtualCheck } from "./virtual-check.ts";
import { virtualSeen } from "./virtual-seen.ts";

const contract = [env, containerId, ifname, args, netns, stdin, name, version, keys, versionCommand];
const commands = [
  add,
  checkCommand,
  del,
  delWhose,
  gcWhose,
  delStripped,
  delegationAdd,
  delegation,
  statusGc,
  chaining,
  configure,
];

const onMaster = [macvlan, ipvlan, virtual, virtualCheck, virtualSeen];
const ofFunctions = [sriov, sriovSysfs, sriovBack, sriovState, sriovUnrecorded, sriovVirtio, sriovNetdevsim];
const onBridge = [
  bridgeConfig,
  bridgePorts,
  bridgeVlans,
  bridgeWithoutFiltering,
  bridgeRules,
  bridgeGateway,
  bridgeCheck,
  bridgeDel,
  bridgeGc,
  bridgeBurden,
];
const plugins = [
  ...onBridge,
  hostDevice,
  hostDeviceBack,
  nodeDevices,
  hostDeviceIdentity,
  hostDeviceGone,
  hostDeviceRecord,
  hostDeviceUnrecorded,
  hostDeviceEvidence,
  ...ofFunctions,
  ...onMaster,
  staticIpam,
  hostLocal,
  ranges,
  guides,
  interop,
  container,
];

export const tables: readonly CaseTable[] = [
  ...contract,
  ...commands,
  attacks,
  attacksBridge,
  attacksDevice,
  attacksFunction,
  attacksRouter,
  attacksPaths,
  attacksPlanted,
  attacksLimits,
  security,
  io,
  concurrency,
  checkOrder,
  ...plugins,
];
