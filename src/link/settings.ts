// Settings that the kernel resets when a device moves between namespaces (the sysctls of net/ipv4/conf and net/ipv6/conf), or that a pod may
// have changed (sizes, group, broadcast address, XDP). The kernel returns all of them in one reply, so podnic does not have to read a hundred
// files.
import { type Fd, SystemError } from "../host/host.ts";
import { loops } from "../host/loops.ts";
import { formatMac, parseMac } from "../ip/mac.ts";
import { log } from "../log.ts";
import { Bytes, type Writer } from "../netlink/bytes.ts";
import * as c from "../netlink/constants.ts";
import { readSettings, type SettingsAttributes, writeSettings } from "../netlink/settings.ts";
import type { RouteSocket } from "../netlink/socket.ts";
import { waitCarrier } from "./carrier.ts";
import { type KindSettings, kindSettings } from "./kind.ts";
import type { Link } from "./link.ts";
import { detachTcx, detachXdp, tcxIds } from "./programs.ts";
import { type QueueSettings, queueSettings } from "./queues.ts";
import { readSysctl, writeSysctl } from "./sysctl.ts";

/** Goes into a record as it is: plain JSON. */
export interface LinkSettings {
  /** Colon form; "": none. */
  broadcast: string;
  /** By the names of SIZES, those that the kernel has. */
  sizes: { [name: string]: number };
  /** Sysctls, those that are not as usual (Loops.differences); absent: the kernel has no such protocol. */
  conf4?: number[];
  conf6?: number[];
  /** net.ipv6.conf.DEVICE.stable_secret, when addresses are made of it. */
  secret?: string;
  /** When it is not the usual one. */
  linkMode?: number;
  /** Ids of the programs of XDP. */
  xdp: number[];
  /** And of tcx; absent: none. */
  tcx?: number[];
  /** Of NAPI and the queues; absent: unknown. */
  queues?: QueueSettings;
  /** Of the kinds of which a pod can change something. */
  ofKind?: KindSettings;
}

const SIZES = ["group", "gsoMaxSegs", "gsoMaxSize", "groMaxSize", "gsoIpv4MaxSize", "groIpv4MaxSize"] as const;

/** Names below net/ipv4/conf/DEVICE in the order of IPV4_DEVCONF_*; "": not to be written. */
export const IPV4 = [
  ...["forwarding", "", "proxy_arp", "accept_redirects", "secure_redirects", "send_redirects", "shared_media"],
  ...["rp_filter", "accept_source_route", "bootp_relay", "log_martians", "tag", "arp_filter", "medium_id"],
  ...["disable_xfrm", "disable_policy", "force_igmp_version", "arp_announce", "arp_ignore", "promote_secondaries"],
  ...["arp_accept", "arp_notify", "accept_local", "src_valid_mark", "proxy_arp_pvlan", "route_localnet"],
  ...["igmpv2_unsolicited_report_interval", "igmpv3_unsolicited_report_interval", "ignore_routes_with_linkdown"],
  ...["drop_unicast_in_l2_multicast", "drop_gratuitous_arp", "bc_forwarding", "arp_evict_nocarrier"],
];

/** Names below net/ipv6/conf/DEVICE in the order of DEVCONF_*. */
export const IPV6 = [
  ...["forwarding", "hop_limit", "mtu", "accept_ra", "accept_redirects", "autoconf", "dad_transmits"],
  ...["router_solicitations", "router_solicitation_interval", "router_solicitation_delay", "use_tempaddr"],
  ...["temp_valid_lft", "temp_prefered_lft", "regen_max_retry", "max_desync_factor", "max_addresses"],
  ...["force_mld_version", "accept_ra_defrtr", "accept_ra_pinfo", "accept_ra_rtr_pref", "router_probe_interval"],
  ...["accept_ra_rt_info_max_plen", "proxy_ndp", "optimistic_dad", "accept_source_route", "", "disable_ipv6"],
  ...["accept_dad", "force_tllao", "ndisc_notify", "mldv1_unsolicited_report_interval"],
  ...["mldv2_unsolicited_report_interval", "suppress_frag_ndisc", "accept_ra_from_local", "use_optimistic"],
  ...["accept_ra_mtu", "", "use_oif_addrs_only", "accept_ra_min_hop_limit", "ignore_routes_with_linkdown"],
  ...["drop_unicast_in_l2_multicast", "drop_unsolicited_na", "keep_addr_on_down", "router_solicitation_max_interval"],
  ...["seg6_enabled", "seg6_require_hmac", "enhanced_dad", "addr_gen_mode", "disable_policy"],
  ...["accept_ra_rt_info_min_plen", "ndisc_tclass", "rpl_seg_enabled", "ra_defrtr_metric", "ioam6_enabled"],
  ...["ioam6_id", "ioam6_id_wide", "ndisc_evict_nocarrier", "accept_untracked_na", "accept_ra_min_lft"],
];
/**
 * What Linux 6.18 gives a new Ethernet device, in the order of IPV4 and IPV6. Records have only what differs from it, so that this is part of
 * their format and must not change; what is added behind it is not in older records.
 */
