// Broken descriptors, limits and privileges of the process.
import { type CaseTable, type MainCase, Mismatch, row, type Tag } from "../harness/case.ts";
import { describeRun } from "../harness/invoke.ts";
import type { Trial } from "../harness/trial.ts";

/** The result cannot be written: a failure that leaves nothing. */
const unwritable = (id: string, label: string, wrap: string): MainCase =>
  row(id, "H", "5.3: a failed write to stdout is undone", `${label}: exit status not 0, rolled back`, (t) => {
    const conf = t.l3();
    const before = t.picture();
    const run = t.call("ADD", conf, { wrap });
    const status = run.stderr.includes("STATUS 0") ? 0 : run.status;
    if (status === 0) throw new Mismatch("exit status not 0", describeRun(run));
    t.unchangedSince(before, describeRun(run));
  });

const works = (id: string, tag: Tag, label: string, wrap: string, set = {}): MainCase =>
  row(id, tag, "nothing but the contract is needed", `${label}: OK`, (t) => {
    t.result(t.call("ADD", t.l3(), { wrap, set }), t.settings.spec, { set });
  });

const unprivileged = (id: string, command: string): MainCase =>
  row(
    id,
    "H",
    "C-061",
    `${command} as nobody: E(*) as JSON`,
    (t) => {
      const conf = t.l3();
      if (command === "DEL") t.add(conf);
      const before = t.picture();
      t.error(t.call(command, conf, { wrap: 'exec setpriv --reuid 65534 --regid 65534 --clear-groups "$@"' }));
      t.unchangedSince(before);
    },
    { needs: ["program:setpriv"] },
  );

/** Processes of the sandbox that are not zombies; the shell that counts is one of them. */
const processes = (t: Trial) =>
  t
    .sh(
      'n=0; for p in /proc/[0-9]*; do read -r stat <$p/stat && case $stat in *") Z "*) ;; *) n=$((n+1));; esac; done; echo $n',
    )
    .trim();

export const io: CaseTable = {
  perMain: [
    unwritable("IO-01", "stdout is /dev/full", 'exec "$@" >/dev/full'),
    unwritable("IO-02", "stdout closed", 'exec "$@" >&-'),
    // The status of a process that SIGPIPE killed is 141 here: not 0, but then nothing was rolled back.
    unwritable(
      "IO-03",
      "stdout is a pipe without reader",
      // The reader has come and gone before the plugin starts, however busy the machine is.
      'mkfifo /run/case-p; ( : </run/case-p ) & exec 3>/run/case-p; wait; rm /run/case-p; "$1" >&3; echo "STATUS $?" >&2; exit 1',
    ),
    row("IO-04", "H", "C-060", "an error that cannot be written: exit status not 0, text on stderr", (t) => {
      const run = t.call("ADD", t.l2({ ipam: 5 }), { wrap: 'exec "$@" >/dev/full' });
      if (run.status === 0 || run.stderr === "") throw new Mismatch("a failure with stderr", describeRun(run));
    }),
    works("IO-05a", "G", "stderr closed", 'exec "$@" 2>&-'),
    works(
      "IO-05b",
      "G",
      "working directory deleted",
      'mkdir /run/case-d; cd /run/case-d; rmdir /run/case-d; exec "$@"',
    ),
    works("IO-05c", "G", "PATH and HOME empty", 'exec "$@"', { PATH: "", HOME: "" }),
    row("IO-06", "H", "C-061", "RLIMIT_NOFILE=5: E(*) as JSON or OK, nothing left by a failure", (t) => {
      const conf = t.l3();
      const before = t.picture();
      const run = t.call("ADD", conf, { wrap: 'ulimit -n 5; exec "$@"' });
      if (run.status === 0) return void t.result(run, t.settings.spec);
      t.error(run);
      t.unchangedSince(before);
    }),
    row(
      "IO-06a",
      "H",
      "5.3",
      "RLIMIT_NOFILE from 6 to 14: an ADD that fails says what it did not undo; DEL removes it",
      (t) => {
        for (let limit = 6; limit <= 14; limit++) {
          const conf = t.l3();
          const run = t.call("ADD", conf, { wrap: `ulimit -n ${limit}; exec "$@"` });
          if (run.status !== 0) {
            const { details = "" } = t.error(run);
            const left = [...t.leases("net1").keys()];
            const says = left.length === 0 || details.includes("not undone");
            t.expect(says, `with ${limit} descriptors: no lease, or details that say so`, `${left.join()}: ${details}`);
          }
          t.silent("DEL", conf);
          t.leaseCount(0);
        }
      },
    ),
    unprivileged("IO-07a", "ADD"),
    unprivileged("IO-07b", "DEL"),
    works("IO-08a", "G", "further arguments", 'exec "$@" --help x'),
    works("IO-08b", "G", "a longer path as argv[0]", 'cd "$(dirname "$1")"; exec "./$(basename "$1")"'),
    row("IO-09", "H", "5.3", "/var/lib/cni read-only: E, nothing left", (t) => {
      const conf = t.l3();
      t.sh("mount -o remount,ro /var/lib/cni");
      t.refused("ADD", conf);
    }),
    row("IO-10", "H", "no process outlives its answer", "ADD, CHECK, DEL: as many processes as before", (t) => {
      const conf = t.l3();
      const before = processes(t);
      const prevResult = t.add(conf);
      t.silent("CHECK", { ...conf, prevResult });
      t.silent("DEL", { ...conf, prevResult });
      t.gone();
      t.sh("sleep 0.3");
      t.equal(processes(t), before, "processes");
    }),
    row("IO-11", "H", "latency", "median of ten VERSION, ADD, DEL below 1 s each", (t) => {
      const times: number[] = [];
      for (let n = 0; n < 5; n++) {
        const conf = t.l3();
        const [a, b] = [t.call("ADD", conf), t.call("DEL", conf)];
        t.expect(a.status === 0 && b.status === 0, "OK", describeRun(a));
        times.push(a.ms, b.ms);
      }
      times.sort((x, y) => x - y);
      t.expect(times[5]! < 1000, "a median below 1000 ms", times);
    }),
  ],
  fixed: [],
};
