// Which containers are gone: only those for which this is certain.
import { mkdirSync, mkdtempSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { beforeAll, describe, expect, it } from "vitest";
import { installHost } from "../../host/host.ts";
import { NodeHost } from "../../host/node/host.ts";
import type { Link } from "../../link/link.ts";
import { decodeBase64, encodeBase64 } from "../../state/base64.ts";
import { installEdge } from "../../testing/edge.ts";
import { readCache } from "../node/cache.ts";
import { configurationFiles, pluginsOf } from "../node/configurations.ts";
import { Containers, type Sources } from "../node/evidence.ts";
import type { Holder } from "../node/holders.ts";
import { type Life, Namespaces, NO_PATH } from "../node/namespaces.ts";
import { cachedConfigurations } from "../node/pools.ts";
import { Progress } from "../progress.ts";
import { endPods, enterNode, sh } from "./node.ts";

beforeAll(enterNode);

const inodeOf = (path: string): number => Number(sh(`stat -Lc %i ${path}`));
const devOf = (path: string): number => {
  const [major, minor] = sh(`stat -Lc '%Hd %Ld' ${path}`).trim().split(" ").map(Number);
  return major! * 2 ** 32 + minor!;
};
const recorded = (path: string) => ({ path, dev: devOf(path), ino: inodeOf(path) });

describe("a namespace that was written down", () => {
  it("is alive while its name is there, and gone afterwards", () => {
    sh("ip netns add one");
    const one = recorded("/run/netns/one");
    expect(Namespaces.find().lifeOf(one)).toBe("alive");
    expect(Namespaces.find().lifeOf({ ...one, dev: 0, ino: 0 })).toBe("alive");
    endPods("one");
    expect(Namespaces.find().lifeOf(one)).toBe("gone");
    expect(Namespaces.find().lifeOf({ ...one, dev: 0, ino: 0 })).toBe("gone");
  });

  it("is gone when its name is another one's", () => {
    sh("ip netns add two");
    const { path, dev, ino } = recorded("/run/netns/two");
    expect(Namespaces.find().lifeOf({ path, dev, ino: ino + 100_000 })).toBe("gone");
    sh("ip netns del two");
  });

  it("is gone when another name has its inode, which the kernel uses again", () => {
    sh("ip netns add later");
    const later = recorded("/run/netns/later");
    expect(Namespaces.find().lifeOf({ ...later, path: "/run/netns/earlier" })).toBe("gone");
    sh("ip netns del later");
  });

  it("is alive while a process is in it, although its name is gone", () => {
    sh("ip netns add three");
    const three = recorded("/run/netns/three");
    const pid = sh("ip netns exec three sleep 100 >/dev/null 2>&1 & echo $!").trim();
    for (let i = 0; i < 100 && inodeOf(`/proc/${pid}/ns/net`) !== three.ino; i++) sh("sleep 0.02");
    sh("ip netns del three");
    try {
      expect(Namespaces.find().lifeOf(three)).toBe("alive");
    } finally {
      sh(`kill ${pid}`);
    }
  });

  it("is not known to be gone where a file has its name, whose mount we may not see", () => {
    sh("ip netns add four");
    const four = recorded("/run/netns/four");
    sh("umount /run/netns/four");
    expect(Namespaces.find().lifeOf(four)).toBe("unknown");
    expect(Namespaces.find().lifeOf({ ...four, dev: 0, ino: 0 })).toBe("unknown");
    sh("rm /run/netns/four");
    expect(Namespaces.find().lifeOf(four)).toBe("gone");
  });

  it("is gone when its name is a link to nothing, and not known to be gone behind links without end", () => {
    sh("ln -s /run/netns/nowhere /run/netns/dangling; ln -s loop /run/netns/loop");
    const lifeOf = (name: string) => Namespaces.find().lifeOf({ path: `/run/netns/${name}`, dev: 4, ino: 1 });
    expect([lifeOf("dangling"), lifeOf("loop")]).toEqual(["gone", "unknown"]);
    sh("rm /run/netns/dangling /run/netns/loop");
  });

  it("is not known to be gone where the directory of its name is not to be seen", () => {
    expect(Namespaces.find().lifeOf({ path: "/run/no-such-place/x", dev: 4, ino: 1 })).toBe("unknown");
    expect(Namespaces.find().lifeOf({ path: "", dev: 0, ino: 0 })).toBe("unknown");
  });

  it("is not known to be gone where another directory than the node's may have its name", () => {
    sh("mkdir -p /run/own; ip netns add five");
    const five = { ...recorded("/run/netns/five"), path: "/run/own/five" };
    endPods("five");
    const namespaces = Namespaces.find();
    expect(namespaces.doubtful).toEqual([]);
    expect(namespaces.lifeOf(five)).toBe("unknown");
    expect(namespaces.lifeOf({ ...five, dev: 0, ino: 0 })).toBe("unknown");
    expect(namespaces.doubtful).toEqual(["/run/own"]);
    // The directory now contains a pod's namespace, so it is the runtime's.
    sh("touch /run/own/six; mount --bind /run/netns/pod /run/own/six");
    expect(Namespaces.find().lifeOf(five)).toBe("gone");
    sh("umount /run/own/six; rm /run/own/six");
    // Process 1 of the node has the same directory.
    const proc = mkdtempSync(join(tmpdir(), "proc-"));
    sh(`mkdir -p ${proc}/self/ns ${proc}/1; ln -s /proc/self/ns/pid ${proc}/self/ns/pid; ln -s / ${proc}/1/root`);
    const first = inodeOf("/proc/self/ns/pid") === 0xeffffffc;
    expect(Namespaces.find([], proc).lifeOf(five)).toBe(first ? "gone" : "unknown");
    // Process 1 does not have the directory either, or podnic cannot see process 1's directories.
    const hidden = (): string[] => {
      const seen = Namespaces.find([], proc);
      expect(seen.lifeOf({ ...five, path: "/run/not-here/five" })).toBe("unknown");
      return seen.doubtful;
    };
    expect(hidden()).toEqual(first ? [] : ["/run/not-here"]);
    sh(`rm ${proc}/1/root; ln -s root ${proc}/1/root`);
    expect(hidden()).toEqual(["/run/not-here"]);
    // Below the root of process 1, the path leads to another directory, although a link in it leads back to this one.
    sh(`rm ${proc}/1/root; mkdir -p ${proc}/1/root/run/own ${proc}/1/root/var; ln -s /run ${proc}/1/root/var/run`);
    for (const path of [five.path, "/var/run/own/five"])
      expect(Namespaces.find([], proc).lifeOf({ ...five, path })).toBe("unknown");
  });

  it("that was named by a process is gone with it, where processes are those of the node", () => {
    const gone = { path: "/proc/4194303/ns/net", dev: 4, ino: 1 };
    const first = inodeOf("/proc/self/ns/pid") === 0xeffffffc;
    expect(Namespaces.find().lifeOf(gone)).toBe(first ? "gone" : "unknown");
    const elsewhere = mkdtempSync(join(tmpdir(), "proc-"));
    mkdirSync(join(elsewhere, "self"));
    expect(Namespaces.find([], elsewhere).lifeOf(gone)).toBe("unknown");
  });
});

const holder = (containerId: string, life: Life): Pick<Holder, "key" | "netns" | "life"> => ({
  key: { network: "n", containerId, ifName: "net1" },
  netns: { path: `/run/netns/${containerId}`, dev: 4, ino: 1 },
  life,
});

const link = (alias: string) => ({ alias }) as Link;

function lifeFrom(sources: Partial<Sources>, runtimes: string[] = []) {
  const empty = { namespaces: Namespaces.find(), holders: [], insides: [], cache: [], bootTime: 1000 };
  const containers = new Containers({ ...empty, ...sources }, runtimes);
  return (containerId: string, address = "192.0.2.1", written = 2000, ifName = "net1") =>
    containers.holderOf({ containerId, ifName }, address, () => written).life;
}

describe("the holder of a lease", () => {
  it("is unknown when nothing tells about it", () => {
    expect(lifeFrom({})("c1")).toBe("unknown");
  });

  it("is what a record says, and alive when one of several is", () => {
    const lifeOf = lifeFrom({
      holders: [holder("a", "gone"), holder("b", "gone"), holder("b", "alive"), holder("c", "unknown")],
    });
    expect([lifeOf("a"), lifeOf("b"), lifeOf("c")]).toEqual(["gone", "alive", "unknown"]);
  });

  it("is alive by its runtime's directory", () => {
    const runtime = mkdtempSync(join(tmpdir(), "runtime-"));
    mkdirSync(join(runtime, "running"));
    expect(lifeFrom({}, [runtime])("running")).toBe("alive");
  });

  it("is not known by an alias or an address, which any pod can set, and is not gone either", () => {
    const namespace = { path: "/run/netns/x", dev: 4, ino: 2, named: true };
    const insides = [
      { namespace, attached: [link("podnic:net:marked")], addresses: new Set(["192.0.2.7", "127.0.0.1"]) },
    ];
    const holders = ["marked", "other"].map((id) => holder(id, "gone"));
    const lifeOf = lifeFrom({ insides, holders });
    expect(lifeOf("marked")).toBe("unknown");
    expect(lifeOf("other", "192.0.2.7")).toBe("unknown");
    expect(lifeOf("other", "127.0.0.1")).toBe("gone");
    expect(lifeFrom({ insides, holders: [holder("marked", "alive")] })("marked")).toBe("alive");
  });

  it("is gone although its device is in a namespace without a path, and another interface there keeps its lease", () => {
    const namespace = { path: NO_PATH, dev: 0, ino: 0, named: false };
    const insides = [{ namespace, attached: [], addresses: new Set(["192.0.2.7"]) }];
    const lifeOf = lifeFrom({ insides, holders: [holder("c", "gone")] });
    expect(lifeOf("c", "192.0.2.7")).toBe("gone");
    expect(lifeOf("c", "192.0.2.7", 2000, "net2")).toBe("unknown");
  });

  it("is gone when its lease is older than the boot, unless something lives", () => {
    expect(lifeFrom({})("old", "192.0.2.1", 999)).toBe("gone");
    expect(lifeFrom({ bootTime: 0 })("old", "192.0.2.1", 999)).toBe("unknown");
    expect(lifeFrom({ holders: [holder("old", "alive")] })("old", "192.0.2.1", 999)).toBe("alive");
  });

  it("is what libcni remembers of its namespace", () => {
    const cached = (containerId: string, path: string) => {
      return {
        network: "n",
        containerId,
        ifName: "eth0",
        namespaces: [path],
        addresses: ["192.0.2.8"],
        config: undefined,
      };
    };
    const cache = [cached("here", "/run/netns/pod"), cached("there", "/run/netns/none"), cached("far", "/run/x/none")];
    const lifeOf = lifeFrom({ cache });
    expect([lifeOf("here"), lifeOf("there"), lifeOf("far")]).toEqual(["alive", "gone", "unknown"]);
  });
});

describe("a lease that names no owner", () => {
  const lifeFor = (sources: Partial<Sources>, address: string, written = 2000) => {
    const empty = { namespaces: Namespaces.find(), holders: [], insides: [], cache: [], bootTime: 1000 };
    return new Containers({ ...empty, ...sources }, []).holderOfNobodys(address, () => written).life;
  };
  const all = inodeOf("/proc/self/ns/pid") === 0xeffffffc ? "gone" : "unknown";

  it("is free when no pod has the address, and every pod is seen", () => {
    expect(lifeFor({}, "192.0.2.7")).toBe(all);
    const elsewhere = mkdtempSync(join(tmpdir(), "proc-"));
    mkdirSync(join(elsewhere, "self"));
    const namespaces = Namespaces.find([], elsewhere);
    expect(lifeFor({ namespaces }, "192.0.2.7")).toBe("unknown");
    expect(lifeFor({ namespaces }, "192.0.2.7", 999)).toBe("gone");
  });

  it("is kept while a pod has the address or was given it", () => {
    const namespace = { path: "/run/netns/x", dev: 4, ino: 2, named: true };
    const insides = [{ namespace, attached: [], addresses: new Set(["192.0.2.7"]) }];
    // Any pod can set any address.
    expect(lifeFor({ insides }, "192.0.2.7")).toBe("unknown");
    const cached = (path: string) => [
      {
        network: "n",
        containerId: "c",
        ifName: "eth0",
        namespaces: [path],
        addresses: ["192.0.2.8"],
        config: undefined,
      },
    ];
    expect(lifeFor({ cache: cached("/run/netns/pod") }, "192.0.2.8")).toBe("alive");
    expect(lifeFor({ cache: cached("/run/netns/none") }, "192.0.2.8")).toBe(all);
  });
});

it("progress is told after two seconds, and then every two", () => {
  const edge = installEdge({});
  try {
    let now = 0;
    edge.monotonic = () => now;
    const progress = new Progress("counting");
    for (let done = 0; done < 100; done++) {
      now += 50;
      progress.step(100);
    }
    progress.done();
    new Progress("nothing").done();
    expect(edge.stderr).toBe("podnic: counting: 39 of 100\npodnic: counting: 79 of 100\npodnic: counting: done\n");
  } finally {
    installHost(new NodeHost());
  }
});

it("base64 is what RFC 4648 says", () => {
  for (const text of ["", "f", "fo", "foo", "foob", "fooba", "foobar", '{"name":"ü"}']) {
    expect(encodeBase64(Buffer.from(text))).toBe(Buffer.from(text).toString("base64"));
    expect(Buffer.from(decodeBase64(Buffer.from(text).toString("base64"))).toString()).toBe(text);
  }
  expect(() => decodeBase64("a*b=")).toThrow();
});

describe("very many files", () => {
  it("of the configurations the first are looked at, as a runtime does", () => {
    const directory = mkdtempSync(join(tmpdir(), "podnic-conf-"));
    sh(`cd ${directory}; for n in $(seq 1000 1400); do echo '{}' >$n.conf; done`);
    const found = configurationFiles([directory]);
    expect(found.length).toBe(300);
    expect(found[0]).toBe(`${directory}/1000.conf`);
  });

  it("the configuration that many results have is read once", () => {
    const directory = mkdtempSync(join(tmpdir(), "podnic-results-"));
    const config = encodeBase64(new TextEncoder().encode('{"name":"n","type":"macvlan"}'));
    for (let n = 0; n < 3; n++) {
      const entry = { kind: "cniCacheV1", containerId: `c${n}`, ifName: "eth0", networkName: "n", config };
      writeFileSync(join(directory, `n-c${n}-eth0`), JSON.stringify(entry));
    }
    const cache = readCache([directory]);
    expect(cache.map(({ containerId }) => containerId)).toEqual(["c0", "c1", "c2"]);
    expect(cache[2]!.config).toBe(cache[0]!.config);
    expect(cachedConfigurations(cache, pluginsOf).length).toBe(1);
  });
});
