// step -L: prints the faults' names.
// step [-F FAULT] [-l] SCHEDULE ACTOR...: runs the actors side by side, one system call at a time, in the order that the schedule says.
//
// An actor is a directory: `exec` is the program's path, `arguments` and `env` have a NUL after each entry, `in` is its stdin; `out` and `err` are written.
// Its process and all that this starts are traced, and every one stands before its next system call unless it is the one that runs.
// The schedule: comma-separated turns, "0:17" actor 0 makes 17 system calls, "0" it runs until it ends, "0:17k" it is killed after 17.
// A call that only its own process can notice (isPrivate) is not counted: a stop before it is the same as one before the next call that is.
// The schedule "-": one actor, which is not traced, for what comes before and after; it costs a fraction.
// Who sleeps in the kernel, for a lock or a time, gives its turn to the next. At the end all others run to their ends, in their order.
// -F FAULT puts a fault into every actor, which whoever watches must notice: the system calls of that name (table `faults`) succeed without
// doing anything. Others do something else: "shared" makes exclusive locks shared ones, "exclusive" takes O_EXCL away, "overwrite" makes a rename
// of a link. "flock:TEXT": only where the path of the call's first descriptor contains TEXT. -l writes each step to stderr.
// Prints a line for each actor: its wait status, the system calls that were counted, how often it gave its turn away. Then a line with a letter
// for each turn: "c" its count was reached, "s" it slept before that, "e" it ended. With "s" or "e" a larger count is the same schedule. And
// behind a blank, how often the fault was put in.
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/file.h>
#include <sys/prctl.h>
#include <sys/ptrace.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/uio.h>
#include <sys/vfs.h>
#include <sys/user.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum { MOST_ACTORS = 4, MOST_TASKS = 64, LIMIT_MS = 20000, SLEEP_US = 300, MOST_FILES = 1024, MOST_TURNS = 64 };
/** Where a task stands. ENTRY: before a system call. INSIDE: the kernel has not answered yet. */
enum state { ENTRY, INSIDE, GONE };

struct task {
  pid_t pid;
  int actor;
  enum state state;
  int skip; // the system call was made void, and its result becomes:
  long answer;
  int asleep; // in a system call that something else has to end
  int vfork; // waits for its child, which the kernel does not call a sleep
};
struct actor {
  pid_t pid;
  int status, calls, waits, ended;
  char locks[MOST_FILES]; // descriptors that were ever locked
};

/** What -F knows. `directory`: 1 when the descriptor has to be one of a directory, -1 when it must not. */
struct fault {
  const char *name;
  long calls[3];
  int directory;
};
static const struct fault faults[] = {
  {"flock", {SYS_flock}, 0},
  {"fsync", {SYS_fsync, SYS_fdatasync}, 0},
  {"fsync-file", {SYS_fsync, SYS_fdatasync}, -1},
  {"fsync-directory", {SYS_fsync}, 1},
  {"rename", {SYS_rename, SYS_renameat, SYS_renameat2}, 0},
  {"link", {SYS_linkat}, 0},
  {"unlink", {SYS_unlink, SYS_unlinkat}, 0},
  {"write", {SYS_write}, -1},
  {"shared", {SYS_flock}, 0},
  {"exclusive", {SYS_openat}, 0},
  {"overwrite", {SYS_linkat}, 0},
};

static struct task tasks[MOST_TASKS];
static struct actor actors[MOST_ACTORS];
static int taskCount, actorCount, loud, untraced, spoiled;
static sigset_t childSignal;
static char turns[MOST_TURNS + 1];
static const struct fault *fault;
static const char *faultPath;

static void die(const char *what) {
  fprintf(stderr, "step: %s: %s\n", what, strerror(errno));
  exit(2);
}

static char *slurp(const char *dir, const char *name, size_t *size) {
  static char text[1 << 16];
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, O_RDONLY);
  if (fd < 0) die(path);
  ssize_t got = read(fd, text, sizeof text - 1);
  if (got < 0) die(path);
  close(fd);
  text[got] = 0;
  *size = got;
  return text;
}

static void redirect(const char *dir, const char *name, int flags, int to) {
  char path[4096];
  snprintf(path, sizeof path, "%s/%s", dir, name);
  int fd = open(path, flags, 0600);
  if (fd < 0 || dup2(fd, to) < 0) die(path);
  close(fd);
}

