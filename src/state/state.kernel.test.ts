import { execFileSync } from "node:child_process";
import * as fs from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, describe, expect, it, vi } from "vitest";
import { Failure } from "../errors.ts";
import { LOCK_EX, LOCK_NB, O_RDONLY } from "../host/constants.ts";
import { type Fd, host, installHost, SystemError } from "../host/host.ts";
import * as files from "./files.ts";
import { withLock } from "./lock.ts";
import { bootId, bootTime, RECORD_VERSION, recordStore } from "./record.ts";
import { walkToDirectory } from "./walk.ts";

const logged = vi.hoisted(() => [] as string[]);
vi.mock("../log.ts", () => ({ log: (level: string, message: string) => logged.push(`${level}: ${message}`) }));

let root = "";
let dir: Fd = -1;
const real = host;

beforeEach(() => {
  root = fs.mkdtempSync(join(tmpdir(), "podnic-state-"));
  dir = files.openDirectory(root)!;
});
afterEach(() => {
  installHost(real);
  host.close(dir);
  fs.rmSync(root, { recursive: true, force: true });
});

const bytes = (text: string): Uint8Array => host.encode(text);
const mode = (path: string): number => fs.lstatSync(path).mode & 0o7777;
const problemOf = (run: () => unknown): unknown => {
  try {
    run();
  } catch (error) {
    if (error instanceof Failure) return error.kind;
    return error instanceof SystemError ? error.code : error;
  }
  return "nothing thrown";
};

/** The host, with some of its calls replaced. */
function altered(changes: Partial<typeof host>): void {
  installHost(
    new Proxy(real, {
      get: (target, name) => {
        const value = (changes as Record<PropertyKey, unknown>)[name] ?? Reflect.get(target, name, target);
        return typeof value === "function" ? value.bind(target) : value;
      },
    }),
  );
}

/** A host without openat2, as on kernels before 5.6. */
function withoutOpenat2(): void {
  altered({
    open: (path, flags, openMode, at, resolve = 0) => {
      if (resolve !== 0) throw new SystemError("openat2", 38, "ENOSYS", "not implemented");
      return real.open(path, flags, openMode, at);
    },
  });
}

/** The paths below `root` that are synced, in order. */
function syncedBy(body: () => void): string[] {
  const synced: string[] = [];
  altered({
    fsync: (fd) => {
      synced.push(fs.readlinkSync(`/proc/self/fd/${fd}`).slice(root.length));
      real.fsync(fd);
    },
  });
  body();
  return synced;
}

describe("after a power cut, a name whose inode is not on the disk is that of any file", () => {
  it("so that a new directory is synced before its name", () => {
    const body = () => host.close(walkToDirectory(`${root}/a/b`, { mode: 0o700 })!);
    expect(syncedBy(body)).toEqual(["/a", "", "/a/b", "/a"]);
    expect(syncedBy(body)).toEqual([]);
  });
  it("so that a new lock is synced before anything else in its directory", () => {
    const body = () => withLock(dir, "lock", 0, () => host.fsync(dir));
    expect(syncedBy(body)).toEqual(["/lock", ""]);
    expect(syncedBy(body)).toEqual([""]);
  });
});

