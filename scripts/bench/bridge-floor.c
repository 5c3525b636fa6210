// floor, called `bridge`: shows what the kernel itself takes for an ADD or DEL on an existing bridge. Makes the plugin's requests in the plugin's
// order: see floor.c. Supports layer 2, and a gateway with host-local, also with ipMasq.
#include "netlink.h"
#include "pool.h"

#include <arpa/inet.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/veth.h>
#include <net/if_arp.h>
#include <signal.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <sys/wait.h>

static char config[4096], beside[2][8192];

/** Returns the string value of a key, at any depth. */
static const char *text(const char *key, char *value) {
  char pattern[32];
  snprintf(pattern, sizeof pattern, "\"%s\":\"", key);
  const char *found = strstr(config, pattern);
  return found != NULL && sscanf(found + strlen(pattern), "%63[^\"]", value) == 1 ? value : NULL;
}

static void setSysctl(const char *path, const char *value) {
  int fd = open(path, O_WRONLY | O_CLOEXEC);
  if (fd < 0 || write(fd, value, strlen(value)) < 0) fail(path);
  close(fd);
}

static int synchronize(void *lease) { return fsync(*(int *)lease) != 0; }

/** Reserves the first address of the range. The address is on the disk when the child process ends. */
static int reserve(const char *network, const char *address) {
  static int lease;
  int dir = openStore(network);
  lease = openat(dir, address, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600);
  int last = openat(dir, "last_reserved_ip.0", O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
  if (lease < 0 || write(lease, "bench\r\neth0", 11) < 0 || write(last, address, strlen(address)) < 0) fail(address);
  return clone(synchronize, beside[0] + sizeof beside[0], CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, &lease);
}

/** Reads until the last part of the answer to a dump. */
static void dump(int fd, const char *what) {
  ((struct nlmsghdr *)message)->nlmsg_len = at;
  ((struct nlmsghdr *)message)->nlmsg_flags |= NLM_F_DUMP;
  if (send(fd, message, at, 0) < 0) fail(what);
  for (int end = 0; !end;) {
    int size = recv(fd, answer, sizeof answer, 0);
    if (size < 0) fail(what);
    for (struct nlmsghdr *one = (void *)answer; NLMSG_OK(one, size); one = NLMSG_NEXT(one, size)) end |= one->nlmsg_type == NLMSG_DONE;
  }
}

static void addPair(int fd, unsigned bridge, int pod, const char *outside, const char *inside) {
  begin(RTM_NEWLINK, 0, 0);
  ((struct nlmsghdr *)message)->nlmsg_flags |= NLM_F_CREATE | NLM_F_EXCL;
  put(IFLA_ADDRESS, "\xfe\1\2\3\4\5", 6);
  put(IFLA_MASTER, &bridge, sizeof bridge);
  put(IFLA_IFNAME, outside, strlen(outside) + 1);
  unsigned info = put(IFLA_LINKINFO, NULL, 0);
  put(IFLA_INFO_KIND, "veth", 5);
  unsigned data = put(IFLA_INFO_DATA, NULL, 0), peer = put(VETH_INFO_PEER, NULL, 0);
  at += sizeof(struct ifinfomsg);
  put(IFLA_ADDRESS, "\2\1\2\3\4\6", 6);
  put(IFLA_NET_NS_FD, &pod, sizeof pod);
  put(IFLA_IFNAME, inside, strlen(inside) + 1);
  nest(peer);
  nest(data);
  nest(info);
  run(fd, "veth");
}

// A transaction of nf_tables: messages between a begin and an end message. The kernel answers only those that change something.

/** NFPROTO_*, because their header conflicts with musl's headers. */
enum { PROTOCOLS = 1, IPV4 = 2 };

static char batch[4096];
static unsigned batched;

static void startNft(int type, unsigned flags, int family, int resource) {
  memset(message, 0, sizeof message);
  struct nlmsghdr *header = (struct nlmsghdr *)message;
  *header = (struct nlmsghdr){.nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | flags};
  at = NLMSG_SPACE(sizeof(struct nfgenmsg));
  *(struct nfgenmsg *)NLMSG_DATA(header) = (struct nfgenmsg){.nfgen_family = family, .res_id = htons(resource)};
}

static void endNft(void) {
  ((struct nlmsghdr *)message)->nlmsg_len = at;
  memcpy(batch + batched, message, at);
  batched += at;
}

static void beginNft(int type, unsigned flags) {
  startNft(NFNL_MSG_BATCH_BEGIN, 0, 0, NFNL_SUBSYS_NFTABLES);
  endNft();
  startNft(NFNL_SUBSYS_NFTABLES << 8 | type, NLM_F_ACK | flags, PROTOCOLS, 0);
}

static void putNumber(int type, unsigned value) {
  value = htonl(value);
  put(type, &value, 4);
}

static unsigned expression(unsigned *element, const char *name) {
  *element = put(NFTA_LIST_ELEM | NLA_F_NESTED, NULL, 0);
  put(NFTA_EXPR_NAME, name, strlen(name) + 1);
  return put(NFTA_EXPR_DATA | NLA_F_NESTED, NULL, 0);
}

static void compare(int op, const void *value, unsigned size) {
  unsigned element, data = expression(&element, "cmp");
  putNumber(NFTA_CMP_SREG, 1);
  putNumber(NFTA_CMP_OP, op);
  unsigned given = put(NFTA_CMP_DATA | NLA_F_NESTED, NULL, 0);
  put(NFTA_DATA_VALUE, value, size);
  nest(given);
  nest(data);
  nest(element);
}

static void load(const char *name, unsigned key, unsigned offset, unsigned size) {
  unsigned element, data = expression(&element, name);
  if (size == 0) {
    putNumber(NFTA_META_KEY, key);
    putNumber(NFTA_META_DREG, 1);
  } else {
    putNumber(NFTA_PAYLOAD_DREG, 1);
    putNumber(NFTA_PAYLOAD_BASE, NFT_PAYLOAD_NETWORK_HEADER);
    putNumber(NFTA_PAYLOAD_OFFSET, offset);
    putNumber(NFTA_PAYLOAD_LEN, size);
  }
  nest(data);
  nest(element);
}

static void in(const char *chain) {
  put(NFTA_RULE_TABLE, "cni_plugins_masquerade", 23);
  put(NFTA_RULE_CHAIN, chain, strlen(chain) + 1);
}

/** Commits the transaction and waits for the kernel's acknowledgement. Returns the handle of the rule that the kernel has reported before it. */
static unsigned long long commit(int fd) {
  unsigned long long handle = 0;
  endNft();
  startNft(NFNL_MSG_BATCH_END, 0, 0, NFNL_SUBSYS_NFTABLES);
  endNft();
  if (send(fd, batch, batched, 0) < 0) fail("nft");
  for (;;) {
    if (recv(fd, answer, sizeof answer, 0) < 0) fail("nft");
    struct nlmsghdr *header = (struct nlmsghdr *)answer;
    int error = -((struct nlmsgerr *)NLMSG_DATA(header))->error, size = header->nlmsg_len - NLMSG_SPACE(sizeof(struct nfgenmsg));
    if (header->nlmsg_type == NLMSG_ERROR && error == 0) return handle;
    if (header->nlmsg_type == NLMSG_ERROR) errno = error, fail("nft");
    if (header->nlmsg_type != (NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWRULE)) continue;
    struct rtattr *one = (struct rtattr *)(answer + NLMSG_SPACE(sizeof(struct nfgenmsg)));
    for (; RTA_OK(one, size); one = RTA_NEXT(one, size))
      if ((one->rta_type & NLA_TYPE_MASK) == NFTA_RULE_HANDLE) memcpy(&handle, RTA_DATA(one), sizeof handle);
  }
}

static int nftSocket(void) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
  struct sockaddr_nl address = {.nl_family = AF_NETLINK};
  if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof address) != 0) fail("socket");
  return fd;
}

