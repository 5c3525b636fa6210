// DEL deletes the interface in a child process. Until the child process runs, it shares the call's descriptors. Its request must reach the
// correct socket even if the interface has already been deleted, and the call has opened other files and sockets in the meantime.
import { mkdtempSync, readFileSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { call, enterNode, sh } from "./node.ts";

const work = mkdtempSync(join(tmpdir(), "podnic-late-"));
afterAll(() => rmSync(work, { recursive: true, force: true }));

beforeAll(() => {
  enterNode();
  sh("ip link set lo up; ip link add up0 type veth peer name up0p; ip link set up0 up");
});

const ipam = { type: "host-local", subnet: "10.61.0.0/24" };
const configs = {
  bridge: { type: "bridge", bridge: "br0", isGateway: true, ipMasq: true, ipMasqBackend: "nftables", ipam },
  macvlan: { type: "macvlan", master: "up0", ipam },
};
/** Deletes the interface as another program would. */
const REMOVE = {
  bridge: "ip link del $(ip -o link show master br0 | sed 's/^[0-9]*: //; s/[@:].*//')",
  macvlan: "ip -n pod link del net1",
};

test.each(["bridge", "macvlan"] as const)(
  "a process that begins late sends to no other socket: %s",
  (type) => {
    const config = { cniVersion: "1.0.0", name: "net", ...configs[type] };
    call("ADD", config);
    const trace = join(work, type);
    const bin = resolve("dist/cni");
    // Delay the child process by one second. unshare is its first system call.
    sh(`export CNI_COMMAND=DEL CNI_CONTAINERID=c1 CNI_NETNS=/run/netns/pod CNI_IFNAME=net1 CNI_PATH=${bin}
      { for n in $(seq 100); do grep -q 'unshare(' ${trace} && break; sleep 0.02; done; ${REMOVE[type]}; } >${work}/log 2>&1 &
      echo '${JSON.stringify(config)}' | strace -f -yy -o ${trace} -e trace=unshare,sendto -e inject=unshare:delay_enter=1000000 ${bin}/${type}
      wait`);
    const lines = readFileSync(trace, "utf8").split("\n");
    const child = /^\d+ /.exec(lines.find((line) => line.includes("unshare(")) ?? "")?.[0];
    const sent = lines.filter((line) => child !== undefined && line.startsWith(child) && line.includes("sendto("));
    expect(sent.map((line) => line.slice(0, 60))).toEqual([expect.stringMatching(/<NETLINK:\[(ROUTE:|\d)/)]);
    // DEL has also removed the rules.
    expect(sh("nft list ruleset | grep -c masquerade.*10.61 || true")).toMatch(/^0?\s*$/);
  },
  30_000,
);
