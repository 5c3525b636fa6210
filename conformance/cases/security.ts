// Paths and texts in a configuration must not reach beyond what they are for.
import { type CaseTable, type MainCase, row, type Tag } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import { ANY, type Trial } from "../harness/trial.ts";

const RANGES = { ranges: [[{ subnet: "198.51.100.0/24" }]] };
const hl = { needs: ["plugin:host-local"] };
const NETWORK = "/var/lib/cni/networks/net1";

const conf = (t: Trial, ipam: Config = {}, extra: Config = {}) => t.ipam("host-local", { ...RANGES, ...ipam }, extra);

const refusedDir = (id: string, tag: Tag, dataDir: unknown): MainCase =>
  row(
    id,
    tag,
    "dataDir is an absolute directory for state",
    `dataDir ${JSON.stringify(dataDir)}: E, no file touched`,
    (t) => {
      const before = t.sh(
        "ls -lR --time-style=full-iso /etc/passwd /run /var/lib/cni | cksum; find /var/lib/cni /run | sort",
      );
      t.refused("ADD", conf(t, { dataDir }), ANY, { wrap: 'cd /run; exec "$@"' });
      t.equal(
        t.sh("ls -lR --time-style=full-iso /etc/passwd /run /var/lib/cni | cksum; find /var/lib/cni /run | sort"),
        before,
        "files",
      );
    },
    hl,
  );

/** A lease of this attachment, where a configuration must not lead. */
const refusedOnDel = (id: string, what: string, dataDir: string, make: string): MainCase =>
  row(
    id,
    "H",
    "dataDir is an absolute directory for state",
    `DEL whose dataDir is ${what}: it ends well and releases nothing there`,
    (t) => {
      const lease = `${dataDir}/net1/198.51.100.2`;
      t.sh(`mkdir -p /run/cni; ${make}; mkdir -p ${dataDir}/net1; printf 'ctr-1\\r\\neth0' >${lease}`);
      const picture = () => t.sh(`ls -A ${dataDir}/net1; stat -c '%i %Y' ${dataDir}/net1; cat ${lease}`);
      const before = picture();
      t.silent("DEL", conf(t, { dataDir }));
      t.equal(picture(), before, "the directory");
    },
    hl,
  );

const prepared = (id: string, label: string, setup: string, left: string): MainCase =>
  row(
    id,
    "H",
    "odd files in the state directory",
    `${label}: ADD picks a free address, the file stays`,
    (t) => {
      t.sh(`mkdir -p ${NETWORK}; cd ${NETWORK}; ${setup}`);
      const result = t.add(conf(t), { ipam: true });
      t.expect(/^198\.51\.100\.\d+\/24$/.test(result.ips?.[0]?.address ?? ""), "an address of the range", result);
      t.sh(`cd ${NETWORK}; ${left}`);
    },
    hl,
  );

