// Names of the interfaces that other programs on a node create. With such a name taken, the other program could not create its interface.
import { fits } from "./device-list.ts";

/** Names of interfaces that are not bridges: bridge must not create a bridge with such a name. */
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

/** True for the name of a program's interface that is never a bridge. */
export function isReservedName(name: string): boolean {
  return NO_BRIDGES.some((entry) => fits(entry, name));
}

/** True for the name of any interface that another program creates when it starts. A device that is lent to a pod never has such a name. */
export function isProgramsName(name: string): boolean {
  return isReservedName(name) || [...BRIDGES, ...VIRTUAL_SWITCHES].some((entry) => fits(entry, name));
}
