// The plugins of this executable, one row each.
import { hostDevice } from "../plugins/host-device/plugin.ts";
import type { Plugin } from "./cni/plugin.ts";

export const plugins: readonly Plugin[] = [hostDevice];