/** Looks at the chain of the hook, and adds one rule. Stores its handle in a file for DEL. */
static void masquerade(const char *address) {
  int fd = nftSocket();
  startNft(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETRULE, 0, PROTOCOLS, 0);
  in("postrouting");
  dump(fd, "postrouting");
  unsigned char bytes[4], protocol = IPV4;
  inet_pton(AF_INET, address, bytes);
  beginNft(NFT_MSG_NEWRULE, NLM_F_CREATE | NLM_F_APPEND | NLM_F_ECHO);
  in("masq_checks");
  unsigned list = put(NFTA_RULE_EXPRESSIONS | NLA_F_NESTED, NULL, 0), element;
  load("meta", NFT_META_NFPROTO, 0, 0);
  compare(NFT_CMP_EQ, &protocol, 1);
  load("payload", 0, 12, 4);
  compare(NFT_CMP_EQ, bytes, 4);
  load("payload", 0, 16, 3);
  compare(NFT_CMP_NEQ, bytes, 3);
  nest(expression(&element, "masq"));
  nest(element);
  nest(list);
  unsigned long long handle = commit(fd);
  int file = open("/run/podnic-floor", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0600);
  if (write(file, &handle, sizeof handle) < 0) fail("handle");
}

static int leave(void *fd) {
  unshare(CLONE_FILES);
  for (int other = 0; other < 32; other++) if (other != *(int *)fd) close(other);
  usleep(20000);
  _exit(0);
}

