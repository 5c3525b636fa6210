// bridge: VLANs, on a kernel whose bridges filter them (B-37 to B-50).
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import {
  conf,
  demandAsTold,
  demandPing,
  fixed,
  hostLocal,
  makeBridge,
  pod,
  portOf,
  ports,
  vlansOf,
} from "./bridge-shared.ts";

const one = rowsThatNeed([
  "plugin:bridge",
  "spec:1.1.0:bridge",
  "plugin:host-local",
  "plugin:static",
  "kernel:vlan_filtering",
]);

/** ADD on a bridge that it makes, or on one with these options; the port is in exactly these VLANs; CHECK and DEL OK. */
const gives = (id: string, what: string, keys: Config, wanted: string, options?: string): Case =>
  one(id, "G", "3.2: VLANs of a port", `${what}: ${wanted}`, (t) => {
    if (options !== undefined) makeBridge(t, `vlan_filtering 1 ${options}`);
    const prevResult = t.add(conf(keys));
    t.equal(vlansOf(t, portOf(t).name), wanted, "VLANs");
    t.silent("CHECK", { ...conf(keys), prevResult });
    t.silent("DEL", { ...conf(keys), prevResult });
    t.equal(ports(t).length, 0, "ports");
  });

const changed = (
  id: string,
  what: string,
  change: (port: string) => string,
  named: RegExp,
  keys: Config = { vlan: 100, vlanTrunk: [{ minID: 20, maxID: 22 }] },
): Case =>
  one(id, "H", "CHECK sees the VLANs", `${what}: CHECK: E that names it`, (t) => {
    makeBridge(t, "vlan_filtering 1");
    const config = conf(keys);
    const prevResult = t.add(config);
    t.silent("CHECK", { ...config, prevResult });
    t.sh(change(portOf(t).name));
    const { msg } = t.error(t.call("CHECK", { ...config, prevResult }));
    t.expect(named.test(msg), `a message like ${named}`, msg);
  });

const gateway = (vlan: number, subnet: string, name: string): Config => ({
  ...conf({ vlan, isGateway: true, ...hostLocal(subnet) }),
  name,
});

const GATEWAY = gateway(100, "10.61.0.0/24", "net1");

const refusedBeside = (id: string, what: string, made: string, cure: string): Case =>
  one(id, "H", "no gateway that is none", `${what}: E with the cure, nothing touched`, (t) => {
    makeBridge(t, "vlan_filtering 1");
    t.sh(made);
    const { msg, details = "" } = t.refused("ADD", GATEWAY);
    t.expect(details.includes(cure), cure, `${msg}: ${details}`);
  });

const changedGateway = (id: string, what: string, change: string, named: RegExp): Case =>
  one(id, "H", "CHECK sees the gateway of a VLAN", `${what}: CHECK: E that names it`, (t) => {
    makeBridge(t, "vlan_filtering 1");
    const prevResult = t.add(GATEWAY);
    t.silent("CHECK", { ...GATEWAY, prevResult });
    t.sh(change);
    const { msg } = t.error(t.call("CHECK", { ...GATEWAY, prevResult }));
    t.expect(named.test(msg), `a message like ${named}`, msg);
  });

/** On a bridge of others that changes its MAC address with its first port. */
const firstPort = (id: string, what: string, made: string, keys: Config = {}): Case =>
  one(
    id,
    "H",
    "the result describes each interface as ADD leaves it",
    `vlan and isGateway on a bridge without ports or a fixed MAC address, ${what}; CHECK OK, also after the second pod`,
    (t) => {
      t.sh(`ip link add br0 up type bridge vlan_filtering 1; ${made}`);
      const config = { ...GATEWAY, ...keys };
      const prevResult = t.add(config);
      demandAsTold(t, prevResult);
      t.silent("CHECK", { ...config, prevResult });
      const second = pod(t, "c2");
      const later = t.add(config, second);
      demandAsTold(t, later);
      t.silent("CHECK", { ...config, prevResult });
      t.silent("CHECK", { ...config, prevResult: later }, second);
    },
  );

/** The gateway's interface of a VLAN, whatever it is called. */
const gatewayOf = (t: Trial, address: string): string | undefined =>
  t.links("").find(({ addresses }) => addresses.some(({ cidr }) => cidr === address))?.name;

