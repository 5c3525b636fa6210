// Names and words of errno values; the numbers are asm-generic's, which x86-64 and arm64 share. Words are those of Go's syscall
// package (lower case), because that is what people and runtimes know from the Go plugins.

const TABLE: { [errno: number]: string } = {
  1: "EPERM operation not permitted",
  2: "ENOENT no such file or directory",
  3: "ESRCH no such process",
  4: "EINTR interrupted system call",
  5: "EIO input/output error",
  6: "ENXIO no such device or address",
  7: "E2BIG argument list too long",
  8: "ENOEXEC exec format error",
  9: "EBADF bad file descriptor",
  10: "ECHILD no child processes",
  11: "EAGAIN resource temporarily unavailable",
  12: "ENOMEM cannot allocate memory",
  13: "EACCES permission denied",
  14: "EFAULT bad address",
  16: "EBUSY device or resource busy",
  17: "EEXIST file exists",
  18: "EXDEV invalid cross-device link",
  19: "ENODEV no such device",
  20: "ENOTDIR not a directory",
  21: "EISDIR is a directory",
  22: "EINVAL invalid argument",
  23: "ENFILE too many open files in system",
  24: "EMFILE too many open files",
  25: "ENOTTY inappropriate ioctl for device",
  26: "ETXTBSY text file busy",
  27: "EFBIG file too large",
  28: "ENOSPC no space left on device",
  29: "ESPIPE illegal seek",
  30: "EROFS read-only file system",
  31: "EMLINK too many links",
  32: "EPIPE broken pipe",
  34: "ERANGE numerical result out of range",
  35: "EDEADLK resource deadlock avoided",
  36: "ENAMETOOLONG file name too long",
  37: "ENOLCK no locks available",
  38: "ENOSYS function not implemented",
  39: "ENOTEMPTY directory not empty",
  40: "ELOOP too many levels of symbolic links",
  61: "ENODATA no data available",
  62: "ETIME timer expired",
  71: "EPROTO protocol error",
  74: "EBADMSG bad message",
  75: "EOVERFLOW value too large for defined data type",
  84: "EILSEQ invalid or incomplete multibyte or wide character",
  85: "ERESTART interrupted system call should be restarted",
  87: "EUSERS too many users",
  88: "ENOTSOCK socket operation on non-socket",
  90: "EMSGSIZE message too long",
  92: "ENOPROTOOPT protocol not available",
  93: "EPROTONOSUPPORT protocol not supported",
  94: "ESOCKTNOSUPPORT socket type not supported",
  95: "EOPNOTSUPP operation not supported",
  97: "EAFNOSUPPORT address family not supported by protocol",
  98: "EADDRINUSE address already in use",
  99: "EADDRNOTAVAIL cannot assign requested address",
  100: "ENETDOWN network is down",
  101: "ENETUNREACH network is unreachable",
  104: "ECONNRESET connection reset by peer",
  105: "ENOBUFS no buffer space available",
  107: "ENOTCONN transport endpoint is not connected",
  110: "ETIMEDOUT connection timed out",
  111: "ECONNREFUSED connection refused",
  113: "EHOSTUNREACH no route to host",
  114: "EALREADY operation already in progress",
  115: "EINPROGRESS operation now in progress",
  116: "ESTALE stale file handle",
  122: "EDQUOT disk quota exceeded",
  125: "ECANCELED operation canceled",
};

/** Symbolic name of a positive errno: "ENOENT"; "E4095" for one we have no name for. */
export function errnoName(errno: number): string {
  return TABLE[errno]?.split(" ", 1)[0] ?? `E${errno}`;
}

/** What it means: "no such file or directory". */
export function errnoText(errno: number): string {
  const row = TABLE[errno];
  return row === undefined ? `error ${errno}` : row.slice(row.indexOf(" ") + 1);
}

/** errno of a name; for code that decides on numbers only (Node reports names). 0 when unknown. */
export function errnoOf(name: string): number {
  for (const errno in TABLE) if (errnoName(Number(errno)) === name) return Number(errno);
  return 0;
}
