// What every host must do, as functions that throw if it does not. They run in vitest on the Node host, and in the built executable on the QuickJS
// host (host-selftest.ts). Each gets a directory for its files.
import {
  AF_NETLINK,
  EAGAIN,
  EBADF,
  EEXIST,
  EINVAL,
  ENOENT,
  ENOTDIR,
  LOCK_EX,
  LOCK_NB,
  NSFS_MAGIC,
  O_CREAT,
  O_DIRECTORY,
  O_PATH,
  O_RDONLY,
  O_RDWR,
  O_WRONLY,
  POLLIN,
  POLLOUT,
  RESOLVE_BENEATH,
  RESOLVE_NO_SYMLINKS,
  S_IFDIR,
  S_IFLNK,
  S_IFMT,
  S_IFREG,
  SOCK_RAW,
} from "../host/constants.ts";
import { type Host, type Outcome, SystemError } from "../host/host.ts";

export function expect(condition: boolean, what: string): asserts condition {
  if (!condition) throw new Error(`expected ${what}`);
}

export function equal(got: unknown, wanted: unknown, what: string): void {
  expect(
    JSON.stringify(got) === JSON.stringify(wanted),
    `${what}: ${JSON.stringify(wanted)}, got ${JSON.stringify(got)}`,
  );
}

/** The SystemError that `body` throws. */
export function failure(body: () => unknown): SystemError {
  try {
    body();
  } catch (error) {
    if (error instanceof SystemError) return error;
    throw error;
  }
  throw new Error("expected a SystemError, nothing was thrown");
}

function write(host: Host, path: string, text: string, mode = 0o644): void {
  const fd = host.open(path, O_WRONLY | O_CREAT, mode);
  equal(host.write(fd, host.encode(text)), host.encode(text).length, "bytes written");
  host.close(fd);
}

function read(host: Host, path: string): string {
  const fd = host.open(path, O_RDONLY);
  const text = host.decode(host.read(fd, 4096));
  equal(host.read(fd, 1).length, 0, "bytes after the end");
  host.close(fd);
  return text;
}

function ofType(host: Host, path: string, follow = true): number {
  return host.stat(path, follow).mode & S_IFMT;
}

function runScript(
  host: Host,
  path: string,
  stdin: string,
  options: { timeout?: number; maxOutput?: number } = {},
): Outcome {
  const file = host.open(path, O_PATH);
  try {
    const { timeout = 5000, maxOutput = 1 << 20 } = options;
    return host.run({ file, path, env: { PODNIC_TEST: "é" }, stdin: host.encode(stdin), maxOutput, timeout });
  } finally {
    host.close(file);
  }
}

