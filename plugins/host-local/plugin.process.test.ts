import * as fs from "node:fs";
import { describe, expect, it, vi } from "vitest";
import { installHost, SystemError } from "../../src/host/host.ts";
import {
  failure,
  failureCode,
  type Given,
  HAS_MANY,
  ipsOf,
  makeCall,
  routesOf,
  run,
  VERSIONS,
} from "../../src/testing/calls.ts";
import { Transaction } from "../../src/transaction.ts";
import {
  add,
  altered,
  config,
  content,
  dataDir,
  del,
  leases,
  net,
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

describe.each(VERSIONS)("host-local %s", (version) => {
  const versioned = (ipam: object, more: object = {}): Raw => ({ ...config(ipam, more), cniVersion: version });

  it("HL-1: addresses, routes, dns, files", () => {
    fs.writeFileSync(`${root}/resolv.conf`, "nameserver 192.0.2.3");
    const routes = [
      { dst: "0.0.0.0/0" },
      { dst: "::/0" },
      { dst: "192.168.0.0/16", gw: "1.1.1.1" },
      { dst: "2001:db8:2::0/64", gw: "2001:db8:3::1" },
    ];
    const raw = versioned({
      resolvConf: `${root}/resolv.conf`,
      ranges: [[{ subnet: "10.1.2.0/24" }, { subnet: "10.2.2.0/24" }], [{ subnet: "2001:db8:1::0/64" }]],
      routes,
    });
    const answer = run(plugin, "ADD", raw);
    expect(ipsOf(answer)).toEqual(["10.1.2.2/24 10.1.2.1", "2001:db8:1::2/64 2001:db8:1::1"]);
    expect(routesOf(answer)).toEqual(["0.0.0.0/0", "::/0", "192.168.0.0/16 1.1.1.1", "2001:db8:2::/64 2001:db8:3::1"]);
    expect(JSON.parse(answer.text).dns).toEqual({ nameservers: ["192.0.2.3"] });
    expect(answer.text.includes('"version":')).toBe(["0.3.0", "0.3.1", "0.4.0"].includes(version));
    for (const name of ["10.1.2.2", "2001:db8:1::2"]) {
      expect(content(name)).toBe("dummy\r\neth0");
      expect(fs.statSync(path(name)).mode & 0o777).toBe(0o600);
    }
    expect(content("last_reserved_ip.0")).toBe("10.1.2.2");
    expect(content("last_reserved_ip.1")).toBe("2001:db8:1::2");
    del(raw);
    expect(leases()).toEqual([]);
  });

  it("HL-2: networks are apart", () => {
    const one = { ...versioned({ ranges: [[{ subnet: "10.1.2.0/24" }]] }), name: "mynet0" };
    const two = { ...versioned({ ranges: [[{ subnet: "10.2.2.0/24" }]] }), name: "mynet1" };
    add(one);
    add(two, undefined, { ifName: "eth1" });
    expect(content("10.1.2.2", "mynet0")).toBe("dummy\r\neth0");
    expect(content("10.2.2.2", "mynet1")).toBe("dummy\r\neth1");
    del(one);
    expect([leases("mynet0"), leases("mynet1")]).toEqual([[], ["10.2.2.2"]]);
    del(two, "dummy", "eth1");
    expect(leases("mynet1")).toEqual([]);
  });

  it("HL-3: a second ADD is refused and changes nothing", () => {
    const raw = versioned({ ranges: [[{ subnet: "10.1.2.0/24" }]] });
    const again =
      "failed to allocate for range 0: 10.1.2.2 has been allocated to dummy, duplicate allocation is not allowed";
    expect(add(raw)).toEqual(["10.1.2.2/24"]);
    expect(failure(() => add(raw))).toBe(again);
    expect(add(raw, "dummy1")).toEqual(["10.1.2.3/24"]);
    expect(failure(() => add(raw))).toBe(again);
    expect(leases()).toEqual(["10.1.2.2", "10.1.2.3"]);
    del(raw);
    expect(leases()).toEqual(["10.1.2.3"]);
    del(raw, "dummy1");
    expect(leases()).toEqual([]);
  });

  it("HL-4: DEL knows leases that name the container only", () => {
    const raw = versioned({ ranges: [[{ subnet: "10.1.2.0/24" }]] });
    add(raw);
    fs.writeFileSync(path("10.1.2.2"), "dummy");
    del(raw);
    expect(leases()).toEqual([]);
  });

  it("HL-5: DEL of what never was", () => {
    const raw = versioned({ subnet: "10.1.2.0/24" });
    del(raw);
    expect(fs.existsSync(dataDir)).toBe(false);
    add(raw, "other");
    del(raw);
    expect(leases()).toEqual(["10.1.2.2"]);
  });

  it("HL-8 to HL-11: addresses asked for", () => {
    const ask = (...ips: string[]) => ({ args: { cni: { ips } } });
    const many = HAS_MANY.includes(version);
    const old = `CNI version ${version} does not support more than 1 address per family`;
    const twoSets = { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "10.1.3.0/24" }]] };
    expect(add(versioned({ ranges: [[{ subnet: "10.1.2.0/24" }]] }, ask("10.1.2.88")), "hl8")).toEqual([
      "10.1.2.88/24",
    ]);

    const nine = versioned(twoSets, ask("10.1.2.89", "10.1.3.77"));
    if (many) expect(add(nine, "hl9")).toEqual(["10.1.2.89/24", "10.1.3.77/24"]);
    else expect(failure(() => add(nine, "hl9"))).toBe(old);

    const ten = versioned(
      { ranges: [[{ subnet: "172.16.1.0/24" }, { subnet: "10.1.2.0/24" }], [{ subnet: "2001:db8:1::/48" }]] },
      ask("10.1.2.90", "2001:db8:1::999"),
    );
    expect(add(ten, "hl10")).toEqual(["10.1.2.90/24", "2001:db8:1::999/48"]);

    const before = leases();
    const eleven = versioned(twoSets, ask("10.1.2.91", "10.1.2.77"));
    expect(failure(() => add(eleven, "hl11"))).toBe(many ? "failed to allocate all requested IPs: 10.1.2.77" : old);
    expect(leases()).toEqual(before);
  });
});