/** Splits a text with a NUL after each entry; it stays where it is. */
static void split(char *text, size_t size, char **entries, int most) {
  int count = 0;
  for (char *at = text; at < text + size && count < most - 1; at += strlen(at) + 1) entries[count++] = at;
  entries[count] = NULL;
}

static void become(const char *dir) {
  char *environment[256], *arguments[64];
  size_t size;
  redirect(dir, "in", O_RDONLY, 0);
  char *program = strdup(slurp(dir, "exec", &size));
  char *text = slurp(dir, "arguments", &size);
  arguments[0] = program;
  split(memcpy(malloc(size + 1), text, size + 1), size, arguments + 1, 63);
  text = slurp(dir, "env", &size);
  split(text, size, environment, 256);
  redirect(dir, "out", O_WRONLY | O_CREAT | O_TRUNC, 1);
  redirect(dir, "err", O_WRONLY | O_CREAT | O_TRUNC, 2);
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, NULL);
  if (!untraced) {
    ptrace(PTRACE_TRACEME, 0, 0, 0);
    raise(SIGSTOP);
  }
  execve(program, arguments, environment);
  _exit(127);
}

static struct task *find(pid_t pid) {
  for (int i = 0; i < taskCount; i++)
    if (tasks[i].pid == pid && tasks[i].state != GONE) return &tasks[i];
  return NULL;
}

static struct task *adopt(pid_t pid, int actor) {
  if (taskCount == MOST_TASKS) die("too many tasks");
  tasks[taskCount] = (struct task){.pid = pid, .actor = actor, .state = INSIDE};
  return &tasks[taskCount++];
}

/** In its next system call's entry, or in the exit of this one: both are stops of the kind "syscall". */
static int isEntry(pid_t pid) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, pid, sizeof info, &info) < 0) return 0;
  return info.op == PTRACE_SYSCALL_INFO_ENTRY;
}

static void proceed(pid_t pid, int signal) {
  if (ptrace(PTRACE_SYSCALL, pid, 0, signal) < 0 && errno != ESRCH) die("PTRACE_SYSCALL");
}

static void atExit(struct task *task) {
  if (!task->skip) return;
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, task->pid, 0, &regs) < 0) return;
  regs.rax = task->answer;
  ptrace(PTRACE_SETREGS, task->pid, 0, &regs);
  task->skip = 0;
}

static void ended(struct task *task, int status) {
  task->state = GONE;
  struct actor *actor = &actors[task->actor];
  if (task->pid == actor->pid) actor->status = status;
  actor->ended = 1;
  for (int i = 0; i < taskCount; i++)
    if (tasks[i].actor == task->actor && tasks[i].state != GONE) actor->ended = 0;
}

/** Takes in what one task reports. A child's first stop can come before its parent's report of it. */
static void take(pid_t pid, int status, int actor) {
  struct task *task = find(pid);
  if (task == NULL) task = adopt(pid, actor);
  task->asleep = 0;
  if (WIFEXITED(status) || WIFSIGNALED(status)) return ended(task, status);
  int event = status >> 16, signal = WSTOPSIG(status);
  if (event == PTRACE_EVENT_FORK || event == PTRACE_EVENT_VFORK || event == PTRACE_EVENT_CLONE) {
    unsigned long child;
    ptrace(PTRACE_GETEVENTMSG, pid, 0, &child);
    if (find(child) == NULL) adopt(child, task->actor);
    task->vfork = event == PTRACE_EVENT_VFORK;
    return proceed(pid, 0);
  }
  if (event != 0 || signal == SIGSTOP) return proceed(pid, 0);
  if (signal != (SIGTRAP | 0x80)) return proceed(pid, signal);
  if (isEntry(pid)) {
    task->state = ENTRY;
    return;
  }
  atExit(task);
  task->vfork = 0;
  proceed(pid, 0);
}

/** All reports there are. @return whether there was one */
static int poll_(int actor) {
  int status, some = 0;
  for (pid_t pid; (pid = waitpid(-1, &status, WNOHANG | __WALL)) > 0; some = 1) take(pid, status, actor);
  return some;
}

static long long now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000LL + t.tv_nsec / 1000;
}

/** 'S' is a sleep that something else has to end; 'D' and 'R' end by themselves. */
static char kernelState(pid_t pid) {
  char path[64], text[512];
  snprintf(path, sizeof path, "/proc/%d/stat", pid);
  int fd = open(path, O_RDONLY);
  if (fd < 0) return 'X';
  ssize_t got = read(fd, text, sizeof text - 1);
  close(fd);
  if (got <= 0) return 'X';
  text[got] = 0;
  char *end = strrchr(text, ')');
  return end == NULL ? 'X' : end[2];
}

