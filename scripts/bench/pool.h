// Opens host-local's directory for the C programs, and holds its lock until the program ends.
#include <fcntl.h>
#include <sys/file.h>
#include <sys/stat.h>

static int openStore(const char *name) {
  char path[128];
  snprintf(path, sizeof path, "/var/lib/cni/networks/%s", name);
  mkdir("/var/lib/cni/networks", 0755);
  mkdir(path, 0755);
  int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
  int lock = openat(dir, "lock", O_RDONLY | O_CREAT | O_CLOEXEC, 0600);
  if (dir < 0 || lock < 0 || flock(lock, LOCK_EX) != 0) fail(path);
  return dir;
}