export const contract: Record<string, (host: Host, dir: string) => void> = {
  "files are written, read, linked, renamed and removed": (host, dir) => {
    write(host, `${dir}/a`, "grüße");
    equal(read(host, `${dir}/a`), "grüße", "contents");
    host.link(`${dir}/a`, `${dir}/b`);
    equal(host.stat(`${dir}/b`).nlink, 2, "links");
    equal(failure(() => host.link(`${dir}/a`, `${dir}/b`)).errno, EEXIST, "link over a file");
    host.rename(`${dir}/b`, `${dir}/c`);
    equal(host.stat(`${dir}/c`).size, 7, "size");
    host.symlink("c", `${dir}/d`);
    equal(host.readlink(`${dir}/d`), "c", "target");
    equal(
      [ofType(host, `${dir}/d`), ofType(host, `${dir}/d`, false)],
      [S_IFREG, S_IFLNK],
      "types with and without following",
    );
    host.mkdir(`${dir}/e`, 0o700);
    equal([host.stat(`${dir}/e`).mode & 0o777, ofType(host, `${dir}/e`)], [0o700, S_IFDIR], "the directory");
    const fd = host.open(dir, O_RDONLY | O_DIRECTORY);
    equal(host.readdir(fd).sort(), ["a", "c", "d", "e"], "names");
    host.unlink("a", fd);
    host.rmdir("e", fd);
    host.unlink("d", fd);
    host.unlink("c", fd);
    host.fsync(fd);
    host.close(fd);
  },

  "what is synced aside says how it went": (host, dir) => {
    const outcome = (fd: number): number => {
      try {
        const pid = host.syncAside(fd);
        return pid === 0 ? 0 : host.waitpid(pid);
      } catch (error) {
        return error instanceof SystemError ? error.errno << 8 : -1;
      }
    };
    const file = host.open(`${dir}/synced`, O_WRONLY | O_CREAT, 0o600);
    host.write(file, host.encode("lease"));
    equal(outcome(file), 0, "of a file");
    host.close(file);
    const place = host.open(dir, O_PATH);
    equal(outcome(place), EBADF << 8, "of what is not open");
    host.close(place);
  },

  "a directory of 3,000 names is read whole": (host, dir) => {
    for (let i = 0; i < 3000; i++) host.mkdir(`${dir}/name-${i}`, 0o755);
    const fd = host.open(dir, O_RDONLY | O_DIRECTORY);
    equal(new Set(host.readdir(fd)).size, 3000, "names");
    host.close(fd);
  },

  "errors say call, number, name, words and subject": (host, dir) => {
    const error = failure(() => host.open(`${dir}/none`, O_RDONLY));
    equal(
      [error.syscall, error.errno, error.code, error.subject],
      ["openat", ENOENT, "ENOENT", `${dir}/none`],
      "fields",
    );
    equal(error.message, `openat ${dir}/none: no such file or directory`, "message");
    equal(failure(() => host.open("/etc/passwd", O_RDONLY | O_DIRECTORY)).errno, ENOTDIR, "errno");
  },

  "text with a NUL is no path": (host, dir) => {
    equal(failure(() => host.open(`${dir}\0/x`, O_RDONLY)).errno, EINVAL, "errno");
  },

  "openat2 does not step outside": (host, dir) => {
    host.symlink("/etc/passwd", `${dir}/out`);
    const fd = host.open(dir, O_RDONLY | O_DIRECTORY);
    equal(failure(() => host.open("../x", O_RDONLY, 0, fd, RESOLVE_BENEATH)).code, "EXDEV", "code for ..");
    equal(failure(() => host.open("out", O_RDONLY, 0, fd, RESOLVE_BENEATH)).code, "EXDEV", "code for an absolute link");
    equal(failure(() => host.open("out", O_RDONLY, 0, fd, RESOLVE_NO_SYMLINKS)).code, "ELOOP", "code for a link");
    host.close(host.open("new", O_RDWR | O_CREAT, 0o600, fd, RESOLVE_BENEATH));
    equal(host.stat("new", true, fd).mode & 0o777, 0o600, "mode");
    host.close(fd);
  },

  "times, modes, file systems": (host, dir) => {
    write(host, `${dir}/f`, "");
    const fd = host.open(`${dir}/f`, O_RDWR);
    host.fchmod(fd, 0o640);
    host.futimens(fd, 1_700_000_001, 123_456_789);
    const { mode, mtime, mtimeNsec, ctime, uid } = host.fstat(fd);
    equal(Math.abs(ctime - host.now() / 1000) < 60, true, "time of the last change");
    equal([mode & 0o777, mtime, mtimeNsec, uid], [0o640, 1_700_000_001, 123_456_789, host.geteuid()], "stat");
    host.close(fd);
    const ns = host.open("/proc/thread-self/ns/net", O_RDONLY);
    equal(host.fstatfs(ns), NSFS_MAGIC, "file system of a namespace");
    expect(host.readlink("/proc/thread-self/ns/net") === `net:[${host.fstat(ns).ino}]`, "the inode of the namespace");
    host.close(ns);
  },

  "a lock that is held is not given twice": (host, dir) => {
    const first = host.open(`${dir}/lock`, O_RDWR | O_CREAT, 0o600);
    const second = host.open(`${dir}/lock`, O_RDWR);
    host.flock(first, LOCK_EX);
    equal(failure(() => host.flock(second, LOCK_EX | LOCK_NB)).errno, EAGAIN, "errno");
    // A host that cannot limit the wait returns undefined.
    expect(host.flockWithin(second, 30) !== true, "waits no longer than asked");
    host.close(first);
    expect(host.flockWithin(second, 30) !== false, "has it, once it is free");
    host.flock(second, LOCK_EX | LOCK_NB);
    host.close(second);
  },

  "poll tells who is ready, and waits no longer than asked": (host) => {
    const [output, input] = host.pipe();
    const fds = [
      { fd: output, events: POLLIN },
      { fd: input, events: POLLOUT },
    ];
    equal(host.poll(fds, 1000), [input], "ready");
    const before = host.monotonic();
    equal(host.poll([fds[0]!], 50), [], "ready");
    const waited = host.monotonic() - before;
    expect(waited >= 49 && waited < 1000, `50 ms of waiting, got ${waited}`);
    host.write(input, new Uint8Array([1]));
    equal(host.poll(fds, -1), [output, input], "ready");
    host.close(input);
    host.close(output);
  },

  "a netlink socket answers; a datagram that does not fit is reported": (host) => {
    const fd = host.socket(AF_NETLINK, SOCK_RAW, 0);
    host.bind(fd, new Uint8Array([AF_NETLINK, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]));
    // struct nlmsghdr: RTM_GETLINK = 18, NLM_F_REQUEST = 1, seq 7; struct ifinfomsg: index 1 (lo).
    const request = new Uint8Array(32);
    request.set([32, 0, 0, 0, 18, 0, 1, 0, 7]);
    request[20] = 1;
    equal(host.send(fd, request), 32, "bytes sent");
    const buffer = new Uint8Array(32768);
    const whole = host.recv(fd, buffer);
    equal([whole.truncated, whole.sender, buffer[4], buffer[8]], [false, 0, 16, 7], "reply");
    host.send(fd, request);
    const part = host.recv(fd, new Uint8Array(20));
    equal([part.truncated, part.size], [true, 20], "reply that does not fit");
    host.close(fd);
  },

  "clocks, sleep, random": (host) => {
    const before = host.monotonic();
    host.sleep(30);
    const slept = host.monotonic() - before;
    expect(slept >= 30 && slept < 1000, `30 ms of sleep, got ${slept}`);
    expect(host.now() > 1_700_000_000_000, "a date in this century");
    const [one, other] = [host.random(16), host.random(16)];
    expect(one.join() !== other.join(), "two different random numbers");
    equal(host.random(300).length, 300, "random bytes");
  },

  "a wait for a signal ends with its time": (host) => {
    const before = host.monotonic();
    equal(host.waitSignal([12], 30), 0, "no SIGUSR2");
    const waited = host.monotonic() - before;
    expect(waited >= 30 && waited < 1000, `30 ms of waiting, got ${waited}`);
  },

  "files have names of any bytes": (host, dir) => {
    // A careless encoder turns the first name into the second.
    const names = ["\udcff\udc80", "\udced\udcb3\udcbf\udced\udcb2\udc80", "\u00e9\u{1f480}\udcfe"];
    for (const name of names) host.mkdir(`${dir}/${name}`, 0o755);
    host.symlink(names[0]!, `${dir}/link`);
    const fd = host.open(dir, O_RDONLY | O_DIRECTORY);
    equal(host.readdir(fd).sort(), [...names, "link"].sort(), "names");
    equal(host.readlink("link", fd), names[0], "target");
    const inodes = names.map((name) => host.stat(name, true, fd).ino);
    equal([new Set(inodes).size, host.stat("link", true, fd).ino], [3, inodes[0]], "files");
    for (const name of names) host.rmdir(name, fd);
    host.close(fd);
  },

  "UTF-8 both ways, also when it is broken": (host) => {
    const text = "a\u00e9\u20ac\u{1f600}\ufeff";
    equal(host.decode(host.encode(text)), text, "round trip");
    equal([...host.encode("x\ud800y\udc00")], [0x78, 0xef, 0xbf, 0xbd, 0x79, 0xef, 0xbf, 0xbd], "lone surrogates");
    // The decoder must not swallow the quote after an invalid byte.
    equal(host.decode(new Uint8Array([0x22, 0xff, 0x22, 0xe2, 0x82, 0x22])), '"\ufffd"\ufffd"', "broken bytes");
    equal(host.decode(new Uint8Array([0xed, 0xa0, 0x80])), "\ufffd\ufffd\ufffd", "an encoded surrogate");
    equal(host.decode(new Uint8Array()), "", "nothing");
  },

  "a program gets its input and environment, and we its output and status": (host, dir) => {
    write(host, `${dir}/p`, '#!/bin/sh\nread line\nprintf "%s|%s" "$line" "$PODNIC_TEST"\nexit 3\n', 0o755);
    const { status, signal, stdout, killed } = runScript(host, `${dir}/p`, "hello\n");
    equal([status, signal, host.decode(stdout), killed], [3, 0, "hello|é", ""], "outcome");
  },

  "a program may ignore a megabyte of input, and answer with as much": (host, dir) => {
    write(host, `${dir}/p`, "#!/bin/sh\nexit 0\n", 0o755);
    equal(runScript(host, `${dir}/p`, "x".repeat(1 << 20)).status, 0, "status");
    write(host, `${dir}/q`, "#!/bin/sh\nexec cat\n", 0o755);
    equal(runScript(host, `${dir}/q`, "x".repeat(1 << 20)).stdout.length, 1 << 20, "bytes that came back");
  },

  "too much output ends a program": (host, dir) => {
    write(host, `${dir}/p`, "#!/bin/sh\nexec cat /dev/zero\n", 0o755);
    const { killed, stdout } = runScript(host, `${dir}/p`, "", { maxOutput: 100_000 });
    equal([killed, stdout.length], ["output", 100_000], "outcome");
  },

  "a program that takes too long is killed": (host, dir) => {
    write(host, `${dir}/p`, "#!/bin/sh\necho begun\nexec sleep 60\n", 0o755);
    const before = host.monotonic();
    const { killed, signal, status } = runScript(host, `${dir}/p`, "", { timeout: 300 });
    equal([killed, signal, status], ["timeout", 9, -1], "outcome");
    expect(host.monotonic() - before < 5000, "an end soon after the deadline");
  },

  "a program that cannot be started is an error": (host, dir) => {
    write(host, `${dir}/p`, "#!/bin/sh\n", 0o644);
    equal(failure(() => runScript(host, `${dir}/p`, "")).code, "EACCES", "code");
  },
};
