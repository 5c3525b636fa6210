// Pods of four networks, and the calls that a runtime makes for them.

export interface Network {
  readonly name: string;
  readonly type: string;
  /** First two numbers of its addresses. */
  readonly prefix: string;
  readonly config: object;
}

export interface Attachment {
  readonly network: Network;
  readonly ifName: string;
  /** Of host-device: the device that it lends. */
  readonly device?: string;
  /** What ADD printed; undefined: no ADD has succeeded. */
  result?: { ips?: { address: string }[] };
}

export interface Pod {
  readonly id: string;
  readonly attachments: readonly Attachment[];
  /** Somebody is making a call for it. */
  busy: boolean;
  /** Its namespace was deleted before DEL. */
  dead: boolean;
  /** The runtime has forgotten it: only GC knows. */
  lost: boolean;
}

const pool = (subnet: string, more: object = {}) => ({ type: "host-local", ranges: [[{ subnet, ...more }]] });

export const macvlan: Network = {
  name: "pods",
  type: "macvlan",
  prefix: "198.18",
  config: { master: "up0", ipam: pool("198.18.0.0/16") },
};
export const fixed: Network = { name: "fixed", type: "macvlan", prefix: "198.20", config: { master: "up0" } };
export const bridge: Network = {
  name: "bridged",
  type: "bridge",
  prefix: "198.19",
  config: { bridge: "br0", isGateway: true, ipMasq: true, ipam: pool("198.19.0.0/16") },
};
export const device: Network = {
  name: "cards",
  type: "host-device",
  prefix: "198.21",
  config: { ipam: pool("198.21.0.0/24", { rangeEnd: "198.21.0.40" }) },
};
export const networks: readonly Network[] = [macvlan, fixed, bridge, device];

/** Names in the pool of devices. */
export const devices: readonly string[] = Array.from({ length: 8 }, (_, n) => `nic${n}`);

export function configOf(attachment: Attachment, pod: Pod, withResult: boolean): object {
  const { network } = attachment;
  const number = Number(pod.id.slice(3));
  const own =
    network === fixed
      ? { ipam: { type: "static", addresses: [{ address: `198.20.${(number >> 8) & 255}.${number & 255}/16` }] } }
      : { ...(attachment.device && { device: attachment.device }) };
  const previous = withResult && attachment.result !== undefined ? { prevResult: attachment.result } : {};
  return { cniVersion: "1.1.0", name: network.name, type: network.type, ...network.config, ...own, ...previous };
}

export function collectConfig(network: Network, valid: readonly { id: string; ifName: string }[]): object {
  const attachments = valid.map(({ id, ifName }) => ({ containerID: id, ifname: ifName }));
  const own = network === device ? { device: devices[0] } : network === fixed ? { ipam: { type: "static" } } : {};
  return {
    ...{ cniVersion: "1.1.0", name: network.name, type: network.type, ...network.config, ...own },
    "cni.dev/valid-attachments": attachments,
  };
}

/** The lease files that there have to be: path below networks/ to content. */
export function leasesOf(pods: Iterable<Pod>): Map<string, string> {
  const leases = new Map<string, string>();
  for (const pod of pods)
    for (const { network, ifName, result } of pod.attachments)
      if (network !== fixed)
        for (const { address } of result?.ips ?? [])
          leases.set(`${network.name}/${address.split("/")[0]}`, `${pod.id}\r\n${ifName}`);
  return leases;
}
