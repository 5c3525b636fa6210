// Paths of a configuration that lead to what is not its author's: links, mounts, races, and files that others planted or own (C1, C1b, M2, M3).
import { type CaseTable, type MainCase, row } from "../harness/case.ts";
import type { Config } from "../harness/mains.ts";
import type { Trial } from "../harness/trial.ts";
import { conf, hl, RANGES } from "./attacks-shared.ts";

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

export const attacksPaths: CaseTable = {
  perMain: [],
  fixed: [
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
  ],
};
