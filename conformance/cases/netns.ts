// CNI_NETNS: forms that must work, things that are no namespace, and the plugin's own namespace.
import { type CaseTable, type MainCase, row } from "../harness/case.ts";
import type { Trial } from "../harness/trial.ts";
import { GOOD, say, stubbed } from "./stubs.ts";

const notANamespace = (id: string, path: string, make = "", tag: "S" | "H" = "S"): MainCase =>
  row(id, tag, "C-006: refused before anything is touched", `ADD with ${path}: E(4|3|999)`, (t) => {
    t.sh(make);
    t.refused("ADD", t.l3(), [4, 3, 999], { set: { CNI_NETNS: path } });
  });

/** DEL with a namespace that is no more (or never was one): the address must come back in any case. */
const stale = (id: string, path: string, make: string, strict: boolean, tag: "S" | "H" = "S"): MainCase =>
  row(
    id,
    tag,
    "C-081: DEL is best effort; IPAM releases although the netns is gone",
    `DEL with ${path.length > 60 ? "a 5000-byte path" : path}: OK${strict ? "" : " or E(4)"}, address released`,
    (t) => {
      const conf = t.l3();
      t.add(conf);
      t.sh(make);
      const run = t.call("DEL", conf, { set: { CNI_NETNS: path } });
      if (run.status === 0 || strict) t.silentRun(run);
      else t.error(run, [4]);
      t.leaseCount(0);
    },
  );

/** Drops what lets root into other users' directories: all that is needed to meet "permission denied" there, as under SELinux. */
const WITHOUT_DAC =
  'exec setpriv --bounding-set -dac_override,-dac_read_search --inh-caps -dac_override,-dac_read_search "$@"';
/** Without what setns needs: it may not enter the pod's namespace. */
export const MAY_NOT_ENTER = 'exec setpriv --bounding-set=-sys_admin --inh-caps=-sys_admin "$@"';
const LOCKED = "/run/case/locked/c1";
/** The pod's namespace in a directory that is another user's. */
const lock = (t: Trial) =>
  t.sh(`mkdir -p /run/case/locked; chown 1000 /run/case/locked; chmod 700 /run/case/locked
    touch ${LOCKED}; mount --bind /run/netns/c1 ${LOCKED}`);

const NO_PROC = `exec unshare -m --propagation private sh -c 'mount -t tmpfs none /proc && exec "$@"' sh "$@"`;

/** DEL that cannot see whether the pod lives: it fails, the pod keeps its interface and its lease, and DEL can be repeated. */
const cannotTell = (
  id: string,
  label: string,
  options: { wrap: string; set?: Record<string, string>; only?: readonly string[] },
): MainCase =>
  row(
    id,
    "H",
    "C-081: what is not proven to be gone is not released",
    `DEL ${label}: E(*), interface and lease stay; the next DEL: OK`,
    (t) => {
      lock(t);
      const set = { CNI_NETNS: LOCKED, ...options.set };
      const conf = t.l3();
      const before = t.links("").length;
      t.add(conf, { set: { CNI_NETNS: LOCKED } });
      const run = t.call("DEL", conf, { set, wrap: options.wrap });
      // bridge removes the container's interface by its end on the host: then it is gone, whatever the namespace.
      if (t.main.name === "bridge" && t.link("eth0") === undefined) t.silentRun(run);
      else {
        t.error(run);
        t.present("eth0");
        t.leaseCount(1);
        t.silent("DEL", conf, { set: { CNI_NETNS: LOCKED } });
      }
      t.gone();
      t.leaseCount(0);
      t.equal(t.links("").length, before, "links of the host");
    },
    { needs: ["program:setpriv"], ...(options.only && { only: options.only }) },
  );

const override = (id: string, value: string): MainCase =>
  row(
    id,
    "G",
    "CNI_NETNS_OVERRIDE allows the plugin's own namespace",
    `${value}: OK`,
    (t) => {
      const set = { CNI_NETNS: "/proc/self/ns/net", CNI_NETNS_OVERRIDE: value };
      t.add(t.l2(), { set, ns: "" });
    },
    { needs: ["spec:1.1.0"] },
  );

const own = (t: Trial, set: Record<string, string> = {}) => {
  t.refused("ADD", t.l3(), [4, 8], { set: { CNI_NETNS: "/proc/self/ns/net", ...set } });
};