export const USUAL4 = Int32Array.of(
  ...[0, 0, 0, 1, 1, 1, 1, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 10000, 1000, 0, 0, 0, 0, 1],
);
export const USUAL6 = Int32Array.of(
  ...[0, 64, 1500, 1, 1, 1, 1, -1, 4000, 1000, 0, 604800, 86400, 3, 600, 16, 0, 1, 1, 1, 60000, 0, 0, 0, 0, 0, 0, 1],
  ...[0, 0, 10000, 1000, 1, 0, 0, 1, 0, 0, 1, 0, 0, 0, 0, 3600000, 0, 0, 1, 0, 0, 0, 0, 0, 1024, 0, 65535, -1, 1, 0],
  ...[0],
);
const MTU = IPV6.indexOf("mtu");
const ADDR_GEN_MODE = IPV6.indexOf("addr_gen_mode");
/** Seconds as files, and milliseconds in the kernel's answer. */
const IN_SECONDS = [
  ...["router_solicitation_interval", "router_solicitation_delay", "router_solicitation_max_interval"],
  "router_probe_interval",
];
const UNSIGNED = ["ra_defrtr_metric", "ioam6_id_wide"];
/** Of addr_gen_mode: 2 and 3 make addresses of a secret. */
const STABLE = [2, 3];

/** `shown`: see queueSettings. */
export function linkSettings(route: RouteSocket, link: Link, shown?: Fd): LinkSettings {
  const { index, name, message } = link;
  const a = message === undefined ? ask(route, index) : read(message);
  const sizes: LinkSettings["sizes"] = {};
  for (let i = 0; i < SIZES.length; i++) {
    const size = SIZES[i]!;
    const value = a[size];
    if (value !== undefined) sizes[size] = value;
  }
  const settings: LinkSettings = {
    broadcast: a.broadcast === undefined ? "" : formatMac(a.broadcast),
    sizes,
    xdp: hasPrograms(a) ? MODES.map(([mode]) => programsOf(a)[mode]).filter((id) => id !== undefined) : [],
  };
  const queues = queueSettings(link, shown);
  if (queues !== undefined) settings.queues = queues;
  const ofKind = kindSettings(route, link);
  if (ofKind !== undefined) settings.ofKind = ofKind;
  if (a.linkMode) settings.linkMode = a.linkMode;
  const tcx = tcxIds(index, name);
  if (tcx.length > 0) settings.tcx = tcx;
  const { inet, inet6 } = a.families ?? {};
  if (inet?.conf !== undefined) settings.conf4 = loops.differences(inet.conf, USUAL4);
  if (inet6?.conf === undefined) return settings;
  settings.conf6 = loops.differences(inet6.conf, USUAL6);
  if (!STABLE.includes(inet6.conf[ADDR_GEN_MODE] ?? 0)) return settings;
  const secret = quietly(name, () => readSysctl(`net/ipv6/conf/${name}/stable_secret`));
  return secret === undefined ? settings : { ...settings, secret };
}

/** The values that these are the differences of. */
function valuesOf(found: number[] | undefined, usual: Int32Array): Int32Array {
  if (found === undefined) return new Int32Array(0);
  if (found.length === 0) return usual;
  const values = usual.slice();
  for (let i = 0; i + 1 < found.length; i += 2) values[found[i]!] = found[i + 1]!;
  return values;
}

/** Of an answer that was kept (Link.message). */
function read(message: Uint8Array): SettingsAttributes {
  return readSettings(Bytes.from(message), 0, message.length).attributes;
}

function ask(route: RouteSocket, index: number): SettingsAttributes {
  const write = (writer: Writer) => writeSettings(writer, { index, attributes: {} });
  return route.get(`ip link show ${index}`, c.RTM_GETLINK, write, readSettings).attributes;
}

/**
 * Makes a device on the host, called `name`, what it was; before it goes up, so that no router is heard that was not. Changes only what differs;
 * what is refused is said in the log. `message`: what the kernel says of it now (Link.message). False: it has a program that it did not have
 * (XDP, tcx), and must not go up.
 */
