// podnic explain in this process. A process can run explain only once, because its sockets stay connected to the overlay.
import { writeFileSync } from "node:fs";
import { beforeAll, expect, it } from "vitest";
import { enterNode, sh } from "./node.ts";
import { run } from "./run.ts";

beforeAll(() => {
  enterNode();
  sh("ip link add up0 type veth peer name up1; ip link set up0 up; ip link set up1 up");
  const ipam = { type: "static", addresses: [{ address: "192.0.2.5/24" }] };
  writeFileSync(
    "/run/net.conf",
    JSON.stringify({ cniVersion: "1.0.0", name: "net", type: "macvlan", master: "up0", ipam }),
  );
});

const state = (): string =>
  sh(
    "ip -n pod link; ip -n pod addr; ip netns exec pod sysctl -a 2>/dev/null | grep net.ipv4.conf.default; find /run /var/lib/cni",
  );

it("lists links, addresses and sysctls, and sets none of them", () => {
  const before = state();
  const { status, stdout } = run(["explain", "/run/net.conf", "--netns", "pod", "--json"]);
  const [explained] = JSON.parse(stdout) as { parts: { steps: { kind: string; text: string }[] }[]; result: unknown }[];
  expect(status).toBe(0);
  expect(explained?.result).toMatchObject({ ips: [{ address: "192.0.2.5/24" }] });
  const sysctls = explained?.parts[0]?.steps.filter(({ kind }) => kind === "sysctl").map(({ text }) => text);
  expect(sysctls?.map((text) => text.slice(text.indexOf("sysctl")))).toEqual([
    "sysctl -w net/ipv4/conf/eth0/arp_notify=1",
    "sysctl -w net/ipv6/conf/eth0/ndisc_notify=1",
    "sysctl -w net/ipv6/conf/eth0/accept_ra=0",
  ]);
  expect(state()).toBe(before);
});
