// Included by native.c: VERSION as runtimes ask it, without the engine. Only what is plain is answered here: stdin is a pipe that was
// closed or a file, and holds nothing but {"cniVersion":"1.2.3"}; stdout is open and no file. Everything else is TypeScript's
// (answerVersion in src/cni/dispatch.ts), which finds stdin as we found it, and gives the same answer to what is plain:
// version.built.test.ts compares.
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#define PLAIN 512          // bytes of stdin
#define WRITER_PATIENCE 10 // milliseconds for the runtime to close the pipe; TypeScript waits longer

static const char *space(const char *p) { return p + strspn(p, " \t\r\n"); }

// What follows white space and `token` at p; NULL where it is something else.
static const char *after(const char *p, const char *token) {
  if (p == NULL) return NULL;
  p = space(p);
  return strncmp(p, token, strlen(token)) == 0 ? p + strlen(token) : NULL;
}

// The version in it, and how long that is; NULL when it is not plain.
static const char *plain_version(const char *text, size_t size, size_t *length) {
  const char *start = after(after(after(after(text, "{"), "\"cniVersion\""), ":"), "\""), *p = start;
  for (int part = 0; p != NULL && part < 3; part++) {
    size_t digits = strspn(p, "0123456789");
    if (digits < 1 || digits > 9 || p[digits] != (part < 2 ? '.' : '"')) return NULL;
    p += digits + 1;
  }
  if (p == NULL) return NULL;
  *length = p - 1 - start;
  p = after(p, "}");
  return p != NULL && space(p) == text + size ? start : NULL; // a NUL in the text would end it earlier
}

// Whether the pipe's writers are gone and left little. Nothing is read yet: what is not plain stays where it is.
static bool closed_pipe(void) {
  struct pollfd in = {.fd = 0, .events = POLLIN};
  int size;
  if (poll(&in, 1, WRITER_PATIENCE) < 1 || ioctl(0, FIONREAD, &size) < 0 || size > PLAIN) return false;
  if (in.revents & POLLHUP) return true;
  in.events = 0;
  if (poll(&in, 1, WRITER_PATIENCE) != 1 || in.revents != POLLHUP) return false;
  // More may have come before the end.
  return ioctl(0, FIONREAD, &size) == 0 && size <= PLAIN;
}

// A pipe in the place of the one we read. Some pages always fit.
static void give_back(const char *text, size_t size) {
  int ends[2];
  if (pipe(ends) < 0 || write(ends[1], text, size) != (ssize_t)size || dup2(ends[0], 0) < 0) die("cannot give stdin back");
  close(ends[0]);
  close(ends[1]);
}

static bool is_plain_call(char **argv) {
  const char *command = getenv("CNI_COMMAND");
  if (*heap.version == 0 || command == NULL || strcmp(command, "VERSION") != 0 || argv[0] == NULL || argv[1] != NULL) return false;
  for (const char *p = argv[0]; *p != 0; p++)
    if (*p & 0x80) return false;
  return fcntl(2, F_GETFD) >= 0;
}

static void answer_version(char **argv) {
  struct stat in, out;
  if (!is_plain_call(argv) || fstat(0, &in) < 0 || fstat(1, &out) < 0 || S_ISREG(out.st_mode) || S_ISBLK(out.st_mode)) return;
  bool piped = S_ISFIFO(in.st_mode);
  if (piped ? !closed_pipe() : !S_ISREG(in.st_mode)) return;
  char text[PLAIN + 2], answer[sizeof heap.version + PLAIN];
  ssize_t size = piped ? read(0, text, PLAIN + 1) : pread(0, text, PLAIN + 1, lseek(0, 0, SEEK_CUR));
  if (size <= 0) return;
  text[size] = 0;
  size_t length;
  const char *version = size > PLAIN ? NULL : plain_version(text, size, &length);
  if (version != NULL) {
    const char *place = strstr(heap.version, "\"\"") + 1;
    char *end = mempcpy(answer, heap.version, place - heap.version);
    end = stpcpy(mempcpy(end, version, length), place);
    ssize_t all = end - answer;
    signal(SIGPIPE, SIG_IGN);
    ssize_t done = write(1, answer, all);
    while (done > 0 && done < all) {
      ssize_t more = write(1, answer + done, all - done);
      if (more <= 0) _exit(1);
      done += more;
    }
    if (done == all) _exit(0);
  }
  if (piped) give_back(text, size);
}
