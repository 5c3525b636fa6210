// DEL: everything comes back, whatever is missing.
import { type CaseTable, Mismatch, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { CallOptions } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

const virtual = { only: ["macvlan", "ipvlan"] };

/** After a DEL with the changed configuration nothing is held any more. */
const cleans = (t: Trial, change: (conf: Config) => Config, options: CallOptions = {}, before = "") => {
  const conf = t.l3();
  const start = t.picture();
  const prevResult = t.add(conf);
  t.sh(before || "true");
  t.silent("DEL", change({ ...conf, prevResult }), options);
  t.gone();
  t.leaseCount(0);
  if (before === "") t.unchangedSince(start, "", false);
};

export const del: CaseTable = {
  perMain: [
    row(
      "DEL-01",
      "S",
      "C-080, C-085",
      "after ADD, with prevResult: OK, no output; host, container and state as before",
      (t) => {
        cleans(t, (conf) => conf);
      },
    ),
    row("DEL-02", "S", "C-082: repeated DEL", "three times more: OK", (t) => {
      const conf = t.l3();
      t.add(conf);
      for (let n = 0; n < 4; n++) t.silent("DEL", conf);
    }),
    row("DEL-03", "S", "C-083", "without prevResult: OK", (t) => cleans(t, ({ prevResult: _, ...rest }) => rest)),
    row("DEL-04", "H", "C-081, C-086", "never added: OK, and no state is created", (t) => {
      const before = t.sh("find /var/lib/cni | sort");
      t.silent("DEL", t.l3());
      t.equal(t.sh("find /var/lib/cni | sort"), before, "files");
    }),
    row("DEL-05a", "S", "C-083", "prevResult null: OK", (t) => cleans(t, (conf) => ({ ...conf, prevResult: null }))),
    row("DEL-05b", "S", "C-081", "prevResult of another version: OK", (t) => {
      cleans(t, (conf) => ({ ...conf, prevResult: { ...(conf.prevResult as Config), cniVersion: "0.2.0" } }));
    }),
    row("DEL-05c", "S", "C-081", "prevResult with garbage addresses: OK", (t) => {
      cleans(t, (conf) => ({ ...conf, prevResult: { ...(conf.prevResult as Config), ips: [{ address: "x" }] } }));
    }),
    row("DEL-06", "H", "C-081", 'prevResult "x": OK', (t) => cleans(t, (conf) => ({ ...conf, prevResult: "x" }))),
    row("DEL-07", "S", "C-083", "without CNI_NETNS: OK, address released", (t) => {
      const conf = t.l3();
      t.add(conf);
      t.silent("DEL", conf, { set: { CNI_NETNS: undefined } });
      t.leaseCount(0);
    }),
    row("DEL-09", "S", "C-081", "the link removed by hand: OK, address released", (t) => {
      cleans(t, (conf) => conf, {}, "ip -n c1 link del eth0");
    }),
    row(
      "DEL-10a",
      "S",
      "C-081",
      "master missing in the configuration: OK",
      (t) => {
        cleans(t, ({ master: _, ...rest }) => rest);
      },
      { only: ["macvlan"] },
    ),
    row(
      "DEL-10b",
      "S",
      "C-081",
      "master gone from the host: OK",
      (t) => {
        cleans(t, (conf) => conf, {}, "ip link del up0");
      },
      virtual,
    ),
    row("DEL-11a", "H", "C-081", "mode bogus: OK", (t) => cleans(t, (conf) => ({ ...conf, mode: "bogus" })), virtual),
    row(
      "DEL-11b",
      "H",
      "C-081",
      "mtu above the master's: OK",
      (t) => cleans(t, (conf) => ({ ...conf, mtu: 9999 })),
      virtual,
    ),
    row("DEL-12a", "H", "C-081", "CNI_ARGS malformed: OK", (t) => cleans(t, (c) => c, { set: { CNI_ARGS: "A" } })),
    row("DEL-12b", "H", "C-081", "CNI_ARGS unknown: OK", (t) => cleans(t, (c) => c, { set: { CNI_ARGS: "A=B" } })),
    row("DEL-13", "H", "C-081: release by container and interface", "ipam subnet garbage: OK", (t) => {
      cleans(t, (conf) => ({ ...conf, ipam: { type: "host-local", ranges: [[{ subnet: "garbage" }]] } }));
    }),
    row("DEL-14", "S", "C-080", "ipam subnet changed since ADD: OK, released", (t) => {
      cleans(t, (conf) => ({ ...conf, ipam: { type: "host-local", ranges: [[{ subnet: "192.0.2.0/25" }]] } }));
    }),
    row(
      "DEL-15",
      "S",
      "C-084: the delegate's failure is reported, own part is done",
      "ipam binary missing: E(*), link removed",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        t.error(t.call("DEL", { ...conf, ipam: { type: "nosuch-ipam" } }));
        t.gone();
      },
    ),
    row("DEL-16", "S", "C-080", "ipam removed from the configuration: OK, link removed", (t) => {
      const conf = t.l3();
      t.add(conf);
      const { ipam: _, ...rest } = conf;
      t.silent("DEL", rest);
      t.gone();
    }),
    row("DEL-17", "S", "C-080: (container, interface) is the key", "only that interface is removed", (t) => {
      const [one, two] = [t.l3(), t.l3()];
      t.add(one);
      t.add(two, { set: { CNI_IFNAME: "eth1" } });
      t.silent("DEL", one);
      t.gone();
      t.present("eth1");
      t.leaseCount(1);
    }),
    row(
      "DEL-18",
      "G",
      "C-080: release only this container's address",
      "another CNI_CONTAINERID: OK, address kept",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        t.silent("DEL", conf, { set: { CNI_CONTAINERID: "ctr-2" } });
        t.leaseCount(1);
      },
    ),
    row("DEL-19", "H", "only the owner undoes", "CNI_IFNAME is a foreign veth: OK, it stays", (t) => {
      t.sh("ip -n c1 link add eth0 type veth peer name other");
      t.silent("DEL", t.l2());
      t.present("eth0");
    }),
    row("DEL-20", "H", "only the owner undoes", "CNI_IFNAME=lo: OK, lo untouched", (t) => {
      t.silent("DEL", t.l2(), { set: { CNI_IFNAME: "lo" } });
      t.expect(t.link("lo")?.up === true, "lo up", "down");
    }),
    row("DEL-21", "S", "C-012, C-082", "10 DELs of one attachment at once: all OK", (t) => {
      const conf = t.l3();
      t.add(conf);
      for (const run of t.parallel(Array.from({ length: 10 }, () => ({ command: "DEL", stdin: conf }))))
        t.silentRun(run);
      t.gone();
      t.leaseCount(0);
    }),
    row(
      "DEL-22",
      "H",
      "C-081",
      "state directory read-only and empty: OK, link removed; E(5) of a lender's record",
      (t) => {
        const conf = t.l2();
        t.add(conf);
        t.sh("mount -o remount,bind,ro /var/lib/cni");
        const del = { ...t.l3(), ...conf, ipam: { type: "host-local", ranges: [[{ subnet: "198.51.100.0/24" }]] } };
        // As a lease (DEL-23): it must not be restored from again.
        if (t.main.creates) t.silent("DEL", del);
        else t.error(t.call("DEL", del), [5]);
        t.gone();
      },
    ),
    row("DEL-23", "H", "C-084", "state directory read-only, a reservation in it: E, link removed", (t) => {
      const conf = t.l3();
      t.add(conf);
      t.sh("mount -o remount,bind,ro /var/lib/cni");
      t.error(t.call("DEL", conf));
      t.gone();
    }),
    row("DEL-24", "S", "C-081: after a failed ADD", "OK; host, container and state as before", (t) => {
      const conf = t.l3();
      const before = t.picture();
      const run = t.call("ADD", conf, { set: { CNI_ARGS: "IgnoreUnknown=1;IP=203.0.113.1" } });
      if (run.status === 0) throw new Mismatch("an ADD that fails (address out of range)", describeRun(run));
      t.silent("DEL", conf);
      t.unchangedSince(before, "", false);
    }),
  ],
  fixed: ["tuning", "portmap", "bandwidth", "firewall", "sbr"].map((type, n) =>
    row(
      `DEL-25${"abcde"[n]}`,
      "S",
      "C-083, C-086",
      `${type} without prevResult and CNI_NETNS: OK`,
      (t) => {
        t.silent("DEL", { cniVersion: t.settings.spec, name: "net1", type }, { set: { CNI_NETNS: undefined } });
      },
      { needs: [`plugin:${type}`] },
    ),
  ),
};
