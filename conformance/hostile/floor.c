// floor DIRECTORY [TIMES]: looks at every entry, opens, reads and closes it, as anybody must who wants to know what is in them. Nothing else.
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

static int look(const char *directory) {
  DIR *dir = opendir(directory);
  if (dir == NULL) return 2;
  struct stat seen;
  char text[4096];
  for (struct dirent *entry; (entry = readdir(dir)) != NULL;) {
    int fd = openat(dirfd(dir), entry->d_name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) continue;
    if (fstat(fd, &seen) == 0 && S_ISREG(seen.st_mode) && read(fd, text, sizeof text) < 0) return 1;
    close(fd);
  }
  closedir(dir);
  return 0;
}

int main(int argc, char **argv) {
  int failed = argc < 2 ? 2 : 0;
  for (int times = argc == 3 ? atoi(argv[2]) : 1; times > 0 && failed == 0; times--) failed = look(argv[1]);
  return failed;
}