describe.each([
  ["openat2", () => {}],
  ["no openat2", withoutOpenat2],
])("openDirectory with %s", (_name, prepare) => {
  beforeEach(prepare);

  it("opens, creates when asked, and says when there is none", () => {
    expect(files.openDirectory(`${root}/a/b/c`)).toBeUndefined();
    const old = process.umask(0o777);
    try {
      host.close(files.openDirectory(`${root}/a/b/c`, { mode: 0o700 })!);
    } finally {
      process.umask(old);
    }
    expect([mode(`${root}/a`), mode(`${root}/a/b`), mode(`${root}/a/b/c`)]).toEqual([0o755, 0o755, 0o700]);
    host.close(files.openDirectory(`${root}//a/./b/c/`)!);
  });

  it("does not change a directory that is there", () => {
    fs.mkdirSync(`${root}/a`, { mode: 0o711 });
    host.close(files.openDirectory(`${root}/a`, { mode: 0o700 })!);
    expect(mode(`${root}/a`)).toBe(0o711);
  });

  it("refuses files, and '..'", () => {
    fs.writeFileSync(`${root}/file`, "");
    expect(problemOf(() => files.openDirectory(`${root}/file`))).toBe("ENOTDIR");
    expect(problemOf(() => files.openDirectory(`${root}/file/x`, { mode: 0o700 }))).toBe("ENOTDIR");
    expect(problemOf(() => files.openDirectory(`${root}/no/../x`, { mode: 0o700 }))).toBe("invalid config");
  });

  it("follows links of root's in root's directories only", () => {
    fs.mkdirSync(`${root}/target/deep`, { recursive: true });
    fs.symlinkSync(`${root}/target`, `${root}/absolute`);
    fs.symlinkSync("target/deep", `${root}/relative`);
    fs.symlinkSync("../absolute", `${root}/target/up`);
    fs.symlinkSync("self", `${root}/self`);
    const inode = fs.statSync(`${root}/target/deep`).ino;
    for (const path of ["absolute/deep", "relative", "target/up/deep", "absolute/up/up/deep"]) {
      const fd = files.openDirectory(`${root}/${path}`)!;
      expect(host.fstat(fd).ino).toBe(inode);
      host.close(fd);
    }
    expect(problemOf(() => files.openDirectory(`${root}/self`))).toBe("invalid config");

    fs.chmodSync(root, 0o1777);
    expect(problemOf(() => files.openDirectory(`${root}/absolute/deep`))).toBe("invalid config");
    expect(problemOf(() => files.openDirectory(`${root}/absolute/new`, { mode: 0o700 }))).toBe("invalid config");
    fs.chmodSync(root, 0o755);
    fs.lchownSync(`${root}/absolute`, 1000, 1000);
    expect(problemOf(() => files.openDirectory(`${root}/absolute/deep`))).toBe("invalid config");
    fs.chownSync(root, 1000, 1000);
    expect(problemOf(() => files.openDirectory(`${root}/relative`))).toBe("invalid config");
  });

  it("a link that leads nowhere is no absence, and one past which something is missing is", () => {
    fs.mkdirSync(`${root}/target`);
    fs.symlinkSync("target", `${root}/link`);
    fs.symlinkSync("unplugged/deep", `${root}/nowhere`);
    fs.symlinkSync("link/none", `${root}/indirect`);
    for (const path of ["link/x", "link/x/y", "target/x"])
      expect(files.openDirectory(`${root}/${path}`)).toBeUndefined();
    for (const path of ["nowhere", "nowhere/x", "indirect", "indirect/x/y"]) {
      expect([path, problemOf(() => files.openDirectory(`${root}/${path}`))]).toEqual([path, "invalid config"]);
    }
    expect(() => files.openDirectory(`${root}/nowhere/x`)).toThrow(
      `resolves to ${root}/unplugged, which does not exist`,
    );
    // If directories may be created, the link's target is created too.
    host.close(files.openDirectory(`${root}/nowhere/x`, { mode: 0o700 })!);
    expect(fs.statSync(`${root}/unplugged/deep/x`).isDirectory()).toBe(true);
  });

  it("what a lock guards is in the directory that the lock is in, whatever becomes of the path", () => {
    const store = recordStore<number>("some", root);
    const key = { network: "n", containerId: "c", ifName: "eth0" };
    files.withDirectory(`${root}/some`, { mode: 0o700 }, (locked) =>
      withLock(locked, "lock", 0, () => {
        fs.renameSync(`${root}/some`, `${root}/moved`);
        fs.mkdirSync(`${root}/some`);
        store.write(key, 7);
        expect([store.read(key)?.data, store.list().length]).toEqual([7, 1]);
      }),
    );
    expect([fs.readdirSync(`${root}/some`), fs.readdirSync(`${root}/moved`).sort()]).toEqual([
      [],
      ["lock", "n:c:eth0.json"],
    ]);
    // Outside of withDirectory, the store uses the directory to which the path now leads.
    expect(store.read(key)).toBeUndefined();
    expect(
      problemOf(() =>
        files.withDirectory(root, undefined, () =>
          files.withDirectory(root, undefined, () => Number("x").toFixed(101)),
        ),
      ),
    ).toBeInstanceOf(RangeError);
    expect(files.withDirectory(root, undefined, (one) => fs.readlinkSync(`/proc/self/fd/${one}`))).toBe(root);
  });

  it("leaves no descriptor open", () => {
    fs.symlinkSync("self", `${root}/self`);
    const count = (): number => fs.readdirSync("/proc/self/fd").length;
    const before = count();
    files.openDirectory(`${root}/a`);
    problemOf(() => files.openDirectory(`${root}/self`));
    problemOf(() => files.openDirectory(`${root}/self/x`, { mode: 0o700 }));
    host.close(files.openDirectory(`${root}/x/y`, { mode: 0o700 })!);
    expect(count()).toBe(before);
  });
});

