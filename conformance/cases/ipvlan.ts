// ipvlan: upstream's unit tests as black boxes (IV-1 to IV-5) and what its documentation promises.
// Needs a kernel with ipvlan; elsewhere every case is not-run.
import { type Case, type CaseTable, row, rowsThatNeed, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";

const needs = ["plugin:ipvlan", "plugin:host-local"];
const SET = { CNI_CONTAINERID: "dummy", CNI_IFNAME: "ipvl0" };
const POOL = { type: "host-local", subnet: "10.1.2.0/24" };

const config = (t: Trial, inside: boolean, keys: Config): Config => {
  if (inside) {
    t.sh("ip -n c1 link add eth1 type veth peer name eth1p; ip -n c1 link set eth1 up; ip -n c1 link set eth1p up");
  }
  const master = inside ? "eth1" : "up0";
  return { cniVersion: "1.0.0", name: "mynet", type: "ipvlan", master, linkInContainer: inside, ...keys };
};

const both = (id: string, expected: string, run: (t: Trial, inside: boolean) => void): Case[] =>
  [false, true].map((inside) =>
    row(`${id}-${inside ? "inside" : "host"}`, "G", `${id} of upstream's tests`, expected, (t) => run(t, inside), {
      needs,
    }),
  );

const one = rowsThatNeed(needs);

function cycle(t: Trial, conf: Config, master = String(conf.master)): void {
  const prevResult = t.add(conf, { set: SET });
  t.equal(
    prevResult.interfaces?.map((i) => i.name),
    ["ipvl0"],
    "interfaces",
  );
  t.equal(prevResult.ips?.length, 1, "addresses");
  t.equal(t.link("ipvl0")?.addresses.filter((a) => a.cidr.includes(".")).length, 1, "v4 addresses of the link");
  const ipam = conf.ipam === undefined ? null : { type: "host-local", ranges: [[{ subnet: "10.1.2.0/24" }]] };
  const full = { ...conf, master, ipam, prevResult };
  t.silent("CHECK", full, { set: SET });
  t.silent("DEL", full, { set: SET });
  t.gone("ipvl0");
}

const mode = (value: string, n: number): Case =>
  one(`IVX-01${"abc"[n]}`, "G", "mode", `${value}: link of that mode with the master's MAC, CHECK OK`, (t) => {
    const conf = config(t, false, { mode: value, ipam: POOL });
    const prevResult = t.add(conf, { set: SET });
    t.equal(t.link("ipvl0")?.data.mode, value, "mode");
    t.equal(t.link("ipvl0")?.mac, t.link("up0", "")?.mac, "MAC");
    t.silent("CHECK", { ...conf, prevResult }, { set: SET });
    t.error(t.call("CHECK", { ...conf, mode: value === "l3" ? "l2" : "l3", prevResult }, { set: SET }));
  });

const refuses = (id: string, tag: Tag, label: string, keys: Config, setup = "true"): Case =>
  one(id, tag, "C-140", `${label}: E, nothing left`, (t) => {
    const conf = config(t, false, { ipam: POOL, ...keys });
    t.sh(setup);
    t.refused("ADD", conf, "any", { set: SET });
  });

export const ipvlan: CaseTable = {
  perMain: [],
  fixed: [
    ...both("IV-1", "a link of mode l2, mtu 1500", (t, inside) => {
      const ipam = { type: "static", addresses: [{ address: "10.1.2.5/24" }] };
      t.add(config(t, inside, { mode: "l2", mtu: 1500, ipam }), { set: { ...SET, CNI_IFNAME: "foobar0" } });
      t.equal(t.link("foobar0")?.kind, "ipvlan", "kind");
    }),
    ...both("IV-2", "ADD, CHECK, DEL", (t, inside) => cycle(t, config(t, inside, { ipam: POOL }))),
    ...both("IV-3", "chained: addresses of prevResult, master its interface", (t, inside) => {
      const { master, ...conf } = config(t, inside, {});
      const prevResult = {
        interfaces: [{ name: master }],
        ips: [{ version: "4", address: "10.1.2.2/24", gateway: "10.1.2.1", interface: 0 }],
        routes: [],
      };
      const result = t.add({ ...conf, prevResult }, { set: SET });
      const own = result.interfaces?.filter((i) => i.name === "ipvl0");
      t.equal(own?.length, 1, "own interfaces");
      const later = { ...conf, master, ipam: null, prevResult: result };
      t.silent("CHECK", later, { set: SET });
      t.silent("DEL", later, { set: SET });
      t.gone("ipvl0");
    }),
    ...both("IV-4", "DEL of what was never added: OK", (t, inside) =>
      t.silent("DEL", config(t, inside, { ipam: POOL }), { set: SET }),
    ),
    ...both("IV-5", "without master: the default route's device", (t, inside) => {
      const { master, ...conf } = config(t, inside, { ipam: POOL });
      const ip = inside ? "ip -n c1" : "ip";
      t.sh(`${ip} address add 192.0.0.1/24 dev ${master}; ${ip} route add default via 192.0.0.254`);
      cycle(t, conf, String(master));
    }),
    ...["l2", "l3", "l3s"].map(mode),
    ...["bridge", "private", "vepa"].map((flag, n) =>
      one(`IVX-02${"abc"[n]}`, "H", "option flag", `${flag}: reaches the kernel`, (t) => {
        t.add(config(t, false, { flag, ipam: POOL }), { set: SET });
        t.equal(JSON.stringify(t.link("ipvl0")?.data).includes(flag), true, `flag ${flag}`);
      }),
    ),
    one("IVX-03", "S", "C-081", "DEL without master after the default route vanished: OK, lease freed", (t) => {
      const { master, ...conf } = config(t, false, { ipam: POOL });
      t.sh(`ip address add 192.0.0.1/24 dev ${master}; ip route add default via 192.0.0.254`);
      t.add(conf, { set: SET });
      t.sh("ip route del default");
      t.silent("DEL", conf, { set: SET });
      t.gone("ipvl0");
      t.leaseCount(0, "mynet");
    }),
    one("IVX-04", "S", "C-096", "CHECK without master right after ADD: OK", (t) => {
      const { master, ...conf } = config(t, false, { ipam: POOL });
      t.sh(`ip address add 192.0.0.1/24 dev ${master}; ip route add default via 192.0.0.254`);
      const prevResult = t.add(conf, { set: SET });
      t.silent("CHECK", { ...conf, prevResult }, { set: SET });
    }),
    one("IVX-05", "S", "C-041", "the name is taken: E, neither link nor lease left", (t) => {
      t.sh("ip -n c1 link add ipvl0 type veth peer name other");
      t.refused("ADD", config(t, false, { ipam: POOL }), "any", { set: SET });
    }),
    one("IVX-06", "H", "L2 without IPAM", "a link without address: OK", (t) => {
      t.add(config(t, false, { mode: "l2" }), { set: SET });
    }),
    one(
      "IVX-07",
      "H",
      "the mode belongs to the master",
      "a second network in another mode: E, the first keeps its mode",
      (t) => {
        t.add(config(t, false, { mode: "l2", ipam: POOL }), { set: SET });
        t.refused("ADD", config(t, false, { mode: "l3", name: "other", ipam: POOL }), "any", {
          set: { ...SET, CNI_IFNAME: "second" },
        });
        t.equal(t.link("ipvl0")?.data.mode, "l2", "mode");
      },
    ),
    refuses("IVX-08a", "G", "mode bogus", { mode: "bogus" }),
    refuses("IVX-08b", "G", "master missing", { master: "nosuch0" }),
    refuses("IVX-08c", "H", "mtu above the master's", { mtu: 9000 }),
    refuses("IVX-08d", "G", "no prevResult, no master, no default route", { master: "" }),
    refuses("IVX-08e", "G", "the master serves macvlan", {}, "ip link add mv0 link up0 type macvlan"),
    one(
      "IVX-09",
      "G",
      "routes of l3 need no gateway",
      "a default route without gateway: in the kernel, CHECK OK",
      (t) => {
        const conf = config(t, false, { mode: "l3", ipam: { ...POOL, routes: [{ dst: "0.0.0.0/0", gw: "0.0.0.0" }] } });
        const prevResult = t.add(conf, { set: SET });
        t.silent("CHECK", { ...conf, prevResult }, { set: SET });
      },
    ),
    one("IVX-10", "G", "chained with two interfaces and no master", "E, nothing left", (t) => {
      const { master: _, ...conf } = config(t, false, {});
      const prevResult = { interfaces: [{ name: "up0" }, { name: "up1" }], ips: [{ address: "10.1.2.2/24" }] };
      t.refused("ADD", { ...conf, prevResult }, "any", { set: SET });
    }),
  ],
};
