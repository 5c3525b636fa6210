import { mkdirSync, writeFileSync } from "node:fs";
import { beforeAll, beforeEach, describe, expect, it } from "vitest";
import { call, enterNode, sh } from "./node.ts";
import { run } from "./run.ts";
import { emptyNode, go, json, NETWORKS, pool } from "./state.ts";

beforeAll(enterNode);
beforeEach(emptyNode);

describe("podnic leases", () => {
  it("knows ranges, sizes and holders of a Go directory", () => {
    mkdirSync("/etc/cni/net.d");
    const ipam = {
      type: "host-local",
      ranges: [
        [{ subnet: "198.18.77.0/28", rangeStart: "198.18.77.4", rangeEnd: "198.18.77.9" }],
        [{ subnet: "2001:db8::/64" }],
      ],
    };
    writeFileSync(
      "/etc/cni/net.d/10.conf",
      JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "macvlan", ipam }),
    );
    call("ADD", { type: "host-local", ipam }, { ...go, container: "c1" });
    call("ADD", { type: "host-local", ipam }, { ...go, container: "c2" });
    const [found] = json("leases");
    expect(found).toMatchObject({
      network: "net",
      directory: `${NETWORKS}/net`,
      ranges: ["198.18.77.4-198.18.77.9", "2001:db8::1-2001:db8::ffff:ffff:ffff:ffff"],
      used: 4,
    });
    // The second range contains its gateway, the first does not.
    expect(found.size).toBe(6 + 2 ** 64 - 2);
    expect(found.leases.map((lease: { address: string }) => lease.address)).toEqual([
      "198.18.77.4",
      "198.18.77.5",
      "2001:db8::2",
      "2001:db8::3",
    ]);
    expect(found.leases[1]).toMatchObject({ containerId: "c2", interface: "net1", life: "unknown" });
    const { stdout } = run(["leases"]);
    expect(stdout).toContain("2^64");
    expect(stdout).toContain("198.18.77.5");
  });

  it("takes excluded addresses and the gateway off, each once", () => {
    mkdirSync("/etc/cni/net.d");
    const ipam = { ...pool, exclude: ["198.18.77.0/30", "198.18.77.9"] };
    writeFileSync(
      "/etc/cni/net.d/10.conf",
      JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "macvlan", ipam }),
    );
    call("ADD", { type: "host-local", ipam });
    // The subnet has 14 addresses. host-local does not assign .1 (the gateway) to .3, and .9.
    expect(json("leases")[0]).toMatchObject({ size: 10, used: 1, free: 9 });
  });

  it("passes over nothing that blocks an address", () => {
    mkdirSync(`${NETWORKS}/net`, { recursive: true });
    writeFileSync(`${NETWORKS}/net/198.18.77.3`, "");
    writeFileSync(`${NETWORKS}/net/198.18.77.4`, "somebody wrote this");
    writeFileSync(`${NETWORKS}/net/198.18.77.5`, "old-container");
    writeFileSync(`${NETWORKS}/net/last_reserved_ip.0`, "198.18.77.5");
    const [{ leases, used, size }] = json("leases");
    expect(used).toBe(3);
    expect(size).toBeUndefined();
    expect(leases.map(({ life, containerId }: { life: string; containerId: string }) => [life, containerId])).toEqual([
      ["gone", ""], // the lease has no owner, and no pod has the address
      ["unknown", ""],
      ["unknown", "old-container"],
    ]);
  });

  it("looks where it is told, and filters", () => {
    sh("mkdir -p /run/other/net /run/other/second; touch /run/other/net/lock /run/other/second/lock");
    expect(json("leases", "--data-dir", "/run/other").map((one: { network: string }) => one.network)).toEqual([
      "net",
      "second",
    ]);
    expect(json("leases", "--data-dir", "/run/other", "--network", "second")).toHaveLength(1);
    expect(run(["leases"]).stdout).toBe("no pools\n");
  });
});