/** Waits until the task stands before a system call or is gone. @return 0 when it sleeps instead */
static int settle(struct task *task) {
  long long asleep = 0, limit = now() + LIMIT_MS * 1000LL;
  while (task->state == INSIDE) {
    if (poll_(task->actor)) {
      asleep = 0;
      continue;
    }
    long long at = now();
    if (at > limit) die("a system call without end");
    if (task->vfork) return 0;
    if (kernelState(task->pid) != 'S') asleep = 0;
    else if (asleep == 0) asleep = at;
    else if (at - asleep > SLEEP_US) return (task->asleep = 1), 0;
    struct timespec pause = {0, 100000};
    sigtimedwait(&childSignal, NULL, &pause); // until it reports
  }
  return 1;
}

/** The task of an actor that goes next: a child before its parent. */
static struct task *ready(int actor) {
  for (int i = taskCount - 1; i >= 0; i--)
    if (tasks[i].actor == actor && tasks[i].state == ENTRY) return &tasks[i];
  return NULL;
}

/** Whether the call's first descriptor is one that the fault is for. */
static int isMeant(pid_t pid, int fd) {
  char path[64], target[4096];
  struct stat about;
  snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
  int directory = stat(path, &about) == 0 && S_ISDIR(about.st_mode);
  if (fault->directory != 0 && directory != (fault->directory > 0)) return 0;
  if (faultPath == NULL) return 1;
  ssize_t length = readlink(path, target, sizeof target - 1);
  target[length < 0 ? 0 : length] = 0;
  return strstr(target, faultPath) != NULL;
}

/** Takes the system call away that the task stands before, or what makes it safe, when it is one of the fault's. */
static void spoil(struct task *task) {
  struct user_regs_struct regs;
  if (ptrace(PTRACE_GETREGS, task->pid, 0, &regs) < 0) return;
  long call = regs.orig_rax;
  if (call == 0 || (call != fault->calls[0] && call != fault->calls[1] && call != fault->calls[2])) return;
  // What it says to its caller is no write to a file.
  if ((call == SYS_write && regs.rdi <= 2) || !isMeant(task->pid, regs.rdi)) return;
  if (strcmp(fault->name, "exclusive") == 0) {
    if (!(regs.rdx & O_EXCL)) return;
    regs.rdx &= ~O_EXCL;
  } else if (strcmp(fault->name, "shared") == 0) {
    if (!(regs.rsi & LOCK_EX)) return;
    regs.rsi = (regs.rsi & ~LOCK_EX) | LOCK_SH;
  } else if (strcmp(fault->name, "overwrite") == 0) {
    regs.orig_rax = SYS_renameat; // the same arguments in the same places
  } else {
    regs.orig_rax = -1;
    task->skip = 1;
    task->answer = call == SYS_write ? regs.rdx : 0;
  }
  ptrace(PTRACE_SETREGS, task->pid, 0, &regs);
  spoiled++;
}

static void show(struct task *task) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, task->pid, sizeof info, &info) > 0)
    fprintf(stderr, "%d:%d %d syscall %llu\n", task->actor, actors[task->actor].calls, task->pid, (unsigned long long)info.entry.nr);
}

/** Whether a descriptor leads to a file or directory whose closing changes nothing for others: no lock ends, no namespace loses its last user. */
static int closesQuietly(const struct task *task, int fd) {
  char path[64];
  struct stat about;
  struct statfs system;
  if (fd >= MOST_FILES || actors[task->actor].locks[fd]) return 0;
  snprintf(path, sizeof path, "/proc/%d/fd/%d", task->pid, fd);
  if (stat(path, &about) < 0) return 1; // it is not open
  if (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode)) return 1;
  if (!S_ISREG(about.st_mode) && !S_ISDIR(about.st_mode)) return 0;
  return statfs(path, &system) == 0 && system.f_type != 0x6e736673; // nsfs
}

/** Pipes between the processes of an actor, and its three standard descriptors. */
static int isOwn(pid_t pid, int fd) {
  char path[64];
  struct stat about;
  if (fd >= 0 && fd <= 2) return 1;
  snprintf(path, sizeof path, "/proc/%d/fd/%d", pid, fd);
  return stat(path, &about) == 0 && (S_ISFIFO(about.st_mode) || S_ISCHR(about.st_mode));
}