it("walks what openat2 would have opened", () => {
  const fd = walkToDirectory("/", undefined)!;
  expect(host.fstat(fd).ino).toBe(fs.statSync("/").ino);
  host.close(fd);
});

describe("readFile", () => {
  it("reads regular files whole, up to the limit", () => {
    fs.writeFileSync(`${root}/a`, "x".repeat(10_000));
    fs.writeFileSync(`${root}/empty`, "");
    expect(files.readFile(dir, "a", 10_000)).toHaveLength(10_000);
    expect(files.readFile(dir, "empty", 10)).toHaveLength(0);
    expect(files.readFile(dir, "none", 10)).toBeUndefined();
    expect(problemOf(() => files.readFile(dir, "a", 9_999))).toBe("io");
  });

  it("reads files whose size the kernel does not tell", () => {
    const proc = files.openDirectory("/proc/self")!;
    expect(files.readFile(proc, "mountinfo", 1 << 20)!.length).toBeGreaterThan(0);
    expect(problemOf(() => files.readFile(proc, "mountinfo", 10))).toBe("io");
    host.close(proc);
  });

  it("follows no link and waits for no fifo", () => {
    fs.writeFileSync(`${root}/secret`, "secret");
    fs.symlinkSync("secret", `${root}/link`);
    fs.mkdirSync(`${root}/directory`);
    expect(problemOf(() => files.readFile(dir, "link", 100))).toBe("ELOOP");
    expect(problemOf(() => files.readFile(dir, "directory", 100))).toBe("io");
    expect(problemOf(() => files.readFile(dir, "../secret", 100))).toBe("io");
    expect(problemOf(() => files.readFile(dir, "", 100))).toBe("io");
    execFileSync("mkfifo", [`${root}/fifo`]);
    expect(problemOf(() => files.readFile(dir, "fifo", 100))).toBe("io");
  });

  it("by path follows trusted links", () => {
    fs.writeFileSync(`${root}/real`, "text");
    fs.symlinkSync("real", `${root}/one`);
    fs.symlinkSync(`${root}/one`, `${root}/two`);
    expect(host.decode(files.readFileAt(`${root}/two`, 100)!)).toBe("text");
    expect(files.readFileAt(`${root}/none`, 100)).toBeUndefined();
    expect(files.readFileAt(`${root}/none/none`, 100)).toBeUndefined();
    fs.chmodSync(root, 0o1777);
    expect(problemOf(() => files.readFileAt(`${root}/two`, 100))).toBe("invalid config");
  });
});