describe("addresses asked for", () => {
  const requests = (ipam: object, given: Given & { cni?: string[]; runtime?: string[] }): string[] => {
    const { cni, runtime, ...rest } = given;
    const raw = config(ipam, { args: { cni: { ips: cni } }, runtimeConfig: { ips: runtime } });
    return ipsOf(run(plugin, "ADD", raw, { id: `id${Math.random()}`, ...rest })).map((text) => text.split(" ")[0]!);
  };
  const both = { ranges: [[{ subnet: "10.1.2.0/24" }], [{ subnet: "2001:db8::/64" }]] };

  it("C4, C5: CNI_ARGS, with and without prefix length", () => {
    expect(requests({ subnet: "10.1.2.0/24" }, { args: "IP=10.1.2.10" })).toEqual(["10.1.2.10/24"]);
    expect(requests({ subnet: "10.1.2.0/24" }, { args: "IP=10.1.2.11/16" })).toEqual(["10.1.2.11/24"]);
    expect(requests({ subnet: "10.1.2.0/24" }, { args: "IP=" })).toEqual(["10.1.2.12/24"]);
  });

  it("C13: of the runtime, together with those of args; the same one twice is one", () => {
    expect(requests(both, { cni: ["10.1.2.20"], runtime: ["2001:db8::20/64", "10.1.2.20/24"] })).toEqual([
      "10.1.2.20/24",
      "2001:db8::20/64",
    ]);
  });

  it("args makes CNI_ARGS void (C-142)", () => {
    expect(requests(both, { args: "IP=10.1.2.80", cni: ["10.1.2.79"] })[0]).toBe("10.1.2.79/24");
    expect(requests(both, { args: "IP=10.1.2.80", cni: [] })[0]).toBe("10.1.2.80/24");
  });

  it("what is no address is refused with a code that says whose fault it is", () => {
    expect(failure(() => requests(both, { cni: ["x"] }))).toBe("invalid IP address x");
    expect(failure(() => requests(both, { runtime: [""] }))).toBe("an IP address is empty");
    expect(failureCode(() => requests(both, { runtime: ["010.1.2.3"] }))).toBe(7);
    expect(failureCode(() => requests(both, { args: "IP=x" }))).toBe(4);
  });

  it("A7 to A10: taken, outside, the gateway, excluded", () => {
    const ask = (ip: string, id: string, more: object = {}) =>
      add({ ...net("192.168.1.0/29", more), args: { cni: { ips: [ip] } } }, id);
    const held =
      "failed to allocate for range 0: requested IP address 192.168.1.5 is not available in range set 192.168.1.1-192.168.1.6";
    expect(ask("192.168.1.5", "a")).toEqual(["192.168.1.5/29"]);
    expect(content("last_reserved_ip.0")).toBe("192.168.1.5");
    expect(failure(() => ask("192.168.1.5", "b"))).toBe(held);
    expect(failure(() => ask("192.168.1.5", "a"))).toBe(held);
    expect(failure(() => ask("192.168.1.6", "a"))).toContain(
      "192.168.1.5 has been allocated to a, duplicate allocation",
    );
    expect(failure(() => ask("192.168.1.5", "b", { rangeEnd: "192.168.1.4" }))).toContain(
      "failed to allocate all requested",
    );
    expect(failure(() => ask("192.168.1.2", "b", { rangeStart: "192.168.1.3" }))).toContain("failed to allocate all");
    expect(failure(() => ask("192.168.1.1", "b"))).toContain("requested ip 192.168.1.1 is subnet's gateway");
    const raw = config(
      { subnet: "192.168.1.0/29", exclude: ["192.168.1.2/31"] },
      { args: { cni: { ips: ["192.168.1.3"] } } },
    );
    expect(failure(() => add(raw, "b"))).toContain("requested ip 192.168.1.3 is excluded");
    expect(leases()).toEqual(["192.168.1.5"]);
  });
});

