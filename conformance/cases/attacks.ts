// What somebody tries who may write configurations, or is root in a pod: to reach, through a plugin that is root on the node, what is
// not his. One case or more for each kind; SECURITY.md says which promise each of them shows.
import { type CaseTable, type MainCase, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import { quote } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";

const RANGES = { ranges: [[{ subnet: "198.51.100.0/24" }]] };

/** Runs the call in the background of the case, and `meanwhile` when it has begun. */
function beside(t: Trial, command: string, stdin: Config, set: Record<string, string>, meanwhile: () => void): void {
  const env = Object.entries(t.environment(command, set)).map(([key, value]) => quote(`${key}=${value}`));
  t.write("/run/case/beside.json", JSON.stringify(stdin));
  const plugin = quote(`${t.settings.bin}/${t.typeOf(stdin)}`);
  t.sh(`env -i ${env.join(" ")} ${plugin} </run/case/beside.json >/run/case/beside.out 2>&1 & sleep 0.5`);
  meanwhile();
}

const hl = { needs: ["plugin:host-local"] };
const conf = (t: Trial, ipam: Config = {}, extra: Config = {}) => t.ipam("host-local", { ...RANGES, ...ipam }, extra);

/** A pod's root file system as containerd mounts it, with a directory of its root in it. */
const ROOTFS = "/run/containerd/io.containerd.runtime.v2.task/k8s.io/c0ffee/rootfs";
const mountRootfs = (t: Trial) => t.sh(`mkdir -p ${ROOTFS}; mount -t tmpfs -o mode=755 tmpfs ${ROOTFS}`);
/** What lies here must be afterwards as it was. */
const VICTIM = "/run/case/etc";
const victim = (t: Trial) =>
  t.sh(`mkdir -p ${VICTIM}; echo keep >${VICTIM}/keep; echo "search hunter2" >${VICTIM}/secret-resolv`);
const untouched = (t: Trial) =>
  t.equal(
    t.sh(`cd ${VICTIM}; find . | sort; cat keep`),
    ".\n./keep\n./secret-resolv\nkeep\n",
    "the victim's directory",
  );

/** `name` in `dir` is made by `plant`; whatever ADD and DEL say, the victim stays as it is. */
const throughLink = (id: string, what: string, dir: string, keys: (path: string) => [Config, Config]): MainCase =>
  row(
    id,
    "H",
    "C1: a link of a container's root leads nowhere",
    `${what} through a link in ${dir}: nothing outside is made, written or read`,
    (t) => {
      if (dir.startsWith("/var/lib")) t.sh("mount -t tmpfs -o mode=755 tmpfs /var/lib; mkdir /var/lib/cni");
      if (dir.startsWith(ROOTFS)) mountRootfs(t);
      victim(t);
      t.sh(`mkdir -p ${dir}; ln -s ${VICTIM} ${dir}/d; ln -s /proc/self/root${VICTIM} ${dir}/magic`);
      for (const link of ["d", "magic"]) {
        const stdin = conf(t, ...keys(`${dir}/${link}`));
        const said = ["ADD", "CHECK", "DEL"].map((command) => t.call(command, stdin));
        for (const run of said) t.expect(!run.timedOut && run.signal === null, "an answer", run.stderr);
        t.expect(!/hunter2/.test(said.map((run) => run.stdout + run.stderr).join()), "no secret", said[0]!.stdout);
        untouched(t);
      }
    },
    hl,
  );

const links = [ROOTFS, "/run/pod/shm", "/var/lib/kubelet/pods/u/volumes/kubernetes.io~empty-dir/v/s", "/var/lib/pod"];

/** A file that exists, or does not, and is no log of ours: it stays as it is. */
const foreignLog = (id: string, path: string, setup = ""): MainCase =>
  row(
    id,
    "H",
    "M2: logFile appends to logs of ours only",
    `logFile ${path}${setup === "" ? "" : `, which exists (${setup})`}: nothing is made or appended`,
    (t) => {
      t.sh(`mkdir -p $(dirname ${path})`);
      if (setup !== "") t.sh(`cd $(dirname ${path}); ${setup}`);
      const look = `find $(dirname ${path}) -printf '%p %s %T@\n' | sort`;
      const before = t.sh(look);
      for (const command of ["ADD", "DEL"]) t.call(command, conf(t, {}, { logFile: path, logLevel: "debug" }));
      t.equal(t.sh(look), before, "the directory");
    },
    hl,
  );

/** /24 networks, or /64, in sets. */
const sets = (count: number, family: 4 | 6, from = 0): Config[][] =>
  Array.from({ length: count }, (_, set) =>
    Array.from({ length: 64 }, (_, n) => {
      const at = from + set * 64 + n;
      return { subnet: family === 4 ? `10.${at >> 8}.${at & 255}.0/24` : `2001:db8:0:${at.toString(16)}::/64` };
    }),
  );

/** `runtimeconfig` in every mixture of cases, as Go's decoder takes them all. */
const spellings = Array.from({ length: 8191 }, (_, n) =>
  [..."runtimeconfig"].map((char, bit) => ((n >> bit) & 1 ? char.toUpperCase() : char)).join(""),
);

/** The costliest configurations we know that are valid, or nearly. The limit ends a process that uses more than a second of processor time. */
const costly = (id: string, what: string, plugin: string, stdin: (t: Trial) => Config, first = "ADD"): MainCase =>
  row(
    id,
    "H",
    "M4: a configuration of 1 MiB costs less than 1 s of processor time",
    `${plugin}: ${what}: ${first} and DEL end by themselves`,
    (t) => {
      const conf = stdin(t);
      const wrap = 'ulimit -t 1; exec "$@"';
      for (const command of [first, "DEL"]) {
        const run = t.call(command, conf, { wrap, plugin });
        t.expect(
          run.signal === null && !run.timedOut && (run.status ?? 200) < 128,
          `an end of ${command}`,
          describeRun(run),
        );
      }
    },
    { needs: [`plugin:${plugin}`] },
  );

const manyKeys = Object.fromEntries(Array.from({ length: 60_000 }, (_, n) => [`key${n}`, n]));
const ofPlugin = (plugin: string, keys: Config): Config => ({
  cniVersion: "1.0.0",
  name: "net1",
  type: plugin,
  ...keys,
});

const costlyOnes = [
  costly("ATK-M4a", "128 sets of 64 ranges of IPv6, excluded ones among them", "host-local", (t) =>
    conf(
      t,
      { ranges: sets(64, 6), exclude: Array.from({ length: 64 }, (_, n) => `2001:db8:0:${n.toString(16)}::/65`) },
      { runtimeConfig: { ipRanges: sets(64, 6, 8192) } },
    ),
  ),
  costly(
    "ATK-M4b",
    "128 sets of 64 ranges of IPv4, and 1,024 addresses in prevResult",
    "host-local",
    (t) =>
      conf(
        t,
        { ranges: sets(64, 4) },
        {
          runtimeConfig: { ipRanges: sets(64, 4, 8192) },
          prevResult: {
            cniVersion: "1.0.0",
            ips: Array.from({ length: 1024 }, (_, n) => ({ address: `10.63.${n >> 8}.${n & 255}/8` })),
          },
        },
      ),
    "CHECK",
  ),
  costly("ATK-M4c", "a name of 1 MB", "host-local", (t) => conf(t, {}, { name: "n".repeat(1_000_000) })),
  costly("ATK-M4d", "paths of 900 kB", "host-local", (t) => {
    const path = `/run/cni/${"a/".repeat(225_000)}`;
    return conf(t, { dataDir: path }, { logFile: `${path}x.log` });
  }),
  costly("ATK-M4e", "8,191 spellings of runtimeConfig", "macvlan", () =>
    ofPlugin("macvlan", { master: "up0", ...Object.fromEntries(spellings.map((key, n) => [key, { [`a${n}`]: 1 }])) }),
  ),
  ...["macvlan", "ipvlan", "host-device", "sriov", "static"].map((plugin, n) =>
    costly(`ATK-M4${"fghij"[n]}`, "60,000 keys, and an ipam.type of 200 kB", plugin, () =>
      ofPlugin(plugin, { master: "up0", device: "nosuch", ...manyKeys, ipam: { type: "x".repeat(200_000) } }),
    ),
  ),
];

/** A limit that a runtime may have: an answer, never a signal. */
const limited = (id: string, what: string, plugin: string, wrap: string, keys: (t: Trial) => Config): MainCase =>
  row(
    id,
    "H",
    "L3, L4, L5: limits of the process end in a document",
    `${plugin} with ${what}: success or one error, no signal`,
    (t) => {
      for (const command of ["ADD", "DEL"]) {
        const run = t.call(command, keys(t), { wrap, plugin });
        t.expect(run.signal === null && (run.status ?? 200) < 128, `an end of ${command}`, describeRun(run));
        if (run.status !== 0) t.error(run);
      }
    },
    { needs: [`plugin:${plugin}`] },
  );

const LEASES = "/run/cni/pool/net1";
const PLANTED = ["198.51.100.2", "198.51.100.3", "last_reserved_ip.0", "lock", ".podnic.tmp", "app.log"];

/** The calls that open one of the names otherwise than to look at it, out of strace's lines. */
const opened = (trace: string, names: readonly string[]): string[] =>
  trace
    .split("\n")
    .filter((line) => /\bopen(at2?)?\(/.test(line) && names.some((name) => line.includes(`${name}"`)))
    .filter((line) => !line.includes("O_PATH") && !line.includes("O_EXCL"));

const planted = (id: string, what: string, make: (name: string) => string): MainCase =>
  row(
    id,
    "H",
    "M3: a file is looked at before it is opened",
    `${what} under every name of the lease directory: none is opened, and ADD, CHECK, DEL and GC end`,
    (t) => {
      for (const name of PLANTED) {
        t.sh(`rm -rf ${LEASES}; mkdir -p ${LEASES}; cd ${LEASES}; ${make(name)}`);
        for (const command of ["ADD", "CHECK", "DEL", "GC"]) {
          const stdin = conf(
            t,
            { dataDir: "/run/cni/pool" },
            { cniVersion: "1.1.0", logFile: `${LEASES}/app.log`, "cni.dev/valid-attachments": [] },
          );
          const wrap = 'exec strace -f -o /run/case-trace -e trace=open,openat,openat2 "$@"';
          const run = t.call(command, stdin, { wrap, timeoutMs: 10_000 });
          t.expect(!run.timedOut, `an end of ${command} with ${name}`, run.stderr);
          t.equal(opened(t.read("/run/case-trace"), [`/${name}`, `"${name}`]), [], `${command}: opens of ${name}`);
        }
      }
    },
    { needs: ["plugin:host-local", "program:strace"] },
  );

/** Refused at once, and a DEL with it succeeds: nothing was done that it could undo. */
const endless = (id: string, plugin: string, type: string): MainCase =>
  row(
    id,
    "H",
    "H1: ipam.type starts no chain of interface plugins",
    `${plugin} with ipam.type ${type}: E within 3 s, and DEL ends`,
    (t) => {
      const keys = plugin === "host-device" ? { device: t.freshDevice() } : { master: "up0" };
      const stdin = { cniVersion: "1.1.0", name: "net1", type: plugin, ...keys, ipam: { type } };
      t.refused("ADD", stdin, [7], { timeoutMs: 3000 });
      t.error(t.call("STATUS", stdin, { timeoutMs: 3000 }));
      t.silent("DEL", stdin, { timeoutMs: 3000 });
    },
    { needs: [`plugin:${plugin}`] },
  );

const stateDirectory = (id: string, dataDir: string, name: string): MainCase =>
  row(
    id,
    "H",
    "H2: the state of plugins is no pool",
    `dataDir ${dataDir} of network ${name}: E within 3 s, nothing made`,
    (t) => {
      t.sh(`mkdir -p ${dataDir}/${name}`);
      t.refused("ADD", conf(t, { dataDir }, { name }), [7], { timeoutMs: 3000 });
      t.equal(t.sh(`ls -A ${dataDir}/${name}`), "", "the directory");
      t.silent("DEL", conf(t, { dataDir }, { name }), { timeoutMs: 3000 });
    },
    hl,
  );

export const attacks: CaseTable = {
  perMain: [],
  fixed: [
    row(
      "ATK-H2a",
      "H",
      "what a tenant keeps busy makes nobody else wait",
      "host-device: a pool whose lock is held does not delay an ADD and a DEL with another pool",
      (t) => {
        const device = () => t.freshDevice();
        const of = (name: string, dataDir: string): Config => ({
          cniVersion: "1.0.0",
          name,
          type: "host-device",
          device: device(),
          ipam: { type: "host-local", dataDir, ...RANGES },
        });
        t.sh(
          "mkdir -p /run/cni/busy/mine; : >/run/cni/busy/mine/lock; flock /run/cni/busy/mine/lock sleep 15 >/dev/null 2>&1 &",
        );
        const victim = of("other", "/run/cni/free");
        const mallory = { CNI_CONTAINERID: "mallory", CNI_NETNS: t.netns("c2") };
        beside(t, "ADD", of("mine", "/run/cni/busy"), mallory, () => {
          t.add(victim, { timeoutMs: 4000 });
          t.silent("DEL", victim, { timeoutMs: 4000 });
        });
      },
      { needs: ["plugin:host-device", "plugin:host-local", "program:flock"] },
    ),
    ...links.flatMap((dir, n) => [
      throughLink(`ATK-C1${"abcd"[n]}-log`, "logFile", dir, (path) => [{}, { logFile: `${path}/made.log` }]),
      throughLink(`ATK-C1${"abcd"[n]}-any`, "logFile of any name", dir, (path) => [{}, { logFile: `${path}/keep` }]),
      throughLink(`ATK-C1${"abcd"[n]}-dir`, "dataDir", dir, (path) => [{ dataDir: path }, {}]),
      throughLink(`ATK-C1${"abcd"[n]}-read`, "resolvConf", dir, (path) => [
        { resolvConf: `${path}/secret-resolv` },
        {},
      ]),
    ]),
    row(
      "ATK-C1e",
      "H",
      "C1: another mount is not entered",
      "dataDir in a directory that a mount covers: E, nothing made",
      (t) => {
        victim(t);
        t.sh(`mkdir -p /run/pod/volume; mount --bind ${VICTIM} /run/pod/volume`);
        t.refused("ADD", conf(t, { dataDir: "/run/pod/volume" }));
        untouched(t);
      },
      hl,
    ),
    row(
      "ATK-C1f",
      "H",
      "C1: no moment in which a link is followed",
      "a directory and a link swapped 10^4 times: 40 ADDs make nothing behind the link",
      (t) => {
        victim(t);
        const swap =
          'chdir "/run/pod"; mkdir "dir"; symlink $ARGV[0], "link"; for (1..10000) { rename "dir", "d"; rename "d", "dir"; rename "link", "d"; rename "d", "link" }';
        t.sh(`mkdir -p /run/pod; perl -e '${swap}' ${VICTIM} >/dev/null 2>&1 &`);
        for (let n = 0; n < 40; n++) {
          const set = { CNI_CONTAINERID: `c${n}` };
          t.call("ADD", conf(t, { dataDir: "/run/pod/d" }, { logFile: "/run/pod/d/x.log" }), { set });
        }
        untouched(t);
      },
      { needs: ["plugin:host-local", "program:perl"] },
    ),
    ...["host-local", "static"].map((ipam, n) =>
      row(
        `ATK-M2a${n + 1}`,
        "H",
        "M2: a log of ours is written to",
        `${ipam}: logFile that is missing or ours: OK, and lines in it only from us`,
        (t) => {
          const keys = ipam === "static" ? { addresses: [{ address: "192.0.2.5/24" }] } : RANGES;
          const stdin = t.ipam(ipam, keys, { logFile: "/run/ours.log", logLevel: "debug" });
          t.add(stdin, { ipam: true });
          t.silent("DEL", stdin);
        },
        { needs: [`plugin:${ipam}`] },
      ),
    ),
    foreignLog("ATK-M2b", "/run/nologin"),
    foreignLog("ATK-M2c", "/run/systemd/system/sshd.service"),
    foreignLog("ATK-M2d", "/run/udev/rules.d/80-net-setup-link.rules"),
    foreignLog("ATK-M2e", "/run/log/wtmp", "echo x >wtmp"),
    foreignLog("ATK-M2f", "/run/log/app.log", "echo of another program >app.log"),
    foreignLog("ATK-M2g", "/run/log/app.log", ": >app.log; chmod 644 app.log"),
    foreignLog("ATK-M2h", "/run/log/app.log", ": >app.log; chmod 600 app.log; ln app.log other"),
    foreignLog("ATK-M2i", "/run/log/app.log", ": >app.log; chmod 600 app.log; chown 12345 app.log"),
    foreignLog("ATK-M2j", "/run/containerd/c0ffee/init.pid", "printf 4711 >init.pid"),
    planted("ATK-M3a", "a FIFO", (name) => `mkfifo ${name}`),
    planted("ATK-M3b", "a device node", (name) => `mknod ${name} c 1 11`),
    planted("ATK-M3c", "a block device node", (name) => `mknod ${name} b 7 200`),
    planted(
      "ATK-M3d",
      "a socket",
      (name) => `perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0);bind(S,sockaddr_un("${name}"))'`,
    ),
    endless("ATK-H1a", "macvlan", "macvlan"),
    endless("ATK-H1b", "macvlan", "host-device"),
    endless("ATK-H1c", "host-device", "macvlan"),
    endless("ATK-H1d", "host-device", "host-device"),
    endless("ATK-H1e", "macvlan", "podnic"),
    endless("ATK-H1f", "macvlan", "podnic-host-device"),
    endless("ATK-H1g", "host-device", "ipvlan"),
    row(
      "ATK-H1h",
      "H",
      "H1: a chain that another plugin closes ends too",
      "an IPAM plugin that starts macvlan again: E, run once",
      (t) => {
        const loop = `#!/bin/sh\necho "$CNI_COMMAND" >>/run/case/loops\nexec ${t.settings.bin}/macvlan\n`;
        t.write("/run/case/bin/loop", loop, 0o755);
        const stdin = { cniVersion: "1.0.0", name: "net1", type: "macvlan", master: "up0", ipam: { type: "loop" } };
        const run = t.call("ADD", stdin, { set: { CNI_PATH: "/run/case/bin" }, timeoutMs: 4000 });
        t.error(run);
        const loops = t
          .read("/run/case/loops")
          .split("\n")
          .filter((line) => line === "ADD").length;
        t.equal(loops, 1, "ADDs of the IPAM plugin");
      },
      { needs: ["plugin:macvlan"] },
    ),
    ...costlyOnes,
    limited("ATK-L3a", "files of 0 bytes (ulimit -f 0)", "host-local", 'ulimit -f 0; exec "$@"', (t) => conf(t)),
    limited("ATK-L3b", "files of 0 bytes (ulimit -f 0)", "host-device", 'ulimit -f 0; exec "$@"', (t) =>
      ofPlugin("host-device", { device: t.freshDevice() }),
    ),
    ...[256, 512, 1024].map((size, n) =>
      limited(
        `ATK-L4${"abc"[n]}`,
        `a stack of ${size} KiB at most, a fifth of it environment, and deep JSON`,
        "macvlan",
        `export BIG=$(head -c ${size * 200} /dev/zero | tr '\\0' x | head -c 120000); ulimit -s ${size}; exec "$@"`,
        () => ofPlugin("macvlan", { master: "up0", deep: JSON.parse("[".repeat(4000) + "]".repeat(4000)) }),
      ),
    ),
    stateDirectory("ATK-H2b", "/var/lib/cni/podnic", "host-device"),
    stateDirectory("ATK-H2c", "/var/lib/cni", "sriov"),
    stateDirectory("ATK-H2d", "/var/lib/cni", "results"),
    stateDirectory("ATK-H2e", "/run/podnic", "host-local"),
  ],
};
