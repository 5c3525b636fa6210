// Names of the interfaces that other programs on a node create. With such a name taken, the other program could not create its interface.
import { fits } from "./device-list.ts";

/** Never bridges: bridge must not create one of this name. */
const NO_BRIDGES = [
  ...[
    "flannel.*",
    "flannel-v6.*",
    "flannel-wg*",
    "kube-ipvs0",
    "kube-dummy-if",
    "nodelocaldns",
    "cilium_*",
    "lxc_health",
  ],
  ...["vxlan.calico", "vxlan-v6.calico", "wireguard.cali", "wg-v6.cali", "tunl0", "ip6tnl0", "sit0", "gre0", "gretap0"],
  ...["antrea-gw*", "antrea-tun*", "ovn-k8s-mp*", "vxlan_sys_*", "genev_sys_*"],
];
const BRIDGES = [
  "cni*",
  "docker*",
  "podman*",
  "nerdctl*",
  "cbr0",
  "kube-bridge",
  "weave",
  "virbr*",
  "lxcbr*",
  "lxdbr*",
];
const VIRTUAL_SWITCHES = ["br-int", "br-ex", "br-tun", "ovs-system"];

/** Of an interface that is never a bridge. */
export function isReservedName(name: string): boolean {
  return NO_BRIDGES.some((entry) => fits(entry, name));
}

/** Of any interface that another program creates when it starts, so that a device never has this name. */
export function isProgramsName(name: string): boolean {
  return isReservedName(name) || [...BRIDGES, ...VIRTUAL_SWITCHES].some((entry) => fits(entry, name));
}
