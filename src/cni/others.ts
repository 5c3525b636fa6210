// Well-known plugins of other projects that create or change interfaces. As "ipam.type", such a plugin would read the same configuration and
// look for its own IPAM plugin, so it could start itself again and again.
const OTHERS = [
  ..."ptp vlan vrf dummy loopback tap tuning bandwidth firewall portmap sbr win-bridge win-overlay macvtap".split(" "),
  ..."sdnbridge ecs-bridge vpc-bridge ecs-eni aws-cni azure-vnet gke antrea kindnet".split(" "),
  ..."multus multus-shim multus-cni genie danm calico flannel cilium-cni weave-net canal".split(" "),
  ..."ovs ovs-cni ovn ovn-k8s-cni-overlay kube-ovn ib-sriov ib-sriov-cni accelerated-bridge userspace".split(" "),
  ..."bond rdma netdevice route-override coordinator istio-cni linkerd-cni".split(" "),
];

export function isInterfacePluginOfOthers(name: string): boolean {
  return OTHERS.includes(name);
}
