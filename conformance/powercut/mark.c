// mark DEVICE TEXT: puts a mark into the log of a device-mapper device of type log-writes, as `dmsetup message DEVICE 0 mark TEXT` does, in a tenth
// of the time.
#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>

int main(int argc, char **argv) {
  static struct {
    struct dm_ioctl head;
    struct dm_target_msg message;
    char text[256];
  } request;
  if (argc != 3 || strlen(argv[2]) > 200) return fprintf(stderr, "usage: mark DEVICE TEXT\n"), 2;
  request.head.version[0] = DM_VERSION_MAJOR;
  request.head.data_size = sizeof request;
  request.head.data_start = sizeof request.head;
  snprintf(request.head.name, sizeof request.head.name, "%s", argv[1]);
  // The text begins where the structure ends, not where the compiler would align the next member.
  sprintf(request.message.message, "mark %s", argv[2]);
  int fd = open("/dev/mapper/control", O_RDWR);
  if (fd < 0 || ioctl(fd, DM_TARGET_MSG, &request) < 0) return perror("mark"), 1;
  return 0;
}
