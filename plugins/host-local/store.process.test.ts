import * as fs from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { EXT4_SUPER_MAGIC, LOCK_EX, O_RDONLY } from "../../src/host/constants.ts";
import { host, installHost, SystemError } from "../../src/host/host.ts";
import { failure, failureCode, run } from "../../src/testing/calls.ts";
import { effort } from "../../src/testing/effort.ts";
import { Transaction } from "../../src/transaction.ts";
import {
  add,
  altered,
  config,
  content,
  dataDir,
  del,
  leases,
  path,
  plant,
  plugin,
  type Raw,
  real,
  root,
  scans,
  small,
} from "./testing/pool.ts";

vi.mock("../../src/log.ts", () => ({ log: () => {} }));

/** The distance between the points of a call at which the test stops it. */
const step = effort(1, 7);

describe("the directory", () => {
  // Root can open its files regardless of their mode.
  const umasks = process.getuid!() === 0 ? [0o077, 0o777] : [0o077];
  it.each(umasks)("is created with the modes of the field, with umask %i (SEC-07)", (umask) => {
    const old = process.umask(umask);
    try {
      add(small());
    } finally {
      process.umask(old);
    }
    const mode = (name: string): number => fs.statSync(name).mode & 0o777;
    expect([mode(dataDir), mode(`${dataDir}/mynet`), mode(path("192.168.1.2")), mode(path("lock"))]).toEqual([
      0o755, 0o755, 0o600, 0o600,
    ]);
  });

  it.each([
    ["relative", "x"],
    ["up", "/var/lib/cni/../../etc"],
    ["elsewhere", "/etc/cron.d"],
    ["proc", "/proc/x"],
    ["a root itself", "/tmp"],
  ])("%s is refused (SEC-02, A3), and DEL finds nothing there", (_name, where) => {
    const raw = config({ subnet: "10.0.0.0/24", dataDir: where });
    expect(failureCode(() => add(raw))).toBe(7);
    expect(failureCode(() => run(plugin, "STATUS", raw))).toBe(7);
    del(raw);
    run(plugin, "GC", raw);
  });

  it("has its path in the error if it is deleted during use", () => {
    for (const name of ["lock", ".podnic.tmp"]) {
      fs.rmSync(root, { recursive: true });
      fs.mkdirSync(root);
      altered({
        open: (file, flags, mode, dir, resolve) => {
          if (file === name) fs.rmSync(`${dataDir}/mynet`, { recursive: true, force: true });
          return real.open(file, flags, mode, dir, resolve);
        },
      });
      expect(failure(() => add(small(), "a"))).toBe(`openat ${path(name)}: no such file or directory`);
      installHost(real);
    }
  });

  it("over a file, or through somebody's link, is refused", () => {
    fs.writeFileSync(dataDir, "");
    // The error blames the configuration, not the disk.
    expect(failureCode(() => add(small()))).toBe(7);
    fs.rmSync(dataDir);
    fs.mkdirSync(`${root}/elsewhere`);
    fs.symlinkSync("elsewhere", dataDir);
    fs.chmodSync(root, 0o1777);
    expect(failureCode(() => add(small()))).toBe(7);
    expect(fs.readdirSync(`${root}/elsewhere`)).toEqual([]);
  });

  it("keeps what is none of our business (SEC-05), and follows no link (SEC-06)", () => {
    fs.writeFileSync(`${root}/victim`, "victim");
    plant("junk", "junk");
    fs.mkdirSync(path("192.168.1.2"));
    fs.symlinkSync(`${root}/victim`, path("192.168.1.3"));
    fs.symlinkSync(`${root}/victim`, path("last_reserved_ip.0"));
    fs.symlinkSync(`${root}/victim`, path(".podnic.tmp"));
    expect(add(small())).toEqual(["192.168.1.4/29"]);
    expect(fs.readFileSync(`${root}/victim`, "utf8")).toBe("victim");
    expect(content("last_reserved_ip.0")).toBe("192.168.1.4");
    expect(leases()).toEqual(["192.168.1.2", "192.168.1.3", "192.168.1.4", "junk"]);
    run(plugin, "GC", small());
    expect(leases()).toEqual(["192.168.1.2", "192.168.1.3", "junk"]);
  });

  it.each(["", "192.168.1.4\n", "garbage", "10.0.0.1", "\0\0", "x".repeat(1000)])(
    "a cursor of %j starts anew",
    (text) => {
      plant("last_reserved_ip.0", text);
      expect(add(small())).toEqual(["192.168.1.2/29"]);
    },
  );

  it.each(["192.168.1.2", "", "192.168.100.200", "garbage garbage garbage"])("writes the cursor over %j", (text) => {
    plant("last_reserved_ip.0", text);
    const [first] = add(small());
    expect(`${content("last_reserved_ip.0")}/29`).toBe(first);
    expect(fs.readdirSync(path(".")).filter((name) => name.startsWith("."))).toEqual([]);
  });

  it.each(["", " \n", "\0\0\0\0", "\xff\xfe"])("a lease of %j names no owner, who may well be alive", (text) => {
    plant("192.168.1.2", "");
    fs.writeFileSync(path("192.168.1.2"), text, "latin1");
    expect(add(small())).toEqual(["192.168.1.3/29"]);
    del(small());
    expect(leases()).toEqual(["192.168.1.2"]);
    expect(fs.readFileSync(path("192.168.1.2"), "latin1")).toBe(text);
    run(plugin, "GC", small(), { valid: [{ containerId: "any", ifName: "eth0" }] });
    expect(leases()).toEqual(["192.168.1.2"]);
    // The lease belongs to no valid attachment.
    run(plugin, "GC", small());
    expect(leases()).toEqual([]);
  });

  it.each(["one\neth0", "a b", "x\r\ny\r\nz", "y".repeat(10_000)])("a lease of %j is somebody's", (text) => {
    plant("192.168.1.2", text);
    expect(add(small())).toEqual(["192.168.1.3/29"]);
    expect(content("192.168.1.2")).toBe(text);
  });

  it("does not depend on the time of day, which may change (F8)", () => {
    const year = 365 * 86_400_000;
    const today = Date.now();
    /** Returns the outcome of a few calls, one of which waits for the lock. `clock` gives the time of day. */
    const life = (clock: () => number): unknown[] => {
      fs.rmSync(root, { recursive: true });
      fs.mkdirSync(root);
      let [waits, ticks] = [0, 0];
      const sleep = () => {
        if (++waits > 1000) throw new Error("it waits for ever");
      };
      altered({ now: clock, monotonic: () => (ticks += 1000), sleep });
      const seen: unknown[] = [add(small(), "a"), add(small(), "b"), failure(() => add(small(), "b"))];
      const holder = real.open(path("lock"), O_RDONLY);
      real.flock(holder, LOCK_EX);
      seen.push(
        failureCode(() => add(small(), "c")),
        waits,
      );
      real.close(holder);
      del(small(), "a");
      seen.push(add(small(), "d"), leases());
      run(plugin, "GC", small(), { valid: [{ containerId: "d", ifName: "eth0" }] });
      return [...seen, leases()].map((each) => JSON.stringify(each).replaceAll(root, ""));
    };
    const expected = life(() => today);
    expect(expected.at(-1)).toBe('["192.168.1.4"]');
    let looks = 0;
    const jumps = () => today + (++looks % 3) * year - year;
    for (const clock of [() => today + year, () => today - year, () => 0, () => -year, jumps])
      expect(life(clock)).toEqual(expected);
  });

  it("waits for the lock for a limited time (CON-04)", () => {
    add(small(), "first");
    const holder = host.open(path("lock"), O_RDONLY);
    host.flock(holder, LOCK_EX);
    // The clock of the deadline advances by a second each time it is read.
    let now = 0;
    altered({ sleep: () => {}, monotonic: () => (now += 1000) });
    expect(failureCode(() => add(small()))).toBe(11);
    expect(now).toBeLessThan(20_000);
    host.close(holder);
    installHost(real);
    expect(leases()).toEqual(["192.168.1.2"]);
  });
});

