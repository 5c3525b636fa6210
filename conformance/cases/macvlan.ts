// macvlan: upstream's unit tests as black boxes (MV-1 to MV-8), for a master on the host and one in the container.
import { type Case, type CaseTable, rowsThatNeed, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { isOld, type Result, SPEC_VERSIONS } from "../harness/result.ts";
import type { Trial } from "../harness/trial.ts";
import { plain } from "./static.ts";

const needs = ["plugin:macvlan", "plugin:host-local"];
const MAC = "c2:11:22:33:44:55";
const SET = { CNI_CONTAINERID: "dummy", CNI_IFNAME: "macvl0" };
const POOL = { type: "host-local", subnet: "10.1.2.0/24" };

/** Where the master is: linkInContainer false, true, or not given. */
const PLACES = { host: { linkInContainer: false }, inside: { linkInContainer: true }, absent: {} } as const;
type Place = keyof typeof PLACES;

const config = (t: Trial, cniVersion: string, place: Place, keys: Config): Config => {
  if (place === "inside") {
    t.sh("ip -n c1 link add eth1 type veth peer name eth1p; ip -n c1 link set eth1 up; ip -n c1 link set eth1p up");
  }
  const master = place === "inside" ? "eth1" : "up0";
  return { cniVersion, name: "mynet", type: "macvlan", master, ...PLACES[place], ...keys };
};

const each = (
  id: string,
  expected: string,
  places: readonly Place[],
  run: (t: Trial, v: string, p: Place) => void,
): Case[] =>
  places.flatMap((place) =>
    SPEC_VERSIONS.map((version) => ({
      id: `${id}-${place}-${version}`,
      tag: "G" as const,
      requirement: `${id} of upstream's tests`,
      expected: `${version}, linkInContainer ${place}: ${expected}`,
      needs: [...needs, `spec:${version}:macvlan`],
      run: (t: Trial) => run(t, version, place),
    })),
  );

const v4 = (t: Trial) => t.link("macvl0")!.addresses.filter((a) => a.cidr.includes("."));

/** ADD, one address in result and kernel; CHECK where it exists; DEL. */
function cycle(t: Trial, conf: Config, check: boolean): void {
  if (conf.cniVersion === "1.1.0") t.silent("STATUS", conf, { set: SET });
  const prevResult = t.add(conf, { set: SET });
  t.equal(plain(prevResult).ips.length, 1, "addresses");
  t.equal(v4(t).length, 1, "v4 addresses of the link");
  if (!isOld(prevResult.cniVersion))
    t.equal(
      prevResult.interfaces?.map((i) => i.name),
      ["macvl0"],
      "interfaces",
    );
  const full = { ...conf, prevResult };
  if (check && /^(0\.4|1)/.test(String(conf.cniVersion))) t.silent("CHECK", full, { set: SET });
  else if (check) t.error(t.call("CHECK", full, { set: SET }), [1]);
  t.silent("DEL", conf, { set: SET });
  t.gone("macvl0");
}

/** ADD without IPAM. 0.1.0 and 0.2.0 have no result for it: refused, with or without the link upstream leaves. */
function linkOnly(t: Trial, conf: Config, args?: string): Result | undefined {
  const set = { ...SET, ...(args !== undefined && { CNI_ARGS: args }) };
  let result: Result | undefined;
  if (isOld(String(conf.cniVersion))) t.error(t.call("ADD", conf, { set }));
  else {
    result = t.add(conf, { set });
    t.expect((result.ips ?? []).length === 0, "no ips", result.ips);
    t.equal(v4(t).length, 0, "v4 addresses of the link");
  }
  return result;
}

function withMac(t: Trial, conf: Config, args?: string): void {
  const result = linkOnly(t, conf, args);
  if (result !== undefined) t.equal(result.interfaces?.[0]?.mac, MAC, "mac");
  t.silent("DEL", conf, { set: SET });
  t.gone("macvl0");
}

const one = rowsThatNeed(needs);

const mode = (value: string, n: number): Case =>
  one(`MVX-01${"abcd"[n]}`, "G", "mode", `${value}: link of that mode, CHECK OK`, (t) => {
    const conf = config(t, "1.0.0", "host", { mode: value, ipam: POOL });
    const prevResult = t.add(conf, { set: SET });
    t.equal(t.link("macvl0")?.data.mode, value, "mode");
    t.silent("CHECK", { ...conf, prevResult }, { set: SET });
  });

const refuses = (id: string, tag: Tag, label: string, keys: Config): Case =>
  one(id, tag, "C-140", `${label}: E, nothing left`, (t) => {
    t.refused("ADD", config(t, "1.0.0", "host", keys), [7, 4, 999], { set: SET });
  });

export const macvlan: CaseTable = {
  perMain: [],
  fixed: [
    ...each("MV-1", "a link of mode bridge, mtu 1500", ["absent"], (t, v) => {
      const conf = config(t, v, "absent", { mode: "bridge", mtu: 1500, ipam: POOL });
      t.add(conf, { set: { ...SET, CNI_IFNAME: "foobar0" } });
      t.equal(t.link("foobar0")?.kind, "macvlan", "kind");
    }),
    ...each("MV-2", "ADD and DEL with an address", ["host", "inside", "absent"], (t, v, p) => {
      cycle(t, config(t, v, p, { ipam: POOL }), false);
    }),
    ...each("MV-3", "DEL of what was never added: OK", ["absent"], (t, v) => {
      t.silent("DEL", config(t, v, "absent", { ipam: POOL }), { set: SET });
    }),
    ...each("MV-4", "ipam {}: a link without address; refused below 0.3.0", ["host", "inside", "absent"], (t, v, p) => {
      const conf = config(t, v, p, { ipam: {} });
      linkOnly(t, conf);
      t.silent("DEL", conf, { set: SET });
      t.gone("macvl0");
    }),
    ...each("MV-5", "ADD, CHECK, DEL", ["host", "inside", "absent"], (t, v, p) => {
      const ranges = [[{ subnet: "10.1.2.0/24", gateway: "10.1.2.1" }]];
      cycle(t, config(t, v, p, { name: "macvlanTestv4", ipam: { type: "host-local", ranges } }), true);
    }),
    ...each("MV-6", "without master: the default route's device", ["absent"], (t, v) => {
      t.sh("ip address add 192.0.0.1/24 dev up0; ip route add default via 192.0.0.254");
      const { master: _, ...conf } = config(t, v, "absent", { ipam: POOL });
      cycle(t, conf, false);
    }),
    ...each("MV-7", "MAC by CNI_ARGS", ["absent"], (t, v) => {
      withMac(t, config(t, v, "absent", { ipam: {} }), `IgnoreUnknown=true;MAC=${MAC}`);
    }),
    ...each("MV-8", "MAC by RuntimeConfig", ["absent"], (t, v) => {
      withMac(t, config(t, v, "absent", { ipam: {}, capabilities: { mac: true }, RuntimeConfig: { mac: MAC } }));
    }),
    ...["bridge", "private", "vepa", "passthru"].map(mode),
    refuses("MVX-02a", "G", "mac multicast", { mac: "01:00:00:00:00:01" }),
    refuses("MVX-02b", "G", "mac of eight bytes", { mac: "02:00:00:00:00:00:00:01" }),
    refuses("MVX-02c", "G", "bcqueuelen -1", { bcqueuelen: -1 }),
    ...["02-00-00-00-00-21", "0200.0000.0021"].map((mac, n) =>
      one(`MVX-03${"ab"[n]}`, "G", "1.7: forms of a MAC", `${mac}: 02:00:00:00:00:21`, (t) => {
        const result = t.add(config(t, "1.0.0", "host", { mac }), { set: SET });
        t.equal(result.interfaces?.[0]?.mac, "02:00:00:00:00:21", "mac");
      }),
    ),
    one(
      "MVX-04",
      "G",
      "bcqueuelen",
      "2000 reaches the kernel",
      (t) => {
        t.add(config(t, "1.0.0", "host", { bcqueuelen: 2000 }), { set: SET });
        t.equal(t.link("macvl0")?.data.bcqueuelen, 2000, "bcqueuelen");
      },
      ["kernel:bcqueuelen"],
    ),
    one(
      "MVX-04b",
      "H",
      "a kernel without bcqueuelen ignores it",
      "2000: E, nothing left",
      (t) => {
        t.refused("ADD", config(t, "1.0.0", "host", { bcqueuelen: 2000 }), [999], { set: SET });
      },
      ["kernel:no-bcqueuelen"],
    ),
    one("MVX-05", "G", "passthru is exclusive", "a second one on the master: E, nothing left", (t) => {
      t.add(config(t, "1.0.0", "host", { mode: "passthru" }), { set: SET });
      t.refused("ADD", config(t, "1.0.0", "host", { mode: "passthru" }), [7, 999, 50, 11], {
        set: { ...SET, CNI_IFNAME: "second" },
      });
    }),
    one("MVX-06", "H", "the master altered behind our back", "CHECK with another master of the link: E", (t) => {
      const conf = config(t, "1.0.0", "host", { ipam: POOL });
      const prevResult = t.add(conf, { set: SET });
      t.sh("ip link add other0 type veth peer name other1");
      t.error(t.call("CHECK", { ...conf, prevResult, master: "other0" }, { set: SET }));
    }),
    one(
      "MVX-07",
      "G",
      "an altname as master",
      "OK",
      (t) => {
        t.sh("ip link property add dev up0 altname the-name-of-the-uplink");
        t.add({ ...config(t, "1.0.0", "host", {}), master: "the-name-of-the-uplink" }, { set: SET });
      },
      ["kernel:altname"],
    ),
    one(
      "MVX-07b",
      "H",
      "a kernel without altnames",
      "a master's name of 22 characters: E, nothing left, DEL OK",
      (t) => {
        const conf = { ...config(t, "1.0.0", "host", {}), master: "the-name-of-the-uplink" };
        const { msg } = t.refused("ADD", conf, [7, 999], { set: SET });
        t.expect(!msg.includes("invalid argument"), "what is missing", msg);
        t.silent("DEL", conf, { set: SET });
      },
      ["kernel:no-altname"],
    ),
    one("MVX-08", "H", "no temporary name", "host and container never show another name", (t) => {
      const watch = "ip monitor link >/run/case-host 2>&1 & ip -n c1 monitor link >/run/case-c1 2>&1 & sleep 0.3";
      const conf = config(t, "1.0.0", "host", { ipam: POOL });
      t.add(conf, { set: SET, wrap: `${watch}; "$@"; s=$?; sleep 0.2; exit $s` });
      const names = (t.read("/run/case-host") + t.read("/run/case-c1")).match(/^(Deleted )?\d+: [^:@ ]+[:@]/gm) ?? [];
      const foreign = [...new Set(names.map((line) => line.split(/[ :@]+/).at(-2)!))].filter(
        (name) => !/^(macvl0|up[01]|lo)$/.test(name),
      );
      t.equal(foreign, [], "other names");
    }),
    one("MVX-09", "H", "the announcement sysctls of the reference", "arp_notify is 1", (t) => {
      t.add(config(t, "1.0.0", "host", { ipam: POOL }), { set: SET });
      t.equal(t.sh("ip netns exec c1 cat /proc/sys/net/ipv4/conf/macvl0/arp_notify").trim(), "1", "arp_notify");
    }),
  ],
};
