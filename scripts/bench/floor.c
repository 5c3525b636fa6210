// floor, called `macvlan` or `host-device`: shows what the kernel itself takes for an ADD or DEL. Makes only the unavoidable requests and files, in
// the plugin's order: no check of the configuration, no contents of the record, no messages. Supports only the benchmark's configurations.
#include "netlink.h"
#include "pool.h"

#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>

static char config[4096];

/** Returns the string value of a key, at any depth. */
static const char *text(const char *key, char *value) {
  char pattern[32];
  snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
  const char *found = strstr(config, pattern);
  return found != NULL && sscanf(found + strlen(pattern), "%63[^\"]", value) == 1 ? value : NULL;
}

static void answerWith(const char *device) {
  char result[256];
  int size = snprintf(result, sizeof result, "{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"%s\"}]}\n", device);
  if (write(1, result, size) < 0) fail("stdout");
}

static void replaceFile(int dir, const char *name, const char *content) {
  int fd = openat(dir, ".tmp", O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (fd < 0 || write(fd, content, strlen(content)) < 0) fail(name);
  close(fd);
  if (renameat(dir, ".tmp", dir, name) != 0) fail(name);
}

/** Reserves the first address of the range on stable storage. The benchmark uses one address at a time. */
static void reserve(const char *network, const char *address) {
  int dir = openStore(network);
  int lease = openat(dir, address, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  if (lease < 0 || write(lease, "bench\r\neth0", 11) < 0) fail(address);
  replaceFile(dir, "last_reserved_ip.0", address);
  if (fsync(lease) != 0 || fsync(dir) != 0) fail("fsync");
}

/** Returns the address from IPAM, or NULL. */
static const char *allocate(int add, char *value) {
  char network[64], subnet[64];
  if (text("address", value) != NULL) return value;
  if (text("subnet", subnet) == NULL || text("name", network) == NULL) return NULL;
  *strrchr(subnet, '.') = 0;
  snprintf(value, 64, "%s.2", subnet);
  if (add) reserve(network, value);
  else if (unlinkat(openStore(network), value, 0) != 0) fail(value);
  return value;
}

static void setSysctl(const char *path, const char *value) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, value, strlen(value)) < 0) fail(path);
  close(fd);
}

static void addAddress(int fd, unsigned index, const char *address) {
  unsigned char bytes[4], gateway[4];
  sscanf(address, "%hhu.%hhu.%hhu.%hhu", bytes, bytes + 1, bytes + 2, bytes + 3);
  memcpy(gateway, bytes, 4);
  gateway[3] = 1;
  struct ifaddrmsg *own = start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *own);
  *own = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = index};
  put(IFA_LOCAL, bytes, 4);
  put(IFA_ADDRESS, bytes, 4);
  run(fd, "address");
  begin(RTM_NEWLINK, index, IFF_UP);
  run(fd, "up");
  struct rtmsg *route = start(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *route);
  *route = (struct rtmsg){.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
  put(RTA_GATEWAY, gateway, 4);
  put(RTA_OIF, &index, 4);
  run(fd, "route");
}

static void configure(int pod, int own, int route, unsigned index, const char *inside, const char *address) {
  if (address == NULL) {
    begin(RTM_NEWLINK, index, IFF_UP);
    run(route, "up");
    return;
  }
  char path[96];
  if (setns(pod, CLONE_NEWNET) != 0) fail("netns");
  snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/arp_notify", inside);
  setSysctl(path, "1");
  if (setns(own, CLONE_NEWNET) != 0) fail("netns");
  addAddress(route, index, address);
}

static void addMacvlan(int host, int pod, const char *master, const char *inside) {
  unsigned lower = get(host, master, RTEXT_FILTER_SKIP_STATS), mode = MACVLAN_MODE_BRIDGE;
  begin(RTM_NEWLINK, 0, 0);
  ((struct nlmsghdr *)message)->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
  put(IFLA_IFNAME, inside, strlen(inside) + 1);
  put(IFLA_LINK, &lower, sizeof lower);
  put(IFLA_NET_NS_FD, &pod, sizeof pod);
  unsigned info = put(IFLA_LINKINFO, NULL, 0);
  put(IFLA_INFO_KIND, "macvlan", 8);
  unsigned data = put(IFLA_INFO_DATA, NULL, 0);
  put(IFLA_MACVLAN_MODE, &mode, sizeof mode);
  nest(data);
  nest(info);
  run(host, "macvlan");
}

static int deletion(void *route) {
  setsid();
  if (unshare(CLONE_FILES) != 0) _exit(1);
  for (int fd = 0; fd < 3; fd++) close(fd);
  send(*(int *)route, message, at, 0);
  _exit(0);
}

/** Deletes the link and waits until it is no longer visible. A child process waits for the kernel's grace period. */
static void deleteLink(int route, int pod, int own, const char *inside) {
  static char stack[8192];
  unsigned index = get(route, inside, RTEXT_FILTER_SKIP_STATS);
  int group = RTNLGRP_LINK;
  if (setns(pod, CLONE_NEWNET) != 0) fail("netns");
  int events = routeSocket();
  if (setsockopt(events, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) fail("group");
  if (setns(own, CLONE_NEWNET) != 0) fail("netns");
  begin(RTM_DELLINK, index, 0);
  ((struct nlmsghdr *)message)->nlmsg_len = at;
  if (clone(deletion, stack + sizeof stack, CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, &route) < 0) fail("clone");
  do
    if (recv(events, answer, sizeof answer, 0) < 0) fail("events");
  while (((struct nlmsghdr *)answer)->nlmsg_type != RTM_DELLINK);
}

int main(int argc, char **argv) {
  const char *command = getenv("CNI_COMMAND"), *inside = getenv("CNI_IFNAME");
  if (argc != 1 || strcmp(command, "VERSION") == 0) return 0;
  if (read(0, config, sizeof config - 1) < 0) fail("stdin");
  int add = strcmp(command, "ADD") == 0, lent = strstr(argv[0], "host-device") != NULL;
  char device[64], value[64];
  if (text(lent ? "device" : "master", device) == NULL) return 2;
  int host = routeSocket(), own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int pod = open(getenv("CNI_NETNS"), O_RDONLY | O_CLOEXEC);
  if (pod < 0 || setns(pod, CLONE_NEWNET) != 0) fail("netns");
  int route = routeSocket();
  if (setns(own, CLONE_NEWNET) != 0) fail("netns");
  if (!add) {
    allocate(0, value);
    if (!lent) deleteLink(route, pod, own, inside);
    else {
      move(route, get(route, inside, RTEXT_FILTER_SKIP_STATS), own, device, 0);
      unlink("/var/lib/cni/podnic-floor");
    }
    return 0;
  }
  get(route, inside, RTEXT_FILTER_SKIP_STATS);
  if (lent) {
    unsigned index = get(host, device, RTEXT_FILTER_SKIP_STATS);
    int dir = open("/var/lib/cni", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    replaceFile(dir, "podnic-floor", device);
    move(host, index, pod, inside, IFF_UP);
  } else addMacvlan(host, pod, device, inside);
  const char *address = allocate(1, value);
  configure(pod, own, route, get(route, inside, RTEXT_FILTER_SKIP_STATS), inside, address);
  answerWith(inside);
  return 0;
}
