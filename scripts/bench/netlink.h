// Requests to rtnetlink for the C programs that show what the kernel itself takes. They send one message at a time, without the checks that a plugin
// needs.
#ifndef _GNU_SOURCE
#define _GNU_SOURCE
#endif
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

/** Begins a message and returns its fixed part of `size` bytes. */
static void *start(int type, unsigned flags, unsigned size) {
  memset(message, 0, sizeof message);
  struct nlmsghdr *header = (struct nlmsghdr *)message;
  header->nlmsg_type = type;
  header->nlmsg_flags = NLM_F_REQUEST | flags;
  at = NLMSG_SPACE(size);
  return NLMSG_DATA(header);
}

static void begin(int type, unsigned index, unsigned flags) {
  struct ifinfomsg *link = start(type, type == RTM_GETLINK ? 0 : NLM_F_ACK, sizeof *link);
  link->ifi_index = index;
  link->ifi_flags = link->ifi_change = flags;
}

static unsigned put(int type, const void *data, unsigned size) {
  struct rtattr *attribute = (struct rtattr *)(message + at);
  unsigned begun = at;
  attribute->rta_type = type;
  attribute->rta_len = RTA_LENGTH(size);
  if (size > 0) memcpy(RTA_DATA(attribute), data, size);
  at += RTA_SPACE(size);
  return begun;
}

static void nest(unsigned begun) { ((struct rtattr *)(message + begun))->rta_len = at - begun; }

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

static void move(int fd, unsigned index, int netns, const char *name, unsigned flags) {
  begin(RTM_NEWLINK, index, flags);
  put(IFLA_NET_NS_FD, &netns, sizeof netns);
  put(IFLA_IFNAME, name, strlen(name) + 1);
  run(fd, "move");
}