describe("allocation", () => {
  it("C3: ranges of the runtime come first, then the single one, then the sets", () => {
    const raw = config(
      { subnet: "10.1.2.0/24", ranges: [[{ subnet: "11.1.2.0/24" }]] },
      { runtimeConfig: { ipRanges: [[{ subnet: "12.1.3.0/24" }]], unknown: 1 } },
    );
    expect(add(raw)).toEqual(["12.1.3.2/24", "10.1.2.2/24", "11.1.2.2/24"]);
    expect(content("last_reserved_ip.0")).toBe("12.1.3.2");
    expect(content("last_reserved_ip.2")).toBe("11.1.2.2");
  });

  it("A5, A6: up to the last address, and onwards after a release", () => {
    expect(add(small(), "first")).toEqual(["192.168.1.2/29"]);
    del(small(), "first");
    expect(["a", "b", "c", "d", "e"].map((id) => add(small(), id)[0])).toEqual(
      ["3", "4", "5", "6", "2"].map((end) => `192.168.1.${end}/29`),
    );
    expect(failure(() => add(small(), "f"))).toBe(
      "failed to allocate for range 0: no IP addresses available in range set: 192.168.1.1-192.168.1.6",
    );
  });

  it("takes nothing when one of the sets is full, and leaves older leases alone", () => {
    const raw = config({ ranges: [[{ subnet: "10.0.0.0/29" }], [{ subnet: "10.0.1.0/30" }]] });
    expect(add(raw, "a")).toEqual(["10.0.0.2/29", "10.0.1.2/30"]);
    expect(failure(() => add(raw, "b"))).toContain("failed to allocate for range 1: no IP addresses available");
    expect(leases()).toEqual(["10.0.0.2", "10.0.1.2"]);
    // The first set has changed since a's ADD. The ADD that fails here leaves a's lease from the old set alone.
    const more = config({ ranges: [[{ subnet: "10.0.3.0/29" }], [{ subnet: "10.0.1.0/30" }]] });
    expect(failure(() => add(more, "a"))).toContain("10.0.1.2 has been allocated to a");
    expect(leases()).toEqual(["10.0.0.2", "10.0.1.2"]);
  });

  it("no gateway in the result when none is wanted", () => {
    const answer = run(plugin, "ADD", net("10.0.0.0/30", { noGateway: true }));
    expect(ipsOf(answer)).toEqual(["10.0.0.1/30"]);
  });

  it("a rollback releases what the call took, and nothing else", () => {
    const transaction = new Transaction();
    const raw = config({ ranges: [[{ subnet: "10.0.0.0/29" }], [{ subnet: "2001:db8::/64" }]] });
    add(raw, "older");
    add(raw, "mine", { transaction });
    plant("2001:db8::3", "somebody\r\neth0");
    expect(transaction.rollback()).toEqual([]);
    expect(leases()).toEqual(["10.0.0.2", "2001:db8::2", "2001:db8::3"]);
  });
});