export const security: CaseTable = {
  perMain: [
    row(
      "SEC-10",
      "H",
      "C-013: distinct state for ambiguous names",
      "a-b with c and a with b-c: two reservations, each released by its own DEL",
      (t) => {
        // Addresses of their own: ipvlan takes one only once on a master.
        const ipam = { type: "host-local", ranges: [[{ subnet: "203.0.113.0/24" }]] };
        const [one, two] = [t.l3({ name: "a-b" }), t.l3({ name: "a", ipam })];
        const c2 = { CNI_CONTAINERID: "b-c", CNI_NETNS: t.netns("c2") };
        t.add(one, { set: { CNI_CONTAINERID: "c" } });
        t.add(two, { set: c2, ns: "c2" });
        t.silent("DEL", one, { set: { CNI_CONTAINERID: "c" } });
        t.leaseCount(0, "a-b");
        t.leaseCount(1, "a");
        t.present("eth0", "c2");
      },
    ),
    row("SEC-11", "H", "C-130", "CNI_PATH with 5 000 directories that do not exist: OK below 2 s", (t) => {
      const path = `${"/nosuch/dir:".repeat(5000)}${t.settings.bin}`;
      t.add(t.l3(), { set: { CNI_PATH: path }, timeoutMs: 2000 });
    }),
    row(
      "SEC-12",
      "H",
      "messages are JSON and safe for a terminal",
      "control characters of the input are escaped, also on stderr",
      (t) => {
        const run = t.call("ADD", t.l2({ [t.deviceKey]: "x\u001b[31m\u0007y" }));
        t.error(run);
        t.expect(
          !/[\u0000-\u0008\u000b-\u001f]/.test(run.stdout + run.stderr),
          "no control characters",
          JSON.stringify(run.stderr),
        );
      },
    ),
  ],
  fixed: [
    row(
      "SEC-01",
      "G",
      "dataDir",
      "an absolute dataDir of its own: used",
      (t) => {
        t.add(conf(t, { dataDir: "/run/cni-state" }), { ipam: true });
        t.leaseCount(0);
        t.sh("test -s /run/cni-state/net1/198.51.100.2");
      },
      hl,
    ),
    refusedDir("SEC-02a", "H", "state"),
    refusedDir("SEC-02b", "H", "/var/lib/cni/../../../run/state"),
    ...["/proc/x", "/etc/passwd", "/dev/null", "/run/a\0b", 5].map((dir, n) =>
      refusedDir(`SEC-03${"abcde"[n]}`, "S", dir),
    ),
    refusedOnDel("SEC-13a", "in a runtime's tree", "/run/containerd/pool", "true"),
    refusedOnDel(
      "SEC-13b",
      "behind a link",
      "/run/cni/link",
      "mkdir -p /run/elsewhere; ln -sfn /run/elsewhere /run/cni/link",
    ),
    ...["", null].map((dataDir, n) =>
      row(
        `SEC-04${"ab"[n]}`,
        "G",
        "dataDir",
        `${JSON.stringify(dataDir)}: the default directory`,
        (t) => {
          t.add(conf(t, { dataDir }), { ipam: true });
          t.leaseCount(1);
        },
        hl,
      ),
    ),
    prepared("SEC-05a", "a junk file", "echo junk >junk", "test -s junk"),
    // It has no owner who could ever release it, so that taking it back is fine too.
    prepared("SEC-05b", "an empty address file", ": >198.51.100.9", "test ! -s 198.51.100.9"),
    prepared("SEC-05c", "a directory named like an address", "mkdir 198.51.100.2", "test -d 198.51.100.2"),
    prepared("SEC-05d", "a garbage cursor", "echo garbage >last_reserved_ip.0", "test -s last_reserved_ip.0"),
    ...[
      ["SEC-06a", "an address file", "198.51.100.2"],
      ["SEC-06b", "a cursor", "last_reserved_ip.0"],
    ].map(([id, what, name]) =>
      row(
        id!,
        "H",
        "links in the state directory are not followed",
        `${what} that is a link: the victim is untouched`,
        (t) => {
          t.sh(`mkdir -p ${NETWORK}; cd ${NETWORK}; echo keep >/run/case-victim; ln -s /run/case-victim ${name}`);
          t.call("ADD", conf(t));
          t.equal(t.read("/run/case-victim"), "keep\n", "victim");
        },
        hl,
      ),
    ),
    row(
      "SEC-07",
      "H",
      "modes do not depend on the umask",
      "umask 0777: directory and files readable by their owner",
      (t) => {
        t.add(conf(t), { ipam: true, wrap: 'umask 0777; exec "$@"' });
        const modes = t.sh(`stat -c %a ${NETWORK} ${NETWORK}/198.51.100.2`).trim().split("\n");
        t.expect(
          modes.every((mode) => (Number.parseInt(mode, 8) & 0o400) !== 0),
          "modes with 0400",
          modes,
        );
      },
      hl,
    ),
    ...["../../kernel/hostname", "kernel.hostname", "net/../kernel/hostname"].map((key, n) =>
      row(
        `SEC-08${"abc"[n]}`,
        "S",
        "sysctls of the network alone",
        `tuning sysctl ${key}: E, nothing written`,
        (t) => {
          const before = t.sh("cat /proc/sys/kernel/hostname");
          t.sh("ip -n c1 link add eth0 type veth peer name other");
          const prevResult = { cniVersion: "1.0.0", interfaces: [{ name: "eth0", sandbox: "/run/netns/c1" }] };
          t.error(
            t.call("ADD", { cniVersion: "1.0.0", name: "net1", type: "tuning", sysctl: { [key]: "evil" }, prevResult }),
          );
          t.equal(t.sh("cat /proc/sys/kernel/hostname"), before, "host name");
        },
        { needs: ["plugin:tuning"] },
      ),
    ),
    row(
      "SEC-09a",
      "H",
      "resolvConf",
      "a file that is missing: E(7|999), nothing reserved",
      (t) => {
        t.refused("ADD", conf(t, { resolvConf: "/run/nosuch" }), [7, 999]);
      },
      hl,
    ),
    row(
      "SEC-09b",
      "H",
      "resolvConf",
      "a directory: E(7|999), nothing reserved",
      (t) => {
        t.refused("ADD", conf(t, { resolvConf: "/run" }), [7, 999]);
      },
      hl,
    ),
    row(
      "SEC-09c",
      "H",
      "resolvConf",
      "a file of 64 MiB: E(7|999), nothing reserved",
      (t) => {
        t.sh("mkdir /run/case; truncate -s 64M /run/case/huge");
        t.refused("ADD", conf(t, { resolvConf: "/run/case/huge" }), [7, 999]);
      },
      hl,
    ),
  ],
};
