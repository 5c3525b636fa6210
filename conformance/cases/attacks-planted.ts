// What others planted under a name that a plugin opens: a FIFO waits, a device node acts when it is opened, a link or another name of a file
// leads to somebody else's (M3). Under strace: each is looked at (O_PATH) before it is opened, and what is none of ours not at all.
import { type CaseTable, type MainCase, row } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Config } from "../harness/mains.ts";
import type { CallOptions } from "../harness/sandbox.ts";
import type { Trial } from "../harness/trial.ts";
import { conf, hl, ofPlugin } from "./attacks-shared.ts";

const TRACE = "/run/case-trace";
/** -y: what is opened by way of /proc/self/fd counts under the name it has. */
const TRACED = `exec strace -f -y -o ${TRACE} -e trace=open,openat,openat2,execve,execveat "$@"`;

/** The calls that open or run one of the names otherwise than to look at it, out of strace's lines. What is no directory the kernel itself does not open with O_DIRECTORY. */
function opened(t: Trial, name: string): string[] {
  return t
    .read(TRACE)
    .split("\n")
    .filter(
      (line) => /\b(open(at2?)?|execve(at)?)\(/.test(line) && (line.includes(`${name}"`) || line.includes(`/${name}>`)),
    )
    .filter((line) => !/O_PATH|O_EXCL|O_DIRECTORY/.test(line));
}

/** Calls under strace; an answer in time, and no open of `name`. */
function looksOnly(t: Trial, command: string, stdin: Config, name: string, options: CallOptions = {}): void {
  const run = t.call(command, stdin, { timeoutMs: 10_000, ...options, wrap: TRACED });
  t.expect(!run.timedOut && run.signal === null, `an end of ${command} with ${name}`, describeRun(run));
  t.equal(opened(t, name), [], `${command}: opens of ${name}`);
}

const KINDS: readonly (readonly [string, (name: string) => string])[] = [
  ["a FIFO", (name) => `mkfifo ${name}`],
  ["a device node", (name) => `mknod ${name} c 1 11`],
  ["a block device node", (name) => `mknod ${name} b 7 200`],
  ["a socket", (name) => `perl -MSocket -e 'socket(S,AF_UNIX,SOCK_STREAM,0);bind(S,sockaddr_un("${name}"))'`],
];
const needs = ["program:strace", "program:perl"];

const LEASES = "/run/cni/pool/net1";
const pool = (t: Trial, extra: Config = {}) =>
  conf(t, { dataDir: "/run/cni/pool" }, { cniVersion: "1.0.0", logFile: `${LEASES}/app.log`, ...extra });
const gc = (t: Trial) => pool(t, { cniVersion: "1.1.0", "cni.dev/valid-attachments": [] });
const NAMES = ["198.51.100.2", "198.51.100.3", "last_reserved_ip.0", "lock", ".podnic.tmp", "app.log"];

function inPool(t: Trial, make: string): void {
  t.sh(`rm -rf ${LEASES}; mkdir -p ${LEASES}; cd ${LEASES}; ${make}`);
}

const plantedInPool = ([what, make]: (typeof KINDS)[number], n: number): MainCase =>
  row(
    `ATK-M3${"abcd"[n]}`,
    "H",
    "M3: a file is looked at before it is opened",
    `${what} under every name of the lease directory: none is opened, and ADD, CHECK, DEL and GC end`,
    (t) => {
      for (const name of NAMES) {
        inPool(t, make(name));
        for (const command of ["ADD", "CHECK", "DEL"]) looksOnly(t, command, pool(t), name);
        looksOnly(t, "GC", gc(t), name);
      }
    },
    { needs: ["plugin:host-local", ...needs] },
  );

/** A file of somebody else, which says what it is, and must be as it was. */
const FOREIGN = "/run/case/foreign";
const foreignPicture = (t: Trial) => t.sh(`stat -c '%i %s %Y %Z %u %a' ${FOREIGN}; cat ${FOREIGN}`);
const makeForeign = (t: Trial) =>
  t.sh(`mkdir -p /run/case; printf 'hunter2\\n' >${FOREIGN}; chmod 600 ${FOREIGN}; chown 12345 ${FOREIGN}`);

const foreignInPool = (id: string, what: string, make: (name: string) => string): MainCase =>
  row(
    id,
    "H",
    "M3: a file of others is neither written nor told",
    `${what} under every name of the lease directory: it stays as it is, and no answer quotes it`,
    (t) => {
      makeForeign(t);
      for (const name of NAMES) {
        inPool(t, make(name));
        // A link count of its own, which a plugin may change by taking a name away.
        const before = foreignPicture(t).replace(/^(\d+ \d+ \d+) \d+/, "$1");
        for (const command of ["ADD", "CHECK", "DEL", "GC"]) {
          const run = t.call(command, command === "GC" ? gc(t) : pool(t), { timeoutMs: 10_000 });
          t.expect(!run.timedOut && run.signal === null, `an end of ${command}`, describeRun(run));
          t.expect(
            !/hunter2/.test(run.stdout + run.stderr),
            `${command} with ${name} does not quote it`,
            describeRun(run),
          );
        }
        t.equal(foreignPicture(t).replace(/^(\d+ \d+ \d+) \d+/, "$1"), before, `the file behind ${name}`);
      }
    },
    hl,
  );

/** Each kind at one path that a configuration or the environment names. */
const plantedAt = (
  id: string,
  what: string,
  path: string,
  plugin: string,
  call: (t: Trial) => [Config, CallOptions],
  commands: readonly string[] = ["ADD", "CHECK", "DEL"],
): MainCase =>
  row(
    id,
    "H",
    "M3: a file is looked at before it is opened",
    `${what} is a FIFO, a device node, a socket: it is not opened, and ${commands.join(", ")} end`,
    (t) => {
      const name = path.slice(path.lastIndexOf("/") + 1);
      for (const [, make] of KINDS) {
        t.sh(`mkdir -p $(dirname ${path}); cd $(dirname ${path}); rm -f ${name}; ${make(name)}; chmod 755 ${name}`);
        const [stdin, options] = call(t);
        for (const command of commands) looksOnly(t, command, stdin, name, options);
      }
    },
    { needs: [`plugin:${plugin}`, ...needs] },
  );

const macvlan = (ipam: Config = {}): Config =>
  ofPlugin("macvlan", { master: "up0", ...(Object.keys(ipam).length > 0 && { ipam }) });

const named = [
  plantedAt("ATK-M3e", "what resolvConf names", "/run/systemd/resolve/planted-resolv.conf", "host-local", (t) => [
    conf(t, { resolvConf: "/run/systemd/resolve/planted-resolv.conf" }),
    {},
  ]),
  plantedAt("ATK-M3f", "what CNI_NETNS names", "/run/case/planted-ns", "macvlan", () => [
    macvlan(),
    { set: { CNI_NETNS: "/run/case/planted-ns" } },
  ]),
  plantedAt("ATK-M3g", "what CNI_NETNS names", "/run/case/planted-ns", "host-device", (t) => [
    ofPlugin("host-device", { device: t.freshDevice() }),
    { set: { CNI_NETNS: "/run/case/planted-ns" } },
  ]),
  plantedAt("ATK-M3h", "the IPAM plugin in CNI_PATH", "/run/case/bin/planted", "macvlan", () => [
    macvlan({ type: "planted" }),
    { set: { CNI_PATH: "/run/case/bin" } },
  ]),
  plantedAt("ATK-M3i", "CNI_PATH itself", "/run/case/planted-bin", "macvlan", () => [
    macvlan({ type: "nosuch" }),
    { set: { CNI_PATH: "/run/case/planted-bin" } },
  ]),
  plantedAt("ATK-M3j", "what kernelpath names", "/run/case/planted-dev", "host-device", () => [
    ofPlugin("host-device", { kernelpath: "/sys/devices/../../run/case/planted-dev" }),
    {},
  ]),
  plantedAt("ATK-M3k", "dataDir itself", "/run/cni/planted-pool", "host-local", (t) => [
    conf(t, { dataDir: "/run/cni/planted-pool" }),
    {},
  ]),
  plantedAt("ATK-M3t", "the lock of a bridge's gateway", "/run/podnic/bridge/planted.lock", "bridge", (t) => {
    const ipam = { type: "static", addresses: [{ address: "198.51.100.9/24", gateway: "198.51.100.1" }] };
    t.sh("ip link del planted 2>/dev/null || true");
    return [ofPlugin("bridge", { bridge: "planted", isGateway: true, ipam }), {}];
  }),
  plantedAt("ATK-M3l", "the network's directory of leases", "/run/cni/pool/planted-net", "host-local", (t) => [
    conf(t, { dataDir: "/run/cni/pool" }, { name: "planted-net" }),
    {},
  ]),
];

/** An executable that says that it ran. */
const MARK = "/run/case/ran";
const PROGRAM = `printf '#!/bin/sh\\ntouch ${MARK}\\n' >/run/case/elsewhere/program; chmod 755 /run/case/elsewhere/program`;

const notRun = (id: string, what: string, plant: string): MainCase =>
  row(
    id,
    "H",
    "A1: only a plugin that lies in CNI_PATH is run",
    `ipam.type is ${what}: E, and it does not run, also on DEL`,
    (t) => {
      t.sh(`mkdir -p /run/case/bin /run/case/elsewhere; ${PROGRAM}; cd /run/case/bin; ${plant}`);
      const set = { CNI_PATH: "/run/case/bin" };
      t.error(t.call("ADD", macvlan({ type: "planted" }), { set, timeoutMs: 5000 }));
      t.call("DEL", macvlan({ type: "planted" }), { set, timeoutMs: 5000 });
      t.equal(t.sh(`ls ${MARK} 2>/dev/null || true`), "", "the program's mark");
    },
    { needs: ["plugin:macvlan"] },
  );

export const attacksPlanted: CaseTable = {
  perMain: [],
  fixed: [
    ...KINDS.map(plantedInPool),
    ...named,
    foreignInPool("ATK-M3n", "a hard link of another user's file", (name) => `ln ${FOREIGN} ${name}`),
    foreignInPool("ATK-M3o", "a symbolic link to another user's file", (name) => `ln -s ${FOREIGN} ${name}`),
    foreignInPool("ATK-M3p", "a magic link of /proc", (name) => `ln -s /proc/self/root${FOREIGN} ${name}`),
    notRun("ATK-M3q", "a link out of CNI_PATH", "ln -s /run/case/elsewhere/program planted"),
    notRun("ATK-M3r", "a set-user-id program", "cp ../elsewhere/program planted; chmod 4755 planted"),
    notRun("ATK-M3s", "a program that everybody can write", "cp ../elsewhere/program planted; chmod 777 planted"),
    row(
      "ATK-M3m",
      "H",
      "M3: another name of a file in the pool is no second chance",
      "host-local: a lease, the cursor and the lock as hard links of each other: OK or E, and the first lease stays",
      (t) => {
        const stdin = conf(t, { dataDir: "/run/cni/pool" });
        t.add(stdin, { ipam: true });
        t.sh(`cd ${LEASES}; ln -f 198.51.100.2 198.51.100.9; ln -f 198.51.100.2 last_reserved_ip.0`);
        const lease = t.read(`${LEASES}/198.51.100.2`);
        t.call("ADD", stdin, { set: { CNI_CONTAINERID: "c2" } });
        t.equal(t.read(`${LEASES}/198.51.100.2`), lease, "the first lease");
        t.silent("DEL", stdin);
      },
      hl,
    ),
  ],
};
