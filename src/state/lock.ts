// Locks between processes: flock(2), which the kernel releases when the holder exits. The Go plugins use the same locks.
import { Failure, shellWord } from "../errors.ts";
import { LOCK_EX, LOCK_NB, O_CLOEXEC, O_CREAT, O_EXCL, O_NOFOLLOW, O_NONBLOCK, O_RDONLY } from "../host/constants.ts";
import { type Fd, host } from "../host/host.ts";
import { hasErrno, pathOf } from "./descriptor.ts";
import { notOurs, openLooked } from "./look.ts";

const MIN_PAUSE = 0.5;
const MAX_PAUSE = 30;

/**
 * Runs `body` while holding a flock(2) (LOCK_EX or LOCK_SH) on `name` in `dir`. Creates the file with mode 0600 if it is missing. Waits at
 * most `timeout` ms, and then throws a Failure("try again") that names the file.
 */
export function withLock<T>(dir: Fd, name: string, timeout: number, body: () => T, operation = LOCK_EX): T {
  const fd = openLock(dir, name);
  try {
    if (!lockWithin(fd, timeout, operation)) {
      const path = `${pathOf(dir)}/${name}`;
      throw new Failure(
        "try again",
        `${path} is locked by another process`,
        `Waited ${timeout} ms. "fuser ${shellWord(path)}" shows which process has locked it; lockTimeout in /etc/cni/podnic.json sets how long podnic waits.`,
      );
    }
    return body();
  } finally {
    // Closing the only descriptor of the open file drops the lock.
    host.close(fd);
  }
}

/** Locks an open file. Returns false if another process still holds the lock after `timeout` ms. */
export function lockWithin(fd: Fd, timeout: number, operation = LOCK_EX): boolean {
  if (tryLock(fd, operation)) return true;
  const waited = timeout > 0 && operation === LOCK_EX ? host.flockWithin(fd, timeout) : undefined;
  return waited ?? pollLock(fd, timeout, operation);
}

/**
 * Polls the lock: for LOCK_SH, which is rare, and on hosts that cannot limit a wait in the kernel. Most locks are held for a fraction of a
 * millisecond, so the first pauses are short. The pauses become longer, because a hundred waiters would otherwise slow down the holder.
 */
function pollLock(fd: Fd, timeout: number, operation: number): boolean {
  const start = host.monotonic();
  // Random pauses separate waiters that began at the same time.
  let random = host.getpid();
  for (let waited = 0; waited < timeout; waited = host.monotonic() - start) {
    random = (random * 1103515245 + 12345) % 2 ** 31;
    // The pause grows at first. It shrinks again for processes that have waited longest, so that they get the lock first.
    const pause = Math.min(MAX_PAUSE, MIN_PAUSE + waited / 8, (MAX_PAUSE * 500) / Math.max(1, waited));
    host.sleep(pause * (0.5 + random / 2 ** 31));
    if (tryLock(fd, operation)) return true;
  }
  return false;
}

/**
 * Runs `body` while holding the lock, if no other process holds it (for LOCK_SH, if no other process holds LOCK_EX). Does not wait. Returns
 * undefined if the lock is held, or if `body` returns undefined.
 */
export function ifLockable<T>(dir: Fd, name: string, operation: number, body: () => T | undefined): T | undefined {
  const fd = openLock(dir, name);
  try {
    return tryLock(fd, operation) ? body() : undefined;
  } finally {
    host.close(fd);
  }
}

/** Locks an open file without waiting. Returns false if another process holds the lock. */
export function tryLock(fd: Fd, operation = LOCK_EX): boolean {
  try {
    host.flock(fd, operation | LOCK_NB);
    return true;
  } catch (error) {
    if (hasErrno(error, "EAGAIN")) return false;
    throw error;
  }
}

function openLock(dir: Fd, name: string): Fd {
  const flags = O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC;
  // "." is the directory itself, which is open already, so it needs no check.
  if (name === ".") return host.open(name, flags, 0, dir);
  for (;;) {
    const looked = openLooked(dir, name, O_RDONLY, notOurs);
    if (looked?.fd !== undefined) return looked.fd;
    if (looked !== undefined) {
      const cure = "podnic did not create this file. The node's administrator can remove it.";
      throw new Failure("io", `${pathOf(dir)}/${name} is not a lock file: it ${looked.why}`, cure);
    }
    try {
      return makeLock(dir, name, flags);
    } catch (error) {
      if (!hasErrno(error, "EEXIST")) throw error;
    }
  }
}

/**
 * Creates the lock file and syncs it. The fsync of a lease later writes the lock file's name to the disk. On a file system without a
 * journal, the name could otherwise be on the disk without the inode, and lead to the file that had this inode before.
 */
function makeLock(dir: Fd, name: string, flags: number): Fd {
  const fd = host.open(name, flags | O_CREAT | O_EXCL, 0o600, dir);
  try {
    host.fchmod(fd, 0o600);
    host.fsync(fd);
    return fd;
  } catch (error) {
    host.close(fd);
    throw error;
  }
}
