// sriov-floor (CNI_COMMAND, CNI_NETNS, CNI_IFNAME; its arguments: PF VF HOSTNAME): what the kernel takes for an ADD or DEL of sriov. The
// requests that cannot be avoided, in the order of the plugin, in C: look at the PF, look at the interface, set VLAN 100 and trust in one
// request and read them back, move with rename and up; DEL the same backwards. No configuration, no state, no messages.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

static char message[4096], answer[1 << 16];
static unsigned at;

static void fail(const char *what) {
  perror(what);
  exit(1);
}

static int routeSocket(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("socket");
  return fd;
}

static void begin(int type, unsigned index, unsigned flags) {
  memset(message, 0, sizeof message);
  struct nlmsghdr *header = (struct nlmsghdr *)message;
  struct ifinfomsg *link = NLMSG_DATA(header);
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST | (type == RTM_NEWLINK ? NLM_F_ACK : 0);
  link->ifi_index = index;
  link->ifi_flags = link->ifi_change = flags;
  at = NLMSG_SPACE(sizeof *link);
}

static unsigned put(int type, const void *data, unsigned size) {
  struct rtattr *attribute = (struct rtattr *)(message + at);
  unsigned start = at;
  attribute->rta_type = type;
  attribute->rta_len = RTA_LENGTH(size);
  if (size > 0) memcpy(RTA_DATA(attribute), data, size);
  at += RTA_SPACE(size);
  return start;
}

static void nest(unsigned start) { ((struct rtattr *)(message + start))->rta_len = at - start; }

static unsigned run(int fd, const char *what) {
  ((struct nlmsghdr *)message)->nlmsg_len = at;
  if (send(fd, message, at, 0) < 0 || recv(fd, answer, sizeof answer, 0) < 0) fail(what);
  struct nlmsghdr *header = (struct nlmsghdr *)answer;
  if (header->nlmsg_type == NLMSG_ERROR) {
    int error = -((struct nlmsgerr *)NLMSG_DATA(header))->error;
    if (error == 0 || error == ENODEV) return 0;
    errno = error;
    fail(what);
  }
  return ((struct ifinfomsg *)NLMSG_DATA(header))->ifi_index;
}

static unsigned get(int fd, const char *name, unsigned mask) {
  begin(RTM_GETLINK, 0, 0);
  put(IFLA_EXT_MASK, &mask, sizeof mask);
  put(IFLA_IFNAME, name, strlen(name) + 1);
  return run(fd, name);
}

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

static void move(int fd, unsigned index, int netns, const char *name, unsigned flags) {
  begin(RTM_NEWLINK, index, flags);
  put(IFLA_NET_NS_FD, &netns, sizeof netns);
  put(IFLA_IFNAME, name, strlen(name) + 1);
  run(fd, "move");
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
