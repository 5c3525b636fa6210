// Names of host interfaces that ADD must not use for its own interfaces, although no interface has these names at the moment.
import { Failure } from "../../src/errors.ts";
import { fits } from "../../src/plugin/device-list.ts";
import { attachmentInWords, loanNamed } from "../../src/plugin/lent/lender.ts";

/** Other programs make them, and never as a bridge: with the name taken, their node's network does not come up. */
const OTHERS = [
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

/** Called when the host has no such interface. Throws Failure("invalid config"). */
export function refuseReserved(name: string): void {
  const lent = loanNamed(name);
  if (lent !== undefined) {
    throw new Failure(
      "invalid config",
      `"${name}" is the name of a device that a pod has at the moment`,
      `${attachmentInWords(lent.key)} has the device, which returns to the host under this name. Use another name.`,
    );
  }
  if (!OTHERS.some((entry) => fits(entry, name))) return;
  throw new Failure(
    "invalid config",
    `"${name}" is the name of an interface that another program creates`,
    "Use another name. If ADD took this one, the other program could not create its interface.",
  );
}