describe("the index", () => {
  it("spares the directory: no call reads it while nobody else changes it", () => {
    add(small(), "a");
    expect(scans(() => add(small(), "b"))).toBe(0);
    expect(scans(() => failure(() => add(small(), "b")))).toBe(0);
    expect(scans(() => failure(() => add({ ...small(), args: { cni: { ips: ["192.168.1.2"] } } }, "c")))).toBe(0);
    expect(scans(() => run(plugin, "CHECK", small(), { id: "b" }))).toBe(0);
    expect(scans(() => del(small(), "b"))).toBe(0);
    expect(scans(() => del(small(), "b"))).toBe(0);
    expect(scans(() => del(small(), "never"))).toBe(0);
    for (const id of ["c", "d", "e", "f"]) add(small(), id);
    expect(scans(() => failure(() => add(small(), "g")))).toBe(0);
    expect(scans(() => del(small(), "a"))).toBe(0);
  });

  it.each([
    ["a lease comes", () => plant("192.168.1.4", "foreign\r\neth0")],
    ["a lease goes and another comes", () => fs.renameSync(path("192.168.1.2"), path("192.168.1.4"))],
  ])("is passed over when %s", (_name, change) => {
    add(small(), "a");
    change();
    const owner = content("192.168.1.4").split("\r\n")[0]!;
    expect(
      scans(() => expect(failure(() => add(small(), owner))).toContain(`192.168.1.4 has been allocated to ${owner}`)),
    ).toBeGreaterThan(0);
    del(small(), owner);
    expect(leases()).not.toContain("192.168.1.4");
  });

  it("is passed over when a lease goes: a second ADD is no duplicate", () => {
    add(small(), "a");
    fs.rmSync(path("192.168.1.2"));
    expect(add(small(), "a")).toEqual(["192.168.1.3/29"]);
    del(small(), "a");
    expect(leases()).toEqual([]);
  });

  it("is not asked twice about a lease that was written over", () => {
    add(small(), "a");
    fs.writeFileSync(path("192.168.1.2"), "b\r\neth0");
    del(small(), "a");
    expect(leases()).toEqual(["192.168.1.2"]);
    del(small(), "b");
    expect(leases()).toEqual([]);
  });

  it.each([
    ["gone", () => fs.rmSync(`${root}/index`, { recursive: true })],
    ["of another boot", () => edit("state", (text) => text.replace(/^1 \S/, "1 z"))],
    ["cut off", () => edit("state", (text) => text.slice(0, -3))],
    ["garbage", () => edit("state", () => "\0\0")],
  ])("may be %s", (_name, spoil) => {
    add(small(), "a");
    spoil();
    expect(scans(() => expect(failure(() => add(small(), "a"))).toContain("duplicate"))).toBeGreaterThan(0);
    expect(scans(() => expect(failure(() => add(small(), "a"))).toContain("duplicate"))).toBe(0);
  });

  function edit(name: string, change: (text: string) => string): void {
    const [only] = fs.readdirSync(`${root}/index`);
    const file = `${root}/index/${only}/${name}`;
    fs.writeFileSync(file, change(fs.readFileSync(file, "utf8")));
  }

  it("may be impossible to write", () => {
    fs.writeFileSync(`${root}/index`, "");
    expect(add(small(), "a")).toEqual(["192.168.1.2/29"]);
    expect(failure(() => add(small(), "a"))).toContain("duplicate");
    expect(add(small(), "b")).toEqual(["192.168.1.3/29"]);
    del(small(), "a");
    run(plugin, "CHECK", small(), { id: "b" });
    expect(leases()).toEqual(["192.168.1.3"]);
  });

  it("is not written while a lease cannot be read", () => {
    plant("192.168.1.4", "b\r\neth0");
    altered({
      open: (name, flags, mode, dir, resolve) => {
        if (name === "192.168.1.4") throw new SystemError("openat", 5, "EIO", "Input/output error", name);
        return real.open(name, flags, mode, dir, resolve);
      },
    });
    expect(add(small(), "a")).toEqual(["192.168.1.2/29"]);
    installHost(real);
    del(small(), "b");
    expect(leases()).toEqual(["192.168.1.2"]);
  });

  describe("and a lease that cannot be read", () => {
    const unreadable = (name: string, code: "EIO" | "EACCES") =>
      altered({
        open: (file, flags, mode, dir, resolve) => {
          if (file === name) throw new SystemError("openat", code === "EIO" ? 5 : 13, code, "no", file);
          return real.open(file, flags, mode, dir, resolve);
        },
      });
    const gave = (...ips: string[]) => ({ cniVersion: "1.1.0", ips: ips.map((address) => ({ address })) });
    const release = (prevResult?: object) => run(plugin, "DEL", small(), { id: "a", prevResult });

    it.each(["EIO", "EACCES"] as const)("(%s) lets no DEL succeed whose own it may be", (code) => {
      add(small(), "a");
      add(small(), "b");
      unreadable("192.168.1.2", code);
      expect(failure(() => release())).toBe("host-local: cannot read the lease 192.168.1.2");
      expect(failureCode(() => release(gave("192.168.1.2/29")))).toBe(5);
      // The unreadable lease is not ours, because the prevResult contains all of our addresses.
      release(gave("192.168.1.5/29"));
      installHost(real);
      expect(leases()).toEqual(["192.168.1.2", "192.168.1.3"]);
      release();
      expect(leases()).toEqual(["192.168.1.3"]);
    });

    it("is not in the way of the other lease of the same DEL", () => {
      plant("192.168.1.2", "a\r\neth0");
      plant("192.168.1.3", "a\r\neth0");
      unreadable("192.168.1.2", "EIO");
      expect(failureCode(() => release())).toBe(5);
      installHost(real);
      expect(leases()).toEqual(["192.168.1.2"]);
    });

    it("lets no GC succeed, which collects the others", () => {
      for (const id of ["a", "b", "c"]) add(small(), id);
      unreadable("192.168.1.2", "EACCES");
      const valid = [{ containerId: "c", ifName: "eth0" }];
      expect(failureCode(() => run(plugin, "GC", small(), { valid }))).toBe(5);
      installHost(real);
      expect(leases()).toEqual(["192.168.1.2", "192.168.1.4"]);
    });
  });

  it("is of the directory and not of its path", () => {
    add(small(), "a");
    const roundabout = config({ subnet: "192.168.1.0/29", dataDir: `${root}/./networks//` });
    expect(scans(() => expect(failure(() => add(roundabout, "a"))).toContain("duplicate"))).toBe(0);
    // A new directory has the same path, and perhaps the same inode number.
    fs.rmSync(dataDir, { recursive: true });
    expect(add(small(), "a")).toEqual(["192.168.1.2/29"]);
  });

  it("outlives a file system that keeps whole seconds only", () => {
    const coarse = (stat: ReturnType<typeof host.fstat>) => ({ ...stat, mtimeNsec: 0 });
    altered({ fstat: (fd) => coarse(real.fstat(fd)) });
    add(small(), "a");
    expect(failure(() => add(small(), "a"))).toContain("duplicate");
    plant("192.168.1.4", "b\r\neth0");
    expect(failure(() => add(small(), "b"))).toContain("192.168.1.4 has been allocated to b");
  });
});

