// picture: the interfaces, routes, rules and nftables tables of this network namespace and of those in /run/netns, and the sysctls of this one,
// for a fraction of what one `ip` for each of them costs. Lines with tabs:
// "link", namespace ("host" for this one), name, MTU, "up" or "down", MAC address, alias, addresses but the kernel's own link-local ones, what
// any interface has besides, and all other attributes of it, by their numbers in linux/if_link.h;
// "route", "rule", "table", "neighbour", "nexthop", "xtables": namespace, what it is; "sysctl": name, value.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/fib_rules.h>
#include <linux/neighbour.h>
#include <linux/netfilter_arp/arp_tables.h>
#include <linux/netfilter_ipv4/ip_tables.h>
#include <linux/netfilter_ipv6/ip6_tables.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/nexthop.h>
#include <linux/rtnetlink.h>
#include <sched.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

enum { MOST_LINKS = 2048 };
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

static struct link *linkOf(int index) {
  for (int i = 0; i < count; i++)
    if (links[i].index == index) return &links[i];
  return NULL;
}

static const char *nameOf(int index) {
  const struct link *link = linkOf(index);
  return link ? link->name : "-";
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

/** fe80:: with the interface's MAC address in it, or what the kernel says that it made itself (since 5.18): it comes when the kernel has time. */
static int isKernels(const struct link *link, const unsigned char *address, int protocol) {
  static const unsigned char prefix[8] = {0xfe, 0x80};
  if (memcmp(address, prefix, sizeof prefix) != 0) return 0;
  unsigned mac[6], taken = sscanf(link->mac, "%x:%x:%x:%x:%x:%x", &mac[0], &mac[1], &mac[2], &mac[3], &mac[4], &mac[5]);
  const unsigned char *id = address + 8;
  int isMacs = taken == 6 && id[0] == (mac[0] ^ 2) && id[1] == mac[1] && id[2] == mac[2] && id[3] == 0xff && id[4] == 0xfe && id[5] == mac[3] && id[6] == mac[4] && id[7] == mac[5];
  return isMacs || protocol == 3; // IFAPROT_KERNEL_LL
}

static void onAddress(struct nlmsghdr *message) {
  struct ifaddrmsg *about = NLMSG_DATA(message);
  const void *address = NULL, *peer = NULL;
  const char *label = NULL;
  char written[INET6_ADDRSTRLEN], other[INET6_ADDRSTRLEN] = "", broadcast[INET6_ADDRSTRLEN] = "";
  int rest = IFA_PAYLOAD(message), protocol = 0;
  for (struct rtattr *at = IFA_RTA(about); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
    if (at->rta_type == IFA_LOCAL) address = RTA_DATA(at);
    if (at->rta_type == IFA_ADDRESS) peer = RTA_DATA(at);
    if (at->rta_type == IFA_LABEL) label = RTA_DATA(at);
    if (at->rta_type == IFA_BROADCAST) inet_ntop(about->ifa_family, RTA_DATA(at), broadcast, sizeof broadcast);
    if (at->rta_type == 11) protocol = *(unsigned char *)RTA_DATA(at); // IFA_PROTO
  }
  struct link *link = linkOf(about->ifa_index);
  if (address == NULL) address = peer;
  if (link == NULL || address == NULL || inet_ntop(about->ifa_family, address, written, sizeof written) == NULL) return;
  if (about->ifa_family == AF_INET6 && about->ifa_scope == RT_SCOPE_LINK && isKernels(link, address, protocol)) return;
  size_t used = strlen(link->addresses);
  snprintf(link->addresses + used, sizeof link->addresses - used, "%s%s/%d", used ? " " : "", written, about->ifa_prefixlen);
  if (peer != NULL) inet_ntop(about->ifa_family, peer, other, sizeof other);
  used = strlen(link->facts);
  snprintf(link->facts + used, sizeof link->facts - used, "\taddress %s/%d peer %s scope %d broadcast %s label %s", written, about->ifa_prefixlen, other, about->ifa_scope, broadcast, label == NULL ? "" : label);
}

/** Those that somebody has added: the kernel's own have no handle, and say in IFLA_QDISC what they are. */
static void onQdisc(struct nlmsghdr *message) {
  struct tcmsg *about = NLMSG_DATA(message);
  struct link *link = linkOf(about->tcm_ifindex);
  if (link == NULL || about->tcm_handle == 0) return;
  size_t used = strlen(link->facts);
  snprintf(link->facts + used, sizeof link->facts - used, "\tqdisc parent %x", about->tcm_parent);
  int rest = message->nlmsg_len - NLMSG_LENGTH(sizeof *about);
  for (struct rtattr *at = (void *)((char *)about + NLMSG_ALIGN(sizeof *about)); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
    if (at->rta_type != TCA_KIND && at->rta_type != TCA_OPTIONS) continue;
    used = strlen(link->facts);
    if (at->rta_type == TCA_KIND) snprintf(link->facts + used, sizeof link->facts - used, " %s", (char *)RTA_DATA(at));
    else hex(link->facts, sizeof link->facts, RTA_DATA(at), RTA_PAYLOAD(at));
  }
}

/** Those that somebody has added: the others come and go with what is sent. */
static void onNeighbour(struct nlmsghdr *message) {
  struct ndmsg *about = NLMSG_DATA(message);
  if (!(about->ndm_state & NUD_PERMANENT) && !(about->ndm_flags & NTF_PROXY)) return;
  char written[INET6_ADDRSTRLEN] = "", mac[64] = "";
  int rest = message->nlmsg_len - NLMSG_LENGTH(sizeof *about);
  for (struct rtattr *at = (void *)((char *)about + NLMSG_ALIGN(sizeof *about)); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
    if (at->rta_type == NDA_DST) inet_ntop(about->ndm_family, RTA_DATA(at), written, sizeof written);
    if (at->rta_type == NDA_LLADDR) hex(mac, sizeof mac, RTA_DATA(at), RTA_PAYLOAD(at));
  }
  printf("neighbour\t%s\t%s dev %s mac %s state %x flags %x\n", where, written, nameOf(about->ndm_ifindex), mac, about->ndm_state, about->ndm_flags);
}

static void onNexthop(struct nlmsghdr *message) {
  struct nhmsg *about = NLMSG_DATA(message);
  char line[2048] = "";
  int rest = message->nlmsg_len - NLMSG_LENGTH(sizeof *about);
  for (struct rtattr *at = (void *)((char *)about + NLMSG_ALIGN(sizeof *about)); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
    size_t used = strlen(line);
    if (at->rta_type == NHA_OIF) snprintf(line + used, sizeof line - used, " dev %s", nameOf(*(int *)RTA_DATA(at)));
    else {
      snprintf(line + used, sizeof line - used, " %d=", at->rta_type);
      hex(line, sizeof line, RTA_DATA(at), RTA_PAYLOAD(at));
    }
  }
  printf("nexthop\t%s\tfamily %d proto %d flags %x%s\n", where, about->nh_family, about->nh_protocol, about->nh_flags, line);
}

/** Tables of iptables-legacy, which nftables does not show: how many rules, and a sum over them without their counters. */
struct xtables {
  const char *names;
  int family, level, info, entries;
  size_t hooks, target, next, counters;
};
static const struct xtables xtables[] = {
  {"/proc/self/net/ip_tables_names", AF_INET, IPPROTO_IP, IPT_SO_GET_INFO, IPT_SO_GET_ENTRIES, NF_INET_NUMHOOKS, offsetof(struct ipt_entry, target_offset), offsetof(struct ipt_entry, next_offset), offsetof(struct ipt_entry, counters)},
  {"/proc/self/net/ip6_tables_names", AF_INET6, IPPROTO_IPV6, IP6T_SO_GET_INFO, IP6T_SO_GET_ENTRIES, NF_INET_NUMHOOKS, offsetof(struct ip6t_entry, target_offset), offsetof(struct ip6t_entry, next_offset), offsetof(struct ip6t_entry, counters)},
  {"/proc/self/net/arp_tables_names", AF_INET, IPPROTO_IP, ARPT_SO_GET_INFO, ARPT_SO_GET_ENTRIES, NF_ARP_NUMHOOKS, offsetof(struct arpt_entry, target_offset), offsetof(struct arpt_entry, next_offset), offsetof(struct arpt_entry, counters)},
};

static void showTable(const struct xtables *of, const char *name) {
  // As struct ipt_getinfo is, and struct ipt_get_entries.
  unsigned info[8 + 1 + 2 * NF_INET_NUMHOOKS + 2] = {0};
  socklen_t length = sizeof(unsigned) * (8 + 1 + 2 * of->hooks + 2);
  int fd = socket(of->family, SOCK_RAW | SOCK_CLOEXEC, IPPROTO_RAW);
  if (fd < 0) die("raw socket");
  strncpy((char *)info, name, 31);
  if (getsockopt(fd, of->level, of->info, info, &length) < 0) die("table of iptables");
  unsigned many = info[8 + 1 + 2 * of->hooks], size = info[8 + 1 + 2 * of->hooks + 1];
  struct ipt_get_entries *all = calloc(1, sizeof *all + size);
  strncpy(all->name, name, 31);
  all->size = size;
  length = sizeof *all + size;
  if (getsockopt(fd, of->level, of->entries, all, &length) < 0) die("rules of iptables");
  close(fd);
  unsigned long sum = 14695981039346656037UL;
  unsigned char *bytes = (void *)all->entrytable;
  for (size_t at = 0; at < size; at += *(unsigned short *)(bytes + at + of->next)) memset(bytes + at + of->counters, 0, sizeof(struct xt_counters));
  for (size_t at = 0; at < size; at++) sum = (sum ^ bytes[at]) * 1099511628211UL;
  free(all);
  printf("xtables\t%s\t%.*s %s, %u entries, sum %lx\n", where, (int)(strcspn(of->names + 15, "_")), of->names + 15, name, many, sum);
}

static void showXtables(void) {
  for (const struct xtables *of = xtables; of < xtables + sizeof xtables / sizeof *xtables; of++) {
    char name[64];
    FILE *names = fopen(of->names, "re");
    while (names != NULL && fscanf(names, "%63s", name) == 1) showTable(of, name);
    if (names != NULL) fclose(names);
  }
}

/** @param flags of neighbours */
static void dumpFlagged(int fd, int type, int family, int flags, void (*each)(struct nlmsghdr *)) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg body; // each begins with its family
    char rest[sizeof(struct tcmsg) - sizeof(struct ifinfomsg)];
  } request = {.header = {.nlmsg_len = NLMSG_LENGTH(sizeof(struct ifinfomsg)), .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = type}};
  request.body.ifi_family = family;
  if (type == RTM_GETNEIGH) {
    request.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct ndmsg));
    ((struct ndmsg *)&request.body)->ndm_flags = flags;
  }
  if (type == RTM_GETNEXTHOP) request.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct nhmsg));
  if (type == RTM_GETQDISC) request.header.nlmsg_len = NLMSG_LENGTH(sizeof(struct tcmsg));
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
        if (type > RTM_MAX || type == RTM_GETNEXTHOP) return; // a kernel without them has none
        errno = -((struct nlmsgerr *)NLMSG_DATA(message))->error;
        die("dump");
      }
      each(message);
    }
  }
}