describe("resolvConf (HL-D, SEC-09)", () => {
  const dns = (text: string): unknown => {
    fs.writeFileSync(`${root}/resolv.conf`, text);
    const raw = config({ subnet: "10.0.0.0/24", resolvConf: `${root}/resolv.conf` });
    return JSON.parse(run(plugin, "ADD", raw, { id: `id${Math.random()}` }).text).dns;
  };

  it("D1 to D3: known keywords of all lines, comments left out", () => {
    expect(dns("  nameserver 192.0.2.0\n\tnameserver 192.0.2.1\n")).toEqual({
      nameservers: ["192.0.2.0", "192.0.2.1"],
    });
    expect(dns("; nameserver 192.0.2.5\n;nameserver 192.0.2.6\nnameserver 192.0.2.0")).toEqual({
      nameservers: ["192.0.2.0"],
    });
    const text = `# nameserver 192.0.2.9\nnameserver 192.0.2.0\ndomain example.com\nsearch example.net example.org
nameserver 192.0.2.2\nsearch example.gov\noptions one two three\noptions four\npassword secret\nnameserver\nsortlist 1.2.3.4`;
    expect(dns(text)).toEqual({
      nameservers: ["192.0.2.0", "192.0.2.2"],
      domain: "example.com",
      search: ["example.net", "example.org", "example.gov"],
      options: ["one", "two", "three", "four"],
    });
    expect(dns("root:x:0:0:root:/root:/bin/bash\n")).toBeUndefined();
  });

  it("what cannot be read is refused before anything is reserved", () => {
    fs.writeFileSync(`${root}/huge`, "x".repeat(70_000));
    for (const resolvConf of [
      `${root}/none`,
      root,
      `${root}/huge`,
      `${root}/none/none`,
      "/root/.ssh/id_rsa",
      "/proc/1/environ",
    ]) {
      expect([resolvConf, failureCode(() => add(config({ subnet: "10.0.0.0/24", resolvConf })))]).toEqual([
        resolvConf,
        7,
      ]);
    }
    expect(leases()).toEqual([]);
  });

  it("is not looked for behind a link (src/config/place.kernel.test.ts has the one of systemd)", () => {
    fs.writeFileSync(`${root}/stub`, "nameserver 127.0.0.53");
    fs.symlinkSync("stub", `${root}/resolv.conf`);
    const raw = config({ subnet: "10.0.0.0/24", resolvConf: `${root}/resolv.conf` });
    expect(failure(() => run(plugin, "ADD", raw))).toContain("too many levels of symbolic links");
    expect(leases()).toEqual([]);
  });
});

describe("CHECK", () => {
  const lost = "host-local: Failed to find address added by container dummy";
  const check = (prevResult?: unknown) => failure(() => run(plugin, "CHECK", small(), { prevResult }));

  it("wants a lease, and each address of ours in the result to be ours", () => {
    expect(check()).toBe(lost);
    add(small());
    add(small(), "other");
    expect(check()).toBe("nothing thrown");
    expect(check({ ips: [{ address: "192.168.1.2/29" }, { address: "10.9.9.9/24" }] })).toBe("nothing thrown");
    expect(check({ ips: [{ address: "192.168.1.3/29" }] })).toBe(lost);
    fs.rmSync(path("192.168.1.2"));
    expect(check()).toBe(lost);
  });

  it("accepts a lease that names the container only", () => {
    plant("192.168.1.2", "dummy");
    expect(check()).toBe("nothing thrown");
  });
});

