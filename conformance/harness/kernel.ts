// What the kernel says about links, addresses and routes, read through iproute2's JSON.

export interface Address {
  readonly cidr: string;
  readonly scope: string;
  readonly tentative: boolean;
}

export interface Link {
  readonly name: string;
  readonly index: number;
  readonly kind: string;
  readonly mac: string;
  readonly mtu: number;
  readonly up: boolean;
  readonly promiscuous: boolean;
  readonly alias: string;
  readonly altnames: readonly string[];
  readonly master: string;
  readonly data: Readonly<Record<string, unknown>>;
  readonly addresses: readonly Address[];
}

export interface Route {
  readonly dst: string;
  readonly gateway: string;
  readonly gateways: readonly string[];
  readonly dev: string;
  readonly table: string;
  readonly metric: number;
  readonly scope: string;
  readonly protocol: string;
  readonly metrics: Readonly<Record<string, number>>;
}

type Json = Record<string, unknown>;

const text = (value: unknown): string => (typeof value === "string" ? value : "");
const number = (value: unknown): number => (typeof value === "number" ? value : 0);
const list = (value: unknown): Json[] => (Array.isArray(value) ? (value as Json[]) : []);

/** Parses `ip -j -d address show`. */
export function parseLinks(json: string): Link[] {
  // iproute2 6.1 prints an empty object for each filtered entry.
  return list(JSON.parse(json === "" ? "[]" : json))
    .filter((link) => "ifname" in link)
    .map((link) => {
      const info = (link.linkinfo ?? {}) as Json;
      return {
        name: text(link.ifname),
        index: number(link.ifindex),
        kind: text(info.info_kind),
        mac: text(link.address),
        mtu: number(link.mtu),
        up: (link.flags as string[]).includes("UP"),
        promiscuous: (link.flags as string[]).includes("PROMISC"),
        alias: text(link.ifalias),
        altnames: ((link.altnames ?? []) as string[]).slice().sort(),
        master: text(link.master),
        data: (info.info_data ?? {}) as Json,
        addresses: list(link.addr_info)
          .filter((a) => "local" in a)
          .map((a) => ({
            cidr: `${text(a.local)}/${number(a.prefixlen)}`,
            scope: text(a.scope),
            tentative: a.tentative === true,
          })),
      };
    });
}

/** Parses `ip -j -d route show table all` of one family. Default routes get the dst 0.0.0.0/0 or ::/0. */
export function parseRoutes(json: string, family: 4 | 6): Route[] {
  return list(JSON.parse(json === "" ? "[]" : json)).map((route) => {
    const hops = list(route.nexthops);
    const gateway = text(route.gateway) || text((route.via as Json | undefined)?.host);
    const metrics = Object.assign({}, ...list(route.metrics)) as Record<string, number>;
    return {
      dst: fullPrefix(text(route.dst), family),
      gateway,
      gateways: gateway === "" ? hops.map((hop) => text(hop.gateway)) : [gateway],
      dev: text(route.dev) || text(hops[0]?.dev),
      table: text(route.table) || "main",
      metric: number(route.metric),
      scope: text(route.scope),
      protocol: text(route.protocol),
      metrics,
    };
  });
}

function fullPrefix(dst: string, family: 4 | 6): string {
  if (dst === "default") return family === 4 ? "0.0.0.0/0" : "::/0";
  return dst.includes("/") ? dst : `${dst}/${family === 4 ? 32 : 128}`;
}
