// What the tables of attacks share.
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";

export const RANGES = { ranges: [[{ subnet: "198.51.100.0/24" }]] };
export const hl = { needs: ["plugin:host-local"] };
export const conf = (t: Trial, ipam: Config = {}, extra: Config = {}) =>
  t.ipam("host-local", { ...RANGES, ...ipam }, extra);
export const ofPlugin = (plugin: string, keys: Config): Config => ({
  cniVersion: "1.0.0",
  name: "net1",
  type: plugin,
  ...keys,
});
