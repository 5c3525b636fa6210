// dhcp of the Go plugins as IPAM plugin: its daemon, and a server on the network.
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { CallOptions } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import { type Client, kernelOf, type Places } from "./client.ts";

/** Where Debian puts the plugins. */
const GO = "/usr/lib/cni";
const SERVED = /^198\.51\.100\.[1-9]\d\/24$/;

const MAINS: Readonly<Record<string, { conf: (device: string) => Config; peer: (device: string) => string }>> = {
  macvlan: { conf: () => ({ type: "macvlan", master: "up0" }), peer: () => "up1" },
  ipvlan: { conf: () => ({ type: "ipvlan", master: "up0" }), peer: () => "up1" },
  // The server is behind the uplink of the bridge.
  bridge: { conf: () => ({ type: "bridge", bridge: "br0" }), peer: () => "up1" },
  "host-device": { conf: (device) => ({ type: "host-device", device }), peer: (device) => `${device}p` },
};

/** A DHCP server behind the device and the plugin's daemon, both with a log. They end with the case. */
function serve(t: Trial, wire: string): void {
  t.sh(`ip link set ${wire} up; ip address add 198.51.100.1/24 dev ${wire}; mkdir -p /run/cni /run/case
    dnsmasq --keep-in-foreground --conf-file=/dev/null --port=0 --user=root --interface=${wire} --bind-interfaces --log-dhcp \\
      --dhcp-range=198.51.100.10,198.51.100.99,1h --dhcp-leasefile=/run/case/leases --dhcp-client-update --no-ping \\
      --log-facility=/run/case/server.log --pid-file= >/dev/null 2>&1 </dev/null &
    ${GO}/dhcp daemon >/run/case/daemon.log 2>&1 </dev/null &
    until [ -S /run/cni/dhcp.sock ] && grep -qs started /run/case/server.log; do sleep 0.05; done`);
}

function lease(t: Trial, p: Places, main: string): void {
  const device = main === "host-device" ? t.freshDevice() : "";
  const { conf, peer } = MAINS[main]!;
  if (main === "bridge") t.sh("ip link add br0 up type bridge; ip link set up0 master br0 up");
  serve(t, peer(device));
  const options: CallOptions = { set: { CNI_PATH: `${p.bin}:${GO}` } };
  const config = { cniVersion: "1.0.0", name: "net1", ...conf(device), ipam: { type: "dhcp" } };
  const run = t.call("ADD", config, options);
  const daemon = t.read("/run/case/daemon.log");
  const result = t.result(run, "1.0.0", options);
  console.log(`    ADD: ${run.ms} ms`);
  t.expect(SERVED.test(result.ips?.[0]?.address ?? ""), "an address of the server", describeRun(run));
  // What makes it slow: the daemon waits for some seconds before it asks again.
  t.expect(!/down|retrying/.test(daemon), "a link that is up when the daemon asks", daemon);
  const released = () => t.read("/run/case/server.log").split("DHCPRELEASE").length - 1;
  t.equal(released(), 0, "releases before DEL");
  const del = t.call("DEL", config, options);
  t.silentRun(del);
  t.gone();
  // The server writes its log when it has read the packet.
  t.sh("n=0; until grep -q DHCPRELEASE /run/case/server.log || [ $n = 40 ]; do sleep 0.05; n=$((n + 1)); done");
  t.equal(released(), 1, "releases after DEL");
  t.silent("DEL", config, options);
}

export const dhcpClients: Client[] = Object.keys(MAINS).map((main) => ({
  id: `DHCP-${main}`,
  expected: "ADD asks over a link that is up and takes no retry; DEL releases the address while the link exists",
  needs: [`file:${GO}/dhcp`, "program:dnsmasq", ...kernelOf(main)],
  run: (t, p) => lease(t, p, main),
}));