export const netns: CaseTable = {
  perMain: [
    row("NSP-01", "S", "C-006: a bind mount", "OK", (t) => void t.add(t.l2())),
    row("NSP-02", "S", "C-006: /proc/PID/ns/net", "OK, sandbox echoes the path", (t) => {
      t.add(t.l2(), { set: { CNI_NETNS: t.pathByProcess("c1") } });
    }),
    row("NSP-03", "S", "C-006: a link to a bind mount", "OK, sandbox is the link's path", (t) => {
      t.sh("ln -s /run/netns/c1 /run/case-link");
      t.add(t.l2(), { set: { CNI_NETNS: "/run/case-link" } });
    }),
    row("NSP-04", "H", "C-006: a relative path", "OK or E(4)", (t) => {
      t.okOrRefused(t.l2(), [4], { set: { CNI_NETNS: "run/netns/c1" }, wrap: 'cd /; exec "$@"' });
    }),
    notANamespace("NSP-05", "/run/netns/none"),
    notANamespace("NSP-06", "/run/case/file", "mkdir /run/case; echo x >/run/case/file"),
    notANamespace("NSP-07", "/run/netns"),
    notANamespace("NSP-08", "/proc/self/ns/uts", "", "H"),
    notANamespace("NSP-09", "/proc/self/status", "", "H"),
    notANamespace("NSP-10", "/proc/999999/ns/net"),
    row("NSP-11", "H", "C-006: a FIFO must not block the open", "E within 2 s", (t) => {
      t.sh("mkdir /run/case; mkfifo /run/case/fifo");
      t.refused("ADD", t.l3(), "any", { set: { CNI_NETNS: "/run/case/fifo" }, timeoutMs: 2000 });
    }),
    row("NSP-12", "H", "the plugin's own namespace as the container's", "E(4|8), one document, nothing created", (t) =>
      own(t),
    ),
    override("NSP-13a", "1"),
    override("NSP-13b", "true"),
    override("NSP-13c", "TRUE"),
    row(
      "NSP-14a",
      "G",
      "CNI_NETNS_OVERRIDE must be 1 or true",
      "yes: as without",
      (t) => {
        own(t, { CNI_NETNS_OVERRIDE: "yes" });
      },
      { needs: ["spec:1.1.0"] },
    ),
    row(
      "NSP-14b",
      "G",
      "CNI_NETNS_OVERRIDE must be 1 or true",
      "0: as without",
      (t) => {
        own(t, { CNI_NETNS_OVERRIDE: "0" });
      },
      { needs: ["spec:1.1.0"] },
    ),
    row("NSP-15", "H", "DEL in the plugin's own namespace", "E(4|8) and the host's link survives", (t) => {
      t.sh("ip link add victim type veth peer name victimp");
      t.refused("DEL", t.l2(), [4, 8], { set: { CNI_NETNS: "/proc/self/ns/net", CNI_IFNAME: "victim" } });
    }),
    stale("NSP-17a", "/run/netns/none", "ip netns del c1", true),
    stale("NSP-17b", "/run/none/none/c1", "ip netns del c1", true),
    stale("NSP-17c", "/proc/999999/ns/net", "ip netns del c1", true),
    stale("NSP-18a", "/run/netns/c1", "umount /run/netns/c1", true),
    stale("NSP-18b", "/run/case", "mkdir /run/case", true),
    stale("NSP-19a", "/proc/self/ns/uts", "", false, "H"),
    row(
      "NSP-28",
      "H",
      "C-081: DEL is best effort; IPAM releases although the netns is gone",
      "DEL with /proc/PID/ns/net, whose PID is that of a process of the node by now: OK, address released",
      (t) => {
        const conf = t.l3();
        t.add(conf);
        const pid = t.sh("sleep 30 >/dev/null 2>&1 & echo $!").trim();
        t.silent("DEL", conf, { set: { CNI_NETNS: `/proc/${pid}/ns/net` } });
        t.leaseCount(0);
      },
    ),
    row(
      "NSP-29",
      "H",
      "C-081: DEL is best effort; IPAM releases although the netns is gone",
      "the namespace's path goes while ADD waits for its IPAM plugin: ADD ends, DEL OK, address released, no interface left",
      (t) => {
        const { stub, conf, set } = stubbed(t, { ADD: `ip netns del c1; ${say(GOOD)}` });
        const onHost = () =>
          t.sh("for kind in veth macvlan ipvlan; do ip -br link show type $kind; done | cut -d@ -f1").split("\n");
        const before = onHost();
        const run = t.call("ADD", conf, { set });
        if (run.status !== 0) t.error(run);
        t.silent("DEL", conf, { set });
        t.equal(/^ADD( DEL)+$/.test(stub.commands()), true, "the IPAM plugin's DEL");
        t.equal(
          onHost().filter((name) => !before.includes(name)),
          [],
          "interfaces left on the host",
        );
        t.equal(t.sh("find /var/lib/cni/podnic -name '*.json' 2>/dev/null || true"), "", "records");
      },
    ),
    stale("NSP-19b", "/proc/self/status", "", false, "H"),
    row("NSP-20", "H", "C-081", "DEL with a 5000-byte path: OK and released, or E(*) and the lease stays", (t) => {
      const conf = t.l3();
      t.add(conf);
      const run = t.call("DEL", conf, { set: { CNI_NETNS: `/run/${"x".repeat(5000)}` } });
      if (run.status === 0) t.silentRun(run);
      else t.error(run);
      t.leaseCount(run.status === 0 ? 0 : 1);
    }),
    cannotTell("NSP-23", "with a namespace in a directory it may not search", { wrap: WITHOUT_DAC }),
    cannotTell("NSP-24", "without /proc", { wrap: NO_PROC }),
    cannotTell("NSP-25", "with a namespace behind a loop of links", {
      wrap: 'ln -s loop /run/case/loop; exec "$@"',
      set: { CNI_NETNS: "/run/case/loop" },
      // Those that keep a record know the path of ADD.
      only: ["macvlan", "ipvlan"],
    }),
    row(
      "NSP-26",
      "H",
      "C-006: an error of /proc is not one of CNI_NETNS",
      "ADD without /proc: E(*) that does not blame CNI_NETNS",
      (t) => {
        const { msg, details = "" } = t.refused("ADD", t.l3(), "any", { wrap: NO_PROC });
        t.expect(msg.includes("/proc") && !`${msg}${details}`.includes("CNI_NETNS"), "a message about /proc", msg);
      },
    ),
    row(
      "NSP-27",
      "H",
      "C-110: what is not proven to be gone is not collected",
      "GC with a namespace in a directory it may not search: E(*), interface and lease stay",
      (t) => {
        lock(t);
        const conf = { ...t.l3(), cniVersion: "1.1.0" };
        t.add(conf, { set: { CNI_NETNS: LOCKED } });
        const gc = { ...conf, "cni.dev/valid-attachments": [] };
        t.error(t.call("GC", gc, { set: { CNI_CONTAINERID: "", CNI_IFNAME: "", CNI_NETNS: "" }, wrap: WITHOUT_DAC }));
        t.present("eth0");
        t.leaseCount(1);
      },
      { only: ["host-device", "sriov"], needs: ["program:setpriv", "spec:1.1.0"] },
    ),
    ...["/run/netns/none", "/run/case/file"].map((path, n) =>
      row(`NSP-21${"ab"[n]}`, "S", "C-098: CHECK needs the namespace", `CHECK with ${path}: E(*)`, (t) => {
        t.sh("mkdir /run/case; echo x >/run/case/file");
        const conf = t.l3();
        const prevResult = t.add(conf);
        t.error(t.call("CHECK", { ...conf, prevResult }, { set: { CNI_NETNS: path } }));
      }),
    ),
    ...["1", "0"].map((value, n) =>
      row(
        `NSP-27${"ab"[n]}`,
        "H",
        "CNI_NETNS_OVERRIDE is about the plugin's own namespace alone",
        `CNI_NETNS_OVERRIDE=${value}, and CNI_NETNS is a link to /proc/PID/ns/net of the pod: ADD, CHECK and DEL work`,
        (t) => {
          t.sh(`mkdir /run/case; ln -s ${t.pathByProcess("c1")} /run/case/pod`);
          const set = { CNI_NETNS: "/run/case/pod", CNI_NETNS_OVERRIDE: value };
          const conf = t.l3();
          const prevResult = t.add(conf, { set });
          t.silent("CHECK", { ...conf, prevResult }, { set });
          t.silent("DEL", conf, { set });
          t.gone();
        },
      ),
    ),
    row("NSP-22", "H", "CHECK in the plugin's own namespace", "E(*)", (t) => {
      const conf = t.l3();
      const prevResult = t.add(conf);
      t.error(t.call("CHECK", { ...conf, prevResult }, { set: { CNI_NETNS: "/proc/self/ns/net" } }), "any");
    }),
  ],
  fixed: [
    row(
      "NSP-16",
      "H",
      "DEL of loopback in the plugin's own namespace",
      "the host's lo stays up",
      (t) => {
        const conf = { cniVersion: t.settings.spec, name: "lo", type: "loopback" };
        t.call("DEL", conf, { set: { CNI_NETNS: "/proc/self/ns/net", CNI_IFNAME: "lo" } });
        t.expect(t.link("lo", "")?.up === true, "the host's lo up", "down");
      },
      { needs: ["plugin:loopback"] },
    ),
  ],
};
