// picture: the interfaces of this network namespace and of those in /run/netns, for a fraction of what one `ip` for each of them costs.
// A line for each, with tabs: namespace ("host" for this one), name, MTU, "up" or "down", MAC address, alias, addresses but link-local ones.
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
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
  int index, up;
  unsigned mtu;
  char name[IFNAMSIZ], alias[256], mac[64], addresses[1024];
};
static struct link links[MOST_LINKS];
static int count;

static void die(const char *what) {
  fprintf(stderr, "picture: %s: %s\n", what, strerror(errno));
  exit(2);
}

/** The value of an attribute as a text; it may lack a NUL. */
static void text(char *to, size_t size, const struct rtattr *from) {
  snprintf(to, size, "%.*s", (int)RTA_PAYLOAD(from), (const char *)RTA_DATA(from));
}

static void onLink(struct nlmsghdr *message) {
  struct ifinfomsg *about = NLMSG_DATA(message);
  if (count == MOST_LINKS) die("too many interfaces");
  struct link *link = &links[count++];
  *link = (struct link){.index = about->ifi_index, .up = (about->ifi_flags & IFF_UP) != 0};
  int rest = IFLA_PAYLOAD(message);
  for (struct rtattr *at = IFLA_RTA(about); RTA_OK(at, rest); at = RTA_NEXT(at, rest)) {
    const unsigned char *bytes = RTA_DATA(at);
    if (at->rta_type == IFLA_IFNAME) text(link->name, sizeof link->name, at);
    if (at->rta_type == IFLA_IFALIAS) text(link->alias, sizeof link->alias, at);
    if (at->rta_type == IFLA_MTU) memcpy(&link->mtu, bytes, sizeof link->mtu);
    if (at->rta_type == IFLA_ADDRESS)
      for (size_t i = 0; i < RTA_PAYLOAD(at) && i < 20; i++) sprintf(link->mac + strlen(link->mac), i ? ":%02x" : "%02x", bytes[i]);
  }
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

static void dump(int fd, int type, void (*each)(struct nlmsghdr *)) {
  struct {
    struct nlmsghdr header;
    struct ifinfomsg body;
  } request = {.header = {.nlmsg_len = sizeof request, .nlmsg_type = type, .nlmsg_flags = NLM_F_REQUEST | NLM_F_DUMP, .nlmsg_seq = type}};
  static char answer[1 << 17];
  if (send(fd, &request, sizeof request, 0) < 0) die("send");
  for (;;) {
    ssize_t got = recv(fd, answer, sizeof answer, 0);
    if (got < 0) die("recv");
    int rest = got;
    for (struct nlmsghdr *message = (void *)answer; NLMSG_OK(message, rest); message = NLMSG_NEXT(message, rest)) {
      if (message->nlmsg_type == NLMSG_DONE) return;
      if (message->nlmsg_type == NLMSG_ERROR) die("dump");
      each(message);
    }
  }
}

static void show(const char *namespace) {
  int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
  if (fd < 0) die("socket");
  count = 0;
  dump(fd, RTM_GETLINK, onLink);
  dump(fd, RTM_GETADDR, onAddress);
  close(fd);
  for (struct link *link = links; link < links + count; link++)
    printf("%s\t%s\t%u\t%s\t%s\t%s\t%s\n", namespace, link->name, link->mtu, link->up ? "up" : "down", link->mac, link->alias, link->addresses);
}

int main(void) {
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
