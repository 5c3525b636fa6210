// bridge: protocol and configuration. What cannot be is refused before anything is touched (B-01 to B-20).
import { readFileSync } from "node:fs";
import { type Case, type CaseTable, rowsThatNeed } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { SPEC_VERSIONS } from "../harness/result.ts";
import type { Env } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import {
  addDown,
  conf,
  demandAsTold,
  fixed,
  hostLocal,
  makeBridge,
  POD_MAC,
  pod,
  portOf,
  ports,
} from "./bridge-shared.ts";

const one = rowsThatNeed(["plugin:bridge", "spec:1.1.0:bridge", "plugin:host-local", "plugin:static"]);

/** The directory of the plugin with the other name that CNAO gives it. */
function called(t: Trial): { bin: string } {
  t.sh(
    `mkdir -p /run/case/bin; ln -sfn ${t.settings.bin}/bridge /run/case/bin/cnv-bridge; ln -sfn ${t.settings.bin}/bridge /run/case/bin/bridge`,
  );
  return { bin: "/run/case/bin" };
}

const refuses = (id: string, what: string, keys: Config, cure = /./): Case =>
  one(id, "H", "refused before anything is touched", `${what}: E, nothing made`, (t) => {
    const { msg, details = "" } = t.refused("ADD", conf(keys));
    t.expect(cure.test(`${msg} ${details}`), `a message like ${cure}`, `${msg}: ${details}`);
  });

const MACS = { runtime: "02:00:00:00:00:a1", args: "02:00:00:00:00:a2", env: "02:00:00:00:00:a3" };

/** Each subset of the three places that may ask for a MAC address: the first that does wins. */
const macPlaces = (n: number): Case =>
  one(
    `B-15${"abcdefg"[n - 1]}`,
    "G",
    "1.1: places of a MAC",
    `places ${n.toString(2).padStart(3, "0")}: runtimeConfig, args.cni, CNI_ARGS`,
    (t) => {
      const keys = {
        ...(n & 4 ? { capabilities: { mac: true }, runtimeConfig: { mac: MACS.runtime } } : {}),
        ...(n & 2 ? { args: { cni: { mac: MACS.args } } } : {}),
      };
      const set: Env = n & 1 ? { CNI_ARGS: `IgnoreUnknown=1;MAC=${MACS.env}` } : {};
      const wanted = n & 4 ? MACS.runtime : n & 2 ? MACS.args : MACS.env;
      const result = t.add(conf(keys, "1.0.0"), { set });
      t.equal([t.link("eth0")?.mac, result.interfaces?.[2]?.mac], [wanted, wanted], "MAC of link and result");
    },
  );

const withArgs = (id: string, mac: string, wanted?: string): Case =>
  one(id, "H", "forms of a MAC", `${JSON.stringify(mac)}: ${wanted ?? "E, nothing made"}`, (t) => {
    const set = { CNI_ARGS: `IgnoreUnknown=1;MAC=${mac}` };
    if (wanted === undefined) t.refused("ADD", conf({}, "1.0.0"), "any", { set });
    else {
      t.add(conf({}, "1.0.0"), { set });
      t.equal(t.link("eth0")?.mac, wanted, "MAC");
    }
  });

/** CNI_NETNS is none that a pod can have. */
const netns = (id: string, what: string, path: string): Case =>
  one(id, "H", "no bridge made for a pod that is not there", `CNI_NETNS ${what}: E, nothing made`, (t) => {
    t.sh("mkdir -p /run/case; echo x >/run/case/file; ip netns add dead; umount /run/netns/dead");
    t.refused("ADD", conf(), "any", { set: { CNI_NETNS: path } });
  });

const names = ["sixteencharacter", "a/b", "a b", "..", "", "lo"];
const trunks: [string, unknown, RegExp][] = [
  ["id 0", [{ id: 0 }], /vlanTrunk/],
  ["id 4095", [{ id: 4095 }], /vlanTrunk/],
  ["only minID", [{ minID: 5 }], /maxID/],
  ["only maxID", [{ maxID: 5 }], /minID/],
  ["max below min", [{ minID: 9, maxID: 5 }], /maxID.*minID/],
  ["[{}]", [{}], /vlanTrunk/],
];
const strings = ["isGateway", "macspoofchk", "ipMasq", "hairpinMode", "disableContainerInterface"];