static void removeMasquerade(void) {
  static int fd;
  unsigned long long handle = 0;
  int file = open("/run/podnic-floor", O_RDONLY | O_CLOEXEC);
  if (read(file, &handle, sizeof handle) < 0) fail("handle");
  fd = nftSocket();
  beginNft(NFT_MSG_DELRULE, 0);
  in("masq_checks");
  put(NFTA_RULE_HANDLE, &handle, sizeof handle);
  commit(fd);
  if (clone(leave, beside[1] + sizeof beside[1], CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, &fd) < 0) fail("clone");
}

static void configure(int pod, int own, int route, unsigned index, const char *inside, const char *address) {
  unsigned char bytes[4], gateway[4];
  char path[96];
  if (setns(pod, CLONE_NEWNET) != 0) fail("netns");
  if (address != NULL) {
    snprintf(path, sizeof path, "/proc/sys/net/ipv4/conf/%s/arp_notify", inside);
    setSysctl(path, "1");
  }
  snprintf(path, sizeof path, "/proc/sys/net/ipv6/conf/%s/accept_ra", inside);
  setSysctl(path, "0");
  if (setns(own, CLONE_NEWNET) != 0) fail("netns");
  if (address != NULL) {
    inet_pton(AF_INET, address, bytes);
    struct ifaddrmsg *given = start(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *given);
    *given = (struct ifaddrmsg){.ifa_family = AF_INET, .ifa_prefixlen = 24, .ifa_index = index};
    put(IFA_LOCAL, bytes, 4);
    put(IFA_ADDRESS, bytes, 4);
    run(route, "address");
  }
  begin(RTM_NEWLINK, index, IFF_UP);
  run(route, "up");
  if (address == NULL) return;
  memcpy(gateway, bytes, 4);
  gateway[3] = 1;
  struct rtmsg *way = start(RTM_NEWROUTE, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *way);
  *way = (struct rtmsg){.rtm_family = AF_INET, .rtm_table = RT_TABLE_MAIN, .rtm_protocol = RTPROT_BOOT, .rtm_type = RTN_UNICAST};
  put(RTA_GATEWAY, gateway, 4);
  put(RTA_OIF, &index, 4);
  run(route, "route");
  struct ndmsg *announced = start(RTM_NEWNEIGH, NLM_F_ACK | NLM_F_CREATE | NLM_F_EXCL, sizeof *announced);
  *announced = (struct ndmsg){.ndm_family = AF_INET, .ndm_ifindex = index, .ndm_state = NUD_PERMANENT, .ndm_flags = NTF_USE};
  put(NDA_DST, bytes, 4);
  run(route, "announcement");
}

static int deletion(void *fd) {
  setsid();
  if (unshare(CLONE_FILES) != 0) _exit(1);
  for (int other = 0; other < 32; other++) if (other != *(int *)fd) close(other);
  send(*(int *)fd, message, at, 0);
  _exit(0);
}