describe("a call that dies", () => {
  class Killed extends Error {}

  /** Counts system calls and throws Killed after number `at`, also in undo and clean-up steps. */
  function dieAt(at: number): () => number {
    let count = 0;
    altered(
      Object.fromEntries(
        (
          [
            "open",
            "close",
            "read",
            "write",
            "fsync",
            "fchmod",
            "futimens",
            "fstat",
            "stat",
            "readdir",
            "mkdir",
            "unlink",
            "link",
            "rename",
            "flock",
          ] as const
        ).map((name) => [
          name,
          (...args: unknown[]) => {
            // The kernel closes the files of a killed process, so close works.
            if (++count > at && name !== "close") throw new Killed();
            return (real[name] as (...args: unknown[]) => unknown).apply(real, args);
          },
        ]),
      ) as Partial<typeof host>,
    );
    return () => count;
  }

  const dual = (): Raw => config({ ranges: [[{ subnet: "10.0.0.0/29" }], [{ subnet: "2001:db8::/64" }]] });

  it("by a power cut keeps each lease that a result has named: it is synced after it was written and before ADD returns", () => {
    const order: string[] = [];
    altered({
      link: (from, to, ...rest) => {
        order.push(`lease ${to}`);
        real.link(from, to, ...rest);
      },
      fsync: (fd) => {
        order.push("fsync");
        real.fsync(fd);
      },
    });
    add(dual(), "synced");
    installHost(real);
    const taken = order.filter((what) => what.startsWith("lease ")).length;
    expect(taken).toBe(2);
    expect(order.length - 1 - order.map((what) => what.startsWith("lease ")).lastIndexOf(true)).toBeGreaterThanOrEqual(
      taken,
    );
  });

  it("by a power cut keeps it when the sync goes on beside the interface plugin, which waits for it before there is a result", () => {
    const waited: number[] = [];
    const synced: number[] = [];
    altered({
      fstatfs: () => EXT4_SUPER_MAGIC,
      syncAside: (fd) => synced.push(fd) + 40,
      waitpid: (pid) => waited.push(pid) * 0,
    });
    const transaction = new Transaction();
    add(dual(), "synced", { transaction, isPart: true });
    expect([waited, synced.length]).toEqual([[], 2]);
    expect(() => synced.map((fd) => real.fstat(fd))).not.toThrow();
    transaction.settle();
    expect(waited).toEqual([41, 42]);
    expect(() => real.fstat(synced[0]!)).toThrow();
    transaction.settle();
    expect(waited.length).toBe(2);
  });

  it.each([
    ["that fails", 5 << 8, "fsync: input/output error"],
    ["whose process was killed", 9, "fsync: interrupted system call"],
  ])("gives the lease back after a sync beside it %s", (_what, status, message) => {
    altered({ fstatfs: () => EXT4_SUPER_MAGIC, syncAside: () => 41, waitpid: () => status });
    const transaction = new Transaction();
    add(small(), "lost", { transaction, isPart: true });
    expect(leases()).toEqual(["192.168.1.2"]);
    expect(() => transaction.settle()).toThrow(message);
    expect(transaction.rollback()).toEqual([]);
    expect(leases()).toEqual([]);
  });

  it("waits for a sync beside it also when the interface plugin fails", () => {
    const waited: number[] = [];
    const failed = 5 << 8;
    altered({ fstatfs: () => EXT4_SUPER_MAGIC, syncAside: () => 41, waitpid: (pid) => waited.push(pid) && failed });
    const transaction = new Transaction();
    add(small(), "lost", { transaction, isPart: true });
    expect(transaction.rollback()).toEqual([]);
    expect([waited, leases()]).toEqual([[41], []]);
  });

  it("at any call of ADD leaves what DEL clears, and nobody else's", () => {
    let points = 0;
    for (let done = false; !done; points += step) {
      fs.rmSync(root, { recursive: true });
      fs.mkdirSync(root);
      add(dual(), "other");
      const before = leases();
      const count = dieAt(points);
      try {
        add(dual(), "dead", { transaction: new Transaction() });
        done = true;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
      expect(count()).toBeGreaterThan(0);
      installHost(real);
      del(dual(), "dead");
      expect([points, leases()]).toEqual([points, before]);
      expect(add(dual(), "dead")).toHaveLength(2);
    }
    expect(points).toBeGreaterThan(50);
  });

  it("at any call of DEL is finished by the next", () => {
    let points = 0;
    for (let done = false; !done; points += step) {
      fs.rmSync(root, { recursive: true });
      fs.mkdirSync(root);
      add(dual(), "other");
      const before = leases();
      add(dual(), "dead");
      dieAt(points);
      try {
        del(dual(), "dead");
        done = true;
      } catch (error) {
        if (!(error instanceof Killed)) throw error;
      }
      installHost(real);
      del(dual(), "dead");
      expect([points, leases()]).toEqual([points, before]);
    }
    expect(points).toBeGreaterThan(25);
  });

  it("at any system call of GC or CHECK loses no valid lease, and the next GC removes the others (F3)", () => {
    const valid = [{ containerId: "other", ifName: "eth0" }];
    for (const command of ["GC", "CHECK"] as const) {
      let points = 0;
      for (let done = false; !done; points += step) {
        fs.rmSync(root, { recursive: true });
        fs.mkdirSync(root);
        add(dual(), "other");
        const before = leases();
        add(dual(), "dead");
        add(dual(), "dead2");
        const all = leases();
        const count = dieAt(points);
        try {
          run(plugin, command, dual(), { valid, id: "other" });
          done = true;
        } catch (error) {
          // Here, a killed call still continues, and takes the error that kills it for a lease that cannot be read.
          if (!(error instanceof Killed) && count() <= points) throw error;
        }
        installHost(real);
        expect(leases()).toEqual(command === "CHECK" ? all : expect.arrayContaining(before));
        run(plugin, "GC", dual(), { valid });
        expect([command, points, leases()]).toEqual([command, points, before]);
        expect(failure(() => add(dual(), "other"))).toContain("duplicate");
      }
      expect(points).toBeGreaterThan(10);
    }
  }, 120_000);

  it.each(["ENOSPC", "EIO"])("with %s at any call undoes what it did", (code) => {
    for (const name of ["write", "fsync", "link", "unlink", "futimens", "rename", "mkdir", "fchmod"] as const) {
      for (let at = 0, hit = true; hit; at += effort(1, 3)) {
        fs.rmSync(root, { recursive: true });
        fs.mkdirSync(root);
        if (name !== "mkdir") add(dual(), "other");
        const before = leases();
        let count = 0;
        hit = false;
        altered({
          [name]: (...args: unknown[]) => {
            if (count++ !== at) return (real[name] as (...args: unknown[]) => unknown).apply(real, args);
            hit = true;
            throw new SystemError(name, 28, code, "no");
          },
        });
        const outcome = failure(() => add(dual(), "mine"));
        installHost(real);
        if (outcome === "nothing thrown") del(dual(), "mine");
        expect([name, at, leases()]).toEqual([name, at, before]);
        // The index is right, or podnic does not use it.
        expect(add(dual(), "mine")).toHaveLength(2);
        expect(failure(() => add(dual(), "mine"))).toContain("duplicate");
      }
    }
  });

  it("DEL needs no space", () => {
    add(dual(), "mine");
    altered({
      write: () => {
        throw new SystemError("write", 28, "ENOSPC", "No space left on device");
      },
    });
    del(dual(), "mine");
    installHost(real);
    expect(leases()).toEqual([]);
    expect(add(dual(), "mine")).toHaveLength(2);
  });

  it("on a read-only file system DEL fails and can be repeated (F6)", () => {
    add(dual(), "mine");
    altered({
      unlink: (name) => {
        throw new SystemError("unlinkat", 30, "EROFS", "Read-only file system", name);
      },
    });
    expect(failureCode(() => del(dual(), "mine"))).toBe("EROFS");
    installHost(real);
    expect(leases()).toHaveLength(2);
    del(dual(), "mine");
    expect(leases()).toEqual([]);
  });
});
