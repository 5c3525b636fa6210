// Converts a request about a bridge port (family AF_BRIDGE) from its bytes to the equivalent `bridge` command.
import { AF_BRIDGE } from "../../host/constants.ts";
import { formatMac } from "../../ip/mac.ts";
import { readPortChange, type VlanInfo } from "../../netlink/bridge.ts";
import * as c from "../../netlink/constants.ts";
import { readNeighbour } from "../../netlink/neighbour.ts";
import type { Message } from "./message.ts";
import type { Names } from "./names.ts";

/** True if the family of an rtnetlink request is AF_BRIDGE. The header of these requests begins with the family. */
export const isOfBridge = ({ bytes, start, end }: Message): boolean => end > start && bytes.u8[start] === AF_BRIDGE;

export function bridgeWords(message: Message, names: Names): string {
  const { type, bytes, start, end } = message;
  switch (type) {
    case c.RTM_SETLINK:
    case c.RTM_DELLINK: {
      const { index, change } = readPortChange(bytes, start, end);
      const dev = `dev ${names.device(index)}`;
      const port = Object.entries(change.port ?? {}).map(([name, value]) => ` ${name} ${value === 1 ? "on" : "off"}`);
      const link = port.length === 0 ? "" : `bridge link set ${dev}${port.join("")}`;
      const verb = type === c.RTM_DELLINK ? "del" : "add";
      const self = ((change.spec?.flags ?? 0) & c.BRIDGE_FLAGS_SELF) !== 0 ? " self" : "";
      const vlans = vlanWords(change.spec?.vlans ?? []).map((vlan) => `bridge vlan ${verb} ${dev} vid ${vlan}${self}`);
      return [link, ...vlans].filter(Boolean).join("; ");
    }
    case c.RTM_NEWNEIGH:
    case c.RTM_DELNEIGH:
    case c.RTM_GETNEIGH: {
      const { index, state, flags, attributes } = readNeighbour(bytes, start, end);
      const address = attributes.address === undefined ? "?" : formatMac(attributes.address);
      const vlan = attributes.vlan === undefined ? "" : ` vlan ${attributes.vlan}`;
      if (type === c.RTM_DELNEIGH) return `bridge fdb del ${address} dev ${names.device(index)} master${vlan}`;
      if (type === c.RTM_GETNEIGH && attributes.address === undefined)
        return `bridge fdb show br ${names.device(attributes.master ?? index)}`;
      if (type === c.RTM_GETNEIGH) return `bridge fdb get ${address} br ${names.device(attributes.master ?? 0)}${vlan}`;
      const how = `${(state & c.NUD_NOARP) !== 0 ? " static" : ""}${(flags & c.NTF_STICKY) !== 0 ? " sticky" : ""}`;
      return `bridge fdb add ${address} dev ${names.device(index)} master${how}${vlan}`;
    }
    case c.RTM_GETVLAN:
    case c.RTM_GETLINK:
      return "bridge vlan show";
    default:
      return `bridge message of type ${type}`;
  }
}

/** The VLANs in the syntax of `bridge vlan`, such as "5 pvid untagged" or "10-19". */
function vlanWords(vlans: VlanInfo[]): string[] {
  let first = 0;
  return vlans.flatMap(({ flags, vid }) => {
    if ((flags & c.BRIDGE_VLAN_INFO_RANGE_BEGIN) !== 0) {
      first = vid;
      return [];
    }
    const range = (flags & c.BRIDGE_VLAN_INFO_RANGE_END) !== 0 ? `${first}-${vid}` : String(vid);
    const pvid = (flags & c.BRIDGE_VLAN_INFO_PVID) !== 0 ? " pvid" : "";
    return [`${range}${pvid}${(flags & c.BRIDGE_VLAN_INFO_UNTAGGED) !== 0 ? " untagged" : ""}`];
  });
}