describe("GC", () => {
  const gc = (...valid: [string, string][]): unknown =>
    run(plugin, "GC", small(), { valid: valid.map(([containerId, ifName]) => ({ containerId, ifName })) });

  it("releases what is not valid, keeps what is, and the rest of the directory", () => {
    for (const id of ["a", "b", "c"]) add(small(), id);
    add({ ...small(), name: "other" }, "a");
    plant("192.168.1.5", "old");
    plant("192.168.1.6", "older");
    plant("junk", "a\r\neth0");
    gc(["a", "eth0"], ["b", "eth1"], ["old", "eth7"], ["unknown", "eth0"]);
    expect(leases()).toEqual(["192.168.1.2", "192.168.1.5", "junk"]);
    expect(fs.existsSync(path("lock")) && fs.existsSync(path("last_reserved_ip.0"))).toBe(true);
    expect(leases("other")).toEqual(["192.168.1.2"]);
    gc();
    expect(leases()).toEqual(["junk"]);
    gc();
    expect(scans(() => expect(add(small(), "b")).toEqual(["192.168.1.5/29"]))).toBe(0);
  });

  it("GC-09: goes on after a lease that cannot be removed, and says so", () => {
    for (const id of ["a", "b", "c"]) add(small(), id);
    altered({
      unlink: (name, dir) => {
        if (name === "192.168.1.3") throw new SystemError("unlinkat", 1, "EPERM", "Operation not permitted", name);
        real.unlink(name, dir);
      },
    });
    expect(failureCode(() => gc())).toBe("EPERM");
    installHost(real);
    expect(leases()).toEqual(["192.168.1.3"]);
    del(small(), "b");
    expect(leases()).toEqual([]);
  });

  it("of a network that never was is nothing", () => {
    gc();
    expect(fs.existsSync(dataDir)).toBe(false);
  });
});

describe("STATUS", () => {
  const status = (raw: Raw) => failureCode(() => run(plugin, "STATUS", raw));

  it("is 50 when the directory cannot be used, but not when a set is exhausted", () => {
    expect(status(small())).toBe("nothing thrown");
    for (const id of ["a", "b", "c", "d", "e"]) add(small(), id);
    expect(status(small())).toBe("nothing thrown");
    expect(leases().length).toBe(5);
    altered({
      open: (name, flags, mode, dir, resolve) => {
        if (name === ".podnic.tmp") throw new SystemError("openat", 30, "EROFS", "Read-only file system", name);
        return real.open(name, flags, mode, dir, resolve);
      },
    });
    expect(status(small())).toBe(50);
    installHost(real);
    fs.rmSync(dataDir, { recursive: true });
    fs.writeFileSync(dataDir, "");
    expect(status(small())).toBe(50);
  });

  it("leaves the index in order", () => {
    add(small(), "a");
    run(plugin, "STATUS", small());
    expect(scans(() => add(small(), "b"))).toBe(0);
  });
});

it("examples are valid", () => {
  const folder = new URL("examples/", import.meta.url);
  const names = fs.readdirSync(folder);
  expect(names.length).toBeGreaterThan(0);
  for (const name of names) {
    const { name: network, cniVersion, plugins } = JSON.parse(fs.readFileSync(new URL(name, folder), "utf8"));
    const ipam = { ...plugins[0].ipam, dataDir };
    expect(add({ ...plugins[0], ipam, name: network, cniVersion }).length).toBeGreaterThan(0);
  }
});

it("no pool lies in a directory of CNI_PATH, where a plugin may have its name", () => {
  for (const same of [dataDir, `${dataDir}/`, `${dataDir}//.`, `/.${dataDir}`]) {
    const call = { ...makeCall(plugin, "ADD", small()), path: ["/opt/cni/bin", same] };
    expect(failure(() => plugin.add(call))).toContain("a directory of CNI_PATH");
  }
  expect(fs.existsSync(dataDir)).toBe(false);
});