export const bridgeConfig: CaseTable = {
  perMain: [],
  fixed: [
    one("B-01", "G", "CNAO's names", "VERSION as bridge and as cnv-bridge, by symlink: the same", (t) => {
      const { bin } = called(t);
      const ask = (plugin: string) => {
        const run = t.call("VERSION", { cniVersion: "1.0.0" }, { bin, plugin });
        return JSON.parse(run.stdout).supportedVersions;
      };
      t.equal(ask("cnv-bridge"), ask("bridge"), "versions");
      t.expect(ask("bridge").includes("1.0.0"), "1.0.0 among the versions", ask("bridge"));
    }),
    ...["0.3.1", "0.4.0", "1.0.0", "1.1.0"].map((version, n) =>
      one(
        `B-02${"abcd"[n]}`,
        "G",
        "OpenShift Virtualization's guide",
        `${version}: ADD, CHECK from 0.4.0, DEL`,
        (t) => {
          makeBridge(t, "vlan_filtering 1", "br1");
          const text = readFileSync(`${t.settings.root}/plugins/bridge/examples/openshift-cnv-bridge.json`, "utf8");
          const config = { ...JSON.parse(text), cniVersion: version };
          const bin = called(t);
          const options = { ...bin, set: { CNI_ARGS: `IgnoreUnknown=true;MAC=${POD_MAC}` } };
          const prevResult = t.add(config, options);
          t.equal(
            prevResult.interfaces?.map(({ name }) => name).filter((name) => !name.startsWith("veth")),
            ["br1", "eth0"],
            "interfaces",
          );
          t.equal(t.link("eth0")?.mac, POD_MAC, "MAC");
          if (version !== "0.3.1") t.silent("CHECK", { ...config, prevResult }, options);
          t.silent("DEL", config, options);
          t.gone();
          t.equal(ports(t, "br1").length, 0, "ports");
        },
        ["kernel:vlan_filtering"],
      ),
    ),
    one("B-03", "G", "the called name is the plugin's", "type bridge as cnv-bridge, and the reverse: OK", (t) => {
      makeBridge(t);
      const { bin } = called(t);
      const other = { ...conf({}, "1.0.0"), type: "cnv-bridge" };
      t.add(conf({}, "1.0.0"), { bin, plugin: "cnv-bridge" });
      t.add(other, { bin, plugin: "bridge", set: { CNI_IFNAME: "net2" } });
      t.silent("DEL", conf({}, "1.0.0"), { bin, plugin: "bridge" });
      t.silent("DEL", other, { bin, plugin: "cnv-bridge", set: { CNI_IFNAME: "net2" } });
      t.equal(ports(t).length, 0, "ports");
    }),
    one("B-04", "G", "default", "no bridge key: cni0", (t) => {
      const { bridge: _, ...rest } = conf({}, "1.0.0");
      t.equal(t.add(rest).interfaces?.[0]?.name, "cni0", "bridge");
    }),
    ...names.map((bridge, n) =>
      refuses(`B-05${"abcdef"[n]}`, `bridge ${JSON.stringify(bridge)}`, { bridge }, /bridge/),
    ),
    ...["a/b", "a b", "sixteen-bytes-br"].map((bridge, n) =>
      refuses(`B-05${"hij"[n]}`, `bridge ${JSON.stringify(bridge)}`, { bridge }, /(at most|1 to) 15 bytes/),
    ),
    refuses("B-05g", "bridge names a NIC", { bridge: "up0" }, /up0.*not a bridge/),
    refuses("B-06", "hairpinMode and promiscMode", { hairpinMode: true, promiscMode: true }, /hairpin.*promisc/),
    refuses("B-07", "disableContainerInterface and ipam", { disableContainerInterface: true, ...hostLocal() }),
    ...[-1, 4095, "5", 1.5].map((vlan, n) =>
      refuses(`B-08${"abcd"[n]}`, `vlan ${JSON.stringify(vlan)}`, { vlan }, /vlan/),
    ),
    one("B-08e", "G", "Go's decoder", "vlan 1e2 is as Go has it: E", (t) => {
      const text = JSON.stringify(conf()).replace("{", '{"vlan":1e2,');
      const before = t.picture();
      const run = t.call("ADD", text, { plugin: "bridge" });
      if (run.status !== 0) t.unchangedSince(before);
      t.error(run);
    }),
    ...trunks.map(([what, vlanTrunk, cure], n) =>
      refuses(`B-09${"abcdef"[n]}`, `vlanTrunk ${what}`, { vlanTrunk }, cure),
    ),
    one("B-09g", "G", "1.1: vlanTrunk", "[] and null: none, on a bridge that filters nothing", (t) => {
      makeBridge(t);
      t.add(conf({ vlanTrunk: [] }, "1.0.0"));
      t.add(conf({ vlanTrunk: null }, "1.0.0"), { set: { CNI_IFNAME: "net2" } });
    }),
    refuses("B-09h", "vlanTrunk of 5,000 items", { vlanTrunk: Array.from({ length: 5000 }, () => ({ id: 5 })) }),
    ...strings.map((key, n) =>
      refuses(`B-10${"abcde"[n]}`, `${key} "true"`, { [key]: "true" }, new RegExp(`${key}.*true`)),
    ),
    refuses("B-10f", 'vlan "100"', { vlan: "100" }, /vlan.*100/),
    ...[-1, 67, 65536, 1.5].map((mtu, n) => refuses(`B-11${"abcd"[n]}`, `mtu ${mtu}`, { mtu }, /mtu/i)),
    one("B-11e", "G", "1.1: mtu", "0: the bridge's", (t) => {
      makeBridge(t, "", "br0");
      t.sh("ip link set up0 mtu 1400 master br0");
      t.add(conf({ mtu: 0 }, "1.0.0"));
      t.equal(t.link("eth0")?.mtu, 1400, "MTU");
    }),
    one("B-12", "H", "no black hole", "mtu above that of a bridge with ports: E that says so", (t) => {
      makeBridge(t);
      t.sh("ip link set up0 mtu 1400 master br0");
      const { msg } = t.refused("ADD", conf({ mtu: 9000 }));
      t.expect(/9000/.test(msg) && /1400/.test(msg), "a message with both", msg);
    }),
    one(
      "B-12b",
      "H",
      "a bridge that we found is left as it was",
      "a smaller mtu: it keeps MTU, addresses, routes",
      (t) => {
        makeBridge(t);
        t.sh(`ip link set up0 master br0; ip link add link br0 name up2 type macvlan; ip link set up2 up
        ip address add 2001:db8::1/64 dev br0 nodad; ip route add 2001:db8:7::/48 via 2001:db8::9`);
        const state = () =>
          t.sh(
            "ip -o link show br0; ip -o link show up2; ip -6 route | grep -v fe80 || true; ip -6 -br address show br0 || true",
          );
        const before = state().replace(/state \w+/g, "");
        for (const keys of [{ mtu: 600 }, { mtu: 1400, ...hostLocal() }]) {
          t.add(conf(keys));
          t.equal(t.link("eth0")?.mtu, keys.mtu, "the pod's MTU");
          t.equal(state().replace(/state \w+/g, ""), before, "the bridge beside it");
          t.silent("DEL", conf(keys));
          t.equal(state().replace(/state \w+/g, ""), before, "the bridge after DEL");
        }
      },
    ),
    one("B-12c", "H", "pods do not depend on each other", "a pod with a small mtu: others are as before", (t) => {
      const ranges = [[{ subnet: "10.61.0.0/24" }], [{ subnet: "fd00:61::/64" }]];
      const config = conf({ isGateway: true, ipam: { type: "host-local", ranges } });
      const prevResult = t.add(config);
      const small = pod(t, "c2");
      t.add(conf({ mtu: 600, name: "small" }), small);
      t.silent("CHECK", { ...config, prevResult });
      t.add(config, pod(t, "c3"));
      t.add(conf({ mtu: 1500, name: "large" }), pod(t, "c4"));
      t.silent("DEL", conf({ mtu: 600, name: "small" }), small);
      t.add(config, pod(t, "c5"));
      for (const ns of ["c1", "c3", "c4", "c5"]) t.equal(t.link("eth0", ns)?.mtu, 1500, `MTU in ${ns}`);
      t.equal(t.link("br0", "")?.mtu, 1500, "MTU of the bridge");
    }),
    one(
      "B-12e",
      "H",
      "no black hole",
      "mtu above one that somebody has set, on a bridge without ports: E, no port",
      (t) => {
        t.sh("ip link add br0 up type bridge; ip link set br0 mtu 1501; ip link set br0 mtu 1500");
        const { msg } = t.error(t.call("ADD", conf({ mtu: 9000 })), [7]);
        t.expect(/MTU/.test(msg), "the MTU", msg);
        t.gone();
      },
    ),
    one(
      "B-12f",
      "H",
      "the result describes each interface as ADD leaves it",
      "a larger mtu than that of a bridge without ports, of ours and of others: the bridge's MTU in the result",
      (t) => {
        t.sh("ip link add br1 up type bridge");
        t.add(conf());
        t.silent("DEL", conf());
        for (const bridge of ["br0", "br1"]) {
          const config = conf({ bridge, mtu: 9000 });
          const prevResult = t.add(config);
          demandAsTold(t, prevResult);
          t.silent("CHECK", { ...config, prevResult });
          t.silent("DEL", config);
        }
      },
    ),
    one("B-12d", "H", "C-096: CHECK holds", "another program's port makes the bridge smaller: CHECK OK", (t) => {
      makeBridge(t);
      const config = conf({ mtu: 1500 });
      const prevResult = t.add(config);
      t.sh("ip link set up0 mtu 1400 master br0");
      t.equal(t.link("br0", "")?.mtu, 1400, "MTU of the bridge");
      t.silent("CHECK", { ...config, prevResult });
    }),
    one(
      "B-13a",
      "G",
      "1.1: ipMasq only with IPAM",
      "without ipam: OK, no rule",
      (t) => {
        makeBridge(t);
        t.add(conf({ ipMasq: true }, "1.0.0"));
        t.equal(t.sh("nft list ruleset").trim(), "", "rules");
      },
      ["program:nft"],
    ),
    refuses("B-13b", 'ipMasqBackend "pf"', { ipMasq: true, ipMasqBackend: "pf", ...hostLocal() }, /ipMasqBackend/),
    one("B-14", "G", "Go's decoder folds keys", "Bridge, MACSPOOFCHK, unknown keys: OK", (t) => {
      makeBridge(t, "", "br5");
      t.add({
        cniVersion: "1.0.0",
        name: "net1",
        type: "bridge",
        Bridge: "br5",
        HAIRPINMODE: true,
        tuning: { x: [1] },
      });
      t.equal(ports(t, "br5").length, 1, "ports of br5");
      t.equal(portOf(t).hairpin, true, "hairpin");
    }),
    ...[1, 2, 3, 4, 5, 6, 7].map(macPlaces),
    ...["01:00:00:00:00:11", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "02:00:00:00:00:00:00:01", "x"].map((mac, n) =>
      withArgs(`B-16${"abcde"[n]}`, mac),
    ),
    ...["0200.0000.0021", "02-00-00-00-00-21", "020000000021", "02:00:00:00:00:2A"].map((mac, n) =>
      withArgs(`B-16${"fgih"[n]}`, mac, `02:00:00:00:00:2${n < 3 ? 1 : "a"}`),
    ),
    withArgs("B-16j", "0200000000210022"),
    netns("B-17a", "the plugin's own", "/proc/self/ns/net"),
    netns("B-17b", "missing", "/run/netns/none"),
    netns("B-17c", "a file", "/run/case/file"),
    netns("B-17d", "unmounted", "/run/netns/dead"),
    one("B-18", "H", "CNI_IFNAME is taken", "E, nothing left, the link as it was", (t) => {
      t.sh("ip -n c1 link add eth0 type veth peer name other");
      const { msg } = t.refused("ADD", conf(hostLocal()));
      t.expect(msg.includes("eth0"), "a message that names eth0", msg);
    }),
    one("B-19", "S", "C-120: interface plugins append", "prevResult kept, own indices shifted", (t) => {
      makeBridge(t);
      const prevResult = {
        cniVersion: "1.0.0",
        interfaces: [{ name: "eth9", sandbox: "/run/netns/c1" }],
        ips: [{ address: "192.0.2.77/24", interface: 0 }],
      };
      const result = t.add(conf({ ...fixed("10.61.0.5/24"), prevResult }, "1.0.0"));
      t.equal(result.interfaces?.length, 4, "interfaces");
      t.equal(
        result.ips?.map(({ address, interface: at }) => [address, at]),
        [
          ["192.0.2.77/24", 0],
          ["10.61.0.5/24", 3],
        ],
        "ips",
      );
    }),
    ...SPEC_VERSIONS.filter((version) => /^0\.[12]/.test(version)).map((version, n) =>
      one(`B-20${"ab"[n]}`, "H", "no result for it", `${version} without IPAM: E, nothing made`, (t) => {
        t.refused("ADD", conf({}, version));
      }),
    ),
    one("B-20c", "G", "old versions with IPAM", "0.2.0: OK", (t) => {
      makeBridge(t);
      const result = addDown(t, conf(hostLocal(), "0.2.0"));
      t.expect(result.ip4 !== undefined, "ip4", result);
      t.silent("DEL", conf(hostLocal(), "0.2.0"));
      t.equal(ports(t).length, 0, "ports");
    }),
    one("B-21x", "H", "two interfaces of a pod on one bridge", "both OK; DEL of one leaves the other", (t) => {
      const second = { set: { CNI_IFNAME: "net2" } };
      t.add(conf({}, "1.0.0"));
      t.add(conf({}, "1.0.0"), second);
      t.silent("DEL", conf({}, "1.0.0"));
      t.present("net2");
      t.equal(ports(t).length, 1, "ports");
    }),
  ],
};