static void dump(int fd, int type, int family, void (*each)(struct nlmsghdr *)) { dumpFlagged(fd, type, family, 0, each); }

static void show(const char *namespace) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) die("socket");
  count = 0;
  where = namespace;
  dump(fd, RTM_GETLINK, AF_UNSPEC, onLink);
  dump(fd, RTM_GETADDR, AF_UNSPEC, onAddress);
  dump(fd, RTM_GETQDISC, AF_UNSPEC, onQdisc);
  for (struct link *link = links; link < links + count; link++)
    printf("link\t%s\t%s\t%u\t%s\t%s\t%s\t%s\t%s master %s%s\n", namespace, link->name, link->mtu, link->up ? "up" : "down", link->mac, link->alias, link->addresses, link->common, link->master ? nameOf(link->master) : "none", link->facts);
  for (int six = 0; six < 2; six++) {
    dump(fd, RTM_GETROUTE, six ? AF_INET6 : AF_INET, onRoute);
    dump(fd, RTM_GETRULE, six ? AF_INET6 : AF_INET, onRule);
  }
  dump(fd, RTM_GETNEIGH, AF_UNSPEC, onNeighbour);
  dumpFlagged(fd, RTM_GETNEIGH, AF_UNSPEC, NTF_PROXY, onNeighbour);
  dump(fd, RTM_GETNEXTHOP, AF_UNSPEC, onNexthop);
  close(fd);
  showXtables();
  fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  if (fd < 0) return;
  dump(fd, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, AF_UNSPEC, onTable);
  close(fd);
}

