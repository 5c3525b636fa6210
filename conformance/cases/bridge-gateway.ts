// bridge: the host as the pods' gateway, and addresses (B-68 to B-76).
import { type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { conf, demandPing, FULL, fixed, hostLocal, makeBridge, pod, ports } from "./bridge-shared.ts";

const one = rowsThatNeed(["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "plugin:static"]);

const gateway = (keys: Config, more: Config = {}): Config => conf({ isGateway: true, ...keys, ...more });
const withGateway = (address: string, gw: string, more: Config = {}): Config =>
  conf({ isGateway: true, ipam: { type: "static", addresses: [{ address, gateway: gw }] }, ...more });

/** Global addresses of a link of the host. */
const held = (t: Trial, name = "br0"): string[] =>
  (t.link(name, "")?.addresses ?? [])
    .filter(({ scope }) => scope !== "link")
    .map(({ cidr }) => cidr)
    .sort();

const defaults = (t: Trial, ns = "c1"): string[] =>
  t
    .routes(ns)
    .filter(({ dst, table }) => table === "main" && /^(0\.0\.0\.0|::)\/0$/.test(dst))
    .map(({ gateway: gw }) => gw)
    .sort();

const DUAL = { ipam: { type: "host-local", ranges: [[{ subnet: "10.61.0.0/24" }], [{ subnet: "fd00:61::/64" }]] } };

export const bridgeGateway: CaseTable = {
  perMain: [],
  fixed: [
    one(
      "B-68",
      "G",
      "isGateway",
      "v4, v6, dual, and a second network of the same subnet: each address once, forwarding on",
      (t) => {
        t.add(gateway(hostLocal()));
        t.equal(held(t), ["10.61.0.1/24"], "addresses");
        t.add(gateway(DUAL, { name: "net2" }), { set: { CNI_IFNAME: "net2" } });
        t.equal(held(t), ["10.61.0.1/24", "fd00:61::1/64"], "addresses");
        t.add({ ...gateway(hostLocal()), name: "net3" }, { set: { CNI_IFNAME: "net3" } });
        t.equal(held(t), ["10.61.0.1/24", "fd00:61::1/64"], "addresses");
        t.equal(
          t.sh("cat /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv6/conf/all/forwarding"),
          "1\n1\n",
          "forwarding",
        );
      },
    ),
    ...[
      ["v4", "10.61.0.1/24", hostLocal()],
      ["v6", "fd00:61::1/64", hostLocal("fd00:61::/64")],
    ].map(([family, address, keys], n) =>
      one(
        `B-68${"bc"[n]}`,
        "H",
        "the gateway's MAC address",
        `${family}: a bridge of others that has the gateway's address and no MAC address of its own keeps the one that it has`,
        (t) => {
          t.sh(
            `ip link add br0 up type bridge; ip address add ${address} dev br0 nodad 2>/dev/null || ip address add ${address} dev br0`,
          );
          const config = gateway(keys as Config);
          const { mac } = t.link("br0", "")!;
          t.add(config);
          for (const other of ["p1", "p2", "p3"]) t.add(config, pod(t, other));
          t.equal(t.link("br0", "")!.mac, mac, "MAC address after four ADDs");
          for (const other of ["p3", "p1", "p2"])
            t.silent("DEL", config, { set: { CNI_CONTAINERID: other, CNI_NETNS: `/run/netns/${other}` } });
          t.silent("DEL", config);
          t.equal(t.link("br0", "")!.mac, mac, "MAC address after four DELs");
        },
      ),
    ),
    one("B-69a", "H", "another subnet", "without forceAddress: E that names both, lease freed, nothing left", (t) => {
      t.add(gateway(hostLocal()));
      const { msg, details = "" } = t.error(
        t.call("ADD", { ...gateway(hostLocal("10.62.0.0/24")), name: "net2" }, pod(t, "c2")),
      );
      t.expect(/10\.62/.test(msg) && /10\.61/.test(msg + details), "both addresses", `${msg}: ${details}`);
      t.leaseCount(0, "net2");
      t.equal([held(t), ports(t).length], [["10.61.0.1/24"], 1], "addresses, ports");
      t.gone("eth0", "c2");
    }),
    one("B-69b", "G", "forceAddress", "the address is replaced", (t) => {
      t.add(gateway(hostLocal()));
      t.silent("DEL", gateway(hostLocal()));
      t.add({ ...gateway(hostLocal("10.62.0.0/24"), { forceAddress: true }), name: "net2" }, pod(t, "c2"));
      t.equal(held(t), ["10.62.0.1/24"], "addresses");
    }),
    one("B-69i", "G", "forceAddress", "the pod has the address that the bridge had: OK", (t) => {
      t.add(gateway(hostLocal()));
      t.silent("DEL", gateway(hostLocal()));
      const config = withGateway("10.61.0.1/24", "10.61.0.254", { forceAddress: true });
      const prevResult = t.add(config);
      t.equal(held(t), ["10.61.0.254/24"], "addresses");
      t.silent("CHECK", { ...config, prevResult });
    }),
    one(
      "B-69g",
      "H",
      "forceAddress",
      "another network has a pod on the bridge: E(7), unless bridges.forceAddress lists it; of the same network OK",
      (t) => {
        const config = gateway(hostLocal());
        const prevResult = t.add(config);
        const other = { ...gateway(hostLocal("10.62.0.0/24"), { forceAddress: true }), name: "net2" };
        const second = pod(t, "c2");
        t.error(t.call("ADD", other, second), [7]);
        t.silent("CHECK", { ...config, prevResult });
        t.leaseCount(0, "net2");
        t.add(gateway(hostLocal("10.63.0.0/24", {}), { forceAddress: true, ipam: fixed("10.63.0.2/24").ipam }), second);
        t.equal(held(t), ["10.63.0.1/24"], "addresses");
        t.write("/etc/cni/podnic.json", JSON.stringify({ bridges: { forceAddress: ["br0"] } }));
        t.add(other, pod(t, "c3"));
        t.equal(held(t), ["10.62.0.1/24"], "addresses");
      },
    ),
    one(
      "B-69c",
      "H",
      "an ADD that fails in the pod",
      "E: the bridge has no new address, forwarding is as it was",
      (t) => {
        makeBridge(t);
        t.sh("echo 0 >/proc/sys/net/ipv4/ip_forward");
        // The kernel refuses it: a route of the link's own scope by a gateway.
        const routes = [{ dst: "203.0.113.0/24", gw: "198.51.100.254", scope: 253 }];
        t.error(t.call("ADD", gateway(hostLocal("10.61.0.0/24", { routes }))));
        t.equal([held(t), ports(t).length], [[], 0], "addresses, ports");
        t.equal(t.sh("cat /proc/sys/net/ipv4/ip_forward").trim(), "0", "ip_forward");
      },
    ),
    one(
      "B-69d",
      "H",
      "an ADD whose result nobody takes",
      "E: a bridge of others has the addresses that it had",
      (t) => {
        makeBridge(t);
        t.sh("ip address add 10.62.0.1/24 dev br0");
        const run = t.call("ADD", gateway(DUAL, { forceAddress: true }), FULL);
        t.expect(/All changes were undone/.test(run.stderr), "a message that says so", run.stderr);
        t.equal([held(t), ports(t).length], [["10.62.0.1/24"], 0], "addresses, ports");
        t.leaseCount(0);
        t.add(gateway(DUAL, { forceAddress: true }));
        t.equal(held(t), ["10.61.0.1/24", "fd00:61::1/64"], "addresses");
      },
    ),
    one(
      "B-69e",
      "H",
      "an ADD whose result nobody takes",
      "another pod is on the bridge: it keeps them, and E says so",
      (t) => {
        makeBridge(t);
        t.add({ ...conf(), name: "net2" }, pod(t, "c2"));
        const run = t.call("ADD", gateway(hostLocal()), FULL);
        t.expect(/br0 keeps the gateway 10\.61\.0\.1\/24/.test(run.stderr), "a message that says so", run.stderr);
        t.equal([held(t), ports(t).length], [["10.61.0.1/24"], 1], "addresses, ports");
      },
    ),
    one("B-69f", "H", "the bridge has no IPv6", "dual: E before anything is changed", (t) => {
      makeBridge(t);
      t.sh("echo 1 >/proc/sys/net/ipv6/conf/br0/disable_ipv6");
      const { details = "" } = t.error(t.call("ADD", gateway(DUAL)));
      t.expect(/IPv6 is disabled/.test(details), "the cause", details);
      t.equal([held(t), ports(t).length], [[], 0], "addresses, ports");
      t.leaseCount(0);
    }),
    one("B-69h", "H", "what must fail late", "E before anything is changed: no bridge", (t) => {
      const refused = (config: Config, why: RegExp): void => {
        const before = t.picture();
        const { msg, details = "" } = t.error(t.call("ADD", config));
        t.expect(why.test(`${msg} ${details}`), String(why), `${msg} ${details}`);
        t.unchangedSince(before);
      };
      refused(gateway({ ...hostLocal("fd00:61::/64"), mtu: 1000 }), /MTU is below 1280/);
      refused(conf({ ...fixed("fd00:61::5/64"), mtu: 1000 }), /MTU is below 1280/);
      t.sh("ip -6 addr flush scope link");
      refused(gateway(fixed("fe80::5/64")), /"br0" will have an IP address different from fe80::1\/64/);
      refused(withGateway("10.61.0.5/24", "10.61.0.255"), /broadcast address/);
      t.sh("echo 1 >/proc/sys/net/ipv6/conf/default/disable_ipv6");
      refused(gateway(DUAL), /IPv6 is disabled/);
    }),
    one("B-70a", "G", "IPv6 subnets that overlap", "E, nothing left", (t) => {
      t.add(gateway(hostLocal("fd00:61::/64")));
      t.error(t.call("ADD", { ...gateway(hostLocal("fd00:61::/56")), name: "net2" }, pod(t, "c2")));
      t.equal([held(t), ports(t).length], [["fd00:61::1/64"], 1], "addresses, ports");
      t.leaseCount(0, "net2");
    }),
    one("B-70b", "G", "IPv6 subnets that do not overlap", "both", (t) => {
      t.add(gateway(hostLocal("fd00:61::/64")));
      t.add({ ...gateway(hostLocal("fd00:62::/64")), name: "net2" }, pod(t, "c2"));
      t.equal(held(t), ["fd00:61::1/64", "fd00:62::1/64"], "addresses");
    }),
    one("B-71", "H", "the gateway's own address for the pod", "E, nothing left", (t) => {
      makeBridge(t);
      t.refused("ADD", gateway(fixed("10.61.0.1/24")));
      t.refused("ADD", withGateway("10.61.0.9/24", "10.61.0.9"));
    }),
    one("B-71b", "H", "keys that need ipam", "without it: OK, and a warning that names them", (t) => {
      const run = t.call("ADD", conf({ isGateway: true, ipMasq: true }));
      t.result(run, "1.1.0");
      t.expect(/without ipam.*isGateway ipMasq/.test(run.stderr), "a warning", run.stderr);
    }),
    one(
      "B-72a",
      "H",
      "/31",
      "OK: the pod and the host have one address each",
      (t) => {
        t.add(gateway(fixed("10.61.0.1/31"), { isDefaultGateway: true }));
        t.equal([held(t), defaults(t)], [["10.61.0.0/31"], ["10.61.0.0"]], "address of the host, default route");
        demandPing(t, "c1", "10.61.0.0");
      },
      ["program:ping"],
    ),
    ...["10.61.0.5/32", "fd00:61::5/128"].map((address, n) =>
      one(`B-72${"bc"[n]}`, "H", "a subnet of one address", `${address}: E that says so, nothing made`, (t) => {
        makeBridge(t);
        const { msg } = t.refused("ADD", gateway(fixed(address), { isDefaultGateway: true }));
        t.expect(msg.includes(address), "the address", msg);
      }),
    ),
    one("B-73a", "G", "isDefaultGateway", "IPAM has a default route with a gateway: no second one", (t) => {
      t.add(
        gateway(hostLocal("10.61.0.0/24", { routes: [{ dst: "0.0.0.0/0", gw: "10.61.0.7" }] }), {
          isDefaultGateway: true,
        }),
      );
      t.equal(defaults(t), ["10.61.0.7"], "default routes");
    }),
    one("B-73b", "G", "isDefaultGateway", "IPAM has one without a gateway: one, by the bridge", (t) => {
      t.add(gateway(hostLocal("10.61.0.0/24", { routes: [{ dst: "0.0.0.0/0" }] }), { isDefaultGateway: true }));
      t.equal(defaults(t), ["10.61.0.1"], "default routes");
    }),
    one("B-73c", "G", "isDefaultGateway", "none of IPAM's, dual: one for each family, implies isGateway", (t) => {
      t.add(conf({ ...DUAL, isDefaultGateway: true }));
      t.equal(defaults(t), ["10.61.0.1", "fd00:61::1"], "default routes");
      t.equal(held(t), ["10.61.0.1/24", "fd00:61::1/64"], "addresses");
    }),
    one("B-74a", "H", "forwarding", "/proc/sys read-only and forwarding on: OK", (t) => {
      t.sh("echo 1 >/proc/sys/net/ipv4/ip_forward");
      const wrap =
        'mount --bind /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_forward; mount -o remount,bind,ro /proc/sys/net/ipv4/ip_forward; "$@"; s=$?; umount /proc/sys/net/ipv4/ip_forward; exit $s';
      t.add(gateway(hostLocal()), { wrap });
    }),
    one("B-74b", "H", "forwarding", "off and read-only: E that names it, nothing left", (t) => {
      makeBridge(t);
      t.sh("echo 0 >/proc/sys/net/ipv4/ip_forward");
      const wrap =
        'mount --bind /proc/sys/net/ipv4/ip_forward /proc/sys/net/ipv4/ip_forward; mount -o remount,bind,ro /proc/sys/net/ipv4/ip_forward; "$@"; s=$?; umount /proc/sys/net/ipv4/ip_forward; exit $s';
      const { msg, details = "" } = t.error(t.call("ADD", gateway(hostLocal()), { wrap }));
      t.expect(/ip_forward/.test(msg + details), "ip_forward", `${msg}: ${details}`);
      t.gone();
      t.leaseCount(0);
    }),
    one("B-75a", "G", "enabledad", "a duplicate on the bridge: E within 4 s, nothing left", (t) => {
      makeBridge(t);
      t.sh("ip link set up0 master br0; ip address add fd00:61::2/64 dev up1 nodad; sleep 0.5");
      const run = t.call("ADD", conf({ enabledad: true, ...fixed("fd00:61::2/64") }));
      t.error(run);
      t.expect(run.ms < 4000, "at most 4 s", `${run.ms} ms`);
      t.gone();
      t.equal(ports(t).length, 1, "ports");
    }),
    one("B-75b", "G", "enabledad is off", "no wait: an ADD of at most 1 s, no tentative address", (t) => {
      makeBridge(t);
      const run = t.call("ADD", conf(fixed("fd00:61::2/64")));
      t.result(run, "1.1.0");
      t.expect(run.ms < 1000, "at most 1 s", `${run.ms} ms`);
      t.expect(
        t.link("eth0")!.addresses.every(({ scope, tentative }) => scope === "link" || !tentative),
        "no tentative address",
        t.link("eth0"),
      );
    }),
    one(
      "B-76",
      "G",
      "disable_ipv6 in the pod",
      "1: switched on at lo and the interface when an IPv6 address comes",
      (t) => {
        makeBridge(t);
        t.sh(
          "ip netns exec c1 sh -c 'for n in all default lo; do echo 1 >/proc/sys/net/ipv6/conf/$n/disable_ipv6; done'",
        );
        t.add(conf(fixed("fd00:61::2/64")));
        const off = t.sh(
          "ip netns exec c1 cat /proc/sys/net/ipv6/conf/lo/disable_ipv6 /proc/sys/net/ipv6/conf/eth0/disable_ipv6",
        );
        t.equal(off, "0\n0\n", "disable_ipv6 of lo and eth0");
      },
    ),
  ],
};