describe("writeFile", () => {
  it("writes with the mode asked for, whatever the umask", () => {
    const old = process.umask(0o777);
    try {
      files.writeFile(dir, "a", bytes("one"), 0o640);
      files.writeFile(dir, "a", bytes("two"), 0o600);
    } finally {
      process.umask(old);
    }
    expect(fs.readFileSync(`${root}/a`, "utf8")).toBe("two");
    expect(mode(`${root}/a`)).toBe(0o600);
    expect(fs.readdirSync(root)).toEqual(["a"]);
  });

  it("replaces a link instead of writing through it", () => {
    fs.writeFileSync(`${root}/victim`, "victim");
    fs.symlinkSync("victim", `${root}/a`);
    fs.symlinkSync("victim", `${root}/.a.tmp`);
    files.writeFile(dir, "a", bytes("new"), 0o600);
    expect(fs.readFileSync(`${root}/victim`, "utf8")).toBe("victim");
    expect(fs.readFileSync(`${root}/a`, "utf8")).toBe("new");
  });

  it("removes what killed writers left, whatever its name, and not what is being written", () => {
    for (const name of [".1-2.tmp", ".3-4.tmp", "5-6"]) fs.writeFileSync(`${root}/${name}`, "");
    const holder = host.open(`${root}/.3-4.tmp`, O_RDONLY);
    host.flock(holder, LOCK_EX | LOCK_NB);
    files.removeLeftovers(dir, fs.readdirSync(root));
    expect(fs.readdirSync(root).sort()).toEqual([".3-4.tmp", "5-6"]);
    fs.writeFileSync(`${root}/.7.tmp`, "");
    for (const name of ["3-4", "5-6", "7"]) files.removeLeftover(dir, name);
    expect(fs.readdirSync(root).sort()).toEqual([".3-4.tmp", "5-6"]);
    real.close(holder);
  });

  it("removes what a killed writer left, and wait for one that lives", () => {
    fs.writeFileSync(`${root}/.a.tmp`, "left over");
    files.writeFile(dir, "a", bytes("new"), 0o600);
    expect(fs.readdirSync(root)).toEqual(["a"]);

    fs.writeFileSync(`${root}/.a.tmp`, "in use");
    const holder = host.open(`${root}/.a.tmp`, O_RDONLY);
    host.flock(holder, LOCK_EX | LOCK_NB);
    let sleeps = 0;
    altered({
      sleep: () => {
        // The process that holds the lock renames its temporary file into place.
        if (++sleeps === 3) {
          fs.renameSync(`${root}/.a.tmp`, `${root}/a`);
          real.close(holder);
        }
      },
    });
    files.writeFile(dir, "a", bytes("newer"), 0o600);
    expect(sleeps).toBe(3);
    expect(fs.readFileSync(`${root}/a`, "utf8")).toBe("newer");
  });

  it.each(["write", "rename"] as const)("leaves the old file and nothing else when %s fails", (call) => {
    files.writeFile(dir, "a", bytes("old"), 0o600);
    altered({
      [call]: () => {
        throw new SystemError(call, 28, "ENOSPC", "No space left on device");
      },
    });
    expect(problemOf(() => files.writeFile(dir, "a", bytes("new"), 0o600))).toBe("ENOSPC");
    installHost(real);
    expect(fs.readFileSync(`${root}/a`, "utf8")).toBe("old");
    expect(fs.readdirSync(root)).toEqual(["a"]);
  });

  it("take names as long as the file system allows", () => {
    for (const name of ["x".repeat(255), "ü".repeat(127)]) {
      files.writeFile(dir, name, bytes("long"), 0o600);
      files.removeFile(dir, name);
    }
    expect(fs.readdirSync(root)).toEqual([]);
  });
});

describe("withLock", () => {
  it("creates the file, runs, and lets go", () => {
    const old = process.umask(0o777);
    try {
      expect(withLock(dir, "lock", 0, () => 5)).toBe(5);
    } finally {
      process.umask(old);
    }
    expect(mode(`${root}/lock`)).toBe(0o600);
    expect(problemOf(() => withLock(dir, "lock", 0, () => JSON.parse("{")))).toBeInstanceOf(SyntaxError);
    expect(withLock(dir, "lock", 0, () => 6)).toBe(6);
  });

  it("gives up after the timeout, and says what is locked", () => {
    withLock(dir, "lock", 0, () => {
      const start = performance.now();
      expect(() => withLock(dir, "lock", 50, () => 0)).toThrow(`${root}/lock is locked by another process`);
      expect(performance.now() - start).toBeGreaterThanOrEqual(49);
      expect(performance.now() - start).toBeLessThan(1000);
      expect(problemOf(() => withLock(dir, "lock", 0, () => 0))).toBe("try again");
    });
  });

  it("follows no link", () => {
    fs.symlinkSync("victim", `${root}/lock`);
    expect(problemOf(() => withLock(dir, "lock", 0, () => 0))).toBe("ELOOP");
    expect(fs.existsSync(`${root}/victim`)).toBe(false);
  });
});

