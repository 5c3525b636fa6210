// The plugins of this executable, one row each.
import { hostDevice } from "../plugins/host-device/plugin.ts";
import { hostLocal } from "../plugins/host-local/plugin.ts";
import { ipvlan } from "../plugins/ipvlan/plugin.ts";
import { macvlan } from "../plugins/macvlan/plugin.ts";
import { sriov } from "../plugins/sriov/plugin.ts";
import { staticIpam } from "../plugins/static/plugin.ts";
import type { Plugin } from "./cni/plugin.ts";

export const plugins: readonly Plugin[] = [hostDevice, hostLocal, ipvlan, macvlan, sriov, staticIpam];
