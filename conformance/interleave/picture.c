// picture: the interfaces, routes, rules and nftables tables of this network namespace and of those in /run/netns, and the sysctls of this one,
// for a fraction of what one `ip` for each of them costs. Lines with tabs:
// "link", namespace ("host" for this one), name, MTU, "up" or "down", MAC address, alias, addresses but link-local ones, what any interface
// has besides, and all other attributes of it, by their numbers in linux/if_link.h;
// "route", "rule", "table": namespace, what it is; "sysctl": name, value.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_LINKS = 256 };
struct link {
  int index, up, master;
  unsigned mtu;
  char name[IFNAMSIZ], alias[256], mac[64], addresses[1024], common[256], facts[8192];
};
static struct link links[MOST_LINKS];
static int count;
static const char *where;

static void die(const char *what) {
  fprintf(stderr, "picture: %s: %s\n", what, strerror(errno));
  exit(2);
}

/** The value of an attribute as a text; it may lack a NUL. */
static void text(char *to, size_t size, const struct rtattr *from) {
  snprintf(to, size, "%.*s", (int)RTA_PAYLOAD(from), (const char *)RTA_DATA(from));
}

/** Appends bytes as hexadecimal digits. */
static void hex(char *to, size_t size, const void *bytes, size_t length) {
  size_t used = strlen(to);
  for (size_t i = 0; i < length && used + 2 < size; i++, used += 2) sprintf(to + used, "%02x", ((const unsigned char *)bytes)[i]);
}

/**
 * Counters, states that the kernel sets when it has time, and numbers of things rather than their names; the columns before have others.
 * And the permanent address, which igbvf reads anew only when the function comes up: after a VF's MAC address it is the former one for a while.
 */
static int isVolatile(int type) {
  switch (type) {
    case IFLA_IFNAME: case IFLA_IFALIAS: case IFLA_MTU: case IFLA_ADDRESS: case IFLA_TXQLEN: case IFLA_GROUP: case IFLA_PROMISCUITY: case IFLA_MASTER:
    case IFLA_AF_SPEC: case IFLA_LINKINFO: case IFLA_STATS: case IFLA_STATS64: case IFLA_MAP: case IFLA_LINK: case IFLA_LINK_NETNSID:
    case IFLA_OPERSTATE: case IFLA_CARRIER: case IFLA_CARRIER_CHANGES: case IFLA_CARRIER_UP_COUNT: case IFLA_CARRIER_DOWN_COUNT:
    case IFLA_PERM_ADDRESS:
      return 1;
    default: return 0;
  }
}

/** Sysctls of the interface: all arrays that ipv4 and ipv6 keep of it. IPv6's other attributes are counters and times. */
static void onFamilies(struct link *link, struct rtattr *families) {
  int rest = RTA_PAYLOAD(families);
  for (struct rtattr *family = RTA_DATA(families); RTA_OK(family, rest); family = RTA_NEXT(family, rest)) {
    int six = (family->rta_type & NLA_TYPE_MASK) == AF_INET6, inner = RTA_PAYLOAD(family);
    if (!six && (family->rta_type & NLA_TYPE_MASK) != AF_INET) continue;
    for (struct rtattr *at = RTA_DATA(family); RTA_OK(at, inner); at = RTA_NEXT(at, inner)) {
      const unsigned *values = RTA_DATA(at);
      if (at->rta_type != (six ? IFLA_INET6_CONF : IFLA_INET_CONF) && !(six && at->rta_type == IFLA_INET6_ADDR_GEN_MODE)) continue;
      size_t many = at->rta_type == IFLA_INET6_ADDR_GEN_MODE && six ? 0 : RTA_PAYLOAD(at) / sizeof *values, used = strlen(link->facts);
      used += snprintf(link->facts + used, sizeof link->facts - used, "\tipv%d", six ? 6 : 4);
      if (many == 0) used += snprintf(link->facts + used, sizeof link->facts - used, " addrgenmode %u", *(const unsigned char *)values);
      for (size_t i = 0; i < many && used < sizeof link->facts; i++)
        if (values[i] != 0) used += snprintf(link->facts + used, sizeof link->facts - used, " %zu=%u", i + !six, values[i]);
    }
  }
}