describe("records", () => {
  const key = { network: "net", containerId: "c1", ifName: "eth0" };

  it("come back as they were written, until removed", () => {
    const store = recordStore<{ mtu: number }>("test", root);
    expect(store.read(key)).toBeUndefined();
    expect(store.list()).toEqual([]);
    store.remove(key);
    store.write(key, { mtu: 1500 });
    store.write(key, { mtu: 9000 });
    expect(store.read(key)).toEqual({ version: RECORD_VERSION, key, bootId: bootId(), data: { mtu: 9000 } });
    expect(store.list()).toHaveLength(1);
    expect([mode(`${root}/test`), mode(`${root}/test/net:c1:eth0.json`)]).toEqual([0o700, 0o600]);
    fs.writeFileSync(`${root}/test/.net:c1:eth0.json.tmp`, "left by a kill");
    store.remove(key);
    expect(fs.readdirSync(`${root}/test`)).toEqual([]);
  });

  it("are distinct where a dash is not (SEC-10), and for names of any length", () => {
    const store = recordStore<number>("test", root);
    const long = "n".repeat(300);
    const keys = [
      { ...key, network: "a-b", containerId: "c" },
      { ...key, network: "a", containerId: "b-c" },
      { ...key, network: long },
      { ...key, network: `${long}x` },
      { ...key, containerId: "ü".repeat(120) },
      { ...key, ifName: "ethü/%d" },
    ];
    keys.forEach((each, i) => {
      store.write(each, i);
    });
    keys.forEach((each, i) => {
      expect(store.read(each)?.data).toBe(i);
    });
    expect(store.list()).toHaveLength(keys.length);
    for (const each of keys) store.remove(each);
    expect(store.list()).toEqual([]);
  });

  it.each([
    ..."EACCES EPERM EIO ENOMEM ENFILE EMFILE ENODEV ESTALE ETIMEDOUT".split(" ").map((code) => [code, "throws"]),
    ["ENOENT", "none"],
    ["ELOOP", "none"],
    ["ENXIO", "none"],
  ])("that cannot be read for %s: %s, for what is there is not gone", (code, expected) => {
    const store = recordStore<{ mtu: number }>("test", root);
    store.write(key, { mtu: 1500 });
    altered({
      open: (path, ...rest) => {
        if (path.endsWith(".json")) throw new SystemError("openat", 1000, code, "refused by the test", path);
        return real.open(path, ...rest);
      },
    });
    for (const read of [() => store.read(key), () => store.list()[0]]) {
      if (expected === "throws") expect(problemOf(read)).toBe(code);
      else expect(read()).toBeUndefined();
    }
  });

  it("never block: what is no record is none", () => {
    const store = recordStore<number>("test", root);
    store.write(key, 1);
    for (const text of [
      "",
      "{",
      "null",
      "[]",
      '{"key":{}}',
      '{"key":{"network":"net","containerId":"c2","ifName":"eth0"},"bootId":""}',
      "\0".repeat(70_000),
    ]) {
      fs.writeFileSync(`${root}/test/net:c1:eth0.json`, text);
      logged.length = 0;
      expect([text.slice(0, 50), store.read(key)]).toEqual([text.slice(0, 50), undefined]);
      // A record with another key is valid, so podnic logs nothing. It is just not the requested record.
      expect(logged).toHaveLength(text.includes("c2") ? 0 : 1);
    }
    fs.rmSync(`${root}/test/net:c1:eth0.json`);
    fs.mkdirSync(`${root}/test/net:c1:eth0.json`);
    expect(store.read(key)).toBeUndefined();
    expect(store.list()).toEqual([]);
  });
});

it("complains about twenty damaged records of a directory, and counts the others", () => {
  const store = recordStore("full", root);
  fs.mkdirSync(join(root, "full"));
  for (let n = 0; n < 50; n++) fs.writeFileSync(join(root, "full", `${n}.json`), n % 2 === 0 ? "{}" : "");
  logged.length = 0;
  expect(store.list()).toEqual([]);
  expect(logged.length).toBe(21);
  expect(logged.at(-1)).toBe("warning: ignoring more records");
  expect(store.damaged().length).toBe(50);
});

it("the boot is not after /proc was mounted, where the clock was set forward since", () => {
  const at = (mtime: number) => altered({ stat: () => ({ mtime }) as ReturnType<typeof host.stat> });
  at(1000);
  expect(bootTime()).toBe(1000);
  at(2 ** 40);
  expect(bootTime()).toBe(Number(/^btime (\d+)$/m.exec(fs.readFileSync("/proc/stat", "utf8"))![1]));
});
