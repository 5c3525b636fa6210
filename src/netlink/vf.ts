// IFLA_VF_INFO: the state and settings of one virtual function, in link messages of its physical function.
import { type Codec, Table, type Values } from "./attributes.ts";
import { list, nested, words } from "./codecs.ts";
import * as c from "./constants.ts";

/** struct ifla_vf_mac: vf and an address of at most 32 bytes. Ethernet uses the first 6. */
const MAX_ADDR_LEN = 32;
const vfMac: Codec<{ vf: number; address: Uint8Array }> = {
  min: 4 + MAX_ADDR_LEN,
  write(writer, type, value) {
    const at = writer.attribute(type, 4 + MAX_ADDR_LEN);
    writer.u32[at >> 2] = value.vf;
    writer.u8.set(value.address, at + 4);
  },
  read: (from, start) => ({ vf: from.u32[start >> 2]!, address: from.copy(start + 4, start + 4 + MAX_ADDR_LEN) }),
};

/** struct ifla_vf_vlan_info: 16 bytes with two of padding (14 are refused since kernel 6.1), the protocol in network order. */
const vlanInfo: Codec<{ vf: number; vlan: number; qos: number; protocol: number }> = {
  min: 14,
  write(writer, type, value) {
    const at = writer.attribute(type, 16);
    writer.u32[at >> 2] = value.vf;
    writer.u32[(at >> 2) + 1] = value.vlan;
    writer.u32[(at >> 2) + 2] = value.qos;
    writer.u8[at + 12] = value.protocol >> 8;
    writer.u8[at + 13] = value.protocol;
  },
  read: (from, start) => ({
    vf: from.u32[start >> 2]!,
    vlan: from.u32[(start >> 2) + 1]!,
    qos: from.u32[(start >> 2) + 2]!,
    protocol: from.be16(start + 12),
  }),
};

export const vfAttributes = new Table("vf", {
  mac: [c.IFLA_VF_MAC, vfMac],
  vlan: [c.IFLA_VF_VLAN, words("vf", "vlan", "qos")],
  spoofchk: [c.IFLA_VF_SPOOFCHK, words("vf", "setting")],
  linkState: [c.IFLA_VF_LINK_STATE, words("vf", "state")],
  rate: [c.IFLA_VF_RATE, words("vf", "min", "max")],
  trust: [c.IFLA_VF_TRUST, words("vf", "setting")],
  vlanList: [c.IFLA_VF_VLAN_LIST, list(c.IFLA_VF_VLAN_INFO, vlanInfo)],
});

export type VfAttributes = Values<typeof vfAttributes.rows>;
export const vfInfo = nested(vfAttributes);
