// IPAM host-local: upstream's unit tests of the plugin and of the format of its files.
import { type Case, type CaseTable, row, rowsByVersion } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { isMiddle, isOld, SPEC_VERSIONS } from "../harness/result.ts";
import type { Trial } from "../harness/trial.ts";
import { ATTACHMENT, plain, samePlain } from "./static.ts";

const needs = ["plugin:host-local"];
const DIR = "/var/lib/cni/networks";

const config = (cniVersion: string, ipam: Config, extra: Config = {}): Config => ({
  cniVersion,
  name: "mynet",
  type: "ipvlan",
  master: "foo0",
  ipam: { type: "host-local", ...ipam },
  ...extra,
});

const options = (set: Record<string, string> = {}) => ({
  plugin: "host-local",
  set: { ...ATTACHMENT, ...set },
  ipam: true,
});
const add = (t: Trial, conf: Config, set = {}) => t.add(conf, options(set));
const addresses = (t: Trial, conf: Config, set = {}) => plain(add(t, conf, set)).ips.map(([address]) => address);
const del = (t: Trial, conf: Config, set = {}) => t.silent("DEL", conf, options(set));
const fails = (t: Trial, conf: Config, set = {}) => t.refused("ADD", conf, [4, 7, 11, 999], options(set));

const each = rowsByVersion("host-local", SPEC_VERSIONS);

const one = (id: string, requirement: string, expected: string, run: (t: Trial) => void, tag: "G" | "H" = "G"): Case =>
  row(id, tag, requirement, expected, run, { needs });

function twoFamilies(t: Trial, version: string): void {
  t.write("/run/resolv.conf", "nameserver 192.0.2.3\n");
  const routes = [
    { dst: "0.0.0.0/0" },
    { dst: "::/0" },
    { dst: "192.168.0.0/16", gw: "1.1.1.1" },
    { dst: "2001:db8:2::0/64", gw: "2001:db8:3::1" },
  ];
  const ranges = [[{ subnet: "10.1.2.0/24" }, { subnet: "10.2.2.0/24" }], [{ subnet: "2001:db8:1::0/64" }]];
  const conf = config(version, { ranges, routes, resolvConf: "/run/resolv.conf" });
  const run = t.call("ADD", conf, options());
  const result = t.result(run, version, { ipam: true });
  const order = isOld(version) ? [0, 2, 1, 3] : [0, 1, 2, 3];
  samePlain(t, result, {
    ips: [
      ["10.1.2.2/24", "10.1.2.1"],
      ["2001:db8:1::2/64", "2001:db8:1::1"],
    ],
    routes: order.map((n) => [routes[n]!.dst, routes[n]!.gw] as [string, string?]),
  });
  t.equal(result.dns, { nameservers: ["192.0.2.3"] }, "dns");
  if (isMiddle(version)) t.expect(run.stdout.includes('"version":'), '"version": in the output', run.stdout);
  for (const file of ["10.1.2.2", "2001:db8:1::2"]) t.equal(t.read(`${DIR}/mynet/${file}`), "dummy\r\neth0", file);
  t.equal(t.read(`${DIR}/mynet/last_reserved_ip.0`), "10.1.2.2", "cursor 0");
  t.equal(t.read(`${DIR}/mynet/last_reserved_ip.1`), "2001:db8:1::2", "cursor 1");
  del(t, conf);
  t.leaseCount(0, "mynet");
}

function twoNetworks(t: Trial, version: string): void {
  const [one, two] = [
    config(version, { subnet: "10.1.2.0/24" }, { name: "mynet0" }),
    config(version, { subnet: "10.2.2.0/24" }, { name: "mynet1" }),
  ];
  const eth1 = { CNI_IFNAME: "eth1" };
  add(t, one);
  add(t, two, eth1);
  t.equal(t.read(`${DIR}/mynet0/10.1.2.2`), "dummy\r\neth0", "lease");
  t.equal(t.read(`${DIR}/mynet1/10.2.2.2`), "dummy\r\neth1", "lease");
  del(t, one);
  t.leaseCount(0, "mynet0");
  t.leaseCount(1, "mynet1");
  del(t, two, eth1);
  t.leaseCount(0, "mynet1");
}

