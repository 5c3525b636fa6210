// The plugins of this executable, one in each row.
import { bridge } from "../plugins/bridge/plugin.ts";
import { functionLender } from "../plugins/host-device/function.ts";
import { hostDevice } from "../plugins/host-device/plugin.ts";
import { hostDeviceLender } from "../plugins/host-device/record.ts";
import { hostLocal } from "../plugins/host-local/plugin.ts";
import { ipvlan } from "../plugins/ipvlan/plugin.ts";
import { macvlan } from "../plugins/macvlan/plugin.ts";
import { sriov } from "../plugins/sriov/plugin.ts";
import { sriovLender } from "../plugins/sriov/restore.ts";
import { staticIpam } from "../plugins/static/plugin.ts";
import type { Plugin } from "./cni/plugin.ts";
import type { AnyLender } from "./plugin/lent/lender.ts";

export const plugins: readonly Plugin[] = [bridge, hostDevice, hostLocal, ipvlan, macvlan, sriov, staticIpam];

/** Those that give devices of the host away. */
export const lenders: readonly AnyLender[] = [hostDeviceLender, sriovLender, functionLender];