/** Counts, and what another process of the machine may change. */
static const char *const volatiles[] = {"netfilter/nf_conntrack_count", "core/bpf_jit_limit", "core/netdev_rss_key"};

/** What an interface has of its own comes with it, but for neighbours: not those of a bridge's ports, of which there are many. */
static int isOther(const char *directory, const char *name) {
  const char *last = strrchr(directory, '/');
  if (last != NULL && strcmp(last, "/conf") == 0) return strcmp(name, "all") != 0 && strcmp(name, "default") != 0;
  return last != NULL && strcmp(last, "/neigh") == 0 && strncmp(name, "veth", 4) == 0;
}

static void showSysctls(const char *directory) {
  char path[512], name[256], value[2048];
  snprintf(path, sizeof path, "/proc/sys/net/%s", directory);
  DIR *names = opendir(path);
  if (names == NULL) return;
  for (struct dirent *entry; (entry = readdir(names)) != NULL;) {
    if (entry->d_name[0] == '.' || isOther(directory, entry->d_name)) continue;
    snprintf(name, sizeof name, "%s%s%s", directory, *directory == 0 ? "" : "/", entry->d_name);
    if (entry->d_type == DT_DIR) showSysctls(name);
    size_t known = 0;
    while (known < sizeof volatiles / sizeof *volatiles && strcmp(volatiles[known], name) != 0) known++;
    if (entry->d_type != DT_REG || known < sizeof volatiles / sizeof *volatiles) continue;
    int fd = openat(dirfd(names), entry->d_name, O_RDONLY | O_CLOEXEC);
    if (fd < 0) continue;
    ssize_t got = read(fd, value, sizeof value);
    close(fd);
    if (got <= 0) continue;
    for (ssize_t i = 0; i < got; i++)
      if (value[i] == '\t' || value[i] == '\n') value[i] = i == got - 1 ? 0 : ' ';
    printf("sysctl\t%s\t%.*s\n", name, (int)got, value);
  }
  closedir(names);
}

/** With an argument only this namespace. */
int main(int count, char **arguments) {
  (void)arguments;
  showSysctls("");
  show("host");
  if (count > 1) return 0;
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
