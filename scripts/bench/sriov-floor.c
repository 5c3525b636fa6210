// sriov-floor (environment: CNI_COMMAND, CNI_NETNS, CNI_IFNAME; arguments: PF VF HOSTNAME): shows what the kernel itself takes for an ADD or DEL of
// sriov. Makes only the unavoidable requests, in the plugin's order: reads the PF and the interface, sets VLAN 100 and trust in one request and reads
// them back, then moves the interface with its new name and brings it up. DEL does this in reverse. There is no configuration, no state and no
// message.
#include "netlink.h"

static void setVf(int fd, unsigned pf, unsigned vf, unsigned vlan, unsigned trusted) {
  struct ifla_vf_vlan_info tag = {.vf = vf, .vlan = vlan, .vlan_proto = 0x0081};
  struct ifla_vf_trust trust = {.vf = vf, .setting = trusted};
  begin(RTM_NEWLINK, pf, 0);
  unsigned list = put(IFLA_VFINFO_LIST, NULL, 0), info = put(IFLA_VF_INFO, NULL, 0);
  unsigned vlans = put(IFLA_VF_VLAN_LIST, NULL, 0);
  put(IFLA_VF_VLAN_INFO, &tag, sizeof tag);
  nest(vlans);
  put(IFLA_VF_TRUST, &trust, sizeof trust);
  nest(info);
  nest(list);
  run(fd, "vf");
}

int main(int argc, char **argv) {
  if (argc != 4) return 2;
  const char *pfName = argv[1], *hostName = argv[3], *inside = getenv("CNI_IFNAME");
  unsigned vf = atoi(argv[2]), seen = RTEXT_FILTER_VF | RTEXT_FILTER_SKIP_STATS;
  int add = strcmp(getenv("CNI_COMMAND"), "ADD") == 0;
  int host = routeSocket(), own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int pod = open(getenv("CNI_NETNS"), O_RDONLY | O_CLOEXEC);
  if (pod < 0 || setns(pod, CLONE_NEWNET) != 0) fail("netns");
  int route = routeSocket();
  unsigned pf = get(host, pfName, seen);
  if (add) {
    unsigned index = get(host, hostName, RTEXT_FILTER_SKIP_STATS);
    get(route, inside, RTEXT_FILTER_SKIP_STATS);
    setVf(host, pf, vf, 100, 1);
    get(host, pfName, seen);
    move(host, index, pod, inside, IFF_UP);
    get(route, inside, RTEXT_FILTER_SKIP_STATS);
  } else {
    move(route, get(route, inside, RTEXT_FILTER_SKIP_STATS), own, hostName, 0);
    get(host, hostName, RTEXT_FILTER_SKIP_STATS);
    setVf(host, pf, vf, 0, 0);
  }
  return 0;
}