static void onLink(struct nlmsghdr *message) {
  struct ifinfomsg *about = NLMSG_DATA(message);
  if (count == MOST_LINKS) die("too many interfaces");
  struct link *link = &links[count++];
  *link = (struct link){.index = about->ifi_index, .up = (about->ifi_flags & IFF_UP) != 0};
  int rest = IFLA_PAYLOAD(message);
  unsigned queue = 0, group = 0, promiscuous = 0;
  for (struct rtattr *at = IFLA_RTA(about); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
    const unsigned char *bytes = RTA_DATA(at);
    if (at->rta_type == IFLA_IFNAME) text(link->name, sizeof link->name, at);
    if (at->rta_type == IFLA_IFALIAS) text(link->alias, sizeof link->alias, at);
    if (at->rta_type == IFLA_MTU) memcpy(&link->mtu, bytes, sizeof link->mtu);
    if (at->rta_type == IFLA_ADDRESS)
      for (size_t i = 0; i < RTA_PAYLOAD(at) && i < 20; i++) sprintf(link->mac + strlen(link->mac), i ? ":%02x" : "%02x", bytes[i]);
    if (at->rta_type == IFLA_TXQLEN) memcpy(&queue, bytes, sizeof queue);
    if (at->rta_type == IFLA_GROUP) memcpy(&group, bytes, sizeof group);
    if (at->rta_type == IFLA_PROMISCUITY) memcpy(&promiscuous, bytes, sizeof promiscuous);
    if (at->rta_type == IFLA_MASTER) memcpy(&link->master, bytes, sizeof link->master);
    if ((at->rta_type & NLA_TYPE_MASK) == IFLA_AF_SPEC) onFamilies(link, at);
    // What is down gets its queue when it comes up; a move between namespaces takes it away.
    if (isVolatile(at->rta_type & NLA_TYPE_MASK) || (at->rta_type == IFLA_QDISC && !link->up)) continue;
    size_t used = strlen(link->facts);
    snprintf(link->facts + used, sizeof link->facts - used, "\t%d=", at->rta_type & NLA_TYPE_MASK);
    hex(link->facts, sizeof link->facts, bytes, RTA_PAYLOAD(at));
  }
  // IFF_UP is a column; the others left out say what the other end does.
  unsigned flags = about->ifi_flags & ~(IFF_UP | IFF_RUNNING | (1 << 16) | (1 << 17));
  snprintf(link->common, sizeof link->common, "flags %x qlen %u group %u promiscuity %u", flags, queue, group, promiscuous);
}

static const char *nameOf(int index) {
  for (int i = 0; i < count; i++)
    if (links[i].index == index) return links[i].name;
  return "-";
}

/** Routes, but those that the kernel makes of an address, for IPv6 when it has time. */
static void onRoute(struct nlmsghdr *message) {
  struct rtmsg *about = NLMSG_DATA(message);
  if (about->rtm_flags & RTM_F_CLONED) return;
  if (about->rtm_protocol == RTPROT_KERNEL && (about->rtm_family == AF_INET6 || about->rtm_table == RT_TABLE_LOCAL)) return;
  char line[2048] = "";
  int rest = RTM_PAYLOAD(message), device = 0;
  for (struct rtattr *at = RTM_RTA(about); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
    size_t used = strlen(line);
    char written[INET6_ADDRSTRLEN];
    if (at->rta_type == RTA_OIF) memcpy(&device, RTA_DATA(at), sizeof device);
    else if (at->rta_type == RTA_CACHEINFO) continue;
    else if (at->rta_type == RTA_TABLE) snprintf(line + used, sizeof line - used, " table %u", *(unsigned *)RTA_DATA(at));
    else if (at->rta_type == RTA_PRIORITY) snprintf(line + used, sizeof line - used, " metric %u", *(unsigned *)RTA_DATA(at));
    else if ((at->rta_type == RTA_DST || at->rta_type == RTA_GATEWAY || at->rta_type == RTA_PREFSRC) && inet_ntop(about->rtm_family, RTA_DATA(at), written, sizeof written) != NULL)
      snprintf(line + used, sizeof line - used, " %s %s", at->rta_type == RTA_DST ? "to" : at->rta_type == RTA_GATEWAY ? "via" : "src", written);
    else {
      snprintf(line + used, sizeof line - used, " %d=", at->rta_type);
      hex(line, sizeof line, RTA_DATA(at), RTA_PAYLOAD(at));
    }
  }
  printf("route\t%s\tipv%d/%d dev %s type %d proto %d scope %d%s\n", where, about->rtm_family == AF_INET ? 4 : 6, about->rtm_dst_len, nameOf(device), about->rtm_type, about->rtm_protocol, about->rtm_scope, line);
}

static void onRule(struct nlmsghdr *message) {
  struct fib_rule_hdr *about = NLMSG_DATA(message);
  char line[2048] = "";
  int rest = message->nlmsg_len - NLMSG_LENGTH(sizeof *about);
  for (struct rtattr *at = (void *)((char *)about + NLMSG_ALIGN(sizeof *about)); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
    size_t used = strlen(line);
    if (at->rta_type == FRA_PRIORITY || at->rta_type == FRA_TABLE) {
      snprintf(line + used, sizeof line - used, " %s %u", at->rta_type == FRA_TABLE ? "table" : "priority", *(unsigned *)RTA_DATA(at));
      continue;
    }
    snprintf(line + used, sizeof line - used, " %d=", at->rta_type);
    hex(line, sizeof line, RTA_DATA(at), RTA_PAYLOAD(at));
  }
  printf("rule\t%s\tipv%d from /%d to /%d action %d flags %x%s\n", where, about->family == AF_INET ? 4 : 6, about->src_len, about->dst_len, about->action, about->flags, line);
}