export function restoreSettings(
  route: RouteSocket,
  index: number,
  name: string,
  saved: LinkSettings,
  message?: Uint8Array,
): boolean {
  const now = message === undefined ? ask(route, index) : read(message);
  const set = (what: string, attributes: SettingsAttributes): void =>
    writeSettings(route.begin(`ip link set ${name} ${what}`, c.RTM_NEWLINK, 0), { index, attributes });
  for (const size of SIZES) {
    const value = saved.sizes[size];
    if (value !== undefined && value !== now[size]) set(`${size} ${value}`, { [size]: value });
  }
  const { linkMode = 0 } = saved;
  if (now.linkMode !== undefined && now.linkMode !== linkMode) set(`mode ${linkMode}`, { linkMode });
  if (saved.broadcast !== "" && now.broadcast !== undefined && formatMac(now.broadcast) !== saved.broadcast) {
    // Of a tunnel it is its remote end, which the kernel does not take here.
    const broadcast = parseMac(saved.broadcast);
    if (broadcast !== undefined) set("broadcast", { broadcast });
  }
  for (const error of route.runEach())
    if (error !== undefined) log("warning", "cannot restore a setting", { device: name, error: error.message });
  const { inet, inet6 } = now.families ?? {};
  if (saved.secret !== undefined) writeQuietly(name, `net/ipv6/conf/${name}/stable_secret`, saved.secret);
  if (inet?.conf !== undefined) restoreSysctls(name, "ipv4", IPV4, valuesOf(saved.conf4, USUAL4), inet.conf);
  if (inet6?.conf !== undefined) restoreSysctls(name, "ipv6", IPV6, valuesOf(saved.conf6, USUAL6), inet6.conf);
  const isFree = takeOffXdp(route, index, name, saved.xdp, now);
  const isWithoutTcx = quietly(name, () => detachTcx(index, name, saved.tcx ?? []));
  return isFree && isWithoutTcx === true;
}

function hasPrograms({ xdp }: SettingsAttributes): boolean {
  return xdp?.attached !== undefined && xdp.attached !== 0;
}

/** Before Linux 4.19 a device has one program at most, and the kernel tells its id apart from how it is attached. */
function programsOf({ xdp }: SettingsAttributes): { [mode in Mode]?: number | undefined } {
  const only = ATTACHED[xdp?.attached ?? 0];
  if (only === undefined || xdp?.program === undefined) return xdp ?? {};
  return { [only]: xdp.program };
}

/** False: a program is still there. */
function takeOffXdp(
  route: RouteSocket,
  index: number,
  name: string,
  kept: readonly number[],
  now: SettingsAttributes,
): boolean {
  if (!hasPrograms(now)) return true;
  const programs = programsOf(now);
  const foreign = MODES.filter(([mode]) => programs[mode] !== undefined && !kept.includes(programs[mode]));
  for (const [, flags] of foreign)
    writeSettings(route.begin(`ip link set ${name} xdp off`, c.RTM_NEWLINK, 0), {
      index,
      attributes: { xdp: { fd: -1, flags } },
    });
  let isFree = true;
  route.runEach().forEach((error, i) => {
    if (error === undefined) return;
    // A link of BPF holds it.
    if (quietly(name, () => detachXdp(index, programs[foreign[i]![0]]!)) === true) return;
    log("warning", "cannot restore a setting", { device: name, error: error.message });
    isFree = false;
  });
  return isFree;
}

/** What the kernel sets anew when a device goes up, and again when its carrier comes: the MTU of IPv6, when it is not the device's. */
export function restoreWhenUp(
  route: RouteSocket,
  index: number,
  name: string,
  mtu: number,
  { conf6 }: LinkSettings,
): void {
  const value = valuesOf(conf6, USUAL6)[MTU] ?? mtu;
  if (value === mtu) return;
  quietly(name, () => waitCarrier(route, index));
  writeQuietly(name, `net/ipv6/conf/${name}/mtu`, String(value));
}

/** How programs of XDP are attached, and XDP_FLAGS_* of each. */
const MODES = [
  ["skb", c.XDP_FLAGS_SKB_MODE],
  ["drv", c.XDP_FLAGS_DRV_MODE],
  ["hw", c.XDP_FLAGS_HW_MODE],
] as const;
type Mode = (typeof MODES)[number][0];
/** By IFLA_XDP_ATTACHED; 4: several of them. */
const ATTACHED: readonly (Mode | undefined)[] = [undefined, "drv", "skb", "hw"];

function restoreSysctls(device: string, family: string, names: string[], saved: Int32Array, now: Int32Array): void {
  const found = loops.differences(saved, now);
  for (let i = 0; i < found.length; i += 2) {
    const name = names[found[i]!]!;
    if (name === "") continue;
    const value = IN_SECONDS.includes(name) ? found[i + 1]! / 1000 : found[i + 1]!;
    const text = UNSIGNED.includes(name) ? value >>> 0 : Math.round(value);
    writeQuietly(device, `net/${family}/conf/${device}/${name}`, String(text));
  }
}

function writeQuietly(device: string, key: string, value: string): void {
  quietly(device, () => writeSysctl(key, value));
}

function quietly<T>(device: string, run: () => T): T | undefined {
  try {
    return run();
  } catch (error) {
    if (!(error instanceof SystemError)) throw error;
    log("warning", "cannot restore a setting", { device, error: error.message });
    return undefined;
  }
}