export const bridgeVlans: CaseTable = {
  perMain: [],
  fixed: [
    gives("B-37", "vlan 100 on a bridge it makes", { vlan: 100 }, "100 pvid untagged"),
    gives("B-38", "preserveDefaultVlan", { vlan: 100, preserveDefaultVlan: true }, "1 untagged, 100 pvid untagged"),
    one(
      "B-39",
      "H",
      "never a success that isolates nothing",
      "vlan on a bridge of others that does not filter: E with the cure",
      (t) => {
        makeBridge(t);
        const { msg, details = "" } = t.refused("ADD", conf({ vlan: 100 }));
        t.expect(/filter/.test(msg) && details.includes("vlan_filtering 1"), "the cure", `${msg}: ${details}`);
      },
    ),
    one(
      "B-39a",
      "H",
      "bridges.filterVlans of the node's policy",
      "the bridge filters after ADD; CHECK OK; others are refused",
      (t) => {
        t.write("/etc/cni/podnic.json", JSON.stringify({ bridges: { filterVlans: ["br*"] } }));
        makeBridge(t);
        makeBridge(t, "", "other0");
        t.refused("ADD", conf({ vlan: 100, bridge: "other0" }));
        const config = conf({ vlan: 100, ...fixed("10.61.0.2/24") });
        const prevResult = t.add(config);
        t.equal(t.link("br0", "")?.data.vlan_filtering, 1, "vlan_filtering");
        t.equal(vlansOf(t, portOf(t).name), "100 pvid untagged", "VLANs of the port");
        t.silent("CHECK", { ...config, prevResult });
        t.sh("ip link set br0 type bridge vlan_filtering 0");
        t.error(t.call("CHECK", { ...config, prevResult }));
      },
    ),
    one("B-50h", "G", "forceAddress", "in a VLAN, the pod has the address that its gateway had: OK", (t) => {
      makeBridge(t, "vlan_filtering 1");
      t.add(GATEWAY);
      const addresses = [{ address: "10.61.0.1/24", gateway: "10.61.0.254" }];
      const config = conf({ vlan: 100, isGateway: true, forceAddress: true, ipam: { type: "static", addresses } });
      const second = pod(t, "c2");
      const prevResult = t.add(config, second);
      t.equal(gatewayOf(t, "10.61.0.254/24"), "br0.100", "the gateway's interface");
      t.equal(gatewayOf(t, "10.61.0.1/24"), undefined, "what has the address on the host");
      t.silent("CHECK", { ...config, prevResult }, second);
    }),
    one("B-49b", "H", "C-081", "DEL after a boot, when /run is empty: OK, nothing left", (t) => {
      makeBridge(t, "vlan_filtering 1");
      const config = {
        ...conf({ vlan: 100, isGateway: true }),
        ipam: { type: "static", addresses: [{ address: "10.62.0.2/24" }] },
      };
      t.add(config);
      t.sh("rm -rf /run/podnic");
      t.silent("DEL", config);
      t.equal(ports(t).length, 0, "ports");
      t.equal(t.sh("ls -d /run/podnic 2>/dev/null || true"), "", "what DEL made in /run");
    }),
    one(
      "B-49c",
      "H",
      "the gateway serves ports of others too",
      "one made by hand in the VLAN: the gateway stays",
      (t) => {
        makeBridge(t, "vlan_filtering 1");
        const config = gateway(100, "10.61.0.0/24", "net1");
        t.add(config);
        t.sh(`ip link add hand0 type veth peer name hand1; ip link set hand0 master br0
        bridge vlan add dev hand0 vid 100 pvid untagged`);
        t.silent("DEL", config);
        t.expect(gatewayOf(t, "10.61.0.1/24") !== undefined, "the gateway's interface", "none");
        t.sh("ip link del hand0");
        t.silent("DEL", config);
        t.equal(gatewayOf(t, "10.61.0.1/24"), undefined, "gateway's interface");
      },
    ),
    gives("B-40a", "default_pvid 0", { vlan: 100 }, "100 pvid untagged", "vlan_default_pvid 0"),
    gives("B-40b", "default_pvid 1", { vlan: 100 }, "100 pvid untagged", "vlan_default_pvid 1"),
    gives("B-40c", "default_pvid 500", { vlan: 100 }, "100 pvid untagged", "vlan_default_pvid 500"),
    gives("B-41", "vlan 1", { vlan: 1 }, "1 pvid untagged"),
    gives(
      "B-42",
      "trunk only",
      { vlanTrunk: [{ id: 10 }, { minID: 20, maxID: 22 }, { minID: 4093, maxID: 4094 }] },
      "1 pvid untagged, 10, 20-22, 4093-4094",
    ),
    gives("B-43", "vlan 7 and trunk 7, 8", { vlan: 7, vlanTrunk: [{ id: 7 }, { id: 8 }] }, "7 pvid untagged, 8"),
    gives("B-44a", "trunk 1-4094", { vlanTrunk: [{ minID: 1, maxID: 4094 }] }, "1 pvid untagged, 2-4094", ""),
    gives(
      "B-44b",
      "trunk 1-4094 and vlan 100",
      { vlan: 100, vlanTrunk: [{ minID: 1, maxID: 4094 }] },
      "1-99, 100 pvid untagged, 101-4094",
      "",
    ),
    gives(
      "B-44c",
      "overlapping ranges",
      { vlanTrunk: [{ minID: 5, maxID: 9 }, { minID: 8, maxID: 12 }, { id: 9 }] },
      "1 pvid untagged, 5-12",
      "",
    ),
    one(
      "B-45",
      "H",
      "plugins#667",
      "pods of 100 and 200 and the native VLAN do not hear each other; two of 100 do",
      (t) => {
        makeBridge(t, "vlan_filtering 1");
        t.sh("ip link set up0 master br0; ip address add 10.61.0.9/24 dev up1");
        t.add(conf({ vlan: 100, ...fixed("10.61.0.2/24") }));
        t.add(conf({ vlan: 200, ...fixed("10.61.0.3/24") }), pod(t, "c2"));
        t.add(conf({ vlan: 100, ...fixed("10.61.0.4/24") }), pod(t, "c3"));
        demandPing(t, "c1", "10.61.0.4");
        demandPing(t, "c1", "10.61.0.3", true);
        demandPing(t, "c1", "10.61.0.9", true);
      },
      ["program:ping"],
    ),
    one(
      "B-46",
      "G",
      "vlan and isGateway",
      "two VLANs, two subnets: each gateway in its own VLAN only; CHECK OK",
      (t) => {
        const second = pod(t, "c2");
        const prevResult = t.add(gateway(100, "10.61.0.0/24", "net1"));
        t.add(gateway(200, "10.62.0.0/24", "net2"), second);
        t.silent("CHECK", { ...gateway(100, "10.61.0.0/24", "net1"), prevResult });
        demandPing(t, "c1", "10.61.0.1");
        demandPing(t, "c2", "10.62.0.1");
        t.sh("ip -n c2 address add 10.61.0.77/24 dev eth0");
        demandPing(t, "c2", "10.61.0.1", true);
      },
      ["program:ping"],
    ),
    one("B-47", "H", "a name of 15 characters", "vlan 4000 and isGateway: OK with a shorter name", (t) => {
      const config = { ...gateway(4000, "10.61.0.0/24", "net1"), bridge: "fifteencharsbr0" };
      t.add(config);
      t.expect(
        gatewayOf(t, "10.61.0.1/24") !== undefined,
        "an interface with the gateway's address",
        t.links("").map(({ name }) => name),
      );
      t.silent("DEL", config);
      t.equal(ports(t, "fifteencharsbr0").length, 0, "ports");
    }),
    one(
      "B-48",
      "H",
      "the gateway's interface goes with the last pod of its VLAN",
      "not before, and not with a late DEL",
      (t) => {
        const config = gateway(200, "10.61.0.0/24", "net1");
        const second = pod(t, "c2");
        t.add(config);
        t.add(config, second);
        t.silent("DEL", config);
        t.silent("DEL", config);
        demandPing(t, "c2", "10.61.0.1");
        t.silent("DEL", config, second);
        t.equal(gatewayOf(t, "10.61.0.1/24"), undefined, "gateway's interface");
        t.equal(ports(t).length, 0, "ports");
      },
      ["program:ping"],
    ),
    ...(
      [
        ["B-48n", "its network has no isGateway", { vlan: 200 }],
        ["B-48o", "it is there by its trunk", { vlan: 7, vlanTrunk: [{ id: 10 }, { minID: 150, maxID: 250 }] }],
      ] as const
    ).map(([id, what, keys]) =>
      one(
        id,
        "G",
        "the gateway's interface goes with the last pod of its VLAN",
        `also if ${what}: with its DEL, and with GC`,
        (t) => {
          const config = gateway(200, "10.61.0.0/24", "net1");
          const other = { ...conf(keys), name: "net2" };
          const beside = gateway(201, "10.62.0.0/24", "net3");
          const [second, third] = [pod(t, "c2"), pod(t, "c3")];
          t.add(beside, third);
          for (const command of ["DEL", "GC"] as const) {
            t.add(config);
            t.add(other, second);
            t.silent("DEL", config);
            t.equal(gatewayOf(t, "10.61.0.1/24"), "br0.200", "gateway's interface");
            if (command === "DEL") t.silent("DEL", other, second);
            else t.silent("GC", { ...other, "cni.dev/valid-attachments": [] });
            t.equal(gatewayOf(t, "10.61.0.1/24"), undefined, "gateway's interface");
            t.equal(gatewayOf(t, "10.62.0.1/24"), "br0.201", "gateway's interface of another VLAN");
          }
        },
      ),
    ),
    ...([1, 100] as const).map((vlan, n) =>
      one(
        `B-48${"pq"[n]}`,
        "H",
        "a bridge of others is left as it was",
        `it is itself untagged in VLAN ${vlan}, in which the pods get a gateway: the gateway answers, the host keeps its VLAN`,
        (t) => {
          makeBridge(t, "vlan_filtering 1");
          if (vlan !== 1) t.sh(`bridge vlan add dev br0 vid ${vlan} pvid untagged self`);
          t.sh(`ip address add 192.0.2.1/24 dev br0; ip link set br0 up; ip netns add c9
            ip link add e9 up type veth peer name e9 netns c9; ip link set e9 master br0
            bridge vlan add dev e9 vid ${vlan} pvid untagged; ip -n c9 link set e9 up; ip -n c9 address add 192.0.2.9/24 dev e9`);
          const before = vlansOf(t, "br0");
          const config = gateway(vlan, "10.61.0.0/24", "net1");
          const prevResult = t.add(config);
          const isAsBefore = (when: string) => {
            t.equal(vlansOf(t, "br0"), before, `VLANs of the bridge ${when}`);
            demandPing(t, "c9", "192.0.2.1");
          };
          demandPing(t, "c1", "10.61.0.1");
          isAsBefore("after ADD");
          t.silent("CHECK", { ...config, prevResult });
          t.sh("ip link set e9 nomaster; ip link set e9 master br0");
          t.sh(`bridge vlan add dev e9 vid ${vlan} pvid untagged`);
          t.silent("DEL", { ...config, prevResult });
          isAsBefore("after DEL");
        },
        ["program:ping"],
      ),
    ),
    one(
      "B-48a",
      "H",
      "the next ADD repairs",
      "a gateway's interface of ours, down and not in its VLAN: the gateway answers",
      (t) => {
        makeBridge(t, "vlan_filtering 1");
        t.sh(`ip link add br0.100 link br0 type vlan id 100; ip link set br0.100 alias podnic:gateway
        sysctl -qw net.ipv6.conf.br0/100.accept_ra=1`);
        const prevResult = t.add(GATEWAY);
        demandPing(t, "c1", "10.61.0.1");
        t.equal(t.sh("sysctl -n net.ipv6.conf.br0/100.accept_ra").trim(), "0", "accept_ra");
        t.silent("DEL", { ...GATEWAY, prevResult });
        t.equal(gatewayOf(t, "10.61.0.1/24"), undefined, "gateway's interface");
        t.equal(vlansOf(t, "br0"), "1 pvid untagged", "VLANs of the bridge");
      },
      ["program:ping"],
    ),
    refusedBeside(
      "B-48b",
      "another's interface, down",
      "ip link add br0.100 link br0 type vlan id 100; bridge vlan add dev br0 vid 100 self",
      "ip link set br0.100 up",
    ),
    refusedBeside(
      "B-48c",
      "another's interface, its VLAN not on the bridge",
      "ip link add br0.100 link br0 up type vlan id 100",
      "bridge vlan add dev br0 vid 100 self",
    ),
    refusedBeside(
      "B-48d",
      "another's interface with another VLAN's number",
      "ip link add br0.100 link br0 up type vlan id 101; bridge vlan add dev br0 vid 100 self",
      "Rename the device",
    ),
    one(
      "B-48e",
      "H",
      "vlan and isGateway on a bridge with 802.1ad",
      "the gateway answers; CHECK OK; CHECK: E for another protocol",
      (t) => {
        makeBridge(t, "vlan_filtering 1 vlan_protocol 802.1ad");
        const prevResult = t.add(GATEWAY);
        demandPing(t, "c1", "10.61.0.1");
        t.silent("CHECK", { ...GATEWAY, prevResult });
        t.sh("ip link set br0 type bridge vlan_protocol 802.1Q");
        t.error(t.call("CHECK", { ...GATEWAY, prevResult }));
      },
      ["program:ping"],
    ),
    changedGateway("B-48f", "down", "ip link set br0.100 down", /br0\.100 is down/),
    changedGateway("B-48g", "its VLAN taken from the bridge", "bridge vlan del dev br0 vid 100 self", /VLAN 100/),
    changedGateway("B-48h", "another MAC address", "ip link set br0.100 address 02:00:00:00:00:aa", /MAC/),
    changedGateway("B-48i", "a smaller MTU", "ip link set br0.100 mtu 1300", /MTU/),
    changedGateway("B-48s", "ARP turned off", "ip link set br0.100 arp off", /br0\.100 has ARP turned off/),
    changedGateway("B-48j", "accept_ra", "sysctl -qw net.ipv6.conf.br0/100.accept_ra=2", /router advertisements/),
    one(
      "B-48r",
      "H",
      "a bridge of others is left as it was",
      "it becomes untagged in the VLAN of its gateway's interface br0.100: CHECK: E; the next ADD: E with the cure; DEL leaves the bridge its VLAN",
      (t) => {
        makeBridge(t, "vlan_filtering 1");
        const prevResult = t.add(GATEWAY);
        t.sh("bridge vlan add dev br0 vid 100 untagged self");
        const named = /br0\.100 gets no frames, because bridge "br0" itself is untagged/;
        const checked = t.error(t.call("CHECK", { ...GATEWAY, prevResult }));
        t.expect(named.test(checked.msg), `a message like ${named}`, checked.msg);
        for (const state of ["up", "down"]) {
          t.sh(`ip link set br0.100 ${state}`);
          const { msg, details = "" } = t.error(t.call("ADD", GATEWAY, pod(t, `c2${state}`)));
          t.expect(named.test(msg) && details.includes("ip link del br0.100"), `${named} and the cure, ${state}`, msg);
        }
        t.silent("DEL", { ...GATEWAY, prevResult });
        t.equal(vlansOf(t, "br0"), "1 pvid untagged, 100 untagged", "VLANs of the bridge");
      },
    ),
    firstPort("B-48k", "the gateway's interface is new", ""),
    firstPort(
      "B-48l",
      "another's gateway interface",
      "ip link add br0.100 link br0 up type vlan id 100; bridge vlan add dev br0 vid 100 self",
    ),
    firstPort("B-48m", "mtu 1400", "", { mtu: 1400 }),
    changed("B-50a", "the native VLAN taken away", (port) => `bridge vlan del dev ${port} vid 100`, /100/),
    changed("B-50b", "a VLAN of the trunk taken away", (port) => `bridge vlan del dev ${port} vid 21`, /20|21|22/),
    changed("B-50c", "a VLAN added", (port) => `bridge vlan add dev ${port} vid 77`, /77/),
    changed("B-50d", "no PVID any more", (port) => `bridge vlan add dev ${port} vid 100 untagged`, /100 pvid/),
    one(
      "B-50g",
      "H",
      "CHECK sees the VLANs",
      "without vlan: OK, whatever the bridge's default VLAN is and becomes",
      (t) => {
        for (const options of ["", "vlan_default_pvid 0", "vlan_default_pvid 100"]) {
          makeBridge(t, `vlan_filtering 1 ${options}`);
          const prevResult = t.add(conf());
          t.silent("CHECK", { ...conf(), prevResult });
          t.sh("ip link set br0 type bridge vlan_default_pvid 7");
          t.silent("CHECK", { ...conf(), prevResult });
          t.silent("DEL", { ...conf(), prevResult });
          t.sh("ip link del br0");
        }
      },
    ),
    changed(
      "B-50i",
      "the pinned address gone from a VLAN of the trunk",
      (port) =>
        `bridge fdb del $(ip -n c1 -o link show eth0 | grep -o "ether [^ ]*" | cut -d" " -f2) dev ${port} vlan 21 master`,
      /pinned entry .* in VLAN 21/,
      { vlan: 100, vlanTrunk: [{ minID: 20, maxID: 22 }], macspoofchk: true, macspoofchkBackend: "bridge" },
    ),
    changed(
      "B-50e",
      "without vlan: another one",
      (port) => `bridge vlan add dev ${port} vid 11 pvid untagged`,
      /11/,
      {},
    ),
    changed("B-50f", "without vlan: none", (port) => `bridge vlan del dev ${port} vid 1`, /\(none\)/, {}),
  ],
};

export const bridgeWithoutFiltering: CaseTable = {
  perMain: [],
  fixed: [
    rowsThatNeed(["plugin:bridge", "spec:1.1.0:bridge", "kernel:no-vlan_filtering"])(
      "B-49",
      "H",
      "a kernel without VLAN filtering",
      "vlan: E with the cause, nothing left; without vlan OK",
      (t) => {
        const { msg, details = "" } = t.refused("ADD", conf({ vlan: 100 }));
        t.expect(/VLAN/.test(msg + details), "the cause", `${msg}: ${details}`);
        t.add(conf());
      },
    ),
  ],
};