static void onTable(struct nlmsghdr *message) {
  struct nfgenmsg *about = NLMSG_DATA(message);
  int rest = message->nlmsg_len - NLMSG_LENGTH(sizeof *about);
  for (struct rtattr *at = (void *)((char *)about + NLMSG_ALIGN(sizeof *about)); RTA_OK(at, rest); at = RTA_NEXT(at, rest))
    if (at->rta_type == NFTA_TABLE_NAME) printf("table\t%s\tfamily %d %s\n", where, about->nfgen_family, (char *)RTA_DATA(at));
}

static void onAddress(struct nlmsghdr *message) {
  struct ifaddrmsg *about = NLMSG_DATA(message);
  if (about->ifa_scope == RT_SCOPE_LINK) return;
  const void *address = NULL;
  int rest = IFA_PAYLOAD(message);
  for (struct rtattr *at = IFA_RTA(about); RTA_OK(at, rest); at = RTA_NEXT(at, rest))
    if (at->rta_type == IFA_LOCAL || (at->rta_type == IFA_ADDRESS && address == NULL)) address = RTA_DATA(at);
  char written[INET6_ADDRSTRLEN];
  if (address == NULL || inet_ntop(about->ifa_family, address, written, sizeof written) == NULL) return;
  for (int i = 0; i < count; i++) {
    size_t used = strlen(links[i].addresses);
    if (links[i].index == (int)about->ifa_index)
      snprintf(links[i].addresses + used, sizeof links[i].addresses - used, "%s%s/%d", used ? " " : "", written, about->ifa_prefixlen);
  }
}

static void dump(int fd, int type, int family, void (*each)(struct nlmsghdr *)) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg body; // the longest of them; each begins with its family
  } request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = type}};
  request.body.ifi_family = family;
  if (type == RTM_GETRULE || type == RTM_GETROUTE) request.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct rtmsg));
  if (type > RTM_MAX) request.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct nfgenmsg));
  static char answer[1 << 17];
  if (send(fd, &request, sizeof request, 0) < 0) die("send");
  for (;;) {
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < 0) die("recv");
    int rest = got;
    for (struct nlmsghdr *message = (void *)answer; NLMSG_OK(message, rest); message = NLMSG_NEXT(message, rest)) {
      if (message->nlmsg_type == NLMSG_DONE) return;
      if (message->nlmsg_type == NLMSG_ERROR) {
        if (type > RTM_MAX) return; // a kernel without nftables has no tables
        errno = -((struct nlmsgerr *)NLMSG_DATA(message))->error;
        die("dump");
      }
      each(message);
    }
  }
}

static void show(const char *namespace) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) die("socket");
  count = 0;
  where = namespace;
  dump(fd, RTM_GETLINK, AF_UNSPEC, onLink);
  dump(fd, RTM_GETADDR, AF_UNSPEC, onAddress);
  for (struct link *link = links; link < links + count; link++)
    printf("link\t%s\t%s\t%u\t%s\t%s\t%s\t%s\t%s master %s%s\n", namespace, link->name, link->mtu, link->up ? "up" : "down", link->mac, link->alias, link->addresses, link->common, link->master ? nameOf(link->master) : "none", link->facts);
  for (int six = 0; six < 2; six++) {
    dump(fd, RTM_GETROUTE, six ? AF_INET6 : AF_INET, onRoute);
    dump(fd, RTM_GETRULE, six ? AF_INET6 : AF_INET, onRule);
  }
  close(fd);
  fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) return;
  dump(fd, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, AF_UNSPEC, onTable);
  close(fd);
}

/** What no interface has of its own: the others come with the interfaces. */
static void showSysctls(const char *name) {
  char path[512], value[512];
  snprintf(path, sizeof path, "/proc/sys/net/%s", name);
  DIR *names = opendir(path);
  if (names == NULL) return;
  for (struct dirent *entry; (entry = readdir(names)) != NULL;) {
    if (entry->d_type != DT_REG) continue;
    int fd = openat(dirfd(names), entry->d_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    ssize_t got = read(fd, value, sizeof value);
    close(fd);
    if (got <= 0) continue;
    for (ssize_t i = 0; i < got; i++)
      if (value[i] == '\t' || value[i] == '\n') value[i] = i == got - 1 ? 0 : ' ';
    printf("sysctl\t%s/%s\t%.*s\n", name, entry->d_name, (int)got, value);
  }
  closedir(names);
}

int main(void) {
  const char *sysctls[] = {"ipv4", "ipv4/conf/all", "ipv4/conf/default", "ipv6", "ipv6/conf/all", "ipv6/conf/default", "bridge"};
  for (size_t i = 0; i < sizeof sysctls / sizeof *sysctls; i++) showSysctls(sysctls[i]);
  show("host");
  DIR *names = opendir("/run/netns");
  if (names == NULL) return 0;
  for (struct dirent *entry; (entry = readdir(names)) != NULL;) {
    int fd = openat(dirfd(names), entry->d_name, O_RDONLY | O_CLOEXEC);
    // A name without its namespace is one that is going.
    if (fd >= 0 && setns(fd, CLONE_NEWNET) == 0) show(entry->d_name);
    if (fd >= 0) close(fd);
  }
  return 0;
}