/** Deletes the port and waits until it is no longer visible. A child process waits for the kernel's grace period. */
static void deletePort(int fd, const char *port) {
  static int route;
  unsigned index = get(fd, port, RTEXT_FILTER_SKIP_STATS);
  int group = RTNLGRP_LINK;
  route = routeSocket();
  if (setsockopt(route, SOL_NETLINK, NETLINK_ADD_MEMBERSHIP, &group, sizeof group) != 0) fail("group");
  begin(RTM_DELLINK, index, 0);
  ((struct nlmsghdr *)message)->nlmsg_len = at;
  if (clone(deletion, beside[0] + sizeof beside[0], CLONE_VM | CLONE_FS | CLONE_FILES | SIGCHLD, &route) < 0) fail("clone");
  do
    if (recv(route, answer, sizeof answer, 0) < 0) fail("events");
  while (((struct nlmsghdr *)answer)->nlmsg_type != RTM_DELLINK);
}

/** The subnet's first address for pods; NULL without IPAM. */
static const char *addressOf(char *value) {
  if (text("subnet", value) == NULL) return NULL;
  strcpy(strrchr(value, '.'), ".2");
  return value;
}

static void add(int host, int own, int pod, int route, const char *port, const char *inside, int masquerades) {
  char bridge[64], network[64], value[64], ready[2];
  get(route, inside, RTEXT_FILTER_SKIP_STATS);
  if (text("bridge", bridge) == NULL || text("name", network) == NULL) exit(2);
  unsigned on = get(host, bridge, RTEXT_FILTER_SKIP_STATS);
  const char *address = addressOf(value);
  int syncs = address == NULL ? 0 : reserve(network, address);
  if (address != NULL) {
    struct ifaddrmsg *asked = start(RTM_GETADDR, 0, sizeof *asked);
    asked->ifa_index = on;
    dump(host, "addresses");
  }
  addPair(host, on, pod, port, inside);
  unsigned index = get(host, port, RTEXT_FILTER_SKIP_STATS), far = 0;
  struct ifinfomsg *link = NLMSG_DATA((struct nlmsghdr *)answer);
  int size = ((struct nlmsghdr *)answer)->nlmsg_len - NLMSG_SPACE(sizeof *link);
  for (struct rtattr *one = IFLA_RTA(link); RTA_OK(one, size); one = RTA_NEXT(one, size))
    if (one->rta_type == IFLA_LINK) memcpy(&far, RTA_DATA(one), sizeof far);
  if (masquerades) masquerade(address);
  begin(RTM_NEWLINK, index, IFF_UP);
  put(IFLA_IFALIAS, "podnic-floor", 12);
  run(host, "port");
  configure(pod, own, route, far, inside, address);
  if (address != NULL) {
    int forward = open("/proc/sys/net/ipv4/ip_forward", O_RDONLY | O_CLOEXEC);
    if (read(forward, ready, sizeof ready) < 0) fail("forwarding");
    get(host, port, RTEXT_FILTER_SKIP_STATS);
    int status;
    if (waitpid(syncs, &status, 0) != syncs || status != 0) fail("fsync");
  }
  dprintf(1, "{\"cniVersion\":\"1.0.0\",\"interfaces\":[{\"name\":\"%s\"}]}\n", inside);
}

int main(int argc, char **argv) {
  (void)argv;
  const char *command = getenv("CNI_COMMAND"), *inside = getenv("CNI_IFNAME");
  if (argc != 1 || read(0, config, sizeof config - 1) < 0) return 2;
  int host = routeSocket(), own = open("/proc/self/ns/net", O_RDONLY | O_CLOEXEC);
  int pod = open(getenv("CNI_NETNS"), O_RDONLY | O_CLOEXEC);
  if (pod < 0 || setns(pod, CLONE_NEWNET) != 0) fail("netns");
  int route = routeSocket(), masquerades = strstr(config, "\"ipMasq\":true") != NULL;
  if (setns(own, CLONE_NEWNET) != 0) fail("netns");
  if (strcmp(command, "ADD") == 0) {
    add(host, own, pod, route, "vethfloor", inside, masquerades);
    return 0;
  }
  char network[64], value[64];
  const char *address = addressOf(value);
  deletePort(host, "vethfloor");
  if (masquerades) removeMasquerade();
  if (address != NULL && (text("name", network) == NULL || unlinkat(openStore(network), address, 0) != 0)) fail(address);
  return 0;
}