/** A path that no call of any actor makes, removes or changes: "/", "." and what the kernel says about the process itself. */
static int isFixed(pid_t pid, unsigned long long address) {
  char path[32] = "";
  struct iovec local = {path, sizeof path - 1}, remote = {(void *)address, sizeof path - 1};
  if (process_vm_readv(pid, &local, 1, &remote, 1, 0) < 0) return 0;
  return strcmp(path, "/") == 0 || strcmp(path, ".") == 0 || strncmp(path, "/proc/self/ns", 13) == 0 || strncmp(path, "/proc/thread-self/ns", 20) == 0;
}

/** Whether no other actor can notice the call before which the task stands, nor the task, by its result, the calls of another. */
static int isPrivate(const struct task *task) {
  struct __ptrace_syscall_info info;
  if (ptrace(PTRACE_GET_SYSCALL_INFO, task->pid, sizeof info, &info) < 0) return 0;
  int fd = info.entry.args[0];
  switch (info.entry.nr) {
    // Memory, signals and rights of the process.
    case SYS_arch_prctl: case SYS_set_tid_address: case SYS_set_robust_list: case SYS_rseq: case SYS_prlimit64: case SYS_getrlimit:
    case SYS_mmap: case SYS_munmap: case SYS_mprotect: case SYS_mremap: case SYS_brk: case SYS_madvise: case SYS_mincore:
    case SYS_rt_sigaction: case SYS_rt_sigprocmask: case SYS_rt_sigreturn: case SYS_sigaltstack: case SYS_tgkill:
    case SYS_getpid: case SYS_gettid: case SYS_getppid: case SYS_getuid: case SYS_geteuid: case SYS_getgid: case SYS_getegid:
    case SYS_capget: case SYS_capset: case SYS_prctl: case SYS_seccomp: case SYS_umask: case SYS_uname:
    case SYS_landlock_create_ruleset: case SYS_landlock_add_rule: case SYS_landlock_restrict_self:
    // Time, threads, and the processes that it starts.
    case SYS_clock_gettime: case SYS_gettimeofday: case SYS_time: case SYS_getrandom: case SYS_nanosleep: case SYS_clock_nanosleep:
    case SYS_futex: case SYS_sched_yield: case SYS_sched_getaffinity: case SYS_epoll_create1: case SYS_epoll_ctl: case SYS_epoll_pwait: case SYS_eventfd2:
    case SYS_fork: case SYS_vfork: case SYS_clone: case SYS_clone3: case SYS_wait4: case SYS_waitid:
    // Descriptors that nobody else has.
    case SYS_socket: case SYS_setsockopt: case SYS_getsockopt: case SYS_getsockname: case SYS_pipe2: case SYS_dup: case SYS_dup2: case SYS_dup3: case SYS_lseek:
    // The disk, which only a power failure shows.
    case SYS_fsync: case SYS_fdatasync: case SYS_fstatfs:
      return 1;
    case SYS_read: case SYS_write: case SYS_fstat: return isOwn(task->pid, fd);
    case SYS_statx: return fd >= 0 && fd <= 2;
    case SYS_fcntl: return info.entry.args[1] <= F_SETFL || info.entry.args[1] == F_DUPFD_CLOEXEC;
    case SYS_openat: return !(info.entry.args[2] & O_CREAT) && isFixed(task->pid, info.entry.args[1]);
    case SYS_flock:
      if (fd >= 0 && fd < MOST_FILES) actors[task->actor].locks[fd] = 1;
      return 0;
    case SYS_close: return closesQuietly(task, fd);
    default: return 0;
  }
}

/** One system call of the actor's task. @return 0 when none of its tasks can go on by itself, or it has ended */
static int step(struct task *task) {
  int actor = task->actor;
  if (loud) show(task);
  if (fault != NULL) spoil(task);
  task->state = INSIDE;
  proceed(task->pid, 0);
  if (!settle(task)) actors[actor].waits++;
  // What it started stands before its first call, too: else chance would say who is next.
  for (int i = 0; i < taskCount; i++)
    if (tasks[i].actor == actor && tasks[i].state == INSIDE && !tasks[i].asleep) settle(&tasks[i]);
  return ready(actor) != NULL;
}

static void killActor(int actor) {
  for (int i = 0; i < taskCount; i++)
    if (tasks[i].actor == actor && tasks[i].state != GONE) kill(tasks[i].pid, SIGKILL);
  while (!actors[actor].ended) poll_(actor);
}