function duplicate(t: Trial, version: string): void {
  const conf = config(version, { subnet: "10.1.2.0/24" });
  const other = { CNI_CONTAINERID: "dummy1" };
  t.equal(addresses(t, conf), ["10.1.2.2/24"], "address");
  fails(t, conf);
  t.equal(addresses(t, conf, other), ["10.1.2.3/24"], "address");
  fails(t, conf);
  del(t, conf);
  t.leaseCount(1, "mynet");
  del(t, conf, other);
  t.leaseCount(0, "mynet");
}

const NET12 = "10.1.2.0/24";
const requested = (version: string, ranges: unknown, ips: readonly string[]) =>
  config(version, { ranges }, { args: { cni: { ips } } });

const resolvConf = (id: string, text: string, dns: Config): Case =>
  one(id, "resolv.conf", JSON.stringify(text), (t) => {
    t.write("/run/resolv.conf", text);
    t.equal(add(t, config("1.0.0", { subnet: NET12, resolvConf: "/run/resolv.conf" })).dns, dns, "dns");
  });

const LONG = `; comment
# comment
nameserver 192.0.2.0
nameserver 192.0.2.2
domain example.com
search example.net example.org
search example.gov
options one two
options three four
sortlist 1.2.3.4
`;

export const hostLocal: CaseTable = {
  perMain: [],
  fixed: [
    ...each("HL-1", "HL-1", "both addresses, four routes, dns, exact files; DEL removes them", twoFamilies),
    ...each("HL-2", "HL-2 two networks", "DEL of one leaves the other", twoNetworks),
    ...each("HL-3", "HL-3 the same attachment again", "E; the next container gets the next address", duplicate),
    ...each("HL-4", "HL-4 a lease in the old format", "DEL removes it", (t, v) => {
      const conf = config(v, { subnet: NET12 });
      add(t, conf);
      t.write(`${DIR}/mynet/10.1.2.2`, "dummy");
      del(t, conf);
      t.leaseCount(0, "mynet");
    }),
    ...each("HL-5", "HL-5 DEL of an unknown container", "OK", (t, v) => del(t, config(v, { subnet: NET12 }))),
    one("HL-6", "HL-6 white space around the ID", "E(4) as a black box", (t) => {
      t.error(t.call("ADD", config("1.0.0", { subnet: NET12 }), options({ CNI_CONTAINERID: "   dummy\n " })), [4]);
    }),
    ...each("HL-7", "HL-7 first ADD in a fresh directory", "no complaint about a missing cursor", (t, v) => {
      const run = t.call("ADD", config(v, { subnet: NET12 }), options());
      t.expect(!`${run.stdout}${run.stderr}`.includes("last reserved"), "no complaint", run.stderr);
    }),
    ...each("HL-8", "HL-8 an address by args.cni.ips", "exactly that", (t, v) => {
      t.equal(addresses(t, requested(v, [[{ subnet: NET12 }]], ["10.1.2.88"])), ["10.1.2.88/24"], "addresses");
    }),
    ...each("HL-9", "HL-9 two sets of one family", "both in order; E below 0.3.0", (t, v) => {
      const conf = requested(v, [[{ subnet: NET12 }], [{ subnet: "10.1.3.0/24" }]], ["10.1.2.88", "10.1.3.77"]);
      if (isOld(v)) fails(t, conf);
      else t.equal(addresses(t, conf), ["10.1.2.88/24", "10.1.3.77/24"], "addresses");
    }),
    ...each("HL-10", "HL-10 two families", "both", (t, v) => {
      const ranges = [[{ subnet: "172.16.1.0/24" }, { subnet: NET12 }], [{ subnet: "2001:db8:1::/48" }]];
      const conf = requested(v, ranges, ["10.1.2.88", "2001:db8:1::999"]);
      t.equal(addresses(t, conf), ["10.1.2.88/24", "2001:db8:1::999/48"], "addresses");
    }),
    ...each("HL-11", "HL-11 two requests in one set", "E, nothing reserved", (t, v) => {
      fails(t, requested(v, [[{ subnet: NET12 }], [{ subnet: "10.1.3.0/24" }]], ["10.1.2.88", "10.1.2.77"]));
    }),
    resolvConf("HL-D1", "\n\tnameserver 192.0.2.0\n  nameserver 192.0.2.1\n", {
      nameservers: ["192.0.2.0", "192.0.2.1"],
    }),
    resolvConf("HL-D2", "nameserver 192.0.2.0\n;nameserver 192.0.2.1\n", { nameservers: ["192.0.2.0"] }),
    resolvConf("HL-D3", LONG, {
      nameservers: ["192.0.2.0", "192.0.2.2"],
      domain: "example.com",
      search: ["example.net", "example.org", "example.gov"],
      options: ["one", "two", "three", "four"],
    }),
    row(
      "HL-L1",
      "G",
      "HL-L2: the lock is flock(2) on the file lock",
      "ADD waits while another holds it",
      (t) => {
        const conf = config("1.0.0", { subnet: NET12 });
        t.sh(`mkdir -p ${DIR}/mynet; : >${DIR}/mynet/lock`);
        t.holdLock(`${DIR}/mynet/lock`, 1.5);
        const run = t.call("ADD", conf, options());
        t.result(run, "1.0.0", { ipam: true });
        t.expect(run.ms > 900, "a wait for the lock", `${run.ms} ms`);
      },
      { needs: [...needs, "program:flock"] },
    ),
    one("HLX-01", "modes of the files", "directory 0755, lease 0600", (t) => {
      add(t, config("1.0.0", { subnet: NET12 }));
      t.equal(t.sh(`stat -c %a ${DIR}/mynet ${DIR}/mynet/10.1.2.2`).trim().split("\n"), ["755", "600"], "modes");
    }),
    one(
      "HLX-02",
      "a failed second ADD must not release the lease of the first",
      "requested and taken: E, the lease stays",
      (t) => {
        const conf = config("1.0.0", {
          ranges: [[{ subnet: NET12 }], [{ subnet: "10.1.3.0/30", rangeEnd: "10.1.3.2" }]],
        });
        t.write(`${DIR}/mynet/10.1.3.2`, "other\r\neth0");
        add(t, config("1.0.0", { ranges: [[{ subnet: NET12 }]] }));
        fails(t, { ...conf, args: { cni: { ips: ["10.1.2.99"] } } });
        t.equal(t.read(`${DIR}/mynet/10.1.2.2`), "dummy\r\neth0", "lease of the first ADD");
      },
      "H",
    ),
    one(
      "HLX-03",
      "an empty lease file may be that of a pod, until the runtime says that there is none",
      "a full pool but for an empty file: E; after GC without attachments that address",
      (t) => {
        t.write(`${DIR}/mynet/10.1.2.2`, "");
        const conf = config("1.1.0", { subnet: "10.1.2.0/30" });
        fails(t, conf);
        const none = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" };
        t.silent("GC", { ...conf, "cni.dev/valid-attachments": [] }, options(none));
        t.equal(addresses(t, conf), ["10.1.2.2/30"], "addresses");
      },
      "H",
    ),
    one("HLX-04", "CHECK", "OK after ADD, E for an unknown container", (t) => {
      const conf = config("1.0.0", { subnet: NET12 });
      const prevResult = add(t, conf);
      t.silent("CHECK", { ...conf, prevResult }, options());
      t.error(t.call("CHECK", { ...conf, prevResult }, options({ CNI_CONTAINERID: "other" })));
    }),
    one(
      "HLX-05",
      "a lease that happens to look like a cursor",
      "DEL of a container named like an address keeps the cursor",
      (t) => {
        const conf = config("1.0.0", { subnet: NET12 });
        add(t, conf);
        del(t, conf, { CNI_CONTAINERID: "10.1.2.2" });
        t.expect(t.sh(`ls ${DIR}/mynet`).includes("last_reserved_ip.0"), "the cursor", "it is gone");
      },
      "H",
    ),
    ...["no IP addresses available in range set", "duplicate allocation is not allowed", "is not available"].map(
      (text, n) =>
        one(`HLX-06${"abc"[n]}`, "8.1: texts that consumers look for", text, (t) => {
          const conf = config("1.0.0", { subnet: "10.1.2.0/30" });
          add(t, conf);
          const wish = n === 2 ? { args: { cni: { ips: ["10.1.2.2"] } } } : {};
          const { msg } = fails(t, { ...conf, ...wish }, n === 1 ? {} : { CNI_CONTAINERID: "other" });
          t.expect(msg.includes(text), text, msg);
        }),
    ),
    one("HLX-07", "a lease written with LF alone is not ours", "kept by DEL", (t) => {
      t.write(`${DIR}/mynet/10.1.2.5`, "dummy\neth0");
      del(t, config("1.0.0", { subnet: NET12 }));
      t.leaseCount(1, "mynet");
    }),
    ...["", "\\0\\0\\0"].map((text, n) =>
      one(
        `HLX-09${"ab"[n]}`,
        "an address that may be in use is not handed out",
        `a lease that was ${n === 0 ? "emptied" : "overwritten with zeros"} is taken`,
        (t) => {
          const conf = config("1.0.0", { subnet: NET12 });
          add(t, conf);
          t.sh(`printf '${text}' >${DIR}/mynet/10.1.2.2; rm ${DIR}/mynet/last_reserved_ip.0`);
          t.equal(addresses(t, conf, { CNI_CONTAINERID: "other" }), ["10.1.2.3/24"], "addresses");
        },
        "H",
      ),
    ),
    one("HLX-08", "white space around a lease's text is tolerated", "released by DEL", (t) => {
      t.write(`${DIR}/mynet/10.1.2.5`, "dummy\r\neth0\n");
      del(t, config("1.0.0", { subnet: NET12 }));
      t.leaseCount(0, "mynet");
    }),
    ...(["a file", "a loop of links", "a link that leads nowhere"] as const).flatMap((what, n) =>
      [`${DIR}/mynet`, DIR].map((place, m) =>
        one(
          `HLX-10${"abcdef"[2 * n + m]}`,
          "what cannot be looked at is not known to be empty",
          `${what} stands where ${place} was: DEL and GC: E, which names it; DEL releases when it is back`,
          (t) => {
            const conf = config("1.1.0", { subnet: NET12 });
            const prevResult = add(t, conf);
            const plant = [":>", `ln -s ${place}`, "ln -s /var/lib/cni/unplugged"][n];
            t.sh(`mv ${place} /var/lib/cni/away; ${plant} ${place}`);
            const none = { CNI_CONTAINERID: "", CNI_NETNS: "", CNI_IFNAME: "" };
            for (const run of [
              t.call("DEL", conf, options()),
              t.call("DEL", { ...conf, prevResult }, options()),
              t.call("GC", { ...conf, "cni.dev/valid-attachments": [] }, options(none)),
            ]) {
              const { msg, details = "" } = t.error(run);
              t.expect(`${msg} ${details}`.includes(place), place, `${msg} ${details}`);
            }
            t.sh(`rm ${place}; mv /var/lib/cni/away ${place}`);
            t.leaseCount(1, "mynet");
            del(t, conf);
            t.leaseCount(0, "mynet");
          },
          "H",
        ),
      ),
    ),
    one(
      "HLX-12",
      "leases of a backup are leases",
      "leases were restored in place, with the directory's time: DEL releases them",
      (t) => {
        const conf = config("1.0.0", { subnet: NET12 });
        const second = { CNI_CONTAINERID: "second" };
        add(t, conf);
        add(t, conf, second);
        t.sh(`cp -a ${DIR}/mynet /run/backup`);
        del(t, conf);
        del(t, conf, second);
        t.leaseCount(0, "mynet");
        t.sh(`cp -a /run/backup/. ${DIR}/mynet/`);
        del(t, conf);
        del(t, conf, second);
        t.leaseCount(0, "mynet");
      },
      "H",
    ),
    one(
      "HLX-11",
      "who planted a link must not keep a pod from ending",
      "a link in /var/tmp as dataDir: ADD: E; DEL of what no ADD got: OK; DEL of what an ADD got: E",
      (t) => {
        const conf = config("1.1.0", { subnet: NET12, dataDir: "/var/tmp/pool" });
        t.sh("mount -t tmpfs -o mode=1777 tmpfs /var/tmp; mkdir /var/tmp/elsewhere; ln -s elsewhere /var/tmp/pool");
        fails(t, conf);
        del(t, conf);
        t.error(t.call("DEL", { ...conf, prevResult: { ips: [{ address: "10.1.2.2/24" }] } }, options()));
      },
      "H",
    ),
  ],
};
