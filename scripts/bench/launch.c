// launch INPUT PROGRAM [ARGUMENT]...: runs the program with INPUT as stdin. Prints the nanoseconds from start to end, the microseconds of CPU time, the
// peak memory in KiB and the wait status. Environment:
//   QUOTA_PROCS=FILE  runs the program in the cgroup to which this cgroup.procs belongs, after some idle periods of the cgroup.
//   AT_ONCE=N         runs N programs at once, each with its own CNI_CONTAINERID and CNI_NETNS. Times are from the first start to the last end.
// This is a separate program because the measurement includes the start of the process: Node takes milliseconds for it, and the kernel counts the
// memory of a large parent as its child's.
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

extern char **environ;

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, argv[1], O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  const char *group = getenv("QUOTA_PROCS");
  if (group != NULL) {
    int procs = open(group, O_WRONLY | O_CLOEXEC);
    if (procs < 0 || write(procs, "0", 1) != 1) return 1;
    close(procs);
    usleep(250000);
  }
  const char *wanted = getenv("AT_ONCE"), *netns = getenv("CNI_NETNS");
  int count = wanted == NULL ? 1 : atoi(wanted);
  struct timespec start, end;
  struct rusage used;
  int status, all = 0;
  clock_gettime(CLOCK_MONOTONIC, &start);
  for (int i = 0; i < count; i++) {
    if (wanted != NULL) {
      char own[256];
      snprintf(own, sizeof own, "bench%d", i);
      setenv("CNI_CONTAINERID", own, 1);
      snprintf(own, sizeof own, "%s%d", netns, i);
      setenv("CNI_NETNS", own, 1);
    }
    pid_t pid;
    if (posix_spawn(&pid, argv[2], &files, NULL, argv + 2, environ) != 0) return 1;
  }
  for (int i = 0; i < count; i++) {
    if (wait(&status) < 0) return 1;
    if (status != 0) all = status;
  }
  clock_gettime(CLOCK_MONOTONIC, &end);
  if (getrusage(RUSAGE_CHILDREN, &used) != 0) return 1;
  long long wall = (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec;
  long long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
  printf("%lld %lld %ld %d\n", wall, cpu, used.ru_maxrss, all);
  return 0;
}
