// launch INPUT PROGRAM [ARGUMENT]...: runs it with that file as stdin and prints nanoseconds from start to end, microseconds of CPU, peak KiB, wait status.
// A program of its own because what starts a process is part of what is measured: Node takes milliseconds, and the kernel counts the
// memory of a large parent as its child's.
#include <fcntl.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>

extern char **environ;

int main(int argc, char **argv) {
  if (argc < 3) return 2;
  posix_spawn_file_actions_t files;
  posix_spawn_file_actions_init(&files);
  posix_spawn_file_actions_addopen(&files, 0, argv[1], O_RDONLY, 0);
  posix_spawn_file_actions_addopen(&files, 1, "/dev/null", O_WRONLY, 0);
  struct timespec start, end;
  struct rusage used;
  pid_t pid;
  int status;
  clock_gettime(CLOCK_MONOTONIC, &start);
  if (posix_spawn(&pid, argv[2], &files, NULL, argv + 2, environ) != 0 || wait4(pid, &status, 0, &used) != pid) return 1;
  clock_gettime(CLOCK_MONOTONIC, &end);
  long long wall = (end.tv_sec - start.tv_sec) * 1000000000LL + end.tv_nsec - start.tv_nsec;
  long long cpu = (used.ru_utime.tv_sec + used.ru_stime.tv_sec) * 1000000LL + used.ru_utime.tv_usec + used.ru_stime.tv_usec;
  printf("%lld %lld %ld %d\n", wall, cpu, used.ru_maxrss, status);
  return 0;
}
