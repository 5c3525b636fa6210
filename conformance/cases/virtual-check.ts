// CHECK of an interface on a master: holds right after ADD, and fails for each single thing that is changed behind its back.
import { type CaseTable, type MainCase, row } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { ipvl } from "./virtual.ts";

const ADDRESS = { address: "198.51.100.5/24", gateway: "198.51.100.1" };
const ROUTES = { routes: [{ dst: "203.0.113.0/24" }, { dst: "192.0.2.0/24", table: 500 }] };
const addressed = (t: Trial, keys: Config) => t.withStatic([ADDRESS], ROUTES, { cniVersion: "1.1.0", ...keys });

/** One thing is changed behind the plugin's back; CHECK, which held before, must fail. */
const notices = (
  id: string,
  what: string,
  change: (t: Trial) => string,
  mains = ["macvlan", "ipvlan"],
  keys: Config = {},
): MainCase =>
  row(
    id,
    "H",
    "C-093: what ADD made is missing or altered",
    `${what}: E`,
    (t) => {
      const conf = addressed(t, keys);
      const full = { ...conf, prevResult: t.add(conf) };
      t.silent("CHECK", full);
      t.sh(change(t));
      t.error(t.call("CHECK", full));
    },
    { only: mains, needs: ["plugin:static", "spec:1.1.0"] },
  );

/** The same interface again, on another master. */
const elsewhere = (t: Trial): string => {
  const { mac } = t.link("eth0")!;
  const [address, masters] = t.main.kind === "macvlan" ? [`address ${mac}`, ""] : ["", `address ${mac}`];
  return `
    ip link add up9 type veth peer name up9p; ip link set up9 ${masters} up; ip link set up9p up
    ip -n c1 link del eth0; ip link add link up9 name eth0 ${address} netns c1 type ${t.main.kind} mode ${t.main.kind === "macvlan" ? "bridge" : "l2"}
    ip -n c1 link set eth0 up; ip -n c1 address add 198.51.100.5/24 dev eth0
    ip -n c1 route add 203.0.113.0/24 via 198.51.100.1; ip -n c1 route add 192.0.2.0/24 via 198.51.100.1 table 500`;
};

export const virtualCheck: CaseTable = {
  perMain: [
    notices("VRT-20", "MTU changed", () => "ip -n c1 link set eth0 mtu 1300"),
    notices("VRT-21", "the address removed", () => "ip -n c1 address del 198.51.100.5/24 dev eth0"),
    notices("VRT-22", "a route of another table removed", () => "ip -n c1 route del 192.0.2.0/24 table 500"),
    notices(
      "VRT-23",
      "a route made through another gateway's subnet",
      () => "ip -n c1 route replace 203.0.113.0/24 via 198.51.100.9",
    ),
    notices("VRT-24", "the interface down", () => "ip -n c1 link set eth0 down"),
    notices("VRT-25", "MAC changed", () => "ip -n c1 link set eth0 address 02:00:00:00:00:99", ["macvlan"]),
    notices("VRT-26", "mode changed", () => "ip -n c1 link set eth0 type macvlan mode private", ["macvlan"]),
    notices(
      "VRT-27",
      "mode changed, with that of the master",
      () => `ip netns add c9; ${ipvl("x", "up0", "l3", "c9")}`,
      ["ipvlan"],
    ),
    notices("VRT-28", "the interface made again on another master", elsewhere),
    notices("VRT-29", "the master down", () => "ip link set up0 down"),
    notices("VRT-30", "the one route of the main table removed", () => "ip -n c1 route del 203.0.113.0/24"),
    notices(
      "VRT-31",
      "the route led to another device",
      () => `ip -n c1 link add dead0 type veth peer name dead1
      ip -n c1 link set dead0 up; ip -n c1 route replace 203.0.113.0/24 dev dead0`,
    ),
    notices(
      "VRT-32",
      "another prefix length",
      () => `ip -n c1 address del 198.51.100.5/24 dev eth0
      ip -n c1 address add 198.51.100.5/25 dev eth0
      ip -n c1 route replace 203.0.113.0/24 via 198.51.100.1; ip -n c1 route replace 192.0.2.0/24 via 198.51.100.1 table 500`,
    ),
    notices("VRT-33", "bcqueuelen changed", () => "ip -n c1 link set eth0 type macvlan bcqueuelen 77", ["macvlan"], {
      bcqueuelen: 2000,
    }),
    notices(
      "VRT-34",
      "flag changed, with that of the master",
      () => `ip netns add c9; ${ipvl("x", "up0", "l2 vepa", "c9")}`,
      ["ipvlan"],
    ),
    notices(
      "VRT-35",
      "made again as another kind",
      () => `ip -n c1 link del eth0
      ip link add other0 type veth peer name eth0 netns c1; ip -n c1 link set eth0 up; ip link set other0 up
      ip -n c1 address add 198.51.100.5/24 dev eth0
      ip -n c1 route add 203.0.113.0/24 via 198.51.100.1; ip -n c1 route add 192.0.2.0/24 via 198.51.100.1 table 500`,
    ),
  ],
  fixed: [],
};