/** Lets an actor go until it ends, has made `count` calls that others can notice, or sleeps. @return which, as a letter */
static char turn(int actor, int count) {
  while (!actors[actor].ended) {
    poll_(actor);
    struct task *task = ready(actor);
    if (task == NULL) break;
    if (!isPrivate(task)) {
      if (count-- == 0) return 'c';
      actors[actor].calls++;
    }
    if (!step(task)) break;
  }
  return actors[actor].ended ? 'e' : 's';
}

static void play(char *schedule) {
  int made = 0;
  for (char *part = strtok(schedule, ","); part != NULL && made < MOST_TURNS; part = strtok(NULL, ",")) {
    char *end;
    int actor = strtol(part, &end, 10), count = 1 << 30;
    if (end == part || actor < 0 || actor >= actorCount) {
      fprintf(stderr, "step: no such actor in the schedule: %s\n", part);
      exit(2);
    }
    if (*end == ':') count = strtol(end + 1, &end, 10);
    turns[made++] = turn(actor, count);
    if (*end == 'k') killActor(actor);
  }
}

/** Everybody to the end; who sleeps is looked at again until something happens. */
static void finish(void) {
  for (long long limit = now() + LIMIT_MS * 1000LL;;) {
    int alive = 0, moved = 0;
    for (int i = 0; i < actorCount; i++) {
      if (actors[i].ended) continue;
      alive = 1;
      int before = actors[i].calls;
      poll_(i);
      turn(i, 1 << 30);
      if (actors[i].calls > before || actors[i].ended) moved = 1;
    }
    if (!alive) return;
    if (moved) limit = now() + LIMIT_MS * 1000LL;
    else if (now() > limit) die("the actors wait for each other");
    else usleep(200);
  }
}

static void start(int actor, const char *dir) {
  pid_t pid = fork();
  if (pid < 0) die("fork");
  if (pid == 0) become(dir);
  actors[actor].pid = pid;
  struct task *task = adopt(pid, actor);
  int status;
  if (waitpid(pid, &status, 0) != pid || !WIFSTOPPED(status)) die(dir);
  long options = PTRACE_O_TRACESYSGOOD | PTRACE_O_EXITKILL | PTRACE_O_TRACEEXEC | PTRACE_O_TRACEFORK | PTRACE_O_TRACEVFORK | PTRACE_O_TRACECLONE;
  if (ptrace(PTRACE_SETOPTIONS, pid, 0, options) < 0) die("PTRACE_SETOPTIONS");
  proceed(pid, 0);
  settle(task); // before execve
}

/** Without anybody beside it. Ends, as with a schedule, when all that it has started has ended. */
static int runAlone(const char *dir) {
  untraced = 1;
  prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
  pid_t pid = fork(), some;
  if (pid < 0) die("fork");
  if (pid == 0) become(dir);
  int status, of = 0;
  while ((some = waitpid(-1, &status, 0)) > 0)
    if (some == pid) of = status;
  printf("%d 0 0\n", of);
  return 0;
}

static const struct fault *named(char *name) {
  faultPath = strchr(name, ':');
  if (faultPath != NULL) *strchr(name, ':') = 0, faultPath++;
  for (size_t i = 0; i < sizeof faults / sizeof *faults; i++)
    if (strcmp(faults[i].name, name) == 0) return &faults[i];
  fprintf(stderr, "step: no such fault: %s\n", name);
  exit(2);
}

int main(int argc, char **argv) {
  int option;
  while ((option = getopt(argc, argv, "+F:lL")) != -1) {
    if (option == 'L') {
      for (size_t i = 0; i < sizeof faults / sizeof *faults; i++) puts(faults[i].name);
      return 0;
    }
    if (option == 'F') fault = named(optarg);
    else if (option == 'l') loud = 1;
    else return 2;
  }
  if (argc - optind < 2 || argc - optind - 1 > MOST_ACTORS) {
    fprintf(stderr, "usage: step [-F FAULT] [-l] SCHEDULE ACTOR...\n");
    return 2;
  }
  actorCount = argc - optind - 1;
  if (strcmp(argv[optind], "-") == 0) return runAlone(argv[optind + 1]);
  sigemptyset(&childSignal);
  sigaddset(&childSignal, SIGCHLD);
  sigprocmask(SIG_BLOCK, &childSignal, NULL);
  for (int i = 0; i < actorCount; i++) start(i, argv[optind + 1 + i]);
  play(argv[optind]);
  finish();
  for (int i = 0; i < actorCount; i++) printf("%d %d %d\n", actors[i].status, actors[i].calls, actors[i].waits);
  printf("%s %d\n", turns, spoiled);
  return 0;
}
